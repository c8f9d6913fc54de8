"""The sets of examples on this machine: what is in them, and how often two runs on them disagree."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import combinations
from typing import Any

from flask import current_app

from app.runs.service import library
from utils import parts
from utils.comparison import answers, disagreement
from utils.conf import Conf, ConfError, make_conf
from utils.data.examples import DataError, Outline
from utils.results import ResultError
from utils.studies import first
from utils.tasks import classes_of

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_NETWORK = {"model_name": "resnet18"}  # where the task brings none
_PLAIN = {
    "no_models": 1, "global_epochs": 1, "local_epochs": 1, "k": 1, "batch_size": 1, "lr": 0.1,
    "momentum": 0.0,
}  # fmt: skip


def sets() -> list[dict[str, Any]]:
    """Every set that a task can read, by name: its task, examples by class and by source, and scenes."""
    found, folder = [], current_app.config["DATA"]
    here = {path.name for path in folder.glob("*") if NAME.fullmatch(path.name) and path.is_dir()}
    brought = {getattr(parts.load("task", task), "DATA", "") for task in parts.usable("task")} - {""}
    for name in sorted(here) + sorted(brought - here):
        for conf, every in _read(name):
            labels, sources = Counter(every.targets.tolist()), Counter(every.sources)
            found.append({
                "name": name, "type": conf.task.name, "brought": name in brought,
                "examples": len(every.targets), "scenes": len(set(every.scenes)),
                "classes": {what: labels[number] for number, what in enumerate(classes_of(conf))},
                "sources": dict(sorted(sources.items())),
                "disagreement": _disagreement(name),
            })  # fmt: skip
    return found


def is_set(name: str) -> bool:
    """Whether there is a whole set of this name."""
    return any(_read(name))


def _read(name: str) -> Iterator[tuple[Conf, Outline]]:
    """What each task that can read the set makes of it."""
    for task in parts.usable("task"):
        with suppress(ConfError, DataError):
            network = _NETWORK if isinstance(parts.load("task", task).NETWORK, str) else {}
            conf = make_conf({**_PLAIN, **network, "type": task, "data": name}, "set")
            yield conf, conf.task.module.outline(conf, current_app.config["DATA"])


def _disagreement(name: str) -> dict[str, Any] | None:
    """Of two runs on the set, the latest that can be compared; else of those that the first page puts side by side."""
    runs = [run for run in library().summaries() if not run.get("error")]
    own = sorted(
        (run for run in runs if run["conf"].get("data") == name and not run["conf"].get("train_on")),
        key=lambda run: str(run["finished"]),
        reverse=True,
    )
    headed = [first().by_role(role).run for role in first().headlines]
    for a, b in (*combinations([run["name"] for run in own[:4]], 2), *combinations(headed[::-1], 2)):
        try:
            one, other = library().result(a), library().result(b)
        except ResultError:
            continue
        share = disagreement(answers(one), answers(other)) if one and other else None
        if share:
            of_the_set = any(run["name"] == a for run in own)
            return {"share": share, "a": library().title(a), "b": library().title(b), "own": of_the_set}
    return None
