"""What is told of the report on what a run gives away (`utils.leaks`), and its pictures.

Figures are for everybody, as those of runs are. Pictures show what somebody's training example looked like: a report
keeps them only of examples that are published under a licence, and only researchers see them.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from app.runs.names import language
from utils.leaks import CAVEAT
from utils.leaks.report import leaks_path, pictures_of, read_leaks
from utils.results import ResultError

_ROW = (
    "network", "protection", "changes", "failed", "psnr", "error", "guess", "label_told", "distance", "updates",
    "examples", "passes", "iterations", "parameters", "exact",
)  # fmt: skip
_LEAST = 128  # pixels of a side at which a picture is shown


def report_of(cache: Path, name: str, trained: str) -> dict[str, Any] | None:
    """The report on the run `name` that was `trained` then; None where there is none, or one on another run that had
    this name. Raises ResultError when it cannot be read.
    """
    path = leaks_path(cache, name)
    report = read_leaks(path) if path.exists() else None
    return report if report and report["trained"] == trained else None


def told(cache: Path, name: str, trained: str) -> dict[str, Any]:
    """What the API says of it: the report, or why its file cannot be read."""
    reader = int(language() == "zh")
    said: dict[str, Any] = {"run": name, "caveat": CAVEAT[reader], "report": None, "fault": ""}
    try:
        report = report_of(cache, name, trained)
    except ResultError as error:
        return {**said, "fault": str(error).rpartition(": ")[2]}
    if report is None:
        return said
    rows = [
        {
            **{key: row[key] for key in _ROW if key in row},
            "label": row["label"][reader],
            "pictures": bool(row.get("pictures")),
        }
        for row in report["rows"]
    ]
    kept = {key: report[key] for key in ("finished", "seconds", "membership")}
    return {**said, "report": {**kept, "rows": rows}}


def picture(row: Mapping[str, Any]) -> bytes | None:
    """A row's pictures as PNG, the originals side by side above what was found of them; None where it keeps none."""
    both = pictures_of(row)
    if both is None:
        return None
    pairs = [np.concatenate(pair, axis=1) for pair in zip(*both, strict=True)]
    whole = np.concatenate(pairs, axis=2).transpose(1, 2, 0)
    times = max(1, -(-_LEAST // both[0].shape[-1]))
    whole = whole.repeat(times, axis=0).repeat(times, axis=1)
    written = io.BytesIO()
    Image.fromarray(whole[..., 0] if whole.shape[2] == 1 else whole).save(written, "PNG")
    return written.getvalue()
