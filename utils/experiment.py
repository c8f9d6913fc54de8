"""The one round loop: select, train, aggregate, evaluate, record. Centralized is one client; nothing differs.

Where clients train (the engine), how updates become a model (the strategy), and what happens beside the
rounds (the hook: checkpoints, progress, stopping) come from outside.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from utils.conf import Conf, owner_name
from utils.engines import Engine
from utils.federated.client import JUDGE_BATCH
from utils.federated.strategies import Strategy, make_strategy
from utils.federated.update import Failure, JudgeJob, TrainJob
from utils.nets.layout import Vector, read_weights
from utils.nets.resnet import build
from utils.partition.degree import degree_of_non_iid
from utils.partition.schemes import partition
from utils.photos.dataset import DataError
from utils.photos.store import PhotoSet

COHORT_STREAM = 2  # keeps the server's random numbers apart from the clients'


class RunError(RuntimeError):
    """A run that cannot go on; the text is one line."""


@dataclass(frozen=True)
class Repeat:
    """One of the runs a conf stands for: held-out fold, seed (added to the conf's) and rotation of owners."""

    fold: int
    seed: int
    rotation: int

    def __str__(self) -> str:
        return f"fold{self.fold}-seed{self.seed}-rotation{self.rotation}"


def plan_repeats(conf: Conf, folds: int, seeds: int) -> list[Repeat]:
    """All repeats of a conf; the first is the one whose model is kept."""
    return [
        Repeat(fold, seed, rotation)
        for rotation in range(conf.rotations)
        for seed in range(seeds)
        for fold in range(folds)
    ]


@dataclass
class State:
    """Where a repeat stands between rounds: all that is needed to go on as if nothing had happened."""

    weights: Vector
    record: dict[str, Any] = field(default_factory=dict)
    resumed: bool = False  # just read from its checkpoint, nothing done since

    @property
    def rounds(self) -> int:
        """Rounds done so far."""
        return len(self.record["acc"])


@dataclass(frozen=True)
class Shares:
    """Which photos (indices into the set) serve a repeat for what."""

    clients: list[NDArray[np.int64]]
    owners: list[NDArray[np.int64]]
    val: NDArray[np.int64]
    test: NDArray[np.int64]


def share_out(conf: Conf, repeat: Repeat, photos: PhotoSet) -> Shares:
    """How the photos fall to test, validation, owners and clients in this repeat.

    Raises DataError or PartitionError, one line, when there are too few photos for it.
    """
    train, val, test = (photos.split(repeat.fold, part) for part in ("train", "val", "test"))
    parts = partition(photos.labels[train], conf, conf.partition_seed + repeat.seed)
    # Only now unreadable photos drop out: their owner goes on without them, the others keep what they have.
    owners = [_readable(photos, train[part]) for part in parts]
    val, test = _readable(photos, val), _readable(photos, test)
    if not len(test):
        raise DataError(f"{photos.name}: fold {repeat.fold} has no test photos")
    if conf.early_stop and not len(val):
        raise DataError(f"{photos.name}: early_stop needs validation photos, fold {repeat.fold} has none")
    clients = [np.concatenate([owners[o] for o in held]) for held in conf.held(repeat.rotation)]
    return Shares(clients, owners, val, test)


def _readable(photos: PhotoSet, indices: NDArray[np.int64]) -> NDArray[np.int64]:
    return indices[photos.readable[indices]]


def run_repeat(
    conf: Conf,
    repeat: Repeat,
    photos: PhotoSet,
    engine: Engine,
    state: State | None = None,
    hook: Callable[[Repeat, State], None] = lambda repeat, state: None,
) -> State:
    """Carry out one repeat from `state` (None: from the start) and return its final state.

    After every round `hook` sees the state and may raise to stop. Raises RunError when a round has too few
    updates, DataError when the photos do not suffice, EngineError when the engine breaks down.
    """
    shares = share_out(conf, repeat, photos)
    seed = conf.seed + repeat.seed
    if state is None:
        state = State(read_weights(build(conf, seed)), _empty_record(conf, repeat, photos, shares))
    strategy, record = make_strategy(conf), state.record
    while state.rounds < conf.global_epochs and not _stopped_early(conf, record):
        round_, started = state.rounds, time.perf_counter()
        cohort = select_cohort(conf, seed, round_)
        jobs = _jobs(conf, seed, round_, cohort, state.weights, photos, shares)
        weights, updates, failures = _train_round(
            conf, f"{repeat}: round {round_ + 1}", engine, strategy, jobs, state.weights
        )
        trained = time.perf_counter() - started
        for failure in failures:
            record["failures"].append([round_, failure.client, failure.reason])
            record["clients"][failure.client]["failures"] += 1
        _record_round(record, conf, photos, shares, cohort, updates, len(weights))
        probabilities = _judge_round(record, conf, photos, shares, engine, weights)
        record["train_seconds"].append(trained)
        record["seconds"].append(time.perf_counter() - started)
        state.weights = weights
        if state.rounds == conf.global_epochs or _stopped_early(conf, record):
            _record_end(record, conf, photos, shares, engine, weights, probabilities)
        hook(repeat, state)
    return state


def train_only(conf: Conf, repeat: Repeat, photos: PhotoSet, engine: Engine) -> dict[str, float]:
    """Train a repeat without ever looking at its test photos; returns the scores on its validation photos."""
    shares = share_out(conf, repeat, photos)
    if not len(shares.val):
        raise DataError(f"{photos.name}: fold {repeat.fold} has no validation photos")
    seed = conf.seed + repeat.seed
    weights, strategy = read_weights(build(conf, seed)), make_strategy(conf)
    for round_ in range(conf.global_epochs):
        jobs = _jobs(conf, seed, round_, select_cohort(conf, seed, round_), weights, photos, shares)
        weights, *_ = _train_round(conf, f"{repeat}: round {round_ + 1}", engine, strategy, jobs, weights)
    return scores(judge(engine, conf, photos, shares.val, weights), photos.labels[shares.val])


def _train_round(
    conf: Conf, place: str, engine: Engine, strategy: Strategy, jobs: Iterator[TrainJob], weights: Vector
) -> tuple[Vector, list[tuple[int, int, dict[str, float]]], list[Failure]]:
    """One round of training from `weights`: the new weights; client, photos and metrics of each update; failures.

    Raises RunError, naming `place`, when fewer clients than `conf.min_clients` gave an update.
    """
    updates: list[tuple[int, int, dict[str, float]]] = []
    failures: list[Failure] = []
    strategy.begin(weights)
    for outcome in engine.train(jobs):
        if isinstance(outcome, Failure):
            failures.append(outcome)
        else:
            strategy.fold(outcome)
            updates.append((outcome.client, outcome.samples, outcome.metrics))
    if len(updates) < conf.min_clients:
        raise RunError(
            f"{place} has {len(updates)} updates, min_clients is {conf.min_clients}"
            + (f"; last failure: {failures[-1].reason}" if failures else "")
        )
    return strategy.finish(), updates, failures


def select_cohort(conf: Conf, seed: int, round_: int) -> list[int]:
    """The `k` clients of a round, drawn without replacement and in ascending order."""
    if conf.k == conf.no_models:
        return list(range(conf.no_models))
    rng = np.random.default_rng([COHORT_STREAM, seed, round_])
    return sorted(rng.choice(conf.no_models, size=conf.k, replace=False).tolist())


def round_lr(conf: Conf, round_: int) -> float:
    """Learning rate of a round (from 0): a linear warm-up (Goyal et al. 2017, section 2.2), then constant or half a
    cosine (Loshchilov and Hutter 2017, eq. 5).
    """
    if round_ < conf.warmup:
        return conf.lr * (round_ + 1) / (conf.warmup + 1)
    if conf.schedule == "constant":
        return conf.lr
    past = (round_ - conf.warmup) / (conf.global_epochs - conf.warmup)
    return conf.lr * 0.5 * (1 + math.cos(math.pi * past))


def judge(
    engine: Engine,
    conf: Conf,
    photos: PhotoSet,
    indices: NDArray[np.int64],
    weights: Vector,
    grey: bool = False,
) -> NDArray[np.float64]:
    """Probabilities (n, 2), cloudy then sunny, of the photos at `indices`."""
    if not len(indices):
        return np.zeros((0, 2))
    chunks = np.array_split(indices, math.ceil(len(indices) / JUDGE_BATCH))
    logits = np.concatenate(
        engine.judge([JudgeJob(conf, weights, str(photos.path), chunk, grey) for chunk in chunks])
    ).astype(np.float64)
    if not np.isfinite(logits).all():
        raise RunError("the model's outputs are not finite: training diverged, a smaller lr may help")
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def scores(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy, balanced accuracy (mean recall of the classes present) and mean cross-entropy in nats.

    `probabilities` (n, 2), `labels` (n,), n > 0.
    """
    right = probabilities.argmax(axis=1) == labels
    recalls = [right[labels == label].mean() for label in np.unique(labels)]
    chosen = np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)
    return {
        "acc": float(right.mean()),
        "balanced_acc": float(np.mean(recalls)),
        "loss": float(-np.log(chosen).mean()),
    }


def _jobs(
    conf: Conf, seed: int, round_: int, cohort: list[int], weights: Vector, photos: PhotoSet, shares: Shares
) -> Iterator[TrainJob]:
    for client in cohort:
        mine = shares.clients[client]
        yield TrainJob(
            conf,
            seed,
            round_,
            client,
            round_lr(conf, round_),
            weights,
            str(photos.path),
            mine,
            photos.labels[mine],
        )


def _empty_record(conf: Conf, repeat: Repeat, photos: PhotoSet, shares: Shares) -> dict[str, Any]:
    held = conf.held(repeat.rotation)
    lists = ("acc", "loss", "balanced_acc", "val_acc", "val_loss", "seconds", "train_seconds")
    owners = [_counts(photos, owner) for owner in shares.owners]
    return {
        "fold": repeat.fold,
        "seed": repeat.seed,
        "rotation": repeat.rotation,
        **{
            name: []
            for name in (*lists, "bytes_up", "bytes_down", "steps", "photos_seen", "train_loss", "failures")
        },
        "owners": owners,
        "clients": [
            {
                **_counts(photos, mine),
                "owners": [owner_name(o) for o in names],
                "rounds": 0,
                "seconds": 0.0,
                "failures": 0,
            }
            for names, mine in zip(held, shares.clients, strict=True)
        ],
        "degree": degree_of_non_iid([[owner["cloudy"], owner["sunny"]] for owner in owners]),
    }


def _counts(photos: PhotoSet, indices: NDArray[np.int64]) -> dict[str, int]:
    sunny = int(photos.labels[indices].sum())
    return {"photos": len(indices), "cloudy": len(indices) - sunny, "sunny": sunny}


def _record_round(
    record: dict[str, Any],
    conf: Conf,
    photos: PhotoSet,
    shares: Shares,
    cohort: list[int],
    updates: list[tuple[int, int, dict[str, float]]],
    size: int,
) -> None:
    """What the round's training cost. Federated: float32 weights down to the cohort, and up from those that
    answered. One client that holds several owners' photos: their cleaned files travel to it once, before round
    1. One owner alone: nothing travels.
    """
    samples = sum(n for _, n, _ in updates)
    if conf.no_models > 1:
        down, up = 4 * size * len(cohort), 4 * size * len(updates)
    else:
        collected = len(conf.held()[0]) > 1 and not record["acc"]
        down, up = 0, int(photos.file_bytes[shares.clients[0]].sum()) if collected else 0
    record["bytes_down"].append(down)
    record["bytes_up"].append(up)
    record["steps"].append(int(max(metrics["steps"] for _, _, metrics in updates)))
    record["photos_seen"].append(samples * conf.local_epochs)
    record["train_loss"].append(sum(n * metrics["loss"] for _, n, metrics in updates) / samples)
    for client, _, metrics in updates:
        record["clients"][client]["rounds"] += 1
        record["clients"][client]["seconds"] += metrics["seconds"]


def _judge_round(
    record: dict[str, Any], conf: Conf, photos: PhotoSet, shares: Shares, engine: Engine, weights: Vector
) -> NDArray[np.float64]:
    """Record how the model does on test and validation photos; returns the probabilities of the test photos."""
    judged = np.concatenate([shares.test, shares.val])
    probabilities = judge(engine, conf, photos, judged, weights)
    n = len(shares.test)
    for name, value in scores(probabilities[:n], photos.labels[shares.test]).items():
        record[name].append(value)
    if len(shares.val):
        val = scores(probabilities[n:], photos.labels[shares.val])
        record["val_acc"].append(val["acc"])
        record["val_loss"].append(val["loss"])
    return probabilities[:n]


def _record_end(
    record: dict[str, Any],
    conf: Conf,
    photos: PhotoSet,
    shares: Shares,
    engine: Engine,
    weights: Vector,
    probabilities: NDArray[np.float64],
) -> None:
    """After the last round: every test photo's answer, in colour and turned grey, and how clients fare."""
    grey = judge(engine, conf, photos, shares.test, weights, grey=True)
    labels = photos.labels[shares.test]
    answers = probabilities.argmax(axis=1)
    record["confusion"] = [[int(((labels == t) & (answers == a)).sum()) for a in (0, 1)] for t in (0, 1)]
    record["test"] = {
        "hash": [photos.hashes[i] for i in shares.test],
        "label": labels.tolist(),
        "probability": probabilities[:, 1].tolist(),
        "probability_grey": grey[:, 1].tolist(),
    }
    held = np.concatenate(shares.clients)
    right = judge(engine, conf, photos, held, weights).argmax(axis=1) == photos.labels[held]
    ends = np.cumsum([len(mine) for mine in shares.clients])[:-1]
    for client, mine_right in zip(record["clients"], np.split(right, ends), strict=True):
        client["accuracy"] = float(mine_right.mean()) if len(mine_right) else None


def _stopped_early(conf: Conf, record: dict[str, Any]) -> bool:
    losses = record["val_loss"]
    return bool(conf.early_stop and losses) and len(losses) - 1 - int(np.argmin(losses)) >= conf.early_stop
