"""How updates become the next model: one strategy a file, each a small fold over the updates of a round.

A strategy's file has a class `Strategy(conf)`. Rules that need all updates of a round at once keep them in `fold` and
say so: `NEEDS_ALL = True`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from utils.federated.update import Update
from utils.parts import extended

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.nets.layout import Vector

__path__ = extended("strategy", __path__)


class Strategy(Protocol):
    """Folds the updates of one round, in client order, into new weights."""

    def begin(self, weights: Vector) -> None:
        """Start a round from the current weights (layout.size,)."""

    def fold(self, update: Update) -> None:
        """Take in one update; it may be forgotten afterwards."""

    def finish(self) -> Vector:
        """The new weights (layout.size,). At least one update has been folded."""

    def series(self) -> dict[str, tuple[float, str, str]]:
        """What it measured in the round that `finish` ended, by name: value, unit, better (higher, lower or none)."""

    def state(self) -> dict[str, NDArray[Any]]:
        """What it remembers between rounds, by name."""

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Remember what `state` gave; before the first round that is nothing."""


def make_strategy(conf: Conf) -> Strategy:
    """The strategy a conf names."""
    made: Strategy = conf.strategy.module.Strategy(conf)
    return made
