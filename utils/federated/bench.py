"""What a repeat works with: who has which examples, the parts its conf names, and where it stands."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from utils.conf import Conf
from utils.data.examples import Examples, TooFewError, of_sources
from utils.data.scaling import Scaled, agree
from utils.engines import Engine
from utils.federated import RunError
from utils.federated.at_home import AtHome
from utils.federated.held import HELD, OWN, Held, mean_error
from utils.federated.kept import Rounds
from utils.federated.labels import at_server, dealt, labelled_of
from utils.federated.labels import series as labels_given
from utils.federated.links import UnopenedError, Way
from utils.federated.schedule import round_lr, rounds_of
from utils.federated.selection import COHORT_STREAM
from utils.federated.spread import MOST_CLIENTS, MOST_ROWS, Row, Spread
from utils.federated.strategies import STRATEGY_STREAM, make_strategy
from utils.federated.update import (
    Answer,
    Buffers,
    Bytes,
    Failure,
    JudgeJob,
    Question,
    Reply,
    TrainJob,
    Update,
    Verdict,
    Work,
    share_of,
)
from utils.federated.valued import Valued
from utils.nets import JUDGE_BATCH
from utils.nets.build import build, layout_of
from utils.nets.layout import Vector, read_weights
from utils.partition.schemes import partition
from utils.tasks import classes_of

Indices = NDArray[np.int64]
DOWN_STREAM = 9  # of the codes of what the server sends
NOT_AGREED = "gone before it trained"


@dataclass(frozen=True)
class Repeat:
    """One of the runs a conf stands for: held-out fold, seed (added to the conf's) and rotation of owners."""

    fold: int
    seed: int
    rotation: int

    def __str__(self) -> str:
        return f"fold{self.fold}-seed{self.seed}-rotation{self.rotation}"


@dataclass
class State:
    """Where a repeat stands between rounds: all that is needed to go on as if nothing had happened.

    `vectors` by name: `weights` is the model; what a part remembers stands under its family, as `strategy/velocity`.
    `round` is the number of rounds done.
    """

    vectors: dict[str, NDArray[Any]]
    record: dict[str, Any] = field(default_factory=dict)
    round: int = 0
    resumed: bool = False  # just read from its checkpoint, nothing done since

    @property
    def weights(self) -> Vector:
        """The model that is judged (layout.size,)."""
        return self.vectors["weights"]

    def of(self, family: str) -> dict[str, NDArray[Any]]:
        """What the part of this family remembers."""
        return {
            name.removeprefix(f"{family}/"): value
            for name, value in self.vectors.items()
            if name.startswith(f"{family}/")
        }


@dataclass(frozen=True)
class Shares:
    """Which examples (indices into the set) serve a repeat for what."""

    clients: list[Indices]
    owners: list[Indices]
    val: Indices
    test: Indices
    labelled: list[Indices] | None = None  # of each client's those whose label it knows; None: all
    server: Indices = field(default_factory=lambda: np.zeros(0, np.int64))  # what it has with labels

    def named(self) -> dict[str, Indices]:
        """By the names that jobs know them by; `held` is what all clients have, one after the other."""
        of_clients = {share_of(client): mine for client, mine in enumerate(self.clients)}
        of_clients |= {labelled_of(client): mine for client, mine in enumerate(self.labelled or ())}
        return {**of_clients, "held": np.concatenate(self.clients), "test": self.test, "val": self.val}


def share_out(conf: Conf, repeat: Repeat, examples: Examples) -> Shares:
    """How the examples fall to test, validation, owners and clients in this repeat.

    Raises DataError or PartitionError, one line, when there are too few for it, ConfError when no round is allowed.
    """
    train, val, test = split(conf, repeat.fold, examples)
    if not len(train):
        raise TooFewError("", "no_training", set=examples.name, of=of_sources(conf.train_on))
    if examples.owner is not None:
        parts = [np.flatnonzero(examples.owner[train] == owner) for owner in range(conf.no_models)]
    else:
        sources = [examples.sources[index] for index in train]
        parts = partition(examples.targets[train], conf, conf.partition_seed + repeat.seed, sources)
    # Only now unreadable and doubtful examples drop out: their owner goes on without, the others keep what they have.
    owners = [_usable(examples, train[part]) for part in parts]
    owners = [mine[examples.taught[mine]] for mine in owners]
    val, test = (_usable(examples, part[examples.judged[part]]) for part in (val, test))
    if not len(test):
        of = of_sources(conf.judge_on)
        raise TooFewError("", "no_test", set=examples.name, fold=repeat.fold, of=of)
    for name, asks in (("early_stop", conf.early_stop), ("worth", conf.worth)):
        if asks and not len(val):
            raise TooFewError("", "no_validation", set=examples.name, key=name, fold=repeat.fold)
    clients = [np.concatenate([owners[o] for o in held]) for held in conf.held(repeat.rotation)]
    clients, labelled, server = dealt(conf, conf.partition_seed + repeat.seed, clients, examples.targets)
    rounds_of(conf, [len(mine) for mine in clients])
    return Shares(clients, owners, val, test, labelled, server)


def split(conf: Conf, fold: int, examples: Examples) -> tuple[Indices, Indices, Indices]:
    """Indices of training, validation and test examples. With `train_on` these are of different sources: every example
    of `judge_on` is a test example, unless what it belongs together with is learnt from, and the deck that `fold` would
    validate on is left out of the training. So it is at owners elsewhere, and what is here is judged.
    """
    parts = [examples.split(fold, part) for part in ("train", "val", "test")]
    if examples.owner is not None:
        theirs = np.flatnonzero(examples.owner >= 0)
        return np.setdiff1d(theirs, parts[1]), np.zeros(0, np.int64), np.flatnonzero(examples.owner < 0)
    if not conf.train_on:
        return parts[0], parts[1], parts[2]
    sources = np.array(examples.sources)
    trained, judged = (np.flatnonzero(np.isin(sources, names)) for names in (conf.train_on, conf.judge_on))
    known = {examples.scenes[index] for index in trained}
    judged = np.array([index for index in judged if examples.scenes[index] not in known], dtype=np.int64)
    return np.setdiff1d(trained, parts[1]), np.intersect1d(trained, parts[1]), judged


def _usable(examples: Examples, indices: Indices) -> Indices:
    return indices[examples.usable[indices]]


class Bench:
    """The bench of one repeat."""

    def __init__(
        self, conf: Conf, repeat: Repeat, examples: Examples, engine: Engine, home: Path | None = None
    ) -> None:
        """`home` is a folder for what clients keep; without it they have one that goes with the bench."""
        self.conf, self.repeat, self.examples, self.engine = conf, repeat, examples, engine
        self.seed = conf.seed + repeat.seed
        self.shares = share_out(conf, repeat, examples)
        self.sizes = [len(mine) for mine in self.shares.clients]
        self.most = rounds_of(conf, self.sizes)
        mean = sum(self.sizes) / len(self.sizes) or 1.0
        self.weights = [size / mean for size in self.sizes]
        self._own = conf.local.module
        self._layout = layout = layout_of(conf)
        self.strategy, self.way = make_strategy(conf), Way(conf, layout)
        self._keeps = bool(getattr(self._own, "KEEPS", False)) or self.way.keeps
        self._folder = TemporaryDirectory() if self._keeps and home is None else None
        place = self._folder.name if self._folder else str(home or "") if self._keeps else ""
        named = self.shares.named()
        self.work = Work(
            uuid4().hex, conf, self.seed, str(examples.store), examples.targets, named, place, repeat.fold
        )
        self._teacher = at_server(self.work, self.shares.server)
        self.source_names = sorted(set(examples.sources))
        numbers = {name: number for number, name in enumerate(self.source_names)}
        self.sources = np.array([numbers[name] for name in examples.sources], dtype=np.int64)
        self.rounds = conf.rounds.module.Rounds(conf)
        self.selection = conf.selection.module.Selection(conf, self.sizes)
        self.attack = conf.attack.module.Attack(conf.attack.keys) if conf.attack else None
        self.local = self._own.Server(conf, layout) if hasattr(self._own, "Server") else None
        self.kept = Rounds(conf.no_models) if self._keeps else None
        alone = conf.no_models == 1 or conf.k > MOST_CLIENTS or conf.k * conf.global_epochs > MOST_ROWS
        self.spread = Spread(not alone)
        attack: Any = self.attack
        self.hostile = [one for one in range(conf.no_models) if attack and attack.is_hostile(one, conf)]
        self.at_home = AtHome(
            conf, examples, self.sources, self.shares.clients, self.shares.test, self.hostile
        )
        self.valued = Valued(conf, self.seed, self.hostile)
        self.afar = examples.owner is not None  # clients are on machines of their own
        self.unopened = ""  # why the sum of a round could not be
        self.measured = True  # how updates and clients differ
        self.lr = partial(round_lr, conf)
        self._asked_down = self._asked_up = 0

    def start(self) -> Vector:
        """The weights before round 1, the scaling on which the owners agreed among them.

        Raises RunError when an owner does not say what that needs.
        """
        net = build(self.conf, self.seed)
        if hasattr(self.rounds, "start"):
            self.rounds.start(self, net)
        elif isinstance(net, Scaled):
            agree(net, self._ask_all)
        return read_weights(net)

    def _ask_all(self, name: str, vectors: Mapping[str, NDArray[np.float64]]) -> Iterator[bytes]:
        buffers = {key: value.data.cast("B") for key, value in vectors.items()}
        task, clients = self.conf.task.name, self.conf.no_models
        outcomes = self.ask("task", task, name, 0, range(clients), list(vectors), buffers)
        if self._teacher is not None:  # what it has with labels counts as an owner's
            own = Question("task", task, name, clients, 0, tuple(vectors))
            outcomes = chain(outcomes, self.engine.ask(self._teacher, [own], buffers))
        for outcome in outcomes:
            if isinstance(outcome, Failure):
                raise RunError(f"scaling: client {outcome.client}: {outcome.reason}")
            yield bytes(outcome.payload)

    def restore(self, state: State) -> None:
        """Let the parts go on from what they remembered when `state` was kept. Where an earlier version began the run
        without measuring updates and clients, this one does not begin with it.
        """
        self.measured = not state.round or "measured" in state.record
        for family, part in self._keepers().items():
            part.restore(state.of(family))

    def remembered(self) -> dict[str, NDArray[Any]]:
        """What the parts keep between rounds, under the names by which a state has it."""
        kept = {family: part.state() for family, part in self._keepers().items()}
        return {f"{family}/{name}": value for family, of in kept.items() for name, value in of.items()}

    def _keepers(self) -> dict[str, Any]:
        """The parts that remember something."""
        parts = {
            "strategy": self.strategy, "selection": self.selection, "rounds": self.rounds, "local": self.local,
            "kept": self.kept, "way": self.way, "worth": self.valued,
        }  # fmt: skip
        return {family: part for family, part in parts.items() if hasattr(part, "state")}

    def sent(self, weights: Vector) -> dict[str, Bytes]:
        """What a round's clients read: the weights, and what the server's half of their local part tells them."""
        buffers: dict[str, Bytes] = {"weights": weights.data.cast("B")}
        if hasattr(self.local, "tells"):
            buffers["told"] = self.local.tells().data.cast("B")  # type: ignore[union-attr]
        return buffers

    def led(self, weights: Vector, round_: int) -> Vector:
        """What a round begins from: the weights, trained on the labels at the server where that has some.

        Raises RunError when it cannot.
        """
        if self._teacher is None:
            return weights
        server = self.conf.no_models
        job = TrainJob(round_, server, self.lr(round_), ("weights",), f"update/{server}")
        outcome = next(self.engine.train(self._teacher, [job], {"weights": weights.data.cast("B")}))
        if isinstance(outcome, Failure):
            raise RunError(f"{self.repeat}: round {round_ + 1}: training at the server: {outcome.reason}")
        return np.frombuffer(outcome.payload, np.float32)

    def labels(
        self, metrics: Sequence[dict[str, float]], failures: Sequence[Failure]
    ) -> dict[str, tuple[float, str, str]]:
        """Series of what clients made of examples without a label."""
        return labels_given(self.shares.clients, self.shares.labelled, metrics, failures)

    def jobs(self, round_: int, cohort: Sequence[int], buffers: Buffers) -> list[TrainJob]:
        """The cohort's jobs."""
        lr, reads = self.lr(round_), tuple(buffers)
        last = self.kept.last if self.kept else np.full(len(self.sizes), -1)
        return [
            TrainJob(round_, one, lr, reads, f"update/{one}", self.weights[one], int(last[one]))
            for one in cohort
        ]

    def prepare(
        self, round_: int, cohort: Sequence[int]
    ) -> tuple[list[int], dict[str, Bytes], list[Failure]]:
        """What links agree on with clients before they train: who still takes part, what their jobs then read beside
        the weights, and who is gone.
        """

        def ask(
            name: str, clients: Sequence[int], of: Callable[[int], Buffers]
        ) -> Iterator[Answer | Failure]:
            for client in clients:
                read = of(client)
                yield from self.ask(
                    "link", self.conf.link[-1].name, name, round_, [client], tuple(read), read
                )

        self.unopened, why = "", NOT_AGREED
        try:
            left, buffers = self.way.prepare(cohort, self.sizes, ask)
        except UnopenedError as error:
            left, buffers, why = [], {}, str(error)
            self.unopened = why
        return list(left), buffers, [Failure(one, why) for one in cohort if one not in set(left)]

    def begin(self, sent: Vector, round_: int) -> None:
        """A round begins."""
        self._taken = 0
        if hasattr(self.strategy, "draw_from"):
            self.strategy.draw_from(np.random.default_rng([STRATEGY_STREAM, self.seed, round_]))
        self.strategy.begin(sent)
        self.spread.begin()
        self.valued.begin()

    def take(
        self, reply: Reply, sent: Vector, round_: int, now: Vector | None = None, share: float = 1.0
    ) -> None:
        """Decode an update and give it to the parts. Where others have changed the weights since they were `sent`, the
        `share` of its difference that counts is added to those that are `now`. Raises ValueError when it is not as long
        as it should be.
        """
        update = self.way.receive(reply, sent)
        if update:
            update = replace(update, weight=self.weights[update.client])
            self.spread.fold(update, sent)
            if now is not None:
                update = replace(update, weights=now + np.float32(share) * (update.weights - sent))
            if self.local and math.isfinite(update.weights.sum(dtype=np.float64)):
                self.local.fold(update, sent)  # which no strategy protects
            self._fold(update, sent)
        self._taken += 1
        if self.kept:
            self.kept.last[reply.client] = round_

    def _fold(self, update: Update, sent: Vector) -> None:
        if hasattr(self.selection, "weigh"):
            update = replace(update, samples=self.selection.weigh(update))
        self.strategy.fold(update)
        self.valued.fold(update, sent)

    def finish(
        self, sent: Vector, round_: int
    ) -> tuple[Vector, dict[str, tuple[float, str, str]], list[Row]]:
        """The round's new weights, what was measured in it, and what was found of every update. Where their sum cannot
        be opened the weights are the old ones, and `unopened` says why.
        """
        try:
            if update := self.way.opened(sent):
                self.strategy.fold(update)
        except UnopenedError as error:
            self.unopened = str(error)
        new = sent
        if not self.unopened and (self._taken or getattr(self.conf.strategy.module, "FROM_NONE", False)):
            new = self.strategy.finish()
            if self.local:
                new = self.local.finish(new, sent)
        verdicts: list[Verdict] = getattr(
            self.strategy, "verdicts", list
        )()  # a strategy of somebody's own may have none
        series, rows = self.compared(verdicts)
        series |= self.valued.finish(sent, round_, self._value)
        try:
            new = self.way.down(new, sent, round_, np.random.default_rng([DOWN_STREAM, self.seed, round_]))
        except FloatingPointError as error:
            raise RunError(f"what the server would send: {error}") from None
        return new, series | self.strategy.series(), rows

    def _value(self, weights: Vector) -> float:
        """What a model is worth on the validation examples."""
        told = scores(self.judge("val", weights), self.targets("val"))
        return told["accuracy"] if "accuracy" in told else max(0.0, told["r2"])

    def compared(self, verdicts: Sequence[Verdict]) -> tuple[dict[str, tuple[float, str, str]], list[Row]]:
        """How the updates of the round differ, and what a strategy made of each."""
        if not self.measured or self.conf.no_models == 1 or self.way.ring:
            return {}, []
        return self.spread.finish(list(verdicts))

    def close(self) -> None:
        """End what parts began for this repeat."""
        self.way.close()

    def spent(self, rounds: int) -> dict[str, tuple[float, str, str]]:
        """What so many rounds have used up, by the names of series: value, unit, better direction."""
        parts = [part.module for part in self.conf.parts() if hasattr(part.module, "spent")]
        return {
            name: one for part in parts for name, one in part.spent(self.conf, self.sizes, rounds).items()
        }

    def cohort(self, round_: int, count: int, buffers: Buffers, attempt: int = 0) -> list[int]:
        """The clients of a round, in ascending order; others when it is attempted again."""

        def ask(name: str, clients: Iterable[int], reads: Sequence[str]) -> Iterator[Answer | Failure]:
            return self.ask("selection", self.conf.selection.name, name, round_, clients, reads, buffers)

        rng = np.random.default_rng([COHORT_STREAM, self.seed, round_, *([attempt] if attempt else [])])
        chosen: list[int] = self.selection.select(rng, count, ask)
        return chosen

    def ask(
        self,
        family: str,
        part: str,
        name: str,
        round_: int,
        clients: Iterable[int],
        reads: Sequence[str],
        buffers: Buffers,
    ) -> Iterator[Answer | Failure]:
        """Put a question of a part to clients; answers or failures in order, what is sent counted in bytes."""
        questions = [Question(family, part, name, client, round_, tuple(reads)) for client in clients]
        self._asked_down += len(questions) * sum(memoryview(buffers[name]).nbytes for name in reads)
        for outcome in self.engine.ask(self.work, questions, buffers):
            if isinstance(outcome, Answer):
                self._asked_up += memoryview(outcome.payload).nbytes
            yield outcome

    def of_owner(self, owner: int) -> dict[str, Any]:
        """What its kind of rounds says of an owner, beside how many examples it has."""
        found: dict[str, Any] = self.rounds.of_owner(owner) if hasattr(self.rounds, "of_owner") else {}
        return found

    def asked(self) -> tuple[int, int]:
        """Bytes of questions and of answers since this was last asked, down and up."""
        found, self._asked_down, self._asked_up = (self._asked_down, self._asked_up), 0, 0
        return found

    def personal(self, weights: Vector) -> list[NDArray[np.int64]]:
        """Which class (n,) each client's own model makes of the test examples; nothing where clients have no models."""
        if not hasattr(self._own, "personal") or self.kept is None:
            return []
        return [self.judge("test", weights, client).argmax(axis=1) for client in range(self.conf.no_models)]

    def judge(
        self, share: str, weights: Vector, client: int = -1, attacked: bool = False
    ) -> NDArray[np.float64]:
        """Probabilities (n, classes) of the examples of a share, or what is foretold of them (n,); by the model of a
        `client`'s own, or of examples as an attack shows them.

        Raises RunError when the model's outputs are not finite.
        """
        count, classes = len(self.work.shares[share]), len(classes_of(self.conf))
        if not count:
            return np.zeros((0, classes) if classes else 0)
        pieces = math.ceil(count / JUDGE_BATCH)
        last = int(self.kept.last[client]) if self.kept and client >= 0 else -1
        jobs = [
            JudgeJob(share, piece, pieces, ("weights",), client, last, attacked) for piece in range(pieces)
        ]
        buffers = {"weights": np.ascontiguousarray(weights).data.cast("B")}
        outputs = np.concatenate(self.engine.judge(self.work, jobs, buffers)).astype(np.float64)
        if not np.isfinite(outputs).all():
            raise RunError("the model's outputs are not finite: training diverged, a smaller lr may help")
        if not classes:
            return outputs[:, 0]
        exponentials = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))

    def right_of(self, models: Iterable[Vector]) -> list[float]:
        """The share of test examples that each of these models is right about; nothing where there are no classes."""
        targets = self.targets("test")
        outputs = [self.judge("test", weights) for weights in models]
        return [float((one.argmax(axis=1) == targets).mean()) for one in outputs if one.ndim > 1]

    def held(self, weights: Vector, round_: int) -> list[Held | None]:
        """How a model does on what each client has, as the client says; None of one that does not."""
        buffers = {"weights": np.ascontiguousarray(weights).data.cast("B")}
        asked = [
            Question(OWN, "", HELD, client, round_, ("weights",)) for client in range(self.conf.no_models)
        ]
        answers = self.engine.ask(
            self.work, asked, buffers
        )  # measures, and is no part of the round's traffic
        return [Held.read(one.payload) if isinstance(one, Answer) else None for one in answers]

    def training_loss(self, weights: Vector, round_: int) -> float:
        """Loss of a model on all that clients have, as they measure it when they train. Raises RunError."""
        found = mean_error(self.held(weights, round_))
        if found is None:
            raise RunError(f"{self.repeat}: round {round_ + 1}: no client says what its loss is")
        spread = self._layout.named(weights).get("target_spread")
        return found / (1.0 if spread is None else float(spread[0])) ** 2

    def tells(self, indices: Indices) -> bool:
        """Whether their owners tell the targets of these examples."""
        told = self.examples.told
        return told is None or bool(told[indices].all())

    def targets(self, share: str) -> NDArray[Any]:
        """Class numbers (n,), or numbers to foretell, of the examples of a share."""
        return self.examples.targets[self.work.shares[share]]


def scores(judged: NDArray[np.float64], targets: NDArray[Any]) -> dict[str, float]:
    """How far answers are right, n > 0 of them, by the names of the series.

    Of probabilities (n, classes) accuracy, balanced accuracy (mean recall of the classes present) and mean
    cross-entropy in nats. Of numbers (n,) RMSE, mean absolute error and R², which is 0 where the truth nowhere differs.
    """
    if judged.ndim == 1:
        errors, around = judged - targets, targets - targets.mean()
        spread = float((around**2).sum())
        return {
            "rmse": float(np.sqrt((errors**2).mean())),
            "mae": float(np.abs(errors).mean()),
            "r2": 1 - float((errors**2).sum()) / spread if spread else 0.0,
        }
    probabilities = judged
    right = probabilities.argmax(axis=1) == targets
    recalls = [right[targets == label].mean() for label in np.unique(targets)]
    chosen = np.maximum(probabilities[np.arange(len(targets)), targets], 1e-12)
    return {
        "accuracy": float(right.mean()),
        "balanced_accuracy": float(np.mean(recalls)),
        "loss": float(-np.log(chosen).mean()),
    }
