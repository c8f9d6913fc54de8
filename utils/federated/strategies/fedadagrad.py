"""Adaptive averaging by Adagrad at the server (Reddi et al. 2021, algorithm 2), https://arxiv.org/abs/2003.00295."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from utils.federated.strategies import _adaptive
from utils.federated.strategies._adaptive import BETA1, BETA1_ZH, Adaptive
from utils.parts import key

ABOUT = (
    "Adagrad at the server: what has moved much moves less, for good (lambda about 0.1)",
    "服务器端 Adagrad：移动多的权重此后移动得更少（lambda 约取 0.1）",
)


@dataclass(frozen=True)
class Keys(_adaptive.Keys):
    """Without a mean of steps."""

    beta1: float = key(BETA1, zh=BETA1_ZH, default=0.0, low=0.0, high=1.0, below_high=True)


class Strategy(Adaptive):
    """v = v + D²: the sum of all squares, which never fades.

    See `_adaptive.Adaptive` for the step that follows from it, and which lambda to choose.
    """

    def square(self, v: NDArray[np.float64], squared: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Adaptive`."""
        return v + squared
