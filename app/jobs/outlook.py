"""What a conf would lead to on this machine, found out without training."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from flask import current_app

from utils.conf import Conf, owner_name
from utils.data.split import split_of
from utils.partition.degree import degree_of_non_iid
from utils.partition.schemes import PartitionError, partition
from utils.tasks import classes_of

MAX_OWNERS = 1000  # of which a preview tells one by one


def outcome(conf: Conf) -> dict[str, Any]:
    """Who would hold what, how unequal that is, optimizer steps and examples (every pass counted) of one repeat.

    Raises DataError and PartitionError where the conf cannot be carried out here.
    """
    if conf.pool > MAX_OWNERS:
        raise PartitionError("", "too_many_owners", most=MAX_OWNERS)
    every, decks, sources = conf.task.module.outline(conf, current_app.config["DATA"])
    if conf.train_on:
        held = [
            source in conf.train_on and split_of(int(d), 0) != "val"
            for source, d in zip(sources, decks, strict=True)
        ]
    else:
        held = [split_of(int(deck), 0) == "train" for deck in decks]
    train = np.flatnonzero(held)
    targets = every[train]
    fallen = partition(targets, conf, conf.partition_seed, [sources[index] for index in train])
    counts = [np.bincount(targets[part], minlength=len(classes_of(conf))).tolist() for part in fallen]
    shares = [sum(len(fallen[owner]) for owner in owners) for owners in conf.held()]
    steps = max(math.ceil(examples / conf.batch_size) for examples in shares) * conf.local_epochs
    judged = [split_of(int(deck), 0) == "test" for deck in decks]
    if conf.judge_on:
        judged = [source in conf.judge_on for source in sources]
    absent = [
        {"where": where, "what": what}
        for where, there in (("training", targets), ("test", every[np.flatnonzero(judged)]))
        for number, what in enumerate(classes_of(conf)) if number not in there
    ]  # fmt: skip
    return {
        "absent": absent,
        "owners": [
            {"name": owner_name(number), "examples": sum(count), "counts": count}
            for number, count in enumerate(counts)
        ],
        "degree": degree_of_non_iid(counts),
        "steps": steps * conf.global_epochs,
        "examples": round(sum(shares) * conf.k / conf.no_models) * conf.local_epochs * conf.global_epochs,
    }  # fmt: skip
