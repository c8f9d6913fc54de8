"""A run whose clients are nodes: which confs that is for, and the examples that it has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from utils.conf import Conf, ConfError
from utils.data.elsewhere import Owned, with_owners
from utils.engines.flower import Flower, nodes_of
from utils.engines.flower_home import FlowerError, Home
from utils.federated.update import (
    Answer,
    Buffers,
    Failure,
    JudgeJob,
    Question,
    Reply,
    TrainJob,
    Work,
)

if TYPE_CHECKING:
    from utils.data.examples import Examples
    from utils.engines import Engine

_ONE_MACHINE = {"drop_out": 0.0, "duration": "constant"}
"""Keys of rounds that make believe what nodes do in earnest, as they are where nothing is made believe."""


class Nodes:
    """The nodes of a run, and the engine through which they are reached."""

    def __init__(self, folder: Path | None, names: Sequence[str], here: Engine) -> None:
        """`names`: all that have joined and are there, if none. Raises FlowerError, EngineError."""
        home = Home(folder) if folder else Home()
        self._joined = nodes_of(home, names)
        self.engine = Flower(home, self._joined, here)

    @property
    def names(self) -> list[str]:
        """Their names, in the order of the clients."""
        return [one.name for one in self._joined]

    def examples(self, conf: Conf, where: str, here: Examples) -> Examples:
        """What is judged here, and what nodes say that they have. Raises ConfError, FlowerError."""
        check(conf, where, self.names)
        owned, said = [], self.engine.describe(conf)
        for name, told in zip(self.names, said, strict=True):
            if isinstance(told, Failure):
                raise FlowerError(f"node {name}: {told.reason}")
            owned.append(Owned(name, told.decks, told.told, told.fingerprint))
        return with_owners(here, owned, conf.judge_on)

    def of(self, name: str) -> Engine:
        """The engine of one run, whose messages bear its name."""
        return _OfRun(self.engine, name)

    def place(self) -> dict[str, Any]:
        """What a result says of where it was trained."""
        return {"engine": "flower", "nodes": self.names}


class _OfRun:
    """See `utils.engines.Engine`."""

    def __init__(self, flower: Flower, name: str) -> None:
        self._flower, self._name = flower, name

    def train(self, work: Work, jobs: Sequence[TrainJob], buffers: Buffers) -> Iterator[Reply | Failure]:
        """At the nodes."""
        self._flower.call(work, self._name)
        return self._flower.train(work, jobs, buffers)

    def ask(self, work: Work, questions: Sequence[Question], buffers: Buffers) -> Iterator[Answer | Failure]:
        """At the nodes."""
        self._flower.call(work, self._name)
        return self._flower.ask(work, questions, buffers)

    def judge(self, work: Work, jobs: Sequence[JudgeJob], buffers: Buffers) -> list[NDArray[np.float32]]:
        """Here."""
        return self._flower.judge(work, jobs, buffers)

    def close(self) -> None:
        """For all runs."""
        self._flower.close()


def check(conf: Conf, where: str, names: Sequence[str]) -> None:
    """Raises ConfError where a conf is none for these nodes."""
    if conf.no_models != len(names):
        told = {"count": len(names), "names": ", ".join(names), "found": conf.no_models}
        raise ConfError(where, "as_many_as_nodes", key="no_models", **told)
    refused = []
    if conf.attack is not None:
        refused.append("attack")
    if hasattr(conf.local.module, "personal"):
        refused.append("local")
    if conf.holds or conf.rotations > 1 or conf.pool != conf.no_models:
        refused.append("holds")
    if conf.labels < 1:
        refused.append("labels")
    if conf.early_stop:
        refused.append("early_stop")
    if conf.worth:
        refused.append("worth")
    if getattr(conf.rounds.module, "SIMULATED", False):
        refused.append("rounds")
    refused += [
        name for name, usual in _ONE_MACHINE.items() if getattr(conf.rounds.keys, name, usual) != usual
    ]
    if refused:
        raise ConfError(where, "not_on_nodes", key=refused[0])
