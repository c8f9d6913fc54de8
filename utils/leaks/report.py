"""Reports on what runs give away: `cache/leaks/NAME.json.pkl`, a plain pickle, read and written as results are."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from utils.files import atomic_write
from utils.packing import unpacked
from utils.results import ResultError, is_result_name, parse_plain_pickle, result_path

MAX_BYTES = 8 * 1024 * 1024
MAX_ROWS, MAX_UPDATES = 40, 1000
_NUMBERS = ("guess", "distance", "seconds")
_WHOLE = ("updates", "examples", "passes", "iterations", "parameters", "exact")


def leaks_path(cache: Path, name: str) -> Path:
    """Where the report on the run `name` lies. Raises ResultError on a bad name."""
    return result_path(cache / "leaks", name)


def write_leaks(path: Path, report: Mapping[str, Any]) -> None:
    """Write a report atomically, after reading it as others will. Raises ResultError."""
    try:
        plain = json.loads(json.dumps(report, allow_nan=False))
    except ValueError:
        raise ResultError(f"{path}: not written, a number in it is not finite") from None
    raw = pickle.dumps(plain, protocol=4)
    _checked(raw, str(path))
    with atomic_write(path) as file:
        file.write(raw)


def read_leaks(path: Path) -> dict[str, Any]:
    """Read and check a report. Raises ResultError, one line, on anything that is not one."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ResultError(f"{path}: cannot be read ({error.strerror})") from None
    return _checked(raw, str(path))


def pictures_of(row: Mapping[str, Any]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """The original pictures of a row and those that were found (b, c, h, w); None where it keeps none."""
    kept = row.get("pictures")
    if kept is None:
        return None
    shape = kept["shape"]
    original, found = (unpacked(kept[key], np.uint8).reshape(shape) for key in ("original", "found"))
    return original, found


def _checked(raw: bytes, where: str) -> dict[str, Any]:
    def need(good: bool, place: str, expected: str) -> None:
        if not good:
            raise ResultError(f"{where}: {place}: expected {expected}")

    need(len(raw) <= MAX_BYTES, "file", f"at most {MAX_BYTES} bytes")
    told = parse_plain_pickle(raw, where)
    need(isinstance(told, dict), "top level", "a dict")
    need(told.get("format") == 1 and told.get("kind") == "leaks", "kind", "leaks of format 1")
    for key in ("run", "trained", "caveat", "fingerprint", "finished"):
        need(_is_text(told.get(key)), key, "a text")
    need(is_result_name(told["run"]), "run", "NAME or NAME@N")
    need(_is_whole(told.get("seed")) and _is_number(told.get("seconds")), "seed", "numbers seed and seconds")
    rows = told.get("rows")
    need(isinstance(rows, list) and 0 < len(rows) <= MAX_ROWS, "rows", f"a list of 1 to {MAX_ROWS}")
    for number, row in enumerate(rows):
        _check_row(row, f"rows[{number}]", need)
    if told.get("membership") is not None:
        _check_membership(told["membership"], need)
    return dict(told)


def _check_row(row: Any, place: str, need: Any) -> None:
    need(isinstance(row, dict), place, "a dict")
    for key in ("network", "protection", "failed"):
        need(_is_text(row.get(key)), f"{place}.{key}", "a text")
    label = row.get("label")
    good = isinstance(label, list) and len(label) == 2 and all(map(_is_text, label))
    need(good, f"{place}.label", "texts in English and Chinese")
    need(isinstance(row.get("changes"), dict), f"{place}.changes", "a dict")
    if row["failed"]:
        return
    for key in _WHOLE:
        need(_is_whole(row.get(key)), f"{place}.{key}", "a whole number from 0")
    for key in _NUMBERS:
        need(_is_number(row.get(key)), f"{place}.{key}", "a number")
    for key in ("psnr", "error"):
        values = row.get(key)
        good = isinstance(values, list) and len(values) <= MAX_UPDATES and all(map(_is_number, values))
        need(good, f"{place}.{key}", "a list of numbers")
    need(bool(row["psnr"]) != bool(row["error"]), f"{place}.psnr", "PSNR, or error")
    label_told = row.get("label_told")
    need(
        label_told is None or (_is_number(label_told) and 0 <= label_told <= 1),
        f"{place}.label_told",
        "a fraction",
    )
    if row.get("pictures") is not None:
        _check_pictures(row["pictures"], f"{place}.pictures", need)


def _check_pictures(kept: Any, place: str, need: Any) -> None:
    need(isinstance(kept, dict), place, "a dict")
    shape = kept.get("shape")
    good = (
        isinstance(shape, list)
        and len(shape) == 4
        and all(_is_whole(one) and 0 < one <= 512 for one in shape)
    )
    need(good and shape[1] in (1, 3), f"{place}.shape", "pictures, channels (1 or 3), height, width")
    for key in ("original", "found"):
        try:
            count = len(unpacked(kept.get(key), np.uint8))
        except ValueError as error:
            need(False, f"{place}.{key}", str(error))
        need(count == math.prod(shape), f"{place}.{key}", f"{math.prod(shape)} bytes")


def _check_membership(told: Any, need: Any) -> None:
    need(isinstance(told, dict), "membership", "a dict")
    for key in ("members", "others", "member_scenes", "other_scenes"):
        need(_is_whole(told.get(key)), f"membership.{key}", "a whole number from 0")
    for key in ("auc", "tpr"):
        one = told.get(key)
        good = isinstance(one, dict) and all(
            _is_number(one.get(end)) and 0 <= one[end] <= 1 for end in ("value", "low", "high")
        )
        need(good, f"membership.{key}", "a fraction with the ends of its interval")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 1000


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
