"""Boston's house prices as they go about: read with or without a header, laid into `data/` without column B.

Harrison and Rubinfeld (1978), doi 10.1016/0095-0696(78)90006-2. B is made from the share of Black people among a town's
inhabitants; nothing here reads, keeps or learns from it.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from utils.data.examples import DataError
from utils.files import Files, atomic_write

FILE = "houses.csv"
COLUMNS = (
    "crim", "zn", "indus", "chas", "nox", "rm", "age", "dis", "rad", "tax", "ptratio", "b", "lstat", "medv",
)  # fmt: skip
KEPT = tuple(name for name in COLUMNS if name != "b")
COUNTED = "without column B, which is made from race, and without rows that have a gap"
_GAPS = ("", "na", "nan", "?")


def table(raw: bytes, where: str) -> NDArray[np.float64]:
    """Rows without a gap, in the order of KEPT, the price (thousands of dollars) last.

    `raw` is a CSV file whose header names the columns, or rows of 14 numbers, which one may be broken over two lines as
    in StatLib's copy; what stands before is passed over. Raises DataError, one line.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{where}: not a text file in UTF-8") from None
    try:
        lines = [_cells(line) for line in text.splitlines()]
    except csv.Error as error:
        raise DataError(f"{where}: not a table ({error})") from None
    names = [[cell.casefold() for cell in cells] for cells in lines]
    header = next((number for number, cells in enumerate(names) if {"medv", "lstat"} <= set(cells)), None)
    if header is None:
        rows = _plain(lines, where)
        places = [COLUMNS.index(name) for name in KEPT]
    else:
        if missing := [name for name in KEPT if name not in names[header]]:
            raise DataError(f"{where}: no column {', '.join(missing)}")
        width = len(names[header])
        rows = list(enumerate(lines[header + 1 :], header + 2))
        rows = [(number, cells) for number, cells in rows if cells]
        for number, cells in rows:
            if len(cells) != width:
                raise DataError(f"{where}: line {number} has {len(cells)} columns, expected {width}")
        places = [names[header].index(name) for name in KEPT]
    found = [
        [float(cells[place]) for place in places]
        for number, cells in rows
        if not any(_is_gap(cells[place], number, where) for place in places)
    ]
    if not found:
        raise DataError(f"{where}: no row of 14 numbers, nor a header with medv and lstat")
    return np.array(found)


def _cells(line: str) -> list[str]:
    """The cells of a line, parted by commas or else by spaces; none of an empty one."""
    cells = next(csv.reader(io.StringIO(line)), []) if "," in line else line.split()
    cells = [cell.strip().strip('"') for cell in cells]
    return cells if any(cells) else []


def _plain(lines: list[list[str]], where: str) -> list[tuple[int, list[str]]]:
    """Rows of 14 cells from lines of 14, or of 11 and 3 in turn, each with the number of its last line."""
    begin = next(
        (n for n, cells in enumerate(lines) if len(cells) in (11, 14) and _is_number(cells[0])), len(lines)
    )
    rows: list[tuple[int, list[str]]] = []
    open_row: list[str] = []
    for number, cells in enumerate(lines[begin:], begin + 1):
        if not cells:
            continue
        open_row = open_row + cells
        if len(open_row) == 14:
            rows.append((number, open_row))
            open_row = []
        elif len(open_row) != 11:
            raise DataError(f"{where}: line {number} makes a row of {len(open_row)} numbers, expected 14")
    if open_row:
        raise DataError(f"{where}: the last row has {len(open_row)} numbers, expected 14")
    return rows


def _is_number(cell: str) -> bool:
    try:
        return bool(abs(float(cell)) < 1e30)  # float32 has no larger squares
    except ValueError:
        return False


def _is_gap(cell: str, number: int, where: str) -> bool:
    """Whether a cell is a gap. Raises DataError where it is no number either."""
    if cell.casefold() in _GAPS:
        return True
    if not _is_number(cell):
        raise DataError(f"{where}: line {number} has {cell[:40]!r} for a number")
    return False


def gather(files: Files, folder: Path, where: str) -> dict[str, int]:
    """Lay the one table among `files` into `folder`, without rows that have a gap; how many are left. Raises DataError,
    one line, before anything is written.
    """
    tables = {path: read for path, read in files if path.suffix.casefold() in (".csv", ".txt", ".data", "")}
    if len(tables) != 1:
        raise DataError(f"{where}: {len(tables)} tables in it, expected one (.csv, .txt or .data)")
    path, read = tables.popitem()
    rows = table(read(), where if PurePosixPath(where).name == path.name else f"{where}: {path}")
    folder.mkdir(parents=True, exist_ok=True)
    lines = [",".join(KEPT), *(",".join(f"{value:.17g}" for value in row) for row in rows)]
    with atomic_write(folder / FILE) as file:
        file.write(("\n".join(lines) + "\n").encode())
    return {"districts": len(rows)}
