"""What may be said of a question's cells: intervals and paired tests where answers to test examples tell, the mean and
the range over seeds where only a series does.

Nothing is claimed without a test: figures other than accuracy and RMSE have none, and a single seed neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from utils.comparison import (
    OF_CLASSES,
    OF_NUMBERS,
    RESAMPLES,
    Answers,
    Comparison,
    Estimate,
    compare_answers,
    estimated,
)
from utils.conf import ConfError, make_conf
from utils.studies.measured import Measured, StudyResult
from utils.studies.questions import TESTED, Cell, Question


@dataclass(frozen=True)
class OverSeeds:
    """A figure after the last round: its mean over seeds, the lowest and the highest of a seed. No interval."""

    mean: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class LeftOut:
    """Which share of the updates that came from each client was taken as it came (None: none came), and of those of
    `hostile` clients and of `honest` ones together.

    `hostile_clients` is empty where these are others for each seed.
    """

    clients: tuple[float | None, ...]
    hostile_clients: tuple[int, ...]
    hostile: float | None
    honest: float | None


@dataclass(frozen=True)
class Found:
    """What was found of a cell: the main figure with its interval where it can be tested, all figures over seeds; or
    why it failed.
    """

    cell: Cell
    failed: str
    estimate: Estimate | None
    figures: Mapping[str, OverSeeds]
    left_out: LeftOut | None
    bytes: float
    seconds: float


@dataclass(frozen=True)
class Tested:
    """A cell against the one it is compared with: of the comparison, its figure less the other's."""

    cell: Cell
    other: Cell
    against: Mapping[str, str]
    comparison: Comparison


@dataclass(frozen=True)
class Evidence:
    """All that may be said: by key of the cells that were measured what was `found`, and what was `tested`."""

    question: Question
    result: StudyResult
    found: Mapping[str, Found]
    tested: tuple[Tested, ...]

    @property
    def is_tested(self) -> bool:
        """Whether any pair was tested."""
        return any(one.comparison.is_tested for one in self.tested)


def evidence(question: Question, result: StudyResult, resamples: int | None = None) -> Evidence:
    """What a result says of a question. A cell that was measured with another conf than the question's of today is as
    good as not measured.

    Of many pairs there are more `resamples`: with too few, no corrected p-value could be small.
    """
    resamples = resamples or max(RESAMPLES, 100 * len(question.compared()))
    known = {
        cell.key: result.cells[cell.key]
        for cell in question.trained()
        if cell.key in result.cells and _is_same(cell.conf, result.cells[cell.key].conf)
    }
    all_answers = {key: told for key, one in known.items() if (told := one.answers()) is not None}
    is_tested = question.figures[0].name in TESTED
    of_trained = {
        key: _found(
            question, question.cells[key], one, all_answers.get(key) if is_tested else None, resamples
        )
        for key, one in known.items()
    }
    found = {
        key: replace(of_trained[trained], cell=cell)
        for key, cell in question.cells.items()
        if (trained := question.trained_as[key]) in of_trained
    }
    return Evidence(question, result, found, _tested(question, all_answers, resamples) if is_tested else ())


def _is_same(asked: Mapping[str, Any], measured: Mapping[str, Any]) -> bool:
    """Whether two confs say the same; keys that came into being since are at their defaults."""
    if asked == measured:
        return True
    with suppress(ConfError):
        return make_conf(dict(asked), "").as_json() == make_conf(dict(measured), "").as_json()
    return False


def _found(question: Question, cell: Cell, one: Measured, told: Answers | None, resamples: int) -> Found:
    figures = {
        figure.name: over
        for figure in question.figures
        if (over := _over_seeds(one, figure.name)) is not None
    }
    estimate = None
    if told is not None:
        name = (OF_NUMBERS if told.is_number else OF_CLASSES)[0]
        estimate = estimated(told, name, resamples) if name == question.figures[0].name else None
    return Found(
        cell,
        one.failed,
        estimate,
        figures,
        _left_out(one),
        float(np.mean([told.bytes_up + told.bytes_down for told in one.repeats])) if one.repeats else 0.0,
        float(np.mean([told.seconds for told in one.repeats])) if one.repeats else 0.0,
    )


def _over_seeds(one: Measured, figure: str) -> OverSeeds | None:
    last: dict[int, list[float]] = {}
    for told in one.repeats:
        if figure in told.series:
            last.setdefault(told.seed, []).append(float(told.series[figure][-1]))
    if not last:
        return None
    means = [float(np.mean(values)) for values in last.values()]
    return OverSeeds(float(np.mean(means)), min(means), max(means), len(means))


def _left_out(one: Measured) -> LeftOut | None:
    told = [repeat for repeat in one.repeats if len(repeat.arrived)]
    if not told:
        return None
    clients = max(len(repeat.arrived) for repeat in told)
    arrived, kept = np.zeros((2, clients)), np.zeros((2, clients))  # of honest ones, of hostile ones
    for repeat in told:
        hostile = np.isin(np.arange(len(repeat.arrived)), repeat.hostile).astype(int)
        for client, row in enumerate(hostile):
            arrived[row, client] += repeat.arrived[client]
            kept[row, client] += repeat.kept[client]
    same = {repeat.hostile for repeat in told}
    return LeftOut(
        tuple(_share(kept[:, client].sum(), arrived[:, client].sum()) for client in range(clients)),
        next(iter(same)) if len(same) == 1 else (),
        _share(kept[1].sum(), arrived[1].sum()),
        _share(kept[0].sum(), arrived[0].sum()),
    )


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _tested(question: Question, all_answers: Mapping[str, Answers], resamples: int) -> tuple[Tested, ...]:
    """Every cell against what the question compares it with, Holm-corrected over the pairs of different confs."""
    pairs: dict[tuple[str, str], None] = {}
    asked = []
    for one in question.against:
        for key, other in question.compared_by(one):
            pair = question.trained_as[key], question.trained_as[other]
            if set(pair) <= set(all_answers):
                pairs.setdefault(pair)
                asked.append((key, other, one, pair))
    told = {(one.a, one.b): one for one in compare_answers(all_answers, list(pairs), resamples)}
    return tuple(
        Tested(question.cells[key], question.cells[other], one, told[pair])
        for key, other, one, pair in asked
        if pair in told
    )
