"""Federated averaging (McMahan et al. 2017, algorithm 1), https://arxiv.org/abs/1602.05629."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from utils.engines.memory import POOL
from utils.federated import strategies
from utils.federated.strategies import blocks, towards
from utils.federated.update import Update

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.nets.layout import Vector

ABOUT = ("the mean of the updates, weighted by their examples", "按样本数加权的更新均值")


class Strategy(strategies.Strategy):
    """New weights = (1 - lambda) * old weights + lambda * mean of the updates weighted by examples.

    Sums run in float64 and in the order of folding; with lambda 1 the result is exactly the mean, rounded
    once to float32. Memory is one vector, however many updates come.
    """

    def __init__(self, conf: Conf) -> None:
        self.server_lr = conf.lambda_
        self._sum: NDArray[np.float64] = np.zeros(0)

    def begin(self, weights: Vector) -> None:
        """Start a round from `weights` (layout.size,)."""
        self._old, self._samples = weights, 0
        if len(self._sum) != len(weights):  # memory that is new costs as much as a fold
            self._sum = np.empty(len(weights))

    def fold(self, update: Update) -> None:
        """Add one update, weighted by its number of examples."""
        self._add(update, update.samples, slice(0, len(self._sum)))
        self._samples += update.samples

    def _add(self, update: Update, times: float, place: slice) -> None:
        """Add a piece of an update so many times."""
        for block in blocks(place.stop - place.start):
            into = self._sum[place][block]
            scaled = np.multiply(update.weights[place][block], times, dtype=np.float64)
            np.add(into if self._samples else 0.0, scaled, out=into)

    def mean(self) -> NDArray[np.float64]:
        """Of the updates so far (layout.size,)."""
        return self._sum / self._samples

    def finish(self) -> Vector:
        """The new weights (layout.size,), float32."""
        new = POOL.vector(len(self._sum))
        for block in blocks(len(new)):
            new[block] = self._moved(block, self._sum[block] / self._samples)
        self._old = new  # so that what it was is no longer held
        return new

    def _moved(self, block: slice, mean: NDArray[np.float64]) -> NDArray[np.float64]:
        """A piece of the new weights, of which this is the mean of the updates."""
        return towards(mean, self._old[block], self.server_lr)
