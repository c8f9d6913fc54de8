"""Questions: studies that answer one question each, as data; one folder each with a `question.json`.

A question says a base conf, axes along which it changes, what is measured, and which cells are compared with which.
Nothing is trained here (`utils.studies.training`), and nothing measured is read (`utils.studies.measured`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from utils.conf import MAX_CONF_BYTES, Conf, ConfError, make_conf, read_json

HERE = Path(__file__).resolve().parent
FILE = "question.json"
BYTES = "bytes"
PICTURES = ("lines", "heat", "bars", "curves", "costs")
ANSWERS = ("said", "own")
TESTED = ("accuracy", "rmse")
"""Figures made of answers to test examples: these have intervals and paired tests."""
MAX_CELLS, MAX_AXES, MAX_VALUES, MAX_FIGURES = 400, 3, 40, 8
_VALUE = re.compile(r"[a-z0-9][a-z0-9_]{0,24}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
_SERIES = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./ -]{0,60}")
Texts = Mapping[str, str]
"""A text by language: `en`, `zh`."""


class QuestionError(ValueError):
    """A question that cannot be asked; the text is one line naming the file, the place and what is wrong."""


@dataclass(frozen=True)
class Value:
    """A value of an axis: what it sets in the conf.

    An object without a `name` changes keys of the object that is there, one with a `name` takes its place; null puts
    a key back to its default.
    """

    name: str
    label: Texts
    set: Mapping[str, Any]

    def changes(self) -> bool:
        """Whether all that it sets are keys of what another value names, or is taken away."""
        return all(one is None or (isinstance(one, dict) and "name" not in one) for one in self.set.values())


@dataclass(frozen=True)
class Axis:
    """What is varied, in steps."""

    name: str
    label: Texts
    values: tuple[Value, ...]

    def value(self, name: str) -> Value:
        """The value called so. Raises KeyError."""
        return {one.name: one for one in self.values}[name]


@dataclass(frozen=True)
class Figure:
    """What is read after the last round: a series of the run, and how people call it."""

    name: str
    label: Texts


@dataclass(frozen=True)
class Fitted:
    """Keys that were fitted to some cells on validation examples: the cells, a mapping of axes to names of values, and
    what is set in their confs.
    """

    cells: Mapping[str, tuple[str, ...]]
    set: Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """One value of each axis, and the conf that comes of them."""

    values: tuple[str, ...]
    conf: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Its name among the cells of its question, and that of its run."""
        return "-".join(self.values)

    @property
    def sameness(self) -> str:
        """Equal for cells of one conf, which are trained once."""
        return json.dumps(self.conf, sort_keys=True)


@dataclass(frozen=True)
class Question:
    """A question as its file says it.

    `equal` is what is held equal, `decided_by` what would count as an answer. `without` are cells that are left out,
    each a mapping of axes to names of values, `fitted` keys of their own that some cells have. A cell is compared with
    the one in which the axes of an entry of `against` have the values given there. A picture of `costs` has figures
    `across` what was sent in bytes, or another figure. Of the others the first axis is drawn from left to right, the
    second as lines, rows or groups, the third as panels. `answers` says whose answers to the test examples count:
    those of the model of all (`said`), or of each client's `own`. `leaks` are the seconds for which updates of each
    repeat are attacked (`utils.leaks.measure.SERIES` are figures then); 0: they are not.
    """

    name: str
    number: int
    title: Texts
    question: Texts
    equal: Texts
    decided_by: Texts
    conf: Mapping[str, Any]
    axes: tuple[Axis, ...]
    without: tuple[Mapping[str, tuple[str, ...]], ...]
    fitted: tuple[Fitted, ...]
    figures: tuple[Figure, ...]
    against: tuple[Mapping[str, str], ...]
    picture: str
    across: str
    seeds: int
    answers: str
    leaks: float

    @cached_property
    def cells(self) -> dict[str, Cell]:
        """All of them by key, in the order of the axes."""
        found = {}
        for values in product(*(axis.values for axis in self.axes)):
            names = {axis.name: value.name for axis, value in zip(self.axes, values, strict=True)}
            if any(all(names[axis] in out for axis, out in one.items()) for one in self.without):
                continue
            conf: Mapping[str, Any] = self.conf
            for value in sorted(values, key=Value.changes):  # what is there first, then what changes it
                conf = changed(conf, value.set)
            for one in self.fitted:
                if all(names[axis] in of for axis, of in one.cells.items()):
                    conf = changed(conf, one.set)
            cell = Cell(tuple(value.name for value in values), conf)
            found[cell.key] = cell
        return found

    @cached_property
    def trained_as(self) -> dict[str, str]:
        """By key of each cell, the key of the first cell of the same conf: that one is trained, for all of them."""
        first: dict[str, str] = {}
        return {key: first.setdefault(cell.sameness, key) for key, cell in self.cells.items()}

    def trained(self) -> list[Cell]:
        """The cells that are trained."""
        return [self.cells[key] for key in dict.fromkeys(self.trained_as.values())]

    def compared(self) -> list[tuple[str, str]]:
        """Pairs of keys of cells, each with what it is compared with; pairs of one conf are none."""
        return list(dict.fromkeys(pair for one in self.against for pair in self.compared_by(one)))

    def compared_by(self, one: Mapping[str, str]) -> list[tuple[str, str]]:
        """Those of an entry of `against`."""
        found = []
        for key, cell in self.cells.items():
            names = zip(self.axes, cell.values, strict=True)
            other = "-".join(one.get(axis.name, name) for axis, name in names)
            if other in self.cells and self.trained_as[key] != self.trained_as[other]:
                found.append((key, other))
        return found

    def confs(self) -> Iterator[tuple[Cell, Conf]]:
        """The cells that are trained, each with its conf made. Raises ConfError naming the cell."""
        for cell in self.trained():
            yield cell, make_conf(dict(cell.conf), f"{self.name}: {cell.key}")

    def label(self, cell: Cell, language: str) -> str:
        """How people call a cell."""
        return ", ".join(
            axis.value(name).label[language] for axis, name in zip(self.axes, cell.values, strict=True)
        )


def changed(conf: Mapping[str, Any], by: Mapping[str, Any]) -> dict[str, Any]:
    """`conf` with the keys that a value sets: see `Value`."""
    made = dict(conf)
    for key, value in by.items():
        there = made.get(key)
        if isinstance(there, str) and isinstance(value, dict):
            there = {"name": there}
        if value is None:
            made.pop(key, None)
        elif isinstance(value, dict) and "name" not in value and isinstance(there, dict):
            made[key] = there | value
        else:
            made[key] = value
    return made


def studies_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where questions lie: where SKYFED_STUDIES says, else those of this project."""
    return Path(environ.get("SKYFED_STUDIES") or HERE)


def question_names(folder: Path) -> list[str]:
    """The names of all questions in a folder, sorted."""
    return sorted(path.parent.name for path in folder.glob(f"*/{FILE}"))


def read_questions(folder: Path) -> list[Question]:
    """All questions in a folder, by number. Raises QuestionError."""
    found = [read_question(folder, name) for name in question_names(folder)]
    numbers = [one.number for one in found]
    for one in found:
        if numbers.count(one.number) > 1:
            raise QuestionError(f"{folder / one.name / FILE}: number: {one.number} is another question's too")
    return sorted(found, key=lambda one: one.number)


def read_question(folder: Path, name: str) -> Question:
    """The question called `name`, checked but for its confs. Raises QuestionError."""
    path = folder / name / FILE
    if not _NAME.fullmatch(name) or not path.is_file():
        known = ", ".join(question_names(folder)) or "none"
        raise QuestionError(f"study: expected one of {known}, found {name[:100]}")
    try:
        raw = path.read_bytes()
        if len(raw) > MAX_CONF_BYTES:
            raise QuestionError(f"{path}: larger than {MAX_CONF_BYTES} bytes")
        said = read_json(raw, str(path))
    except OSError as error:
        raise QuestionError(f"{path}: cannot be read ({error.strerror})") from None
    except ConfError as error:
        raise QuestionError(str(error)) from None
    return _Reader(str(path)).question(name, said)


_QUESTION = {
    "number", "title", "question", "equal", "decided_by", "conf", "axes", "figures", "against", "picture",
}  # fmt: skip
_MORE = {"seeds", "without", "fitted", "answers", "across", "leaks"}


class _Reader:
    """Checks what a file says, place by place."""

    def __init__(self, where: str) -> None:
        self._where = where

    def question(self, name: str, said: Any) -> Question:
        found = self._object("question", said, _QUESTION, _MORE)
        axes = tuple(
            self._axis(f"axes[{number}]", one)
            for number, one in enumerate(self._list("axes", found["axes"], MAX_AXES))
        )
        self._different("axes", [axis.name for axis in axes])
        figures = tuple(
            self._figure(f"figures[{number}]", one)
            for number, one in enumerate(self._list("figures", found["figures"], MAX_FIGURES))
        )
        self._different("figures", [figure.name for figure in figures])
        question = Question(
            name=name,
            number=self._whole("number", found["number"], 1, 999),
            title=self._texts("title", found["title"]),
            question=self._texts("question", found["question"]),
            equal=self._texts("equal", found["equal"]),
            decided_by=self._texts("decided_by", found["decided_by"]),
            conf=self._mapping("conf", found["conf"]),
            axes=axes,
            without=tuple(
                self._cells(f"without[{number}]", one, axes)
                for number, one in enumerate(self._list("without", found.get("without", []), 100, 0))
            ),
            fitted=tuple(
                self._fitted(f"fitted[{number}]", one, axes)
                for number, one in enumerate(self._list("fitted", found.get("fitted", []), 100, 0))
            ),
            figures=figures,
            against=tuple(
                self._cell(f"against[{number}]", one, axes)
                for number, one in enumerate(self._list("against", found["against"], 10, 0))
            ),
            picture=self._one_of("picture", found["picture"], PICTURES),
            across=self._one_of(
                "across", found.get("across", BYTES), (BYTES, *(figure.name for figure in figures))
            ),
            seeds=self._whole("seeds", found.get("seeds", 3), 1, 100),
            answers=self._one_of("answers", found.get("answers", "said"), ANSWERS),
            leaks=self._seconds("leaks", found.get("leaks", {"seconds": 0})),
        )
        if question.picture == "heat" and len(axes) < 2:
            raise self._wrong("picture", "two or three axes for heat", "one")
        if question.picture in ("bars", "curves", "costs") and len(axes) > 2:
            raise self._wrong("picture", f"one or two axes for {question.picture}", len(axes))
        if not 0 < len(question.cells) <= MAX_CELLS:
            raise self._wrong("axes", f"1 to {MAX_CELLS} cells", len(question.cells))
        return question

    def _axis(self, place: str, said: Any) -> Axis:
        found = self._object(place, said, {"name", "label", "values"})
        values = tuple(
            self._value(f"{place}.values[{number}]", one)
            for number, one in enumerate(self._list(f"{place}.values", found["values"], MAX_VALUES))
        )
        self._different(f"{place}.values", [value.name for value in values])
        return Axis(
            self._name(f"{place}.name", found["name"], _VALUE),
            self._texts(f"{place}.label", found["label"]),
            values,
        )

    def _value(self, place: str, said: Any) -> Value:
        found = self._object(place, said, {"name", "label", "set"})
        return Value(
            self._name(f"{place}.name", found["name"], _VALUE),
            self._texts(f"{place}.label", found["label"]),
            self._mapping(f"{place}.set", found["set"]),
        )

    def _figure(self, place: str, said: Any) -> Figure:
        found = self._object(place, said, {"name", "label"})
        return Figure(
            self._name(f"{place}.name", found["name"], _SERIES),
            self._texts(f"{place}.label", found["label"]),
        )

    def _fitted(self, place: str, said: Any, axes: tuple[Axis, ...]) -> Fitted:
        found = self._object(place, said, {"cells", "set"})
        return Fitted(
            self._cells(f"{place}.cells", found["cells"], axes),
            self._mapping(f"{place}.set", found["set"]),
        )

    def _cell(self, place: str, said: Any, axes: tuple[Axis, ...]) -> dict[str, str]:
        found = self._mapping(place, said)
        if not found:
            raise self._wrong(place, "at least one axis with a value", "none")
        return {key: self._value_of(place, axes, key, value) for key, value in found.items()}

    def _cells(self, place: str, said: Any, axes: tuple[Axis, ...]) -> dict[str, tuple[str, ...]]:
        found = self._mapping(place, said)
        if not found:
            raise self._wrong(place, "at least one axis with values", "none")
        return {
            key: tuple(
                self._value_of(place, axes, key, one)
                for one in self._list(f"{place}.{key}", values, MAX_VALUES)
            )
            for key, values in found.items()
        }

    def _value_of(self, place: str, axes: tuple[Axis, ...], axis: str, value: Any) -> str:
        known = {one.name: [other.name for other in one.values] for one in axes}
        self._one_of(place, axis, tuple(known))
        return self._one_of(f"{place}.{axis}", value, tuple(known[axis]))

    def _object(
        self, place: str, said: Any, needed: Collection[str], more: Collection[str] = ()
    ) -> dict[str, Any]:
        found = self._mapping(place, said)
        for key in sorted(set(needed) - set(found)):
            raise self._wrong(place, f"a key {key}", "none")
        for key in sorted(set(found) - set(needed) - set(more)):
            raise self._wrong(place, f"keys {', '.join(sorted((*needed, *more)))}", key)
        return found

    def _mapping(self, place: str, said: Any) -> dict[str, Any]:
        if not isinstance(said, dict):
            raise self._wrong(place, "an object", said)
        return said

    def _list(self, place: str, said: Any, most: int, least: int = 1) -> list[Any]:
        if not isinstance(said, list) or not least <= len(said) <= most:
            raise self._wrong(
                place, f"a list of {least} to {most}", len(said) if isinstance(said, list) else said
            )
        return said

    def _texts(self, place: str, said: Any) -> Texts:
        good = isinstance(said, dict) and set(said) == {"en", "zh"}
        if not good or not all(isinstance(text, str) and text.strip() for text in said.values()):
            raise self._wrong(place, "texts en and zh", said)
        return dict(said)

    def _name(self, place: str, said: Any, pattern: re.Pattern[str]) -> str:
        if not isinstance(said, str) or not pattern.fullmatch(said):
            raise self._wrong(place, f"a name ({pattern.pattern})", said)
        return said

    def _whole(self, place: str, said: Any, low: int, high: int) -> int:
        if isinstance(said, bool) or not isinstance(said, int) or not low <= said <= high:
            raise self._wrong(place, f"a whole number from {low} to {high}", said)
        return said

    def _seconds(self, place: str, said: Any) -> float:
        found = self._object(place, said, {"seconds"})["seconds"]
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= 3600:
            raise self._wrong(f"{place}.seconds", "a number from 0 to 3600", found)
        return float(found)

    def _one_of(self, place: str, said: Any, choices: tuple[str, ...]) -> str:
        if said not in choices or not isinstance(said, str):
            raise self._wrong(place, f"one of {', '.join(choices)}", said)
        return said

    def _different(self, place: str, names: list[str]) -> None:
        for name in names:
            if names.count(name) > 1:
                raise self._wrong(place, "names that differ", f"{name} twice")

    def _wrong(self, place: str, expected: str, found: Any) -> QuestionError:
        shown = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
        return QuestionError(f"{self._where}: {place}: expected {expected}, found {shown[:60]}")
