"""What the site knows of studies: their questions, what was measured for them, and what may be said of that.

Nothing is kept that the files do not say; a file that appears, changes or goes is noticed at the next request.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flask import Flask, current_app

from app.api.busy import Lock, place, third
from utils.results import ResultError
from utils.studies.evidence import Evidence, OverSeeds, evidence
from utils.studies.measured import read_study, study_path, study_results
from utils.studies.questions import (
    FILE,
    Question,
    QuestionError,
    question_names,
    read_question,
    studies_folder,
)
from utils.studies.sentences import answer, difference, sentences, verdict

Stamp = tuple[int, int]
COLOURS = (
    ("#17609c", "#62a9e6"), ("#c2571a", "#f5a623"), ("#0a8f6b", "#20c997"), ("#ae3ec9", "#da77f2"),
    ("#d6336c", "#f06595"), ("#5a8a10", "#94d82d"), ("#0e87a0", "#3bc9db"), ("#6f7680", "#a9b1bc"),
)  # fmt: skip
"""Of the lines of a picture: on a light ground and on a dark one."""


@dataclass(frozen=True)
class Result:
    """A result of a question, and what may be said; or the reason why its file cannot be read."""

    name: str
    told: Evidence | None
    error: str = ""


class Studies:
    """The questions in one folder, and their results in a cache folder. Safe to use from several threads."""

    def __init__(self, folder: Path, cache: Path, places: Lock | None = None) -> None:
        self.folder, self.cache = folder, cache
        self._places = places or threading.BoundedSemaphore(2)  # who works something out at a time
        self._lock = threading.Lock()  # for a moment
        self._questions: dict[str, tuple[Stamp, Question | None]] = {}
        self._results: dict[str, tuple[tuple[Stamp, Stamp], Result]] = {}

    def questions(self) -> list[Question]:
        """All that can be asked, by number."""
        known = (self.question(name) for name in question_names(self.folder))
        return sorted((one for one in known if one is not None), key=lambda one: (one.number, one.name))

    def question(self, name: str) -> Question | None:
        """The question called so; None where there is none, or none that can be read, which the log then tells."""
        stamp = _stamp(self.folder / name / FILE) if name in question_names(self.folder) else None
        if stamp is None:
            return None
        with self._lock:
            kept = self._questions.get(name)
        if kept is None or kept[0] != stamp:
            try:
                found: Question | None = read_question(self.folder, name)
            except QuestionError as error:
                logging.getLogger(__name__).error("%s", error)
                found = None
            kept = (stamp, found)
            with self._lock:
                self._questions[name] = kept
        return kept[1]

    def results(self, question: Question) -> list[Result]:
        """What was measured for it: the shipped result first, then others in their order."""
        return [
            found
            for name in study_results(self.cache, question.name)
            if (found := self._result(question, name)) is not None
        ]

    def warm(self) -> None:
        """Work out everything once, so that the first visitor need not wait for it."""
        for question in self.questions():
            self.results(question)

    def _result(self, question: Question, name: str) -> Result | None:
        path = study_path(self.cache, name)
        stamps = _stamp(self.folder / question.name / FILE), _stamp(path)
        if stamps[0] is None or stamps[1] is None:
            return None
        with self._lock:
            kept = self._results.get(name)
        if kept is None or kept[0] != stamps:
            with place(self._places, waiting=True):
                try:
                    found = Result(name, evidence(question, read_study(path)))
                except ResultError as error:
                    found = Result(name, None, str(error).rpartition(": ")[2])
            kept = ((stamps[0], stamps[1]), found)
            with self._lock:
                self._results[name] = kept
        return kept[1]


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def studies() -> Studies:
    """Those of this site."""
    found: Studies = current_app.extensions["studies"]
    return found


def init_app(app: Flask) -> None:
    """Bind questions and their results."""
    app.extensions["studies"] = Studies(studies_folder(), app.config["CACHE"], third(app))


def listed(question: Question, results: list[Result], language: str) -> dict[str, Any]:
    """What a card shows of a question."""
    first = next((one.told for one in results if one.told and one.told.found), None)
    return {
        "name": question.name,
        "number": question.number,
        "title": question.title[language],
        "question": question.question[language],
        "answer": answer(first, language) if first else None,
        "results": [one.name for one in results],
    }


def told(question: Question, results: list[Result], language: str) -> dict[str, Any]:
    """Everything a page shows of a question, and of what was measured for it."""
    return {
        **listed(question, results, language),
        "equal": question.equal[language],
        "decided_by": question.decided_by[language],
        "picture": question.picture,
        "seeds": question.seeds,
        "across": question.across,
        "answers": question.answers,
        "colours": [list(one) for one in COLOURS],
        "axes": [
            {
                "name": axis.name,
                "label": axis.label[language],
                "values": [{"name": one.name, "label": one.label[language]} for one in axis.values],
            }
            for axis in question.axes
        ],
        "figures": [{"name": one.name, "label": one.label[language]} for one in question.figures],
        "cells": [
            {
                "key": key,
                "values": list(cell.values),
                "label": question.label(cell, language),
                "trained_as": question.trained_as[key],
                "conf": dict(cell.conf),
            }
            for key, cell in question.cells.items()
        ],
        "results": [_result(one, language) for one in results],
    }


def _result(one: Result, language: str) -> dict[str, Any]:
    found = one.told
    if found is None:
        return {"name": one.name, "error": one.error}
    result = found.result
    return {
        "name": one.name,
        "finished": result.finished,
        "seeds": result.seeds,
        "versions": dict(result.versions),
        "examples": max((len(cell.tests.ids) for cell in result.cells.values() if cell.tests), default=0),
        "series": [
            {"name": name, "unit": unit, "better": better} for name, (unit, better) in result.series.items()
        ],
        "answer": answer(found, language),
        "sentences": sentences(found, language),
        "cells": [_cell(found, key) for key in found.found],
        "tested": [_tested(found, number, language) for number in range(len(found.tested))],
    }


def _cell(found: Evidence, key: str) -> dict[str, Any]:
    one = found.found[key]
    repeats = found.result.cells[found.question.trained_as[key]].repeats
    figures = {}
    for figure in found.question.figures:
        over = one.figures.get(figure.name)
        is_main = figure is found.question.figures[0] and one.estimate is not None
        shown = one.estimate if is_main else over
        if shown is None:
            continue
        is_of_all = not is_main or found.result.answers == "said"  # whose accuracy a round's is
        lines = [repeat.series[figure.name] for repeat in repeats if figure.name in repeat.series]
        rounds = max(map(len, lines), default=0) if is_of_all else 0
        figures[figure.name] = {
            "value": shown.mean if isinstance(shown, OverSeeds) else shown.value,
            "low": shown.low, "high": shown.high, "interval": is_main, "seeds": len({one.seed for one in repeats}),
            "rounds": [
                round(float(np.mean([line[min(at, len(line) - 1)] for line in lines])), 6) for at in range(rounds)
            ],
        }  # fmt: skip
    out = one.left_out
    return {
        "key": key,
        "failed": one.failed,
        "figures": figures,
        "bytes": one.bytes,
        "seconds": one.seconds,
        "left_out": out
        and {
            "clients": list(out.clients),
            "hostile_clients": list(out.hostile_clients),
            "hostile": out.hostile,
            "honest": out.honest,
        },
    }


def _tested(found: Evidence, number: int, language: str) -> dict[str, Any]:
    one = found.tested[number]
    said = one.comparison
    return {
        "a": one.cell.key, "b": one.other.key, "verdict": verdict(said), "figure": said.figure,
        "difference": said.difference.value, "difference_low": said.difference.low,
        "difference_high": said.difference.high, "p": said.p, "p_holm": said.p_holm, "p_floor": said.floor,
        "seeds": said.seeds, "scenes": said.scenes, "told": difference(said, language, signed=True),
    }  # fmt: skip
