"""Federated averaging (McMahan et al. 2017, algorithm 1), https://arxiv.org/abs/1602.05629."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from utils.engines.memory import POOL
from utils.federated.update import Update

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.nets.layout import Vector

_BLOCK = 32_768

ABOUT = ("the mean of the updates, weighted by their examples", "按样本数加权的更新均值")


def _blocks(length: int) -> Iterator[slice]:
    """A vector in pieces that fit the cache: what goes over them twice takes half the time."""
    return (slice(start, start + _BLOCK) for start in range(0, length, _BLOCK))


class Strategy:
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
        for block in _blocks(len(self._sum)):
            before = self._sum[block] if self._samples else 0.0
            scaled = np.multiply(update.weights[block], update.samples, dtype=np.float64)
            np.add(before, scaled, out=self._sum[block])
        self._samples += update.samples

    def mean(self) -> NDArray[np.float64]:
        """Of the updates so far (layout.size,)."""
        return self._sum / self._samples

    def finish(self) -> Vector:
        """The new weights (layout.size,), float32."""
        new = POOL.vector(len(self._sum))
        for block in _blocks(len(new)):
            mean = self._sum[block] / self._samples
            if self.server_lr != 1.0:
                mean = (1 - self.server_lr) * self._old[block].astype(np.float64) + self.server_lr * mean
            new[block] = mean
        self._old = new  # so that what it was is no longer held
        return new

    def series(self) -> dict[str, tuple[float, str, str]]:
        """Nothing."""
        return {}

    def state(self) -> dict[str, NDArray[Any]]:
        """Nothing."""
        return {}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Nothing."""
