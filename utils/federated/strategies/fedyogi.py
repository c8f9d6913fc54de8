"""Adaptive averaging by Yogi at the server (Reddi et al. 2021, algorithm 2), https://arxiv.org/abs/2003.00295."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from utils.federated.strategies._adaptive import Adaptive, Fading

ABOUT = (
    "Yogi at the server: as Adam, but its pace changes more slowly (lambda about 0.01)",
    "服务器端 Yogi：类似 Adam，但步调变化更慢（lambda 约取 0.01）",
)


@dataclass(frozen=True)
class Keys(Fading):
    """Of both means."""


class Strategy(Adaptive):
    """v = v - (1 - beta2) * D² * sign(v - D²): a step towards D² that is no larger where v is far from it.

    See `_adaptive.Adaptive` for the step that follows from it, and which lambda to choose.
    """

    def square(self, v: NDArray[np.float64], squared: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Adaptive`."""
        return np.asarray(v - (1 - self._keys.beta2) * squared * np.sign(v - squared))
