"""Examples of a call from what people have: folders of pictures, tables. Cleaned in one way, wherever it is done."""

from __future__ import annotations

import csv
import io
import math
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from utils.calls.format import Format, checked_format
from utils.photos import cleaning

MAX_ROWS = 1_000_000


@dataclass(frozen=True)
class Unused:
    """What could not be used, and why: a file's name or a row's number."""

    what: str
    why: str


def picture(raw: bytes, of: Format) -> NDArray[np.uint8]:
    """A picture as it is kept: upright, its centre square, made as large as the format says (channels, side, side).

    Of the same size it stays as it is, to the bit. All of it is decoded and resized once, in integers, because browsers
    do the same (static/vue/src/home/cleaning.ts) and nobody's example shall depend on where it was cleaned. Raises
    cleaning.Refused.
    """
    least = 1 if of.side < cleaning.MIN_SIDE else cleaning.MIN_SIDE
    image = cleaning.decode(raw, smallest=least)
    left, top = ((length - min(image.size)) // 2 for length in image.size)
    box = (left, top, left + min(image.size), top + min(image.size))
    square = image.crop(box)
    if square.width != of.side:
        square = square.resize((of.side, of.side), Image.Resampling.LANCZOS)
    if of.channels == 1:
        return np.asarray(square.convert("L"), np.uint8)[None]
    return np.ascontiguousarray(np.asarray(square, np.uint8).transpose(2, 0, 1))


def pictures(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file below `folder`, with the name of the folder it lies in: its label, or its number. Sorted."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            yield path, path.parent.name


def answer_of(text: str, of: Format) -> float:
    """An answer as it stands in a table or calls a folder: a label's number, or the number. Raises ValueError."""
    if of.number is None:
        return float(of.label_of(text))
    return _number(text, of.number.key, of.number.low, of.number.high)


def table(
    text: str, of: Format, columns: Mapping[str, str]
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[Unused]]:
    """Values (n, fields) and answers (n,) of a table with a header, comma, semicolon or tab between cells; and the rows
    that cannot be used. `columns` says which column a field (or the answer: its key, or `label`) stands in, where that
    has not its name. Raises ValueError, one line, where a column is missing.
    """
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff")), delimiter=delimiter(text))
    header = [cell.strip() for cell in next(rows, [])]
    answer = of.number.key if of.number else "label"
    places = {}
    for key in (*(field.key for field in of.fields), answer):
        called = columns.get(key, key)
        if header.count(called) != 1:
            many = "twice or more" if called in header else "nowhere"
            raise ValueError(
                f"column {called!r} for {key} stands {many} in the table ({', '.join(header)[:200]})"
            )
        places[key] = header.index(called)
    values: list[list[float]] = []
    answers: list[float] = []
    unused: list[Unused] = []
    for number, row in enumerate(rows, 2):
        if not any(cell.strip() for cell in row):
            continue
        if len(values) >= MAX_ROWS:
            raise ValueError(f"more than {MAX_ROWS} rows")
        try:
            if len(row) < len(header):
                raise ValueError(f"expected {len(header)} cells, found {len(row)}")
            found = [_number(row[places[one.key]], one.key, one.low, one.high) for one in of.fields]
            answers.append(answer_of(row[places[answer]], of))
            values.append(found)
        except ValueError as error:
            unused.append(Unused(f"row {number}", str(error)))
    return np.array(values, np.float64).reshape(-1, len(of.fields)), np.array(answers, np.float64), unused


def delimiter(text: str) -> str:
    """What stands between the cells of a table: comma, semicolon or tab, whichever its first line has most of."""
    first = text.lstrip("\ufeff").split("\n", 1)[0]
    return max(",;\t", key=first.count)


def _number(text: str, key: str, low: float, high: float) -> float:
    try:
        value = float(text.strip())
    except ValueError:
        raise ValueError(f"{key}: expected a number, found {text.strip()[:40]!r}") from None
    if not (math.isfinite(value) and low <= value <= high):
        raise ValueError(f"{key}: expected {low:g} to {high:g}, found {text.strip()[:40]}")
    return value


def each_once(rows: Iterable[bytes]) -> list[int]:
    """The places of what is there for the first time."""
    seen: set[bytes] = set()
    return [place for place, row in enumerate(rows) if row not in seen and not seen.add(row)]  # type: ignore[func-returns-value]


MOST_FILES, MOST_BYTES = 5_000, 25_000_000
COVER = (640, 320)


def apart(raw: bytes, what: str, of: dict[str, Any]) -> dict[str, Any]:
    """For `utils.apart`: what is in bytes of strangers. `what` is "example" (a picture: its `pixels`), "pack" (a zip of
    folders of pictures, or a table: `inputs` and `answers` as bytes, and `unused`), or "cover" (a `jpeg`). `why` where
    it is none.
    """
    try:
        if what == "cover":
            return {"jpeg": _cover(raw)}
        shape = checked_format(of)
        if what == "example":
            return {"pixels": picture(raw, shape).tobytes()}
        inputs, answers, unused = pack(raw, shape)
    except cleaning.Refused as error:
        return {"why": str(error)}
    except (
        ValueError, csv.Error, zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, zlib.error,
    ) as error:  # fmt: skip
        return {"why": str(error).splitlines()[0][:200] if str(error) else type(error).__name__}
    return {
        "inputs": inputs.tobytes(), "answers": answers.tobytes(), "count": len(answers),
        "unused": [[one.what[:100], one.why[:200]] for one in unused[:100]], "unused_count": len(unused),
    }  # fmt: skip


def pack(raw: bytes, of: Format) -> tuple[NDArray[Any], NDArray[np.float64], list[Unused]]:
    """The examples (n, ...), answers (n,) and what cannot be used of a zip, or a table alone. Raises ValueError."""
    if not zipfile.is_zipfile(io.BytesIO(raw)):
        if of.is_picture:
            raise ValueError("expected a zip of pictures in folders that are called as the labels")
        return table(_decoded(raw), of, {})
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        members = [one for one in archive.infolist() if not one.is_dir()]
        if len(members) > MOST_FILES or sum(one.file_size for one in members) > 20 * MOST_BYTES:
            raise ValueError(f"more than {MOST_FILES} files, or more than {20 * MOST_BYTES // 10**6} MB")
        if not of.is_picture:
            tables = [one for one in members if one.filename.lower().endswith(".csv")]
            if len(tables) != 1:
                raise ValueError(f"expected one table (.csv), found {len(tables)}")
            return table(_decoded(_member(archive, tables[0])), of, {})
        named = _answers(archive, members, of)
        inputs: list[NDArray[np.uint8]] = []
        answers: list[float] = []
        unused: list[Unused] = []
        for one in members:
            if one.filename.lower().endswith(".csv") or Path(one.filename).name.startswith("."):
                continue
            try:
                place = PurePosixPath(one.filename)
                answer = named[place.as_posix()] if named is not None else answer_of(place.parent.name, of)
                inputs.append(picture(_member(archive, one), of))
                answers.append(answer)
            except (ValueError, KeyError, cleaning.Refused) as error:
                unused.append(
                    Unused(one.filename, "no answer" if isinstance(error, KeyError) else str(error))
                )
    shaped = np.stack(inputs) if inputs else np.zeros((0, *of.stored_shape), np.uint8)
    return shaped, np.array(answers, np.float64), unused


def _answers(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], of: Format) -> dict[str, float] | None:
    """By file what `answers.csv` (file, answer) says; None where there is none. Raises ValueError."""
    listed = [one for one in members if PurePosixPath(one.filename).name == "answers.csv"]
    if not listed:
        return None
    rows = csv.reader(io.StringIO(_decoded(_member(archive, listed[0])).removeprefix("\ufeff")))
    return {row[0].strip(): answer_of(row[1], of) for row in list(rows)[1:] if len(row) > 1}


def _member(archive: zipfile.ZipFile, one: zipfile.ZipInfo) -> bytes:
    if one.file_size > MOST_BYTES:
        raise ValueError(f"larger than {MOST_BYTES} bytes")
    with archive.open(one) as file:
        return file.read(MOST_BYTES)


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("not a text file in UTF-8") from None


def _cover(raw: bytes) -> bytes:
    """A picture cut and made as large as a cover, as a JPEG without metadata."""
    image = ImageOps.fit(cleaning.decode(raw, at_least=COVER[0]), COVER, Image.Resampling.LANCZOS)
    made = io.BytesIO()
    image.save(made, "JPEG", quality=85)
    return made.getvalue()
