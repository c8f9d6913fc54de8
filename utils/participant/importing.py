"""From a person's folder of pictures or table to the examples of a task, cleaned, and a report of what was left out."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.participant.link import line
from utils.participant.refusals import WrongError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from utils.calls.format import Format

ANSWERS = "answers.csv"
MAX_TABLE = 500_000_000
_SHOWN = 3


@dataclass
class Report:
    """What became of the files, or rows: `refused` by reason with some of those it hit, and what the answers are."""

    what: str
    used: int = 0
    duplicates: int = 0
    refused: dict[str, list[str]] = field(default_factory=dict)
    answers: str = ""
    absent: str = ""

    def refuse(self, what: str, why: str) -> None:
        """Count one that cannot be used."""
        self.refused.setdefault(why, []).append(what)

    def __str__(self) -> str:
        lines = [f"{self.used} {self.what} to train on: {self.answers}"]
        if self.duplicates:
            lines.append(f"duplicates set aside: {self.duplicates}")
        if count := sum(map(len, self.refused.values())):
            lines.append(f"refused: {count} {self.what}")
            for why, those in sorted(self.refused.items(), key=lambda one: -len(one[1])):
                few = ", ".join(line(one, 60) for one in those[:_SHOWN])
                lines.append(f"  {len(those):>5} {line(why)} ({few}{', ...' if len(those) > _SHOWN else ''})")
        if self.absent:
            lines.append(f"NOTE: {self.absent}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Examples:
    """What can be trained on: inputs (n, *stored_shape) and answers (n,), and the report."""

    inputs: NDArray[Any]
    answers: NDArray[np.float64]
    report: Report


def from_pictures(folder: Path, answers: Path | None, of: Format, keep_duplicates: bool = False) -> Examples:
    """Pictures whose answer is the folder they lie in, or stands in a table with the columns file and answer, which may
    also lie in the folder as answers.csv. Raises WrongError.
    """
    import numpy as np

    from utils.calls import examples
    from utils.photos import cleaning

    if not of.is_picture:
        raise WrongError("--pictures: this task wants values of a table, given with --table")
    if not folder.is_dir():
        raise WrongError(f"{folder}: no such folder")
    if answers is None and (folder / ANSWERS).is_file():
        answers = folder / ANSWERS
    listed = _answers(answers) if answers else None
    report = Report("pictures")
    inputs, found = [], []
    for path, within in examples.pictures(folder):
        name = path.relative_to(folder).as_posix()
        if listed is not None and answers is not None and path.resolve() == answers.resolve():
            continue
        try:
            if listed is not None:
                said = listed.pop(name, None)
                if said is None:
                    report.refuse(name, "not in the table of answers")
                    continue
            else:
                said = within if path.parent != folder else ""
            answer = examples.answer_of(said, of)
            if path.stat().st_size > cleaning.MAX_BYTES:
                raise cleaning.Refused("too large")
            inputs.append(examples.picture(path.read_bytes(), of))
            found.append(answer)
        except cleaning.Refused as refused:
            report.refuse(name, refused.reason)
        except ValueError as error:
            report.refuse(name, _reason(error))
        except OSError as error:
            report.refuse(name, error.strerror or "cannot be read")
    for name in listed or ():
        report.refuse(name, "in the table of answers, but not in the folder")
    stored = np.array(inputs, np.uint8).reshape(-1, *of.stored_shape)
    return _once(stored, np.array(found, np.float64), of, report, keep_duplicates)


def from_table(path: Path, columns: Sequence[str], of: Format, keep_duplicates: bool = False) -> Examples:
    """The rows of a table; `columns` are FIELD=HEADER. Raises WrongError."""
    from utils.calls import examples

    if of.is_picture:
        raise WrongError("--table: this task wants pictures, given with --pictures")
    text = _text(path)
    try:
        chosen = _chosen(path, _header(text), columns, of)
        values, answers, unused = examples.table(text, of, chosen)
    except (ValueError, csv.Error) as error:
        raise WrongError(f"{path}: {line(str(error))}") from None
    report = Report("rows")
    for one in unused:
        report.refuse(one.what, _reason(one.why))
    return _once(values, answers, of, report, keep_duplicates)


def _once(
    inputs: NDArray[Any], answers: NDArray[np.float64], of: Format, report: Report, keep_duplicates: bool
) -> Examples:
    """Each example once. A picture under two answers is of no use: nobody knows which is right."""
    import numpy as np

    from utils.calls.examples import each_once

    if not keep_duplicates and len(inputs):
        raw = [one.tobytes() for one in inputs]
        if of.is_picture:
            said: dict[bytes, set[float]] = {}
            for one, answer in zip(raw, answers, strict=True):
                said.setdefault(one, set()).add(float(answer))
            agreed = np.array([len(said[one]) == 1 for one in raw])
            for place in np.flatnonzero(~agreed):
                report.refuse(f"one of {answers[place]:g}", "the same picture under different answers")
            inputs, answers, raw = (
                inputs[agreed],
                answers[agreed],
                [one for one in raw if len(said[one]) == 1],
            )
        whole = [one + answer.tobytes() for one, answer in zip(raw, answers, strict=True)]
        first = each_once(whole)
        report.duplicates = len(whole) - len(first)
        inputs, answers = inputs[first], answers[first]
    report.used = len(inputs)
    if of.number is None:
        names = [label.name for label in of.labels]
        counts = Counter(int(answer) for answer in answers)
        report.answers = ", ".join(f"{line(name, 40)} {counts[at]}" for at, name in enumerate(names))
        missing = [line(name, 40) for at, name in enumerate(names) if not counts[at]]
        if missing and len(inputs):
            report.absent = f"no example is {' and none '.join(missing)}: nothing of them can be learnt here"
    elif len(inputs):
        span = f"from {answers.min():g} to {answers.max():g}, {answers.mean():.4g} on average"
        report.answers = f"{line(of.number.name, 40)} {span}"
    return Examples(inputs, answers, report)


def _chosen(path: Path, header: list[str], columns: Sequence[str], of: Format) -> dict[str, str]:
    """Which column each field and the answer stand in. Raises WrongError, which tells all that are missing."""
    answer = of.number.key if of.number else "label"
    names = {one.key: one.name for one in of.fields} | {answer: of.number.name if of.number else "answer"}
    chosen: dict[str, str] = {}
    for one in columns:
        key, equals, called = (part.strip() for part in one.partition("="))
        if not equals or key not in names:
            raise WrongError(f"--column {one[:80]!r}: expected FIELD=HEADER, FIELD one of {', '.join(names)}")
        chosen[key] = called
    folded = [cell.casefold() for cell in header]
    for key, name in names.items():
        if key in chosen or key in header:
            continue
        for alike in (key.casefold(), name.casefold()):
            if folded.count(alike) == 1:
                chosen[key] = header[folded.index(alike)]
                break
    missing = [key for key in names if chosen.get(key, key) not in header]
    if missing:
        what = ", ".join(f"{key} ({line(names[key], 40)})" if names[key] != key else key for key in missing)
        raise WrongError(
            f"{path}: no column for {what}; the table has {line(', '.join(header), 300)}; "
            f"--column {missing[0]}=HEADER says which it is"
        )
    return chosen


def _header(text: str) -> list[str]:
    from utils.calls.examples import delimiter

    return [cell.strip() for cell in next(_rows(text, delimiter(text)), [])]


def _rows(text: str, between: str) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text.removeprefix("\ufeff")), delimiter=between)


def _answers(path: Path) -> dict[str, str]:
    """Answers by file from a table with the columns file and answer. Raises WrongError."""
    from utils.calls.examples import delimiter

    text = _text(path)
    try:
        rows = list(_rows(text, delimiter(text)))
    except csv.Error as error:
        raise WrongError(f"{path}: {line(str(error))}") from None
    header = [cell.strip().casefold() for cell in rows[0]] if rows else []
    if "file" not in header or "answer" not in header:
        raise WrongError(
            f"{path}: expected the columns file and answer, found {line(', '.join(header)) or 'none'}"
        )
    file, answer = header.index("file"), header.index("answer")
    found: dict[str, str] = {}
    for number, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) < len(header):
            raise WrongError(f"{path}: row {number}: expected {len(header)} cells, found {len(row)}")
        name = row[file].strip().replace("\\", "/").removeprefix("./")
        if found.setdefault(name, row[answer].strip()) != row[answer].strip():
            raise WrongError(f"{path}: row {number}: a second, different answer for {line(name, 80)}")
    return found


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_TABLE:
            raise WrongError(f"{path}: larger than {MAX_TABLE:,} bytes")
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise WrongError(f"{path}: not a table in UTF-8; save it as CSV in UTF-8") from None
    except OSError as error:
        raise WrongError(f"{path}: {error.strerror}") from None


def _reason(why: ValueError | str) -> str:
    """Why one is refused, without what it was, so that these can be counted."""
    return str(why).partition(", found")[0]
