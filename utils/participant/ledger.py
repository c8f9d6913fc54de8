"""The ledger: whatever was sent, one line of JSON for each thing that happened, only ever added to.

A line is written before anything is sent, so that nothing can leave that does not stand here.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

DELTA = 1e-5
NEIGHBOURS = "replace one update"
"""What may differ between neighbours, each time: an update, by any other (see `utils.federated.links.local_dp`)."""
_HARDLY = 1e-6
"""Less noise is none."""
OPEN = ("training", "lapsed", "waiting", "accepted", "")
"""States of a training of which more is to be heard."""


def now() -> str:
    """This moment by the clock of this machine, in UTC: for people to read, nothing is reckoned with it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Ledger:
    """The ledger of a task, in the file `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, event: str, **about: Any) -> None:
        """Add a line, and have it on the disk. Of one that a killed process left unfinished nothing was sent."""
        raw = json.dumps({"at": now(), "event": event, **about}, ensure_ascii=False, allow_nan=False).encode()
        with self.path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                raw = raw if file.read(1) == b"\n" else b"\n" + raw
            file.write(raw + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def lines(self) -> list[dict[str, Any]]:
        """All whole lines, the oldest first."""
        if not self.path.exists():
            return []
        found = []
        for raw in self.path.read_bytes().split(b"\n"):
            try:
                line = json.loads(raw)
            except ValueError:
                continue
            if isinstance(line, dict):
                found.append(line)
        return found

    def told(self) -> list[dict[str, Any]]:
        """What happened, the oldest first: each training once, with all that was sent and what became of it, and each
        time somebody joined or left.
        """
        told: list[dict[str, Any]] = []
        trainings: dict[str, dict[str, Any]] = {}
        for line in self.lines():
            event, id = line.get("event"), line.get("id")
            if not isinstance(id, str):
                told.append(line)
                continue
            if id not in trainings:
                trainings[id] = {
                    "at": line["at"],
                    "event": "training",
                    "sent": None,
                    "state": "",
                    "reason": "",
                }
                told.append(trainings[id])
            known = trainings[id]
            about = {key: value for key, value in line.items() if key not in ("at", "event")}
            if event == "sending" and known["sent"]:
                continue  # the very same again
            known.update(about, **({"sent": line["at"]} if event == "sending" else {}))
        return told

    def sent(self) -> list[dict[str, Any]]:
        """Of every training whose update was sent, or may have been, what was sent and what became of it."""
        return [one for one in self.told() if one.get("sent")]


def spent(clipped: Iterable[tuple[float, float]]) -> tuple[float | None, str]:
    """Epsilon of trainings that were sent with (clip, noise), at DELTA, and in words; None where there is no bound, or
    nobody to reckon it.

    Gaussian mechanisms whose noises are z_i times their sensitivity compose as one with 1/z² = sum of 1/z_i²: their
    Rényi divergences, alpha / (2 z_i²) each, add up. What is as long as the clip lies at most two clips from any other.
    """
    noises = [noise if clip and noise >= _HARDLY else 0.0 for clip, noise in clipped]
    if not noises:
        return 0.0, "epsilon 0: nothing was sent"
    if bare := sum(not noise for noise in noises):
        return None, f"epsilon without bound: {bare} of {len(noises)} trainings without noise"
    if find_spec("dp_accounting") is None:
        from utils.parts import INSTALL

        return (
            None,
            f"epsilon not known: dp-accounting, which adds it up, is not installed; {INSTALL} does that",
        )
    from utils.federated.privacy import epsilon

    together = 1 / math.sqrt(sum(noise**-2 for noise in noises))
    found = epsilon("rdp", together / 2, 1.0, 1, DELTA)
    of = "1 training" if len(noises) == 1 else f"{len(noises)} trainings"
    return found, f"epsilon {found:.4g} of {of} at delta {DELTA:g} (neighbours: {NEIGHBOURS}; RDP)"


def clips(sent: Iterable[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """(clip, noise) of what was sent."""
    return [(float(one.get("clip") or 0), float(one.get("noise") or 0)) for one in sent]
