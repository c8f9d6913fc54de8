"""Who trains when and from what, one way a file: a class `Rounds(conf)` with

- `play(bench, state) -> Played`: one round, from the vectors in `state` to new ones. `weights` is the model that is
  judged,

and, where it has them,

- `start(bench, net)`: make ready the network that the first round begins from, its scaling with it,
- `of_owner(owner) -> dict`: what a result says of an owner beside how many examples it has: `columns`, the positions of
  those it has in an example laid out flat, where these are not all,
- `state()`, `restore(state)`: what it remembers between rounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from utils.federated.spread import Row
from utils.federated.update import Failure
from utils.parts import extended

__path__ = extended("rounds", __path__)


@dataclass(frozen=True)
class Played:
    """What came of a round: vectors by name; client, examples and metrics of each update; failures; bytes both ways.

    `series` is what else was measured, by name: value, unit and better direction (higher, lower, none); `rows` are of
    every update.
    """

    vectors: dict[str, NDArray[Any]]
    updates: list[tuple[int, int, dict[str, float]]]
    failures: list[Failure]
    bytes_down: int
    bytes_up: int
    series: Mapping[str, tuple[float, str, str]] = field(default_factory=dict)
    rows: Sequence[Row] = ()
