"""What was measured for a question: a file `cache/studies/NAME.json.pkl`, collated from the runs of its cells.

A plain pickle, read and written as results are (`utils.results`). It keeps what evidence is made of: answers to the
test examples, series of the question's figures, bytes, seconds, and whose updates the server left out. Probabilities,
models and the rest of a run are not kept.
"""

from __future__ import annotations

import datetime
import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from utils.comparison import Answers
from utils.conf import make_conf
from utils.files import atomic_write
from utils.packing import UPDATES, packed, unpacked
from utils.results import (
    BETTER,
    MAX_CLASSES,
    ResultError,
    is_result_name,
    parse_plain_pickle,
    result_names,
    result_path,
    total,
)
from utils.studies.questions import ANSWERS, MAX_CELLS, MAX_FIGURES, Cell, Question

FORMAT = 1
MAX_BYTES = 8 * 1024 * 1024
MAX_REPEATS, MAX_EXAMPLES, MAX_ROUNDS, MAX_CLIENTS = 1000, 1_000_000, 100_000, 100_000
MAX_ANSWERS = 20_000_000  # cells x repeats x examples


@dataclass(frozen=True)
class Tests:
    """The test examples of some cells: `scene` (n,) tells by number what belongs together; `truth` (n,) are class
    numbers, or the numbers in `unit` that were to be foretold.
    """

    data: str
    fingerprint: str
    classes: tuple[str, ...]
    unit: str
    ids: tuple[str, ...]
    scene: NDArray[np.int64]
    truth: NDArray[Any]


@dataclass(frozen=True)
class Told:
    """A repeat: the answers (n,) in the order of its tests, the series by name (rounds,), bytes and seconds in all.

    `arrived` and `kept` (clients,) count the rounds in which a client's update came, and in which it was taken as
    it came; empty where it used all. `hostile` are the numbers of the clients that attacked.
    """

    seed: int
    rotation: int
    said: NDArray[Any]
    series: Mapping[str, NDArray[np.float32]]
    bytes_up: float
    bytes_down: float
    seconds: float
    arrived: NDArray[np.uint32]
    kept: NDArray[np.uint32]
    hostile: tuple[int, ...]


@dataclass(frozen=True)
class Measured:
    """A cell: its conf as its question said it, and its repeats; or the reason, one line, why it `failed`."""

    key: str
    conf: Mapping[str, Any]
    failed: str
    tests: Tests | None
    repeats: tuple[Told, ...]

    def answers(self) -> Answers | None:
        """Its answers as evidence takes them; None where it failed."""
        if self.tests is None:
            return None
        tests, number = self.tests, not self.tests.classes
        seeds = sorted({one.seed for one in self.repeats})
        rotations = sorted({one.rotation for one in self.repeats})
        shape = (len(seeds), len(rotations), len(tests.ids))
        outcome = np.full(shape, np.nan) if number else np.full(shape, -1, np.int8)
        for one in self.repeats:
            told = one.said - tests.truth if number else one.said == tests.truth
            outcome[seeds.index(one.seed), rotations.index(one.rotation)] = told
        return Answers(tests.ids, tests.scene, tests.truth, outcome)


@dataclass(frozen=True)
class StudyResult:
    """A file: cells by key, and unit and better direction of the figures that are series."""

    name: str
    study: str
    answers: str
    finished: str
    cells: Mapping[str, Measured]
    series: Mapping[str, tuple[str, str]]
    versions: Mapping[str, str]

    @property
    def seeds(self) -> int:
        """The most seeds that a cell was trained with."""
        return max((len({one.seed for one in cell.repeats}) for cell in self.cells.values()), default=0)


def study_path(cache: Path, name: str) -> Path:
    """Where the result called `name` (NAME, or NAME@N) of a question lies. Raises ResultError on a bad name."""
    return result_path(cache / "studies", name)


def study_results(cache: Path, study: str) -> list[str]:
    """The names of what was measured for a question: the shipped one, then others in their order."""
    found = [name for name in result_names(cache / "studies") if name.partition("@")[0] == study]
    return sorted(found, key=lambda name: int(name.partition("@")[2] or 1))


def collated(question: Question, name: str, outcome: Mapping[str, Mapping[str, Any] | str]) -> dict[str, Any]:
    """What the file `name` holds: `outcome` has by key of each trained cell its result, or why it failed.

    Raises ResultError where a run has not what the question asks for.
    """
    tests: list[dict[str, Any]] = []
    series: dict[str, dict[str, str]] = {}
    cells = []
    versions: dict[str, str] = {}
    for cell in question.trained():
        result = outcome[cell.key]
        told = {"key": cell.key, "conf": dict(cell.conf)}
        if isinstance(result, str):
            cells.append({**told, "failed": " ".join(result.split())[:500]})
            continue
        versions = versions or dict(result["versions"])
        cells.append({**told, **_cell(question, cell, result, tests, series)})
    return {
        "format": FORMAT,
        "kind": "study",
        "name": name,
        "study": question.name,
        "answers": question.answers,
        "tests": tests,
        "series": series,
        "cells": cells,
        "versions": versions,
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _cell(
    question: Question,
    cell: Cell,
    result: Mapping[str, Any],
    tests: list[dict[str, Any]],
    series: dict[str, dict[str, str]],
) -> dict[str, Any]:
    classes = result["classes"]
    known, order = _tests(result)
    if known not in tests:
        tests.append(known)
    if classes:
        said_as: Any = np.uint8 if len(classes) <= 256 else np.uint16
    else:
        said_as = np.float32
    repeats = []
    local = make_conf(dict(cell.conf), cell.key).local
    # Where clients have no models of their own the common one is everybody's own.
    whose = question.answers if hasattr(local.module, "personal") else "said"
    for repeat, columns in zip(result["repeats"], order, strict=True):
        if whose not in repeat["test"]:
            raise ResultError(f"{question.name}: {cell.key}: its run has no answers called {whose}")
        said = np.asarray(repeat["test"][whose])[columns]
        found = {}
        for figure in question.figures:
            of = _measured(repeat, figure.name)
            if of is not None:
                found[figure.name] = packed(np.asarray(of["values"], np.float32))
                said_of = series.setdefault(figure.name, {"unit": of["unit"], "better": of["better"]})
                if said_of["unit"] != of["unit"]:  # what cells have each in their own
                    said_of["unit"] = ""
        repeats.append({
            "seed": repeat["seed"], "rotation": repeat["rotation"], "said": packed(said.astype(said_as)),
            "series": found, "bytes_up": total(repeat, "bytes_up"), "bytes_down": total(repeat, "bytes_down"),
            "seconds": total(repeat, "seconds"), "hostile": list(repeat.get("hostile", [])), **_left_out(repeat),
        })  # fmt: skip
    return {"tests": tests.index(known), "repeats": repeats}


def _measured(repeat: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """A repeat's series, or what was measured once at its end as a series of one value; None where it has neither."""
    once = [{**one, "values": [one["value"]]} for one in repeat.get("figures", [])]
    return next((one for one in (*repeat["series"], *once) if one["name"] == name and one["values"]), None)


def _tests(result: Mapping[str, Any]) -> tuple[dict[str, Any], list[NDArray[np.int64]]]:
    """The test examples of a result sorted by id, and for each of its repeats where these stand in it."""
    first, order = result["repeats"][0]["test"], []
    ids = sorted(first["id"])
    for repeat in result["repeats"]:
        place = {one: column for column, one in enumerate(repeat["test"]["id"])}
        if repeat["fold"] != result["repeats"][0]["fold"] or sorted(place) != ids:
            raise ResultError(f"{result['name']}: its repeats were not judged on the same examples")
        order.append(np.array([place[one] for one in ids], np.int64))
    names = {scene: number for number, scene in enumerate(sorted(set(first["scene"])))}
    scene = np.array([names[one] for one in first["scene"]], np.uint32)[order[0]]
    classes = result["classes"]
    truth = np.asarray(first["truth"], np.uint16 if classes else np.float32)[order[0]]
    return {
        "set": result["data"]["set"], "fingerprint": result["data"]["fingerprint"], "classes": classes,
        "unit": result.get("unit", ""), "id": ids, "scene": packed(scene), "truth": packed(truth),
    }, order  # fmt: skip


def _left_out(repeat: Mapping[str, Any]) -> dict[str, str]:
    """How often each client's update came and was used, where some were not."""
    if not (updates := repeat.get("updates")):
        return {}
    client, kept = (unpacked(updates[key], UPDATES[key]) for key in ("client", "kept"))
    if kept.all():
        return {}
    clients = len(repeat["clients"])
    return {
        "arrived": packed(np.bincount(client, minlength=clients).astype(np.uint32)),
        "kept": packed(np.bincount(client[kept], minlength=clients).astype(np.uint32)),
    }


def write_study(path: Path, told: Mapping[str, Any]) -> StudyResult:
    """Write what `collated` made, atomically, after reading it as others will. Raises ResultError."""
    try:
        plain = json.loads(json.dumps(told, allow_nan=False))
    except ValueError:
        raise ResultError(f"{path}: not written, a number in it is not finite") from None
    raw = pickle.dumps(plain, protocol=4)
    found = _parsed(raw, str(path))
    with atomic_write(path) as file:
        file.write(raw)
    return found


def read_study(path: Path) -> StudyResult:
    """Read and check a file. Raises ResultError, one line, on anything that is not one."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ResultError(f"{path}: cannot be read ({error.strerror})") from None
    return _parsed(raw, str(path))


def _parsed(raw: bytes, where: str) -> StudyResult:
    if len(raw) > MAX_BYTES:
        raise ResultError(f"{where}: larger than {MAX_BYTES} bytes")
    return _Reader(where).study(parse_plain_pickle(raw, where))


class _Reader:
    """Checks what a file says, place by place."""

    def __init__(self, where: str) -> None:
        self._where = where

    def study(self, told: Any) -> StudyResult:
        self._need(isinstance(told, dict), "top level", "a dict")
        self._need(told.get("format") == FORMAT, "format", str(FORMAT))
        self._need(told.get("kind") == "study", "kind", "study")
        for key in ("name", "study", "finished"):
            self._need(isinstance(told.get(key), str), key, "a text")
        self._need(is_result_name(told["name"]), "name", "NAME or NAME@N")
        self._need(told.get("answers") in ANSWERS, "answers", f"one of {', '.join(ANSWERS)}")
        versions = told.get("versions")
        self._need(
            isinstance(versions, dict) and all(isinstance(one, str) for one in versions.values()),
            "versions",
            "texts",
        )
        series = self._series(told.get("series"))
        tests = [
            self._tests(f"tests[{number}]", one)
            for number, one in enumerate(self._list("tests", told.get("tests"), MAX_CELLS))
        ]
        cells: dict[str, Measured] = {}
        for number, one in enumerate(self._list("cells", told.get("cells"), MAX_CELLS)):
            cell = self._cell(f"cells[{number}]", one, tests, series)
            self._need(cell.key not in cells, f"cells[{number}].key", "a key of its own")
            cells[cell.key] = cell
        answers = sum(len(cell.repeats) * len(cell.tests.ids) for cell in cells.values() if cell.tests)
        self._need(0 < answers <= MAX_ANSWERS, "cells", f"1 to {MAX_ANSWERS} answers")
        return StudyResult(
            told["name"], told["study"], told["answers"], told["finished"], cells, series, versions
        )

    def _series(self, told: Any) -> dict[str, tuple[str, str]]:
        self._need(isinstance(told, dict) and len(told) <= MAX_FIGURES, "series", "a dict of figures")
        for name, of in told.items():
            good = isinstance(of, dict) and isinstance(of.get("unit"), str) and of.get("better") in BETTER
            self._need(good, f"series {name[:60]}", "a unit and a better direction")
        return {name: (of["unit"][:40], of["better"]) for name, of in told.items()}

    def _tests(self, place: str, told: Any) -> Tests:
        self._need(isinstance(told, dict), place, "a dict")
        for key in ("set", "fingerprint", "unit"):
            self._need(isinstance(told.get(key), str), f"{place}.{key}", "a text")
        classes = told.get("classes")
        if classes is not None:
            good = isinstance(classes, list) and 2 <= len(classes) <= MAX_CLASSES
            self._need(
                good and all(isinstance(one, str) for one in classes), f"{place}.classes", "a list of names"
            )
        ids = told.get("id")
        self._need(isinstance(ids, list) and 0 < len(ids) <= MAX_EXAMPLES, f"{place}.id", "a list")
        self._need(
            all(isinstance(one, str) for one in ids) and sorted(set(ids)) == ids,
            f"{place}.id",
            "sorted texts, each once",
        )
        scene = self._array(f"{place}.scene", told.get("scene"), np.uint32, len(ids)).astype(np.int64)
        self._need(
            len(np.unique(scene)) == scene.max() + 1, f"{place}.scene", "numbers from 0, none left out"
        )
        kind = np.float32 if classes is None else np.uint16
        truth = self._answers(f"{place}.truth", told.get("truth"), kind, len(ids), classes)
        return Tests(
            told["set"], told["fingerprint"], tuple(classes or ()), told["unit"], tuple(ids), scene, truth
        )

    def _cell(
        self, place: str, told: Any, tests: list[Tests], series: Mapping[str, tuple[str, str]]
    ) -> Measured:
        self._need(isinstance(told, dict), place, "a dict")
        key, conf = told.get("key"), told.get("conf")
        self._need(isinstance(key, str) and 0 < len(key) <= 81, f"{place}.key", "a text")
        self._need(isinstance(conf, dict), f"{place}.conf", "a dict")
        if "failed" in told:
            failed = told["failed"]
            good = isinstance(failed, str) and 0 < len(failed) <= 500 and "\n" not in failed
            self._need(good, f"{place}.failed", "a line of text")
            return Measured(key, conf, failed, None, ())
        number = told.get("tests")
        self._need(self._is_whole(number, len(tests) - 1), f"{place}.tests", "the number of one of the tests")
        repeats = tuple(
            self._repeat(f"{place}.repeats[{count}]", one, tests[number], series)
            for count, one in enumerate(self._list(f"{place}.repeats", told.get("repeats"), MAX_REPEATS))
        )
        known = {(one.seed, one.rotation) for one in repeats}
        whole = len({seed for seed, _ in known}) * len({rotation for _, rotation in known})
        self._need(
            len(known) == len(repeats) == whole, f"{place}.repeats", "every seed and rotation just once"
        )
        return Measured(key, conf, "", tests[number], repeats)

    def _repeat(self, place: str, told: Any, tests: Tests, series: Mapping[str, Any]) -> Told:
        self._need(isinstance(told, dict), place, "a dict")
        for key in ("seed", "rotation"):
            self._need(self._is_whole(told.get(key), 2**31), f"{place}.{key}", "a whole number from 0")
        for key in ("bytes_up", "bytes_down", "seconds"):
            number = told.get(key)
            good = isinstance(number, int | float) and not isinstance(number, bool) and number >= 0
            self._need(good, f"{place}.{key}", "a number from 0")
        classes = list(tests.classes) or None
        kind = np.float32 if classes is None else np.uint8 if len(classes) <= 256 else np.uint16
        said = self._answers(f"{place}.said", told.get("said"), kind, len(tests.ids), classes)
        of = told.get("series")
        self._need(isinstance(of, dict) and set(of) <= set(series), f"{place}.series", "some of the figures")
        lines = {name: self._array(f"{place}.series {name}", text, np.float32) for name, text in of.items()}
        for name, line in lines.items():
            good = 0 < len(line) <= MAX_ROUNDS and bool(np.isfinite(line).all())
            self._need(good, f"{place}.series {name}", "a number for each round")
        arrived, kept = (
            self._array(f"{place}.{key}", told.get(key, ""), np.uint32) for key in ("arrived", "kept")
        )
        self._need(
            len(arrived) == len(kept) <= MAX_CLIENTS and bool((kept <= arrived).all()),
            f"{place}.kept",
            "for each client at most as many as arrived",
        )
        hostile = self._list(f"{place}.hostile", told.get("hostile"), MAX_CLIENTS, 0)
        self._need(
            all(self._is_whole(one, MAX_CLIENTS) for one in hostile), f"{place}.hostile", "numbers of clients"
        )
        return Told(
            told["seed"], told["rotation"], said, lines,
            float(told["bytes_up"]), float(told["bytes_down"]), float(told["seconds"]), arrived, kept,
            tuple(hostile),
        )  # fmt: skip

    def _answers(
        self, place: str, told: Any, kind: Any, count: int, classes: list[str] | None
    ) -> NDArray[Any]:
        found = self._array(place, told, kind, count)
        if classes is None:
            self._need(bool(np.isfinite(found).all()), place, "numbers")
            return found.astype(np.float64)
        self._need(bool((found < len(classes)).all()), place, "numbers of classes")
        return found.astype(np.int64)

    def _array(self, place: str, told: Any, kind: Any, count: int | None = None) -> NDArray[Any]:
        try:
            found = unpacked(told, kind)
        except ValueError as error:
            raise ResultError(f"{self._where}: {place}: {error}") from None
        self._need(count in (None, len(found)), place, f"{count} values")
        return found

    def _list(self, place: str, told: Any, most: int, least: int = 1) -> list[Any]:
        self._need(
            isinstance(told, list) and least <= len(told) <= most, place, f"a list of {least} to {most}"
        )
        return list(told)

    def _is_whole(self, told: Any, most: int) -> bool:
        return isinstance(told, int) and not isinstance(told, bool) and 0 <= told <= most

    def _need(self, good: bool, place: str, expected: str) -> None:
        if not good:
            raise ResultError(f"{self._where}: {place}: expected {expected}")
