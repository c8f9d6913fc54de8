"""How updates become the next model: one strategy a file, each a small streaming fold."""

from __future__ import annotations

from typing import Protocol

from utils.conf import Conf
from utils.federated.strategies.fedavg import FedAvg
from utils.federated.update import Update
from utils.nets.layout import Vector


class Strategy(Protocol):
    """Folds the updates of one round, in client order, into new weights."""

    def begin(self, weights: Vector) -> None:
        """Start a round from the current weights (layout.size,)."""

    def fold(self, update: Update) -> None:
        """Take in one update; it may be forgotten afterwards."""

    def finish(self) -> Vector:
        """The new weights (layout.size,). At least one update has been folded."""


def make_strategy(conf: Conf) -> Strategy:
    """The strategy a conf names."""
    return {"fedavg": FedAvg}[conf.strategy](conf.lambda_)
