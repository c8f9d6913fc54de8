"""The data format of a call: what an example is, and what is asked of it. A picture or several values; a label or a
number. Values and numbers have ranges, which scale them (low is -1, high is 1), so that nobody has to tell anything of
their own examples for that.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from utils.parts import ConfError, kind_of, shown
from utils.refusal import said

KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
MAX_FIELDS, MAX_LABELS, MAX_SIDE, MIN_SIDE = 200, 100, 256, 8
MAX_TEXT = 200
COLOURS = ("rgb", "opponent")


class CallError(ConfError):
    """A description of a call that cannot be used; one line naming key, what was expected and found."""


@dataclass(frozen=True)
class Field:
    """A value of an example, or the number that is asked: `key` names it in tables, `low` to `high` are its range."""

    key: str
    name: str
    hint: str
    unit: str
    low: float
    high: float

    def scaled(self, value: float) -> float:
        """`value` in -1..1. Raises ValueError where it is not in the range."""
        if not self.low <= value <= self.high:
            raise ValueError(f"{self.key}: expected {self.low:g} to {self.high:g}, found {value:g}")
        return 2 * (value - self.low) / (self.high - self.low) - 1

    def meant(self, scaled: float) -> float:
        """The value that `scaled` (-1..1, or a little beyond) stands for, in the field's unit."""
        return self.low + (scaled + 1) / 2 * (self.high - self.low)


@dataclass(frozen=True)
class Label:
    """One of the labels; its number is its place in the list."""

    name: str
    hint: str


@dataclass(frozen=True)
class Format:
    """What an example is: a picture of `side` x `side` in `channels` (1: grey, 3: red, green, blue, of which a network
    is given `colours`, see `utils.tasks.weather`), or the values of `fields`; and what is asked: one of `labels`, or
    `number`. With `features` a frozen backbone makes so many numbers of a picture first, which are what is learnt from.
    """

    side: int
    channels: int
    fields: tuple[Field, ...]
    labels: tuple[Label, ...]
    number: Field | None
    colours: str = "rgb"
    features: int = 0

    @property
    def is_picture(self) -> bool:
        """Whether an example is a picture."""
        return self.side > 0

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape in which a network gets one example."""
        if self.features:
            return (self.features,)
        return (self.channels, self.side, self.side) if self.is_picture else (len(self.fields),)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape in which an example is kept: pixels as 8 bits, values as they were given."""
        return (self.channels, self.side, self.side) if self.is_picture else (len(self.fields),)

    def as_json(self) -> dict[str, Any]:
        """As it stands in a description."""
        if self.is_picture:
            given: dict[str, Any] = {"kind": "picture", "side": self.side, "channels": self.channels}
            given |= {"colours": self.colours} if self.channels == 3 else {}
        else:
            given = {"kind": "values", "fields": [asdict(field) for field in self.fields]}
        if self.number is None:
            asked: dict[str, Any] = {"kind": "label", "labels": [asdict(label) for label in self.labels]}
        else:
            asked = {"kind": "number", **asdict(self.number)}
        return {"input": given, "answer": asked}

    def label_of(self, text: str) -> int:
        """The number of a label given by its name or its number. Raises ValueError."""
        names = [label.name for label in self.labels]
        plain = text.strip()
        if plain in names:
            return names.index(plain)
        if plain.isascii() and plain.isdecimal() and len(plain) < 9 and int(plain) < len(names):
            return int(plain)
        raise ValueError(f"label: expected one of {', '.join(names)}, found {plain[:40]!r}")


def checked_format(value: Any, where: str = "") -> Format:
    """The format that plain JSON describes. Raises CallError."""
    given = _object(value, ("input", "answer"), where, "format")
    shape, asked = given["input"], given["answer"]
    side, channels, colours = 0, 0, "rgb"
    fields: tuple[Field, ...] = ()
    if _kind(shape, ("picture", "values"), where, "format.input") == "picture":
        shape = _object(shape, ("kind", "side", "channels"), where, "format.input", ("colours",))
        side = whole(shape["side"], MIN_SIDE, MAX_SIDE, where, "format.input.side")
        channels = whole(shape["channels"], 1, 3, where, "format.input.channels")
        if channels == 2:
            raise CallError(where, "expected_found", key="format.input.channels", what="1, 3", found="2")
        colours = shape.get("colours", "rgb")
        if colours not in COLOURS[:channels]:
            what = said("one_of", all=", ".join(COLOURS[:channels]))
            raise CallError(
                where, "expected_found", key="format.input.colours", what=what, found=shown(colours)
            )
    else:
        shape = _object(shape, ("kind", "fields"), where, "format.input")
        listed = _list(shape["fields"], 1, MAX_FIELDS, where, "format.input.fields")
        fields = tuple(_field(one, where, f"format.input.fields[{at}]") for at, one in enumerate(listed))
        _each_once([field.key for field in fields], where, "format.input.fields")
    if _kind(asked, ("label", "number"), where, "format.answer") == "label":
        asked = _object(asked, ("kind", "labels"), where, "format.answer")
        listed = _list(asked["labels"], 2, MAX_LABELS, where, "format.answer.labels")
        labels = tuple(_label(one, where, f"format.answer.labels[{at}]") for at, one in enumerate(listed))
        _each_once([label.name for label in labels], where, "format.answer.labels")
        return Format(side, channels, fields, labels, None, colours)
    asked_for = _field({key: one for key, one in asked.items() if key != "kind"}, where, "format.answer")
    _each_once([field.key for field in (*fields, asked_for)], where, "format.answer.key")
    return Format(side, channels, fields, (), asked_for, colours)


def _kind(value: Any, kinds: tuple[str, ...], where: str, name: str) -> str:
    found = value.get("kind") if isinstance(value, Mapping) else None
    if found not in kinds:
        what = said("one_of", all=", ".join(kinds))
        raise CallError(where, "expected_found", key=f"{name}.kind", what=what, found=shown(found))
    return str(found)


def _field(value: Any, where: str, name: str) -> Field:
    given = _object(value, ("key", "low", "high"), where, name, ("name", "hint", "unit"))
    key = given["key"]
    if not (isinstance(key, str) and KEY.fullmatch(key)):
        raise CallError(where, "expected_found", key=f"{name}.key", what=said("name"), found=shown(key))
    low, high = (number(given[end], -1e12, 1e12, where, f"{name}.{end}") for end in ("low", "high"))
    if not low < high:
        raise CallError(where, "expected_found", key=f"{name}.high", what=f"> {low:g}", found=f"{high:g}")
    texts = {one: text(given.get(one, ""), where, f"{name}.{one}") for one in ("name", "hint", "unit")}
    return Field(key, texts["name"] or key, texts["hint"], texts["unit"], low, high)


def _label(value: Any, where: str, name: str) -> Label:
    given = _object({"name": value} if isinstance(value, str) else value, ("name",), where, name, ("hint",))
    called = text(given["name"], where, f"{name}.name", 40)
    if not called:
        raise CallError(where, "expected_found", key=f"{name}.name", what=said("text"), found='""')
    return Label(called, text(given.get("hint", ""), where, f"{name}.hint"))


def _each_once(names: Iterable[str], where: str, name: str) -> None:
    seen: set[str] = set()
    for one in names:
        if one in seen:
            raise CallError(where, "expected_found", key=name, what=said("each_once"), found=shown(one))
        seen.add(one)


def _object(
    value: Any, needed: tuple[str, ...], where: str, name: str, optional: tuple[str, ...] = ()
) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise CallError(where, "expected_found", key=name, what=said("object"), found=kind_of(value))
    for one in value:
        if one not in needed + optional:
            raise CallError(where, "unknown_key", name=shown(f"{name}.{one}"))
    for one in needed:
        if one not in value:
            raise CallError(where, "expected", key=f"{name}.{one}", what=said("a_value"))
    return value


def _list(value: Any, least: int, most: int, where: str, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise CallError(where, "expected_found", key=name, what=said("list"), found=kind_of(value))
    if not least <= len(value) <= most:
        what = said("range", range=f"[{least}, {most}]")
        raise CallError(where, "expected_found", key=name, what=what, found=said("so_many", count=len(value)))
    return value


def text(value: Any, where: str, name: str, most: int = MAX_TEXT) -> str:
    """A text without ends around it. Raises CallError."""
    if not isinstance(value, str):
        raise CallError(where, "expected_found", key=name, what=said("text"), found=kind_of(value))
    if len(value) > most:
        raise CallError(where, "expected_found", key=name, what=said("letters", most=most), found=len(value))
    return value.strip()


def number(value: Any, low: float, high: float, where: str, name: str) -> float:
    """A finite number in [low, high]. Raises CallError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CallError(where, "expected_found", key=name, what=said("number"), found=kind_of(value))
    if not (math.isfinite(value) if isinstance(value, float) else True) or not low <= value <= high:
        what = said("range", range=f"[{low:g}, {high:g}]")
        raise CallError(where, "expected_found", key=name, what=what, found=shown(value))
    return float(value)


def _is_whole(value: float) -> bool:
    return isinstance(value, int) or value.is_integer()


def whole(value: Any, low: int, high: int, where: str, name: str) -> int:
    """A whole number in [low, high]. Raises CallError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_whole(value):
        raise CallError(where, "expected_found", key=name, what=said("whole"), found=shown(value))
    return int(number(value, low, high, where, name))
