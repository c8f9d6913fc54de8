"""The four tables of the UCI heart disease data: found among files, read with all their faults, laid into `data/`.

Janosi, Steinbrunn, Pfisterer and Detrano (1989), doi 10.24432/C52P4X, CC BY 4.0.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from utils.data.examples import DataError
from utils.files import Files, atomic_write

HOSPITALS = ("cleveland", "hungarian", "switzerland", "va")
COLUMNS = (
    "age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "oldpeak", "slope", "ca", "thal",
    "num",
)  # fmt: skip
KEPT = COLUMNS[:10]
CODES = {"cp": (1, 2, 3, 4), "restecg": (0, 1, 2)}
FEATURES = tuple(
    name if code is None else f"{name}={code}" for name in KEPT for code in CODES.get(name, (None,))
)
URL = "https://archive.ics.uci.edu/static/public/45/heart+disease.zip"
"""Unverified: it follows the form of the repository's other data sets and could not be tried where this was written."""
PAGE = "https://archive.ics.uci.edu/dataset/45/heart+disease"
MAX_DOWNLOAD = 50_000_000
FETCHED = "heart.zip"
COUNTED = "patients without a gap"


def table(raw: bytes, where: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features (n, 15) in the order of FEATURES and targets (n,), 1 = sick, of a hospital's file.

    As FLamby prepares them (Ogier du Terrail et al. 2022): without slope, ca and thal, without rows that have a gap (an
    empty cell, `?` or -9), chest pain and ECG as one column a code. Raises DataError, one line, with file and line.
    """
    try:
        lines = list(csv.reader(io.StringIO(raw.decode("utf-8"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{where}: not a CSV file ({type(error).__name__})") from None
    rows, sick = [], []
    for number, cells in enumerate(lines, 1):
        if not cells or (number == 1 and cells[0].strip() == COLUMNS[0]):
            continue
        if len(cells) != len(COLUMNS):
            raise DataError(f"{where}: line {number} has {len(cells)} columns, expected {len(COLUMNS)}")
        said = {name: cell.strip() for name, cell in zip(COLUMNS, cells, strict=True)}
        try:
            found = {name: None if said[name] in ("", "?") else float(said[name]) for name in (*KEPT, "num")}
        except ValueError:
            raise DataError(f"{where}: line {number} has a cell that is no number") from None
        if any(value is None or value == -9 or not np.isfinite(value) for value in found.values()):
            continue
        row: list[float | None] = []
        for name in KEPT:
            value = found[name]
            if name in CODES and value not in CODES[name]:
                raise DataError(f"{where}: line {number} has {name} {value:g}, expected one of {CODES[name]}")
            row += [float(value == code) for code in CODES[name]] if name in CODES else [value]
        rows.append(row)
        sick.append(found["num"] != 0)
    if not rows:
        raise DataError(f"{where}: no row without a gap")
    return np.array(rows, dtype=np.float32), np.array(sick, dtype=np.int64)


def gather(files: Files, folder: Path, where: str) -> dict[str, int]:
    """Lay the four tables among `files` into `folder`, unchanged; how many rows of each can be used.

    A table is a file whose name holds a hospital's, of the kinds `cleveland.csv` and `processed.cleveland.data`. Raises
    DataError, one line, before anything is written, where one is missing or none of these tables.
    """
    found: dict[str, bytes] = {}
    for path, read in files:
        name = path.name.casefold()
        for hospital in HOSPITALS:
            if name in (f"{hospital}.csv", f"processed.{hospital}.data"):
                found[hospital] = read()
    if missing := [hospital for hospital in HOSPITALS if hospital not in found]:
        raise DataError(
            f"{where}: no table of {', '.join(missing)} in it (cleveland.csv or processed.cleveland.data)"
        )
    counts = {hospital: len(table(found[hospital], f"{where}: {hospital}")[1]) for hospital in HOSPITALS}
    folder.mkdir(parents=True, exist_ok=True)
    for hospital, raw in found.items():
        with atomic_write(folder / f"{hospital}.csv") as file:
            file.write(raw)
    return counts
