"""Federated averaging (McMahan et al. 2017, algorithm 1), https://arxiv.org/abs/1602.05629."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from utils.federated.update import Update
from utils.nets.layout import Vector


class FedAvg:
    """New weights = (1 - server_lr) * old weights + server_lr * mean of the updates weighted by photos.

    Sums run in float64 and in the order of folding; with server_lr 1 the result is exactly the mean, rounded
    once to float32. Memory is one vector, however many updates come.
    """

    def __init__(self, server_lr: float = 1.0) -> None:
        self.server_lr = server_lr

    def begin(self, weights: Vector) -> None:
        """Start a round from `weights` (layout.size,)."""
        self._old = weights
        self._sum: NDArray[np.float64] = np.zeros(len(weights), dtype=np.float64)
        self._samples = 0

    def fold(self, update: Update) -> None:
        """Add one update, weighted by its number of photos."""
        self._sum += np.multiply(update.weights, update.samples, dtype=np.float64)
        self._samples += update.samples

    def finish(self) -> Vector:
        """The new weights (layout.size,), float32."""
        mean = self._sum / self._samples
        if self.server_lr == 1.0:
            return mean.astype(np.float32)
        mixed = (1 - self.server_lr) * self._old.astype(np.float64) + self.server_lr * mean
        return mixed.astype(np.float32)
