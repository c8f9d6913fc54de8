"""The one round loop: train, judge, record. Centralized is one client; nothing differs.

Where clients train (the engine), who trains from what and how that becomes a model (the parts a conf names), what is
learnt (the task) and what happens beside the rounds (the hook: checkpoints, progress, stopping) come from outside.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from utils.conf import Conf, owner_name
from utils.data.examples import DataError, Examples
from utils.engines import Engine
from utils.federated import RunError
from utils.federated.bench import Bench, Repeat, State, scores
from utils.federated.rounds import Played
from utils.federated.spread import add_rows
from utils.packing import WORTH
from utils.partition.degree import degree_of
from utils.results import UNITS, append, values
from utils.tasks import classes_of, is_scaled, unit_of

Hook = Callable[[Repeat, State], None]


def folds_of(conf: Conf, folds: int) -> int:
    """How many folds are held out in turn: one with `train_on`, where all that is judged is held out anyway."""
    return 1 if conf.train_on else folds


def plan_repeats(conf: Conf, folds: int, seeds: int) -> list[Repeat]:
    """All repeats of a conf; the first is the one whose model is kept."""
    return [
        Repeat(fold, seed, rotation)
        for rotation in range(conf.rotations)
        for seed in range(seeds)
        for fold in range(folds_of(conf, folds))
    ]


def run_repeat(
    conf: Conf,
    repeat: Repeat,
    examples: Examples,
    engine: Engine,
    state: State | None = None,
    hook: Hook = lambda repeat, state: None,
    home: Path | None = None,
) -> State:
    """Carry out one repeat from `state` (None: from the start) and return its final state. `home` is the folder of what
    clients keep between rounds; whoever goes on later gives the same.

    After every round `hook` sees the state and may raise to stop. Raises RunError when a round has too few
    updates, DataError when the examples do not suffice, EngineError when the engine breaks down.
    """
    with closing(Bench(conf, repeat, examples, engine, home)) as bench:
        state = state or State({"weights": bench.start()}, _empty_record(bench))
        bench.restore(state)
        while not _is_over(bench, state):
            started = time.perf_counter()
            played = bench.rounds.play(bench, state)
            trained = time.perf_counter() - started
            _check_model(state, played)
            state.vectors = played.vectors | bench.remembered()
            _record_training(state, bench, played)
            probabilities = _record_judging(state, bench)
            append(state.record, "training_seconds", trained)
            append(state.record, "seconds", time.perf_counter() - started)
            state.round += 1
            if _is_over(bench, state):
                _record_end(state, bench, probabilities)
            hook(repeat, state)
        return state


def train_only(conf: Conf, repeat: Repeat, examples: Examples, engine: Engine) -> dict[str, float]:
    """Train a repeat without ever looking at its test examples; returns the scores on its validation examples."""
    with closing(Bench(conf, repeat, examples, engine)) as bench:
        if not len(bench.shares.val):
            raise DataError(f"{examples.name}: fold {repeat.fold} has no validation examples")
        state = State({"weights": bench.start()})
        while state.round < bench.most:
            state.vectors = bench.rounds.play(bench, state).vectors
            state.round += 1
        return scores(bench.judge("val", state.weights), bench.targets("val"))


def _is_over(bench: Bench, state: State) -> bool:
    losses = values(state.record, "validation_loss") or values(state.record, "validation_rmse")
    patience = bench.conf.early_stop
    stopped = bool(patience and losses) and len(losses) - 1 - int(np.argmin(losses)) >= patience
    return stopped or state.round >= bench.most


def _check_model(state: State, played: Played) -> None:
    """Raises RunError when the parts made something of the updates that is no model."""
    before, now = state.weights, played.vectors.get("weights")
    if not isinstance(now, np.ndarray) or (now.dtype, now.shape) != (before.dtype, before.shape):
        made = f"{now.dtype} of shape {now.shape}" if isinstance(now, np.ndarray) else type(now).__name__
        raise RunError(
            f"round {state.round + 1} made weights of {made}, expected {before.dtype} of shape {before.shape}"
        )


def _empty_record(bench: Bench) -> dict[str, Any]:
    repeat, shares = bench.repeat, bench.shares
    owners = [_counts(bench, mine) | bench.of_owner(one) for one, mine in enumerate(shares.owners)]
    clients = zip(bench.conf.held(repeat.rotation), shares.clients, strict=True)
    return {
        **({"hostile": bench.hostile} if bench.attack else {}),
        "measured": True,
        "fold": repeat.fold,
        "seed": repeat.seed,
        "rotation": repeat.rotation,
        "series": [],
        "failures": [],
        "owners": owners,
        "clients": [
            {
                **_counts(bench, mine), "owners": [owner_name(o) for o in held],
                "rounds": 0, "seconds": 0.0, "failures": 0,
            }
            for held, mine in clients
        ],
        "degree": _degree(bench),
    }  # fmt: skip


def _degree(bench: Bench) -> dict[str, float | None]:
    """How unequal owners are; None where that takes what one of them withholds."""
    owners, classes = bench.shares.owners, len(classes_of(bench.conf))
    found: dict[str, float | None] = dict(
        degree_of([bench.examples.targets[mine] for mine in owners], classes)
    )
    if not all(bench.tells(mine) for mine in owners):
        found = {name: value if name == "gini" else None for name, value in found.items()}
    return found


def _counts(bench: Bench, indices: NDArray[np.int64]) -> dict[str, Any]:
    """How many examples, of which classes (none where numbers are foretold, None where that is withheld), from which
    sources.
    """
    classes = len(classes_of(bench.conf))
    counts = np.bincount(bench.sources[indices], minlength=len(bench.source_names)).tolist()
    return {
        "examples": len(indices),
        "counts": (
            (np.bincount(bench.examples.targets[indices], minlength=classes).tolist() if classes else [])
            if bench.tells(indices)
            else None
        ),
        "sources": {name: count for name, count in zip(bench.source_names, counts, strict=True) if count},
    }


def _record_training(state: State, bench: Bench, played: Played) -> None:
    """What the round's training cost; where nobody trained, the loss is that of the new model on all that clients have.
    Federated: what went down to the cohort and came up from those that answered. One client that holds several owners'
    examples: their files travel to it once, before round 1. One owner alone: nothing travels.
    """
    record, conf = state.record, bench.conf
    asked_down, asked_up = bench.asked()
    down, up = played.bytes_down + asked_down, played.bytes_up + asked_up
    if conf.no_models == 1:
        collected = len(conf.held()[0]) > 1 and state.round == 0
        down, up = 0, int(bench.examples.sizes[bench.shares.clients[0]].sum()) if collected else 0
    samples = sum(n for _, n, _ in played.updates)
    trained = [(n, metrics["loss"]) for _, n, metrics in played.updates if "loss" in metrics]
    append(record, "bytes_down", down)
    append(record, "bytes_up", up)
    append(record, "steps", int(max((metrics["steps"] for _, _, metrics in played.updates), default=0)))
    append(record, "examples", samples * conf.local_epochs)
    if trained:
        loss = sum(n * loss for n, loss in trained) / sum(n for n, _ in trained)
    else:
        loss = bench.training_loss(state.weights, state.round)
    unit = unit_of(conf)
    append(
        record,
        "training_loss",
        loss,
        *([] if unit is None else ["variances" if is_scaled(conf) else f"{unit[:39]}²"]),
    )
    given = bench.labels([metrics for _, _, metrics in played.updates], played.failures)
    for name, (value, unit, better) in {**played.series, **bench.spent(state.round + 1), **given}.items():
        if name in UNITS:
            raise RunError(f"a part calls a series {name}, as one is called that every run has")
        append(record, name, float(value), unit, better)
    for one in record["series"]:
        if one["name"] not in UNITS and len(one["values"]) != state.round + 1:
            raise RunError(f"a part gave no value of its series {one['name']} in every round")
    if played.rows:
        record["updates"] = add_rows(record.get("updates", {}), state.round, played.rows)
    if valued := bench.valued.rows:
        record["worth"] = add_rows(record.get("worth", {}), state.round, valued, WORTH)
    for client, _, metrics in played.updates:
        record["clients"][client]["rounds"] += 1
        record["clients"][client]["seconds"] += metrics["seconds"]
    for failure in played.failures:
        record["failures"].append([state.round, failure.client, failure.reason])
        record["clients"][failure.client]["failures"] += 1


def _record_judging(state: State, bench: Bench) -> NDArray[np.float64]:
    """Record how the model does on test and validation examples; returns the answers to the test examples."""
    judged, unit = bench.judge("test", state.weights), unit_of(bench.conf)
    for name, value in scores(judged, bench.targets("test")).items():
        append(state.record, name, value, unit)
    if len(bench.shares.val):
        found = scores(bench.judge("val", state.weights), bench.targets("val"))
        for name in [name for name in ("accuracy", "loss", "rmse") if name in found]:
            append(state.record, f"validation_{name}", found[name], unit)
    _record_clients(state, bench, judged)
    return judged


def _record_clients(state: State, bench: Bench, judged: NDArray[np.float64]) -> None:
    """Record how clients fare on test examples such as their own, by their own models where they have some, and what an
    attack achieved.
    """
    home, record = bench.at_home, state.record
    if home.told and bench.measured:
        accuracies = home.accuracies(bench.personal(state.weights) or [judged.argmax(axis=1)])
        for name, value in home.series(accuracies).items():
            append(record, name, value)
    attack: Any = bench.attack
    if hasattr(attack, "success"):
        shown = hasattr(attack, "shown")
        seen = bench.judge("test", state.weights, attacked=True) if shown else judged
        append(record, "attack_success", attack.success(seen, bench.targets("test")))


def _record_end(state: State, bench: Bench, judged: NDArray[np.float64]) -> None:
    """After the last round: every test example's answer, and how clients fare."""
    record, test, examples = state.record, bench.shares.test, bench.examples
    truth, every, classes = examples.targets[test], np.arange(len(test)), len(classes_of(bench.conf))
    said = judged.argmax(axis=1) if classes else judged
    if hasattr(bench.rounds, "graph") and (graph := bench.rounds.graph(bench)):
        record["graph"] = graph
    record["test"] = {
        "id": [examples.ids[i] for i in test],
        "scene": [examples.scenes[i] for i in test],
        "source": [examples.sources[i] for i in test],
        "truth": truth.tolist(),
        "said": said.tolist(),
    }
    if classes:
        record["confusion"] = (
            np.bincount(classes * truth + said, minlength=classes**2).reshape(classes, -1).tolist()
        )
        record["test"] |= {
            "probability": judged[every, said].tolist(),
            "probability_of_truth": judged[every, truth].tolist(),
        }
        mine = bench.at_home.own
        if mine is not None and mine.any(axis=0).all() and (models := bench.personal(state.weights)):
            record["test"]["own"] = np.stack(models)[mine.argmax(axis=0), every].tolist()
    for client, held in zip(record["clients"], bench.held(state.weights, state.round - 1), strict=True):
        client["accuracy" if classes else "rmse"] = held.score() if held else None
    for client, told in zip(record["clients"], bench.valued.told(record.get("worth", {})), strict=False):
        client["worth"] = told
