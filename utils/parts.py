"""Parts: interchangeable pieces of an experiment, one file each in the folder of their family.

The folder is the registry, and a part is imported only when it is named. It declares its keys (text, range, default)
as a frozen data class `Keys`, what it is in `ABOUT` (English, Chinese), and what it goes with in `NEEDS` and `REFUSES`;
checks, help, README, form and API are made from that. Folders of one's own are named in the environment variable
SKYFED_PARTS (several with the system's path separator), with a sub-folder a family: `my_parts/strategy/mine.py`.

What cannot be declared a function `fits(conf, where)` of the file checks, raising ConfError (a network's: see
`utils.nets.networks`). Where rounds use something up (privacy, say), `spent(conf, sizes, rounds)` gives what so many
have used, as series by name: value, unit, better direction; `allowed(conf, sizes) -> int` says how many there may be,
raising ConfError where that is none. `sizes` are how many examples each client has.

A part's file imports no torch at its top: it is read by programs that only want to know its keys. Packages of
`requirements-bench.txt` that it works with stand in `PACKAGES`, by the names they are imported by: without them it is
told of and read in results, but no conf of one's own may name it.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
import logging
import math
import os
import pkgutil
import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from utils.refusal import Refusal, Said, said

FAMILIES = {
    "task": "utils.tasks",
    "network": "utils.nets.networks",
    "strategy": "utils.federated.strategies",
    "local": "utils.federated.local",
    "selection": "utils.federated.selection",
    "attack": "utils.federated.attacks",
    "link": "utils.federated.links",
    "rounds": "utils.federated.rounds",
}
NEEDED = {
    "task": (
        ("CLASSES", "UNIT"),
        "NETWORK",
        "LEARNS",
        "INPUT",
        "INPUT_SAYS",
        "open_examples",
        "outline",
        "for_training",
        "for_judging",
        "as_judged",
        "judged_shape",
        "input_shape",
        "card",
        "told",
    ),
    "network": ("build", "told"),
    "strategy": ("Strategy",),
    "local": ("Local",),
    "selection": ("Selection",),
    "attack": ("Attack",),
    "link": ("Link",),
    "rounds": ("Rounds",),
}
"""What a file of each family offers, of several names in brackets one; the family's package says more of it."""
EXTRA = "SKYFED_PARTS"
INSTALL = "python3 -m pip install -r requirements-bench.txt"


class ConfError(Refusal):
    """A conf that cannot be used; its text is one line naming file, key, what was expected and found."""


def key(doc: str, *, zh: str = "", default: Any = dataclasses.MISSING, **limits: Any) -> Any:
    """A key: what it is for (English; Chinese in `zh` where the site's catalogue does not have it), default and limits.

    Limits: `choices` and `aliases` of a text, `name` for one that names a file; `low` and `high` of a number, where
    `high` (`low`) may name another key that bounds it, `above_low` and `below_high` for open ends, `multiple`; `needs`:
    for a value, what other keys must then be. `cost`: the key changes how long an example takes.
    """
    return dataclasses.field(default=default, metadata={"doc": doc, "zh": zh, **limits})


@dataclass(frozen=True)
class Part:
    """A part as a conf names it: family, name, and its keys (an instance of its `Keys`; None if it has none)."""

    family: str
    name: str
    keys: Any = None

    def as_json(self) -> Any:
        """The name, or an object with the name and every key where there are some."""
        return {"name": self.name, **values_of(self.keys)} if self.keys is not None else self.name

    @property
    def module(self) -> ModuleType:
        """The file it is."""
        return load(self.family, self.name)


def extended(family: str, path: Iterable[str]) -> list[str]:
    """Where the parts of a family lie: the `path` of its package, then the folders of one's own."""
    own = [Path(folder) / family for folder in os.environ.get(EXTRA, "").split(os.pathsep) if folder]
    return [*path, *map(str, own)]


def names(family: str) -> tuple[str, ...]:
    """All parts of a family, sorted."""
    package = importlib.import_module(FAMILIES[family])
    return tuple(sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")))


@cache
def load(family: str, name: str) -> ModuleType:
    """The module of a part. Raises ConfError, one line, when it cannot be imported or lacks what it must declare."""
    try:
        module = importlib.import_module(f"{FAMILIES[family]}.{name}")
        _check_declared(family, module)
    except (Exception, SystemExit) as error:  # whatever a file of somebody's own may raise
        raise ConfError("", "broken_part", key=family, name=name, why=in_one_line(error)) from error
    return module


def in_one_line(error: BaseException) -> str:
    """What kind of exception it is, and its text, not too long."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"


def _check_declared(family: str, module: ModuleType) -> None:
    """Raises TypeError or AttributeError when a part does not say what it is, or has a key that nobody can check."""
    about = module.ABOUT
    if not (isinstance(about, tuple) and len(about) == 2 and all(isinstance(text, str) for text in about)):
        raise TypeError("ABOUT is not two texts, English and Chinese")
    for needed in NEEDED[family]:
        one_of = (needed,) if isinstance(needed, str) else needed
        if not any(hasattr(module, name) for name in one_of):
            getattr(module, one_of[0])
    packages = getattr(module, "PACKAGES", ())
    if not (isinstance(packages, tuple) and all(isinstance(name, str) for name in packages)):
        raise TypeError("PACKAGES is not a tuple of names")
    for table in ("NEEDS", "REFUSES"):
        for of, allowed in getattr(module, table, {}).items():
            if not (isinstance(of, str) and isinstance(allowed, tuple | AtLeast)):
                raise TypeError(f"{table} is not a mapping from keys to tuples of values")
    keys = getattr(module, "Keys", None)
    if keys is not None and not dataclasses.is_dataclass(keys):
        raise TypeError("Keys is not a data class")
    for field in fields_of(keys):
        kind = getattr(field.type, "__name__", field.type)
        if "doc" not in field.metadata:
            raise TypeError(f"{field.name} is not declared with key()")
        if field.name == "name":
            raise TypeError("a key cannot be called name: that says which part is meant")
        if kind in ("int", "float") and not {"low", "high"} <= set(field.metadata):
            raise TypeError(f"{field.name} is a number without low and high")
        if kind not in ("int", "float", "str", "bool") and "check" not in field.metadata:
            raise TypeError(f"{field.name} is neither int, float, str nor bool")


def check_own() -> None:
    """Raises ConfError, one line, when SKYFED_PARTS names a folder that is not there, or a file in it is ignored."""
    for folder in map(Path, filter(None, os.environ.get(EXTRA, "").split(os.pathsep))):
        if not folder.is_dir():
            raise ConfError("", "no_folder", name=EXTRA, folder=folder)
        for family in FAMILIES:
            package = importlib.import_module(FAMILIES[family])
            for file in sorted((folder / family).glob("*.py")):
                if any(
                    (Path(place) / file.name).exists()
                    for place in package.__path__
                    if Path(place) != file.parent
                ):
                    raise ConfError("", "part_twice", file=file, family=family)


def usable(family: str) -> tuple[str, ...]:
    """The parts of a family that can be imported; of others the log has a line."""
    found = []
    for name in names(family):
        try:
            load(family, name)
        except ConfError as error:
            logging.getLogger(__name__).warning("%s", error)
        else:
            found.append(name)
    return tuple(found)


def missing(family: str, name: str) -> list[str]:
    """The packages that a part works with and that are not installed; none of them is imported."""
    return [one for one in getattr(load(family, name), "PACKAGES", ()) if not importlib.util.find_spec(one)]


def check_installed(parts: Iterable[Part], where: str) -> None:
    """Raises ConfError, one line with the command that helps, where a part's packages are not installed."""
    for part in parts:
        if absent := missing(part.family, part.name):
            names = ", ".join(absent)
            raise ConfError(where, "packages", key=part.family, part=part.name, names=names, command=INSTALL)


def fields_of(keys: Any) -> tuple[dataclasses.Field[Any], ...]:
    """The declared keys of a class of keys; none for None."""
    return dataclasses.fields(keys) if keys is not None else ()


def declared(family: str, name: str) -> tuple[dataclasses.Field[Any], ...]:
    """The keys that a part declares."""
    return fields_of(getattr(load(family, name), "Keys", None))


def json_name(field: dataclasses.Field[Any]) -> str:
    """The key a field has in JSON; Python keeps some words for itself."""
    return field.name.rstrip("_")


def values_of(keys: Any) -> dict[str, Any]:
    """Every key of an instance under its JSON name, as plain JSON values."""
    return {json_name(field): plain(getattr(keys, field.name)) for field in fields_of(keys)}


def plain(value: Any) -> Any:
    """Tuples as lists and what can say itself as JSON as that, all the way down."""
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value.as_json() if hasattr(value, "as_json") else value


def checked_keys(kind: Any, given: Mapping[str, Any], where: str, prefix: str = "") -> Any:
    """An instance of the class of keys `kind` with the values of `given`, each checked. Raises ConfError.

    Keys of `given` that `kind` does not declare are for the caller to refuse.
    """
    values: dict[str, Any] = {}
    for field in fields_of(kind):
        name = json_name(field)
        if name in given:
            values[field.name] = checked(given[name], field, where, f"{prefix}{name}")
        elif field.default is dataclasses.MISSING:
            raise ConfError(where, "missing", name=f"{prefix}{name}", doc=field.metadata["doc"])
    return kind(**values)


def checked_part(family: str, value: Any, where: str, name: str | None = None) -> Part:
    """The part that the JSON `value` names: its name, or an object with `name` and keys. Raises ConfError."""
    place = name or family
    asked = value if isinstance(value, dict) else {"name": value}
    called = asked.get("name")
    if not isinstance(called, str):
        raise ConfError(where, "expected_found", key=place, what=said("part"), found=kind_of(value))
    known = names(family)
    if called not in known:
        what = said("one_of", all=", ".join(known)) if known else said("no_part")
        raise ConfError(where, "expected_found", key=place, what=what, found=shown(called))
    kind = getattr(_loaded(family, called, where), "Keys", None)
    allowed = {json_name(field) for field in fields_of(kind)}
    for one in asked:
        if one not in allowed | {"name"}:
            raise ConfError(where, "unknown_key", name=shown(f"{place}.{one}"))
    return Part(family, called, checked_keys(kind, asked, where, f"{place}.") if kind else None)


def _loaded(family: str, name: str, where: str) -> ModuleType:
    try:
        return load(family, name)
    except ConfError as error:
        raise ConfError(where, error.said.code, **error.said.values) from None


def checked(value: Any, field: dataclasses.Field[Any], where: str, name: str) -> Any:
    """`value` as the declaration of `field` has it. Raises ConfError naming the key `name`."""

    def refuse(what: Said, found: Any) -> ConfError:
        return ConfError(where, "expected_found", key=name, what=what, found=found)

    limits, kind = field.metadata, getattr(field.type, "__name__", field.type)
    if "check" in limits:
        return limits["check"](value, where, name)
    if kind == "bool":
        if not isinstance(value, bool):
            raise refuse(said("bool"), kind_of(value))
        return value
    if kind == "str":
        if not isinstance(value, str):
            raise refuse(said("text"), kind_of(value))
        value = limits.get("aliases", {}).get(value, value)
        choices = choices_of(field)
        if choices and value not in choices:
            raise refuse(said("one_of", all=", ".join(choices)), shown(value))
        if limits.get("name") and not is_plain_name(value):
            raise refuse(said("name"), shown(value))
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refuse(said("number"), kind_of(value))
    if kind == "int":
        if isinstance(value, float) and not value.is_integer():
            raise refuse(said("whole"), str(value))
        value = int(value)
    elif not math.isfinite(value := _as_float(value)):
        raise refuse(said("finite"), str(value))
    low, high = lowest(field), highest(field)
    if (
        not low <= value <= high
        or (limits.get("above_low") and value == low)
        or (limits.get("below_high") and value == high and not isinstance(limits["high"], str))
    ):
        raise refuse(said("range", range=interval(field)), shown(value))
    if "multiple" in limits and value % limits["multiple"]:
        raise refuse(said("multiple", number=limits["multiple"]), str(value))
    return value


def choices_of(field: dataclasses.Field[Any]) -> tuple[str, ...]:
    """What a text may be, where that is a list; the members of a family where the key names one of it."""
    if "family" in field.metadata:
        return names(field.metadata["family"])
    return tuple(field.metadata.get("choices", ()))


def lowest(field: dataclasses.Field[Any]) -> Any:
    """The least value whatever other keys say."""
    low = field.metadata["low"]
    return field.metadata.get("least", 0) if isinstance(low, str) else low


def highest(field: dataclasses.Field[Any]) -> Any:
    """The largest value whatever other keys say."""
    high = field.metadata["high"]
    return field.metadata["most"] if isinstance(high, str) else high


def interval(field: dataclasses.Field[Any]) -> str:
    """The range of a number as people write it: [1, 10], (0, 1]."""
    limits = field.metadata
    open_end = limits.get("below_high") and not isinstance(limits["high"], str)
    left, right = "(" if limits.get("above_low") else "[", ")" if open_end else "]"
    return f"{left}{lowest(field)}, {highest(field)}{right}"


def check_together(
    values: Mapping[str, Any], fields: Mapping[str, dataclasses.Field[Any]], where: str
) -> None:
    """What the keys ask of each other. `values` and `fields` by JSON name. Raises ConfError."""
    for name, field in fields.items():
        limits, value = field.metadata, values[name]
        high, low = limits.get("high"), limits.get("low")
        if isinstance(high, str):
            strictly = limits.get("below_high", False)
            if value > values[high] or (strictly and value == values[high]):
                what = said("less_than_key" if strictly else "at_most_key", key=high, most=values[high])
                raise ConfError(where, "expected_found", key=name, what=what, found=value)
        if isinstance(low, str) and value < values[low]:
            what = said("at_least_key", key=low, least=values[low])
            raise ConfError(where, "expected_found", key=name, what=what, found=value)
        if isinstance(value, str | bool):
            needs = limits.get("needs", {}).get(value, {})
            _check_needs(needs, {}, name, json.dumps(value) if value is True else str(value), values, where)


def check_parts(parts: Iterable[Part], values: Mapping[str, Any], where: str) -> None:
    """What the parts of a conf declare of keys and of each other. Raises ConfError."""
    for part in parts:
        module = part.module
        needs, refuses = getattr(module, "NEEDS", {}), getattr(module, "REFUSES", {})
        needs = {
            other: one.of(part.keys) if isinstance(one, AtLeast) else one for other, one in needs.items()
        }
        _check_needs(needs, refuses, part.family, part.name, values, where)


def _check_needs(
    needs: Mapping[str, Any],
    refuses: Mapping[str, Any],
    name: str,
    part: str,
    values: Mapping[str, Any],
    where: str,
) -> None:
    good: bool
    what: Said | str
    for other in (*needs, *refuses):
        if other not in values:
            why = f"it speaks of {other}, which is no key of this conf"
            raise ConfError(where, "broken_part", key=name, name=part, why=why)
    for other, allowed in needs.items():
        for found in _found(values[other]):
            if isinstance(allowed, AtLeast):
                good, what = (
                    not isinstance(found, str) and found >= allowed.least,
                    said("at_least", least=allowed.least),
                )
            else:
                good, what = found in allowed, said("one_of", all=", ".join(map(_said_value, allowed)))
                if len(allowed) == 1:
                    what = _said_value(allowed[0])
            if not good:
                raise ConfError(
                    where, "needs", key=name, part=part, other=other, what=what, found=_said_value(found)
                )
    for other, refused in refuses.items():
        for found in _found(values[other]):
            if found in refused:
                raise ConfError(where, "refuses", key=name, part=part, other=other, found=_said_value(found))


@dataclass(frozen=True)
class AtLeast:
    """In `NEEDS`: a number no smaller than this, or than what this makes of the part's keys."""

    least: float | Callable[[Any], float]

    def of(self, keys: Any) -> AtLeast:
        """The same for a part with these keys."""
        return AtLeast(self.least(keys)) if callable(self.least) else self


def _found(value: Any) -> Iterator[Any]:
    """Parts by their names."""
    for one in value if isinstance(value, tuple) else (value,):
        yield one.name if isinstance(one, Part) else one


def _said_value(value: Any) -> str:
    return (
        value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else json.dumps(value)
    )


def is_plain_name(value: str) -> bool:
    """Whether a text may name a file: letters, digits, _ and -, at most a hundred."""
    return 0 < len(value) <= 100 and set(value) <= set(string.ascii_letters + string.digits + "_-")


def kind_of(value: Any) -> Said:
    """What sort of JSON value it is."""
    names_ = {bool: "bool", str: "text", dict: "object", list: "list", type(None): "null"}
    return said(names_.get(type(value), "number"))


def shown(value: Any) -> str:
    """A JSON value as one short line."""
    try:
        return json.dumps(value, ensure_ascii=True, default=str)[:80]
    except RecursionError:
        return "…"


def _as_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf
