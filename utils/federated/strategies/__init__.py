"""How updates become the next model: one strategy a file, each a small fold over the updates of a round.

A strategy's file has a class `Strategy(conf)`, which may inherit from the one below what it has nothing to say of. The
file says `NEEDS_EACH = True` where the rule looks at updates one by one, so that the mean of all of them would not do,
and `NEEDS_ALL = True` too where it can only decide with all updates of a round before it, which it then keeps: its
memory grows with the clients of a round. `FROM_NONE = True` says that it makes new weights even of a round without
updates; with the others such a round leaves the model as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from utils.federated import RunError
from utils.federated.update import Update, Verdict
from utils.parts import extended

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.nets.layout import Vector

__path__ = extended("strategy", __path__)
STRATEGY_STREAM = 20  # keeps what strategies draw apart from all other random numbers


class Strategy(Protocol):
    """Folds the updates of one round, in client order, into new weights."""

    def draw_from(self, rng: np.random.Generator) -> None:
        """Whatever it draws in the round that is to begin, it draws from this generator, which is the round's own."""
        return

    def begin(self, weights: Vector) -> None:
        """Start a round from the current weights (layout.size,)."""

    def fold(self, update: Update) -> None:
        """Take in one update; it may be forgotten afterwards."""

    def finish(self) -> Vector:
        """The new weights (layout.size,). At least one update has been folded, unless `FROM_NONE`."""

    def verdicts(self) -> list[Verdict]:
        """What it made of each update of the round that `finish` ended; nothing where it treats all alike."""
        return []

    def series(self) -> dict[str, tuple[float, str, str]]:
        """What it measured in the round that `finish` ended, by name: value, unit, better (higher, lower or none)."""
        return {}

    def state(self) -> dict[str, NDArray[Any]]:
        """What it remembers between rounds, by name; what is returned is not changed later."""
        return {}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Remember what `state` gave; before the first round that is nothing."""
        return


def make_strategy(conf: Conf) -> Strategy:
    """The strategy a conf names."""
    made: Strategy = conf.strategy.module.Strategy(conf)
    return made


def refused(name: str, finite: int, all_: int, least: int) -> RunError:
    """That a rule has too few updates that are finite, as the reason for which its run ends."""
    return RunError(f"{name} needs {least} updates or more that are finite, found {finite} of {all_}")


def blocks(length: int, width: int = 32_768) -> Iterator[slice]:
    """A vector in pieces that fit the cache: what goes over them twice takes half the time."""
    return (slice(start, min(start + width, length)) for start in range(0, length, width))


def towards(goal: NDArray[np.float64], old: NDArray[Any], rate: float) -> NDArray[np.float64]:
    """From `old` so much of the way to `goal`; all of it is `goal` to the bit."""
    return goal if rate == 1.0 else (1 - rate) * old.astype(np.float64) + rate * goal
