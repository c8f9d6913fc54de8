"""Who trains when and from what, one way a file: a class `Rounds(conf)` with

- `play(bench, state) -> Played`: one round, from the vectors in `state` to new ones. `weights` is the model that is
  judged,

and, where it has them,

- `start(bench, net)`: make ready the network that the first round begins from, its scaling with it,
- `state()`, `restore(state)`: what it remembers between rounds, as a strategy's,
- `of_owner(owner) -> dict`: what a result says of an owner beside how many examples it has: `columns`, the positions of
  those it has in an example laid out flat, where these are not all,
- `graph(bench) -> dict`: who is beside whom, for the page of a run: `edges`, pairs of clients, and `accuracy` by client
  where each has a model of its own; empty where nobody has fixed neighbours.

A file that says `SIMULATED = True` has its time, or its clients beside each other, here: nodes elsewhere do not know
such rounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from utils.federated import RunError
from utils.federated.spread import Row
from utils.federated.update import Failure, Reply, Update
from utils.parts import ConfError, extended
from utils.refusal import said

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.federated.bench import Bench
    from utils.nets.layout import Vector

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


def check_enough(
    bench: Bench, round_: int, updates: Sequence[Any], failures: Sequence[Failure], least: int = 0
) -> None:
    """Raises RunError when a round has fewer updates than `min_clients`, or than `least`."""
    wanted = max(least, bench.conf.min_clients)
    if len(updates) < wanted:
        raise RunError(
            f"{bench.repeat}: round {round_ + 1} has {len(updates)} updates, min_clients is "
            f"{bench.conf.min_clients}" + (f"; last failure: {failures[-1].reason}" if failures else "")
        )


def read(outcome: Reply | Failure, like: Vector) -> Update | Failure:
    """A reply where weights themselves travel, or why there is none: they are as many as in `like`, and finite."""
    if isinstance(outcome, Failure):
        return outcome
    if (length := memoryview(outcome.payload).nbytes) != like.nbytes:
        return Failure(outcome.client, f"an update of {length} bytes")
    weights = np.frombuffer(outcome.payload, np.float32)
    if not np.isfinite(weights).all():
        return Failure(outcome.client, "an update that is not finite")
    return Update(outcome.client, weights, outcome.samples, outcome.metrics)


def refuse_links(conf: Conf, where: str) -> None:
    """Raises ConfError where there is a link: these rounds have ways of their own."""
    if conf.link:
        raise ConfError(
            where, "refuses", key="rounds", part=conf.rounds.name, other="link", found=conf.link[0].name
        )


def refuse_batch_norm(conf: Conf, where: str) -> None:
    """Raises ConfError where the network has running statistics, which are no differences to add up."""
    from utils.nets.build import has_batch_norm

    if has_batch_norm(conf):
        raise ConfError(
            where, "refuses", key="rounds", part=conf.rounds.name, other="network", found=said("batch_norm")
        )
