"""The table of ClaMP: numbers out of the headers of Windows programs, read with its faults, laid into `data/`.

Header fields of 5,184 files, numbers only; no program is a part of it. github.com/urwithajit9/ClaMP says that its
scripts may be used freely, and nothing of the table: it is fetched or given by the user, and not handed on.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from utils.data.examples import DataError
from utils.files import Files, atomic_write

DOS = (
    "e_cblp", "e_cp", "e_cparhdr", "e_minalloc", "e_maxalloc", "e_ss", "e_sp", "e_csum", "e_ip", "e_cs", "e_lfarlc",
    "e_ovno", "e_oemid", "e_oeminfo", "e_lfanew",
)  # fmt: skip
SIZES = ("SizeOfCode", "SizeOfInitializedData", "SizeOfUninitializedData", "SizeOfImage")
"""What differs between builds of a program that are otherwise alike."""
LAYOUT = (*SIZES, "AddressOfEntryPoint", "BaseOfData")
"""These, and where code and data then lie."""
FEATURES = (
    *DOS, "Machine", "NumberOfSections", "PointerToSymbolTable", "NumberOfSymbols", "Characteristics",
    "MajorLinkerVersion", "MinorLinkerVersion", "SizeOfCode", "SizeOfInitializedData", "SizeOfUninitializedData",
    "AddressOfEntryPoint", "BaseOfCode", "BaseOfData", "ImageBase", "SectionAlignment", "FileAlignment",
    "MajorOperatingSystemVersion", "MinorOperatingSystemVersion", "MajorImageVersion", "MinorImageVersion",
    "MajorSubsystemVersion", "MinorSubsystemVersion", "SizeOfImage", "SizeOfHeaders", "Subsystem",
    "DllCharacteristics", "SizeOfStackReserve", "SizeOfStackCommit", "SizeOfHeapReserve", "SizeOfHeapCommit",
    "LoaderFlags", "NumberOfRvaAndSizes",
)  # fmt: skip
"""What is judged by, in this order. The table's others are constant or empty (e_magic, e_crlc, e_res, e_res2, Magic,
SizeOfOptionalHeader) or say who built a file and not what it does (CreationYear, CheckSum)."""
NEEDED = ("Magic", "CreationYear", "class")
GUI = 2  # of Subsystem: a program with windows, or a library
LIBRARY = 0x2000  # among Characteristics: a library (DLL)
BANDS = ("undated", "to_2005", "2006_2008", "2009", "2010", "2011", "from_2012")
"""Owners by nature: when a program was built, as its header says. `undated`: a year before 1993 or after 2017, which
says nothing (Delphi wrote 1992 into whatever it built, others write 0)."""
_LAST = (1992, 2005, 2008, 2009, 2010, 2011, 2017)
_MOST = 2.0**64

FILE = "programs.csv"
FETCHED = "ClaMP_Raw-5184.csv"
URL = "https://raw.githubusercontent.com/urwithajit9/ClaMP/master/dataset/ClaMP_Raw-5184.csv"
"""Unverified: it could not be tried where this was written."""
PAGE = "https://github.com/urwithajit9/ClaMP"
MAX_DOWNLOAD = 20_000_000
COUNTED = "programs, numbers of their headers only"


@dataclass(frozen=True)
class Programs:
    """Headers of n programs, in the order of their table: `inputs` (n, 47) in the order of FEATURES, float32; `targets`
    (n,), 1 = malware; `bands` (n,) when each was built, a name of BANDS. `failed` further rows were no headers.
    """

    inputs: NDArray[np.float32]
    targets: NDArray[np.int64]
    bands: NDArray[np.str_]
    failed: int

    def alike(self, without: tuple[str, ...]) -> list[bytes]:
        """Of each program what its copies share when these features are left out of account."""
        kept = [number for number, name in enumerate(FEATURES) if name not in without]
        return [row.tobytes() for row in np.ascontiguousarray(self.inputs[:, kept])]


def band(year: float) -> str:
    """The band of BANDS that a year falls to."""
    return BANDS[int(np.searchsorted(_LAST, year))] if year <= _LAST[-1] else "undated"


def table(raw: bytes, where: str) -> Programs:
    """The programs of the file `raw`. Rows with Magic 0 are failed extractions of 64-bit files, all of them called
    benign, and left out. Raises DataError, one line, with file and line.
    """
    try:
        lines = list(csv.reader(io.StringIO(raw.decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{where}: not a CSV file ({type(error).__name__})") from None
    names = [cell.strip() for cell in lines[0]] if lines else []
    if missing := [name for name in (*FEATURES, *NEEDED) if name not in names]:
        raise DataError(f"{where}: no column {', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}")
    places = [names.index(name) for name in (*FEATURES, *NEEDED)]
    rows = []
    for number, cells in enumerate(lines[1:], 2):
        if not cells:
            continue
        if len(cells) != len(names):
            raise DataError(f"{where}: line {number} has {len(cells)} columns, expected {len(names)}")
        try:
            row = [float(cells[place]) for place in places]
        except ValueError:
            raise DataError(f"{where}: line {number} has a cell that is no number") from None
        if not all(0 <= value <= _MOST for value in row):
            raise DataError(f"{where}: line {number} has a number that no header holds")
        if row[-1] not in (0, 1):
            raise DataError(f"{where}: line {number} has class {row[-1]:g}, expected 0 or 1")
        rows.append(row)
    found = np.array([row for row in rows if row[-3]])
    if not len(found):
        raise DataError(f"{where}: no row that is a header")
    bands = np.array([band(year) for year in found[:, -2]])
    inputs = found[:, : len(FEATURES)].astype(np.float32)
    return Programs(inputs, found[:, -1].astype(np.int64), bands, len(rows) - len(found))


def gather(files: Files, folder: Path, where: str) -> dict[str, int]:
    """Lay the one table among `files` into `folder`, unchanged; how many rows of which class can be used. Raises
    DataError, one line, before anything is written, where there is none or more than one.
    """
    found = {}
    for path, read in files:
        if path.suffix.casefold() == ".csv":
            head = (raw := read())[:4096].decode("utf-8", "replace").partition("\n")[0]
            if {"e_lfanew", "class"} <= {cell.strip() for cell in head.split(",")}:
                found[path] = raw
    if len(found) != 1:
        raise DataError(f"{where}: {len(found)} tables with columns e_lfanew and class in it, expected one")
    path, raw = found.popitem()
    programs = table(raw, where if Path(where).name == path.name else f"{where}: {path}")
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / FILE) as file:
        file.write(raw)
    malware = int(programs.targets.sum())
    return {
        "benign": len(programs.targets) - malware,
        "malware": malware,
        "left out as failed": programs.failed,
    }
