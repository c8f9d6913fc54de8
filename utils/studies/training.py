"""Answers a question: each cell that is trained is an ordinary run, and all of them are collated into one file.

A study at work lies in `cache/studies/.unfinished/NAME/`, a cache folder of its own that holds the results of the
cells that are done and the checkpoints of the others; so a study goes on after a kill as any run does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from utils import checkpoints
from utils.checkpoints import Checkpoints
from utils.conf import Conf
from utils.data.examples import Examples
from utils.federated.bench import Repeat, State
from utils.results import ResultError, read_result, result_path
from utils.runs import Run, prepare
from utils.studies.measured import StudyResult, collated, read_study, study_path, study_results, write_study
from utils.studies.questions import Cell, Question, QuestionError

Open = Callable[[Conf], Examples]
_log = logging.getLogger(__name__)


@dataclass
class Work:
    """A question on its way to a file: the runs it still needs. Holds its claim until `finish` or `release`."""

    question: Question
    claimed: Checkpoints
    cache: Path
    runs: list[Run]

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.claimed.name

    def release(self) -> None:
        """Leave what is done for a later `--resume`."""
        for run in self.runs:
            run.checkpoints.release()
        self.claimed.release()

    def has_any(self, outcome: Mapping[str, Mapping[str, Any] | str]) -> bool:
        """Whether any cell was trained, now or before."""
        return len(outcome) < len(self.question.trained()) or any(
            not isinstance(one, str) for one in outcome.values()
        )

    def finish(self, outcome: Mapping[str, Mapping[str, Any] | str]) -> StudyResult:
        """Collate what `utils.runs.carry_out` said of the runs, and what was done before, into the file.

        Raises ResultError, and keeps everything, where a run has not what the question asks for.
        """
        found: dict[str, Mapping[str, Any] | str] = dict(outcome)
        try:
            for cell in self.question.trained():
                if cell.key not in found:
                    found[cell.key] = read_result(result_path(self.claimed.folder, cell.key))
            path = study_path(self.cache, self.name)
            result = write_study(path, collated(self.question, self.name, found))
        except BaseException:
            self.claimed.release()
            raise
        self.claimed.remove()
        return result


def prepare_study(
    question: Question,
    name: str,
    open_examples: Open,
    *,
    seeds: int,
    cache: Path,
    resume: bool = False,
    overwrite: bool = False,
    workers: int = 1,
    device: str = "cpu",
) -> Work | None:
    """Plan a study that is to be called `name` (NAME, then NAME@2, ...; or NAME@N, that one), or find the unfinished
    one; None when `resume` finds that it is finished already.

    Raises ConfError, DataError or PartitionError when a cell cannot be trained, ResultError when the unfinished study
    cannot be resumed.
    """
    confs = list(question.confs())
    plan = {
        "study": question.name,
        "answers": question.answers,
        "figures": [figure.name for figure in question.figures],
        "seeds": seeds,
        "cells": {cell.key: dict(cell.conf) for cell, _ in confs},
        **({"leaks": question.leaks} if question.leaks else {}),
    }
    folder = cache / "studies"
    claimed = checkpoints.resume(folder, name, plan) if resume else None
    if claimed is None:
        if resume and _finished(cache, name, plan):
            return None
        taken = study_path(cache, name).exists() or checkpoints.folder_of(folder, name).exists()
        if "@" in name and taken and not overwrite:
            raise ResultError(f"{name}: a result or an unfinished study has this name")
        claimed = checkpoints.start(folder, name, plan, overwrite)
    work = Work(question, claimed, cache, [])
    known: dict[Any, Examples] = {}
    try:
        for cell, conf in confs:
            of = (conf.type, conf.data, conf.task)
            if of not in known:
                known[of] = open_examples(conf)
            run = _run(cell, conf, known[of], claimed.folder, seeds, workers, device)
            if run is not None:
                run.at_end = partial(_leaks, run, question.leaks) if question.leaks else None
                work.runs.append(run)
    except BaseException:
        work.release()
        raise
    return work


def _run(
    cell: Cell, conf: Conf, examples: Examples, folder: Path, seeds: int, workers: int, device: str
) -> Run | None:
    """The run of a cell; None where it is done. What cannot be gone on with is begun anew."""
    more: dict[str, Any] = {"folds": 1, "seeds": seeds, "cache": folder, "workers": workers, "device": device}
    try:
        run = prepare(cell.key, conf, examples, resume=True, **more)
    except ResultError as error:  # the examples have changed since, say
        _log.warning("%s: begun anew: %s", cell.key, error)
        run = prepare(cell.key, conf, examples, overwrite=True, **more)
    if run is not None and run.name != cell.key:
        run.checkpoints.remove()
        run = prepare(cell.key, conf, examples, overwrite=True, **more)
    return run


def _leaks(run: Run, seconds: float, repeat: Repeat, state: State) -> list[dict[str, Any]]:
    """What a repeat gives away, as figures of its record."""
    from utils.leaks.measure import SERIES, figures_of

    found = figures_of(run.conf, repeat, run.examples, state.weights, seconds)
    return [
        {"name": name, "unit": SERIES[name][0], "better": SERIES[name][1], "value": value}
        for name, value in found.items()
    ]


def _finished(cache: Path, name: str, plan: Mapping[str, Any]) -> bool:
    study, _, number = name.partition("@")
    for one in [name] if number else study_results(cache, study):
        try:
            found = read_study(study_path(cache, one))
        except ResultError:
            continue
        seeds = {
            len({told.seed for told in cell.repeats}) for cell in found.cells.values() if not cell.failed
        }
        confs = {key: cell.conf for key, cell in found.cells.items()}
        if confs == plan["cells"] and seeds == {plan["seeds"]} and found.answers == plan["answers"]:
            return True
    return False


def split_name(asked: str) -> tuple[str, str]:
    """Name of the question, and what its result is to be called, of what a person asks for: NAME, or NAME@N.

    Raises QuestionError.
    """
    study, at, _ = asked.partition("@")
    try:
        study_path(Path(), asked)
    except ResultError:
        raise QuestionError(f"study: expected NAME or NAME@N, found {asked[:100]}") from None
    if at and asked.endswith("@1"):
        raise QuestionError(f"study: expected NAME or NAME@N from 2 on, found {asked}")
    return study, asked
