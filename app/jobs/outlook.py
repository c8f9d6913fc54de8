"""What a conf would lead to on this machine, found out without training."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from flask import current_app
from numpy.typing import NDArray

from utils.conf import Conf, owner_name
from utils.data.examples import Outline, TooFewError, of_sources
from utils.data.split import DECKS, FOLDS, split_of
from utils.federated.schedule import rounds_of
from utils.partition.degree import degree_of
from utils.partition.schemes import PartitionError, partition
from utils.tasks import classes_of

MAX_OWNERS = 1000  # of which a preview tells one by one


def outcome(conf: Conf, folds: int = 1) -> dict[str, Any]:
    """Who would hold what, how unequal that is, optimizer steps and examples (every pass counted) of one repeat; and
    how many scenes each fold judges (of `judge_on`: all at once).

    Raises DataError and PartitionError where the conf cannot be carried out here, in one of `folds` folds, ConfError
    where not even one round is allowed.
    """
    if conf.pool > MAX_OWNERS:
        raise PartitionError("", "too_many_owners", most=MAX_OWNERS)
    every: Outline = conf.task.module.outline(conf, current_app.config["DATA"])
    if missing := [name for name in (*conf.train_on, *conf.judge_on) if name not in every.sources]:
        raise TooFewError("", "no_training", set=conf.data, of=of_sources(missing))
    shared = [_shared_out(conf, every, fold) for fold in range(1 if conf.train_on else folds)]
    train, judged, fallen = shared[0]
    classes, targets = len(classes_of(conf)), [every.targets[train][part] for part in fallen]
    counts = [np.bincount(own, minlength=classes).tolist() if classes else [] for own in targets]
    shares = [sum(len(fallen[owner]) for owner in owners) for owners in conf.held()]
    if conf.partition == "columns":  # all pass over the same people, whom even who has fewest must have
        shares = [min(shares)]
    steps = max(math.ceil(examples / conf.batch_size) for examples in shares) * conf.local_epochs
    rounds = rounds_of(conf, shares)
    absent = [
        {"where": where, "what": what}
        for where, there in (("training", every.targets[train]), ("test", every.targets[judged]))
        for number, what in enumerate(classes_of(conf)) if number not in there
    ]  # fmt: skip
    tests = [judged] if conf.train_on else [_split(conf, every, fold)[2] for fold in range(FOLDS)]
    return {
        "absent": absent,
        "owners": [
            {"name": owner_name(number), "examples": len(targets[number]), "counts": count}
            for number, count in enumerate(counts)
        ],
        "degree": degree_of(targets, classes),
        "steps": steps * rounds,
        "examples": round(sum(shares) * conf.k / conf.no_models) * conf.local_epochs * rounds,
        "scenes": [len({every.scenes[index] for index in test}) for test in tests],
    }  # fmt: skip


def check_judged(conf: Conf, folds: int = 1) -> None:
    """Whether this machine can judge what nodes train. Raises DataError where it lacks the set, or test examples."""
    every: Outline = conf.task.module.outline(conf, current_app.config["DATA"])
    for fold in range(1 if conf.train_on else folds):
        if not len(_split(conf, every, fold)[2]):
            raise TooFewError("", "no_test", set=conf.data, fold=fold, of=of_sources(conf.judge_on))


Indices = NDArray[np.int64]


def _split(conf: Conf, every: Outline, fold: int) -> tuple[Indices, Indices, Indices]:
    """Training, validation and test examples, as `utils.federated.bench.share_out` has them."""
    parts = np.array([split_of(deck, fold) for deck in range(DECKS)])[every.decks]
    sources = np.array(every.sources)
    trained = np.isin(sources, conf.train_on) if conf.train_on else np.ones(len(parts), dtype=bool)
    tests = np.isin(sources, conf.judge_on) if conf.train_on else parts == "test"
    taught = parts != "val" if conf.train_on else parts == "train"
    return (
        np.flatnonzero(trained & taught),
        np.flatnonzero(trained & every.judged & (parts == "val")),
        np.flatnonzero(tests & every.judged),
    )


def _shared_out(conf: Conf, every: Outline, fold: int) -> tuple[Indices, Indices, list[Any]]:
    """Training and test examples of a fold, and which of the former falls to whom; TooFewError as `share_out`."""
    train, val, test = _split(conf, every, fold)
    if not len(train):
        raise TooFewError("", "no_training", set=conf.data, of=of_sources(conf.train_on))
    fallen = partition(
        every.targets[train], conf, conf.partition_seed, [every.sources[index] for index in train]
    )
    if not len(test):
        raise TooFewError("", "no_test", set=conf.data, fold=fold, of=of_sources(conf.judge_on))
    for name, asks in (("early_stop", conf.early_stop), ("worth", conf.worth)):
        if asks and not len(val):
            raise TooFewError("", "no_validation", set=conf.data, key=name, fold=fold)
    return train, test, fallen
