"""What lies in `cache/`: results as pickles of plain types, written atomically and read safely.

Reading never unpickles. A small interpreter walks the opcodes and builds dict, list, str, int, float, bool
and None only; every other opcode, a shared or cyclic container, a NaN, an excess of size or depth is refused
with one line. (`pickle.Unpickler` with a closed `find_class` would still allocate whatever a hostile memo
index asks for.)
"""

from __future__ import annotations

import io
import json
import math
import pickle
import pickletools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from utils.files import atomic_write
from utils.packing import UPDATES, WORTH, table_of

MAX_RESULT_BYTES = 64 * 1024 * 1024
MAX_OPCODES = 8_000_000
MAX_DEPTH = 12
MAX_NUMBER = 1e100  # so that no sum over rounds and repeats is infinite
FORMAT = 2
RESULT_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,80}(@[1-9][0-9]{0,5})?"


UNITS = {
    "accuracy": ("fraction", "higher"),
    "balanced_accuracy": ("fraction", "higher"),
    "loss": ("nats", "lower"),
    "rmse": ("", "lower"),
    "mae": ("", "lower"),
    "r2": ("", "higher"),
    "validation_accuracy": ("fraction", "higher"),
    "validation_loss": ("nats", "lower"),
    "validation_rmse": ("", "lower"),
    "training_loss": ("nats", "lower"),
    "seconds": ("s", "lower"),
    "training_seconds": ("s", "lower"),
    "bytes_up": ("B", "lower"),
    "bytes_down": ("B", "lower"),
    "steps": ("", "none"),
    "examples": ("", "none"),
    "client_accuracy": ("fraction", "higher"),
    "client_accuracy_spread": ("fraction", "lower"),
    "client_accuracy_worst": ("fraction", "higher"),
    "attack_success": ("fraction", "lower"),
}
"""Unit and better direction of the series that runs of classes have, or of numbers, which give some their own unit; a
part may add others."""

BETTER = ("higher", "lower", "none")


class ResultError(ValueError):
    """A result file that cannot be used; the text is one line naming the file and what is wrong."""


def result_path(cache: Path, name: str) -> Path:
    """Where the result called `name` ("conf_f10", "conf_f10@2") lies. Raises ResultError on a bad name."""
    if not is_result_name(name):
        raise ResultError(f"{name[:100]!r}: not the name of a result (NAME or NAME@N)")
    return cache / f"{name}.json.pkl"


def is_result_name(name: str) -> bool:
    """Whether a result may be called `name`: NAME or NAME@N."""
    return re.fullmatch(RESULT_NAME, name) is not None


def result_names(cache: Path) -> list[str]:
    """Names of all results in `cache`, sorted; unreadable ones included."""
    names = [path.name.removesuffix(".json.pkl") for path in cache.glob("*.json.pkl")]
    return sorted(name for name in names if is_result_name(name))


def write_result(path: Path, result: dict[str, Any]) -> None:
    """Write `result` atomically after checking it as a reader would. Raises ResultError."""
    # JSON there and back gives containers of their own, so that no reader meets a shared one.
    try:
        text = json.dumps(result, allow_nan=False)
    except ValueError:
        raise ResultError(f"{path}: not written, a number in it is not finite") from None
    keep: dict[str, str] = {}
    plain = json.loads(text, object_pairs_hook=lambda pairs: {keep.setdefault(k, k): v for k, v in pairs})
    raw = pickle.dumps(_same_texts(plain, keep), protocol=4)
    check_result(parse_plain_pickle(raw, str(path)), str(path))
    with atomic_write(path) as file:
        file.write(raw)


def _same_texts(value: Any, keep: dict[str, str]) -> Any:
    """`value` with equal texts made one object, which a pickle then stores once."""
    if isinstance(value, dict):
        return {key: _same_texts(item, keep) for key, item in value.items()}
    if isinstance(value, list):
        return [_same_texts(item, keep) for item in value]
    return keep.setdefault(value, value) if isinstance(value, str) else value


def read_result(path: Path) -> dict[str, Any]:
    """Read and check one result. Raises ResultError, one line, on anything that is not one."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_RESULT_BYTES + 1)
    except OSError as error:
        raise ResultError(f"{path}: cannot be read ({error.strerror})") from None
    if len(raw) > MAX_RESULT_BYTES:
        raise ResultError(f"{path}: larger than {MAX_RESULT_BYTES} bytes")
    result: dict[str, Any] = parse_plain_pickle(raw, str(path))
    if isinstance(result, dict) and result.get("format") == 1:
        result = _lifted(result, str(path))
    check_result(result, str(path))
    return result


def rename_result(cache: Path, old: str, new: str) -> bool:
    """Give a result, its model and its card another name, inside too; whether there is one. `new` must be free.

    One that cannot be read gets it outside only. Raises OSError.
    """
    source, target = result_path(cache, old), result_path(cache, new)
    if not source.exists():
        return False
    try:
        result = read_result(source)
    except ResultError:
        source.rename(target)
    else:
        result["name"] = new
        if result.get("model"):
            result["model"]["file"] = target.with_suffix(".safetensors").name
        write_result(target, result)
    if (model := source.with_suffix(".safetensors")).exists():
        model.rename(target.with_suffix(".safetensors"))
    if (card := source.with_suffix(".md")).exists():
        with atomic_write(target.with_suffix(".md")) as file:
            file.write(card.read_bytes().replace(old.encode(), new.encode()))
        card.unlink()
    source.unlink(missing_ok=True)
    return True


def _lifted(result: dict[str, Any], where: str) -> dict[str, Any]:
    from utils.photos.format1 import lift

    if _depth(result) > MAX_DEPTH:
        raise ResultError(f"{where}: nesting: expected at most {MAX_DEPTH} levels")
    try:
        return lift(result, UNITS)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ResultError(
            f"{where}: not a whole result of format 1 ({type(error).__name__}: {error})"
        ) from None


def values(repeat: Mapping[str, Any], name: str) -> list[float]:
    """The values of a repeat's series, one a round; empty where it has no such series."""
    found: list[float] = next((one["values"] for one in repeat["series"] if one["name"] == name), [])
    return found


def append(
    record: dict[str, Any], name: str, value: float, unit: str | None = None, better: str = "none"
) -> None:
    """Add a round's value to a series of a record. Of one in UNITS `better` is known, and `unit` where it is None.

    Raises ResultError where no result could hold the value.
    """
    if not math.isfinite(value) or abs(value) > MAX_NUMBER:
        raise ResultError(f"the series {name} came to {value}, which no result can hold")
    usual, better = UNITS.get(name, ("", better))
    unit = "" if name == "r2" else usual if unit is None else unit
    if fault := _series_fault(name, unit, better):
        raise ResultError(f"the series {str(name)[:60]!r}: expected {fault}")
    for one in record["series"]:
        if one["name"] == name:
            one["values"].append(value)
            return
    record["series"].append({"name": name, "unit": unit, "better": better, "values": [value]})


def standing(record: Mapping[str, Any]) -> str:
    """Where a repeat stands after its latest round, in words: accuracy and loss, or RMSE and R²."""
    lines = {name: values(record, name) for name in ("accuracy", "loss", "rmse", "r2")}
    return ", ".join(f"{name} {line[-1]:.3f}" for name, line in lines.items() if line)


def total(repeat: Mapping[str, Any], *names: str) -> float:
    """The sum over rounds of one or several series."""
    return sum(sum(values(repeat, name)) for name in names)


_MARK = object()
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_SCALARS = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
}  # fmt: skip


def parse_plain_pickle(raw: bytes, where: str) -> Any:
    """The plain value pickled in `raw` (protocol 2 to 5). Raises ResultError naming `where`."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    marks: list[int] = []
    try:
        for count, (opcode, found, _) in enumerate(pickletools.genops(io.BytesIO(raw))):
            argument: Any = found
            if count > MAX_OPCODES:
                raise ResultError(f"{where}: refused, more than {MAX_OPCODES} values")
            name = opcode.name
            if name in _SCALARS:
                if isinstance(argument, float) and not math.isfinite(argument):
                    raise ResultError(f"{where}: refused, it holds {argument}")
                if isinstance(argument, int) and argument.bit_length() > 64:
                    raise ResultError(f"{where}: refused, it holds an integer beyond 64 bits")
                if isinstance(argument, float) and abs(argument) > MAX_NUMBER:
                    raise ResultError(f"{where}: refused, it holds a number beyond {MAX_NUMBER:g}")
                stack.append(argument)
            elif name in _CONSTANTS:
                stack.append(_CONSTANTS[name])
            elif name == "EMPTY_DICT":
                stack.append({})
            elif name == "EMPTY_LIST":
                stack.append([])
            elif name == "MARK":
                marks.append(len(stack))
                stack.append(_MARK)
            elif name in ("APPEND", "APPENDS"):
                items = _popped(stack, marks, name == "APPENDS", 1)
                _top(stack, list).extend(items)
            elif name in ("SETITEM", "SETITEMS"):
                items = _popped(stack, marks, name == "SETITEMS", 2)
                target = _top(stack, dict)
                for key, value in zip(items[::2], items[1::2], strict=True):
                    if not isinstance(key, str):
                        raise ResultError(f"{where}: refused, a key is not a text")
                    target[key] = value
            elif name == "MEMOIZE":
                memo[len(memo)] = stack[-1]
            elif name in ("BINPUT", "LONG_BINPUT"):
                memo[argument] = stack[-1]
            elif name in ("BINGET", "LONG_BINGET"):
                if isinstance(memo[argument], dict | list):
                    raise ResultError(f"{where}: refused, a container is shared or holds itself")
                stack.append(memo[argument])
            elif name == "STOP":
                if len(stack) != 1 or marks:
                    raise ResultError(f"{where}: not a whole pickle")
                return stack[0]
            elif name not in ("PROTO", "FRAME"):
                raise ResultError(f"{where}: refused, pickle opcode {name} does not build plain data")
    except ResultError:
        raise
    except Exception as error:  # whatever a broken byte stream provokes in genops
        raise ResultError(f"{where}: not a readable pickle ({type(error).__name__})") from None
    raise ResultError(f"{where}: not a whole pickle")


def _popped(stack: list[Any], marks: list[int], many: bool, single: int) -> list[Any]:
    start = marks.pop() if many else len(stack) - single
    items = stack[start + 1 if many else start :]
    if start < 0 or len(items) < (0 if many else single) or any(item is _MARK for item in items):
        raise ValueError("stack")
    del stack[start:]
    return items


def _top(stack: list[Any], kind: type) -> Any:
    if not isinstance(stack[-1], kind):
        raise ValueError("stack")
    return stack[-1]


MAX_ANSWERS = 10_000_000
MAX_CLASSES, MAX_SERIES, MAX_POINTS = 10_000, 200, 2_000_000
MAX_SUMS = 20_000_000  # numbers that evidence takes: classes x seeds x rotations x scenes
_NEEDED = ("seconds", "bytes_up", "bytes_down", "steps", "examples")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./ -]{0,60}")
_FIGURES = {True: ("accuracy", "balanced_accuracy", "loss"), False: ("rmse", "mae", "r2")}
_DEGREE = {True: ("jensen_shannon", "gini"), False: ("wasserstein", "gini")}
_SCORED = {True: ("accuracy", "loss"), False: ("rmse", "r2")}
"""What a result of classes (True) has, and one of numbers: figures of its model, degrees, series."""


def check_result(result: Any, where: str) -> None:
    """Check that `result` has the schema of a result. Raises ResultError naming `where` and the place."""

    def need(good: bool, place: str, expected: str) -> None:
        if not good:
            raise ResultError(f"{where}: {place}: expected {expected}")

    need(_depth(result) <= MAX_DEPTH, "nesting", f"at most {MAX_DEPTH} levels")
    need(isinstance(result, dict), "top level", "a dict")
    need(result.get("format") == FORMAT, "format", str(FORMAT))
    for key in ("conf", "versions", "data", "degree"):
        need(isinstance(result.get(key), dict), key, "a dict")
    classes = result.get("classes")
    degree = _DEGREE[classes is not None]
    need(_is_degree(result["degree"], degree), "degree", f"numbers {', '.join(degree)}")
    if classes is not None:
        need(
            isinstance(classes, list)
            and 2 <= len(classes) <= MAX_CLASSES
            and all(isinstance(one, str) for one in classes)
            and len(set(classes)) == len(classes),
            "classes",
            "a list of at least two different names",
        )
        for key in ("acc", "loss"):
            need(_numbers(result.get(key)), key, "a list of numbers")
        need(_fractions(result["acc"]), "acc", "fractions from 0 to 1")
        need(len(result["acc"]) == len(result["loss"]) > 0, "acc", "as many values as loss, at least one")
    else:
        unit = result.get("unit")
        need(isinstance(unit, str) and len(unit) <= 40, "unit", "a text of at most 40 letters, or classes")
    need(
        _has_numbers(result["conf"], ("no_models", "k", "global_epochs")),
        "conf",
        "numbers no_models, k, global_epochs",
    )
    layers = result.get("layers")
    need(
        isinstance(layers, list)
        and all(isinstance(one, list) and len(one) == 2 and isinstance(one[0], str) for one in layers)
        and all(isinstance(one[1], list) and all(map(_is_int, one[1])) for one in layers),
        "layers",
        "a list of names and shapes",
    )
    need(all(isinstance(one, str) for one in result["versions"].values()), "versions", "texts")
    if (model := result.get("model")) is not None:
        need(
            isinstance(model, dict)
            and isinstance(model.get("file"), str)
            and _is_int(model.get("bytes"))
            and re.fullmatch("[0-9a-f]{64}", str(model.get("sha256"))) is not None,
            "model",
            "file, bytes and SHA-256",
        )
        for part in ("test", "val"):
            wanted = ("examples", *_FIGURES[classes is not None])
            figures = model.get(part, dict.fromkeys(wanted, 0))
            need(_has_numbers(figures, wanted), f"model.{part}", "its figures")
        need(_is_int(result.get("parameters")), "parameters", "a whole number")
    repeats = result.get("repeats")
    need(isinstance(repeats, list) and len(repeats) > 0, "repeats", "a list with at least one entry")
    assert isinstance(repeats, list)
    known: set[tuple[int, int, int]] = set()
    judged: dict[tuple[int, int], set[str]] = {}
    scenes: set[str] = set()
    rounds_in_all = len(result["acc"]) if classes is not None else int(result["conf"]["global_epochs"])
    for index, repeat in enumerate(repeats):
        place = f"repeats[{index}]"
        need(isinstance(repeat, dict), place, "a dict")
        for key in ("fold", "seed", "rotation"):
            need(_is_int(repeat.get(key)) and repeat[key] >= 0, f"{place}.{key}", "a whole number from 0")
        key_ = (repeat["fold"], repeat["seed"], repeat["rotation"])
        need(key_ not in known, place, "a fold, seed and rotation that no other repeat has")
        known.add(key_)
        _check_series(repeat, place, rounds_in_all, classes, need)
        counted = len(classes) if classes is not None else 0
        for key, good, expected in (
            (
                "clients",
                lambda one, n=counted: _is_client(one, n),
                "dicts of owners, examples, counts, rounds, seconds, failures, accuracy",
            ),
            ("owners", lambda one, n=counted: _is_counted(one, n), "dicts of examples and counts"),
            ("failures", _is_failure, "lists of round, client and reason"),
        ):
            entries = repeat.get(key)
            need(
                isinstance(entries, list) and all(map(good, entries)),
                f"{place}.{key}",
                f"a list of {expected}",
            )
        need(
            len(repeat["clients"]) > 0 < len(repeat["owners"]),
            f"{place}.clients",
            "at least one, and an owner",
        )
        need(_is_degree(repeat.get("degree"), degree), f"{place}.degree", f"numbers {', '.join(degree)}")
        _check_test(repeat, place, classes, need)
        if "figures" in repeat:
            once = repeat["figures"]
            all_good = isinstance(once, list) and all(map(_is_figure, once))
            need(all_good, f"{place}.figures", "a list of names, units, directions and values")
        if "graph" in repeat:
            need(
                _is_graph(repeat["graph"], len(repeat["clients"])), f"{place}.graph", "edges between clients"
            )
        if "updates" in repeat:
            need(_is_table(repeat["updates"]), f"{place}.updates", "packed columns of one length")
        if "worth" in repeat:
            need(_is_table(repeat["worth"], WORTH), f"{place}.worth", "packed columns of one length")
        of_seed = judged.setdefault((repeat["seed"], repeat["rotation"]), set())
        need(
            of_seed.isdisjoint(repeat["test"]["id"]),
            f"{place}.test.id",
            "every example once a seed and rotation",
        )
        of_seed.update(repeat["test"]["id"])
        scenes.update(repeat["test"]["scene"])
    seeds, rotations = ({one[place] for one in known} for place in (1, 2))
    every = next(iter(judged.values()))
    need(
        len(judged) == len(seeds) * len(rotations) and all(one == every for one in judged.values()),
        "repeats",
        "the same examples judged with every seed and rotation",
    )
    answers = len(judged) * len(every)
    need(answers <= MAX_ANSWERS, "repeats", f"at most {MAX_ANSWERS} seeds x rotations x examples")
    numbers = len(classes or ("", "")) * len(judged) * min(len(scenes), 5000)
    need(numbers <= MAX_SUMS, "repeats", f"at most {MAX_SUMS} classes x seeds x rotations x scenes")


def _series_fault(name: Any, unit: Any, better: Any) -> str:
    """What is wrong with what a series says of itself; empty where nothing is."""
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        return "a name of letters, digits, _ . / - and spaces"
    if not (isinstance(unit, str) and len(unit) <= 40):
        return "a unit in at most 40 letters"
    return "" if better in BETTER else f"better to be one of {', '.join(BETTER)}"


Need = Callable[[bool, str, str], None]


def _check_series(repeat: dict[str, Any], place: str, rounds_in_all: int, classes: Any, need: Need) -> None:
    found = repeat.get("series")
    need(isinstance(found, list) and 0 < len(found) <= MAX_SERIES, f"{place}.series", "a list of series")
    assert isinstance(found, list)
    lengths: dict[str, int] = {}
    for number, one in enumerate(found):
        where = f"{place}.series[{number}]"
        need(isinstance(one, dict) and isinstance(one.get("name"), str), where, "a dict with a name")
        name = one["name"]
        fault = _series_fault(name, one.get("unit"), one.get("better"))
        need(not fault, where, fault)
        need(name not in lengths, f"{where}.name", "a name of its own")
        where = f"{place}.series {name}"
        need(_numbers(one.get("values")), f"{where}.values", "a list of numbers")
        lengths[name] = len(one["values"])
    needed = (*_NEEDED, *_SCORED[classes is not None])
    need(set(needed) <= set(lengths), f"{place}.series", f"{', '.join(needed)} among them")
    rounds = lengths["seconds"]
    need(0 < rounds <= rounds_in_all, f"{place}.series", "one value a round")
    most = MAX_POINTS
    need(len(found) * rounds_in_all <= most, f"{place}.series", f"at most {most} values in all")
    for name, length in lengths.items():
        need(
            length == rounds or (length == 0 and name not in needed),
            f"{place}.series {name}",
            f"{rounds} values",
        )
    if classes is not None:
        need(_fractions(values(repeat, "accuracy")), f"{place}.series accuracy", "fractions from 0 to 1")


def _check_test(repeat: dict[str, Any], place: str, classes: Any, need: Need) -> None:
    test = repeat.get("test")
    need(isinstance(test, dict), f"{place}.test", "a dict")
    assert isinstance(test, dict)
    ids = test.get("id")
    need(isinstance(ids, list) and len(ids) > 0, f"{place}.test.id", "a list with at least one entry")
    assert isinstance(ids, list)

    def column(name: str, good: bool, expected: str) -> None:
        need(good, f"{place}.test.{name}", expected)

    for name in ("id", "scene", "source", "truth", "said"):
        column(name, isinstance(test.get(name), list), "a list")
        column(name, len(test[name]) == len(ids), "one value an example")
    for name in ("id", "scene", "source"):
        column(name, all(isinstance(item, str) for item in test[name]), "texts")
    column("id", len(set(ids)) == len(ids), "every example once")
    if classes is None:
        for name in ("truth", "said"):
            column(name, _numbers(test[name]), "numbers")
        return
    for name in ("truth", "said"):
        good = all(_is_int(item) and 0 <= item < len(classes) for item in test[name])
        column(name, good, f"class numbers from 0 to {len(classes) - 1}")
    if "own" in test:
        good = isinstance(test["own"], list) and len(test["own"]) == len(ids)
        column(
            "own",
            good and all(_is_int(one) and 0 <= one < len(classes) for one in test["own"]),
            "class numbers",
        )
    for name in ("probability", "probability_of_truth"):
        column(name, _numbers(test.get(name)) and len(test[name]) == len(ids), "one number an example")
        column(name, _fractions(test[name]), "fractions")
    confusion = repeat.get("confusion")
    need(
        isinstance(confusion, list)
        and len(confusion) == len(classes)
        and all(
            isinstance(row, list) and len(row) == len(classes) and all(map(_is_int, row)) for row in confusion
        ),
        f"{place}.confusion",
        "a row of whole numbers a class",
    )


def _has_numbers(value: Any, keys: tuple[str, ...]) -> bool:
    return isinstance(value, dict) and _numbers([value.get(key) for key in keys])


def _is_degree(value: Any, keys: Sequence[str]) -> bool:
    """Numbers, but for what takes something that an owner withholds."""
    return isinstance(value, dict) and all(
        key in value and (value[key] is None or _numbers([value[key]])) for key in keys
    )


def _is_counted(value: Any, classes: int) -> bool:
    return (
        _has_numbers(value, ("examples",))
        and "counts" in value
        and ((counts := value["counts"]) is None or (_numbers(counts) and len(counts) == classes))
        and isinstance(value.get("sources", {}), dict)
        and _is_columns(value.get("columns", []))
    )


def _is_columns(value: Any) -> bool:
    """Positions of columns, each once."""
    return (
        isinstance(value, list)
        and all(_is_int(one) and one >= 0 for one in value)
        and len(set(value)) == len(value)
    )


def _is_client(value: Any, classes: int) -> bool:
    return (
        _is_counted(value, classes)
        and _has_numbers(value, ("rounds", "seconds", "failures"))
        and isinstance(owners := value.get("owners"), list)
        and all(isinstance(owner, str) for owner in owners)
        and ((accuracy := value.get("accuracy")) is None or (_numbers([accuracy]) and 0 <= accuracy <= 1))
        and ((rmse := value.get("rmse")) is None or (_numbers([rmse]) and rmse >= 0))
        and ("worth" not in value or _is_worth(value["worth"]))
    )


def _is_worth(value: Any) -> bool:
    return (
        _has_numbers(value, ("shapley", "error", "leave_one_out", "rounds", "skipped"))
        and value["error"] >= 0
        and re.fullmatch(r"|free rider|duplicate [0-9]{1,6}", str(value.get("flag"))) is not None
    )


def _is_failure(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(map(_is_int, value[:2]))
        and isinstance(value[2], str)
    )


def _is_figure(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and not _series_fault(value.get("name"), value.get("unit"), value.get("better"))
        and _numbers([value.get("value")])
    )


def _is_graph(value: Any, clients: int) -> bool:
    """Who is beside whom, each pair once, and what each of them reached where they have models of their own."""
    if not isinstance(value, dict) or not isinstance(value.get("edges"), list):
        return False
    edges, reached = value["edges"], value.get("accuracy")
    return (
        len(edges) <= MAX_POINTS
        and all(isinstance(edge, list) and len(edge) == 2 and all(map(_is_int, edge)) for edge in edges)
        and all(0 <= edge[0] < edge[1] < clients for edge in edges)
        and len({tuple(edge) for edge in edges}) == len(edges)
        and (reached is None or (_numbers(reached) and _fractions(reached) and len(reached) == clients))
    )


def _is_table(value: Any, kinds: Mapping[str, str] = UPDATES) -> bool:
    try:
        return bool(table_of(value, kinds))
    except (TypeError, ValueError):
        return False


def _depth(value: Any) -> int:
    """Nesting depth, without recursion; values come from the parser, so they form a tree."""
    depth, level = 0, [value]
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            break
        level = [
            item
            for container in level
            if isinstance(container, dict | list)
            for item in (container.values() if isinstance(container, dict) else container)
            if isinstance(item, dict | list)
        ]
    return depth


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _numbers(values: Any) -> bool:
    return isinstance(values, list) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in values
    )


def _fractions(values: list[Any]) -> bool:
    return all(0 <= value <= 1 for value in values)
