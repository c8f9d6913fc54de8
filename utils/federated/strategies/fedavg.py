"""Federated averaging (McMahan et al. 2017, algorithm 1), https://arxiv.org/abs/1602.05629."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from utils.federated.update import Update

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.nets.layout import Vector

ABOUT = ("the mean of the updates, weighted by their examples", "按样本数加权的更新均值")


class Strategy:
    """New weights = (1 - lambda) * old weights + lambda * mean of the updates weighted by examples.

    Sums run in float64 and in the order of folding; with lambda 1 the result is exactly the mean, rounded
    once to float32. Memory is one vector, however many updates come.
    """

    def __init__(self, conf: Conf) -> None:
        self.server_lr = conf.lambda_

    def begin(self, weights: Vector) -> None:
        """Start a round from `weights` (layout.size,)."""
        self._old = weights
        self._sum: NDArray[np.float64] = np.zeros(len(weights), dtype=np.float64)
        self._samples = 0

    def fold(self, update: Update) -> None:
        """Add one update, weighted by its number of examples."""
        self._sum += np.multiply(update.weights, update.samples, dtype=np.float64)
        self._samples += update.samples

    def mean(self) -> NDArray[np.float64]:
        """Of the updates so far (layout.size,)."""
        return self._sum / self._samples

    def finish(self) -> Vector:
        """The new weights (layout.size,), float32."""
        if self.server_lr == 1.0:
            return self.mean().astype(np.float32)
        mixed = (1 - self.server_lr) * self._old.astype(np.float64) + self.server_lr * self.mean()
        return mixed.astype(np.float32)

    def series(self) -> dict[str, tuple[float, str, str]]:
        """Nothing."""
        return {}

    def state(self) -> dict[str, NDArray[Any]]:
        """Nothing."""
        return {}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Nothing."""
