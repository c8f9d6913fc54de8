"""Adaptive averaging by Adam at the server (Reddi et al. 2021, algorithm 2), https://arxiv.org/abs/2003.00295."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from utils.federated.strategies._adaptive import Adaptive, Fading

ABOUT = (
    "Adam at the server: each weight moves at its own pace (lambda about 0.1)",
    "服务器端 Adam：每个权重按自己的步调移动（lambda 约取 0.1）",
)


@dataclass(frozen=True)
class Keys(Fading):
    """Of both means."""


class Strategy(Adaptive):
    """v = beta2 * v + (1 - beta2) * D²: a mean that fades.

    See `_adaptive.Adaptive` for the step that follows from it, and which lambda to choose.
    """

    def square(self, v: NDArray[np.float64], squared: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Adaptive`."""
        return np.asarray(self._keys.beta2 * v + (1 - self._keys.beta2) * squared)
