"""Runs in training: what their checkpoints say so far, and a stream of what is new.

A run writes a checkpoint after every round (utils.checkpoints); nothing else is asked of it. The stream says after
each event what the reader has by now, so that a reader who comes back with that (Last-Event-ID) gets the rest only.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from app.api.documents import as_json
from app.runs.names import Titles, called
from utils.checkpoints import is_busy, peek

MAX_CURSOR = 6000  # characters; what a header may hold
_PULSE = 1.0  # seconds between looks
_LIFETIME = 300.0  # seconds; a reader then comes back with its cursor
Seen = dict[tuple[str, str], int]


class Live:
    """The unfinished runs below one cache folder. Safe to use from several threads."""

    def __init__(self, cache: Path, places: threading.BoundedSemaphore, titles: Titles = dict) -> None:
        self.cache, self._titles = cache, titles
        self._kept: dict[Path, tuple[int, dict[str, Any] | None]] = {}
        self._lock = threading.Lock()
        self.places = places  # a stream holds a thread of the server

    def snapshot(self, reader: str = "") -> dict[str, dict[str, Any]]:
        """The runs that a live process works on, as `unfinished` tells of them, and how people call them in the
        language of the `reader`.
        """
        at_work = {name: run for name, run in self.unfinished().items() if self._at_work(name)}
        titles = self._titles() if at_work else {}
        return {name: {**run, "title": called(name, titles, reader)} for name, run in at_work.items()}

    def unfinished(self) -> dict[str, dict[str, Any]]:
        """By name: rounds and repeats planned, and for each repeat begun what `peek` tells of it."""
        found: dict[str, dict[str, Any]] = {}
        with self._lock:
            present = set()
            for plan_path in sorted(self.cache.glob(".unfinished/*/plan.json")):
                try:
                    plan = json.loads(plan_path.read_bytes())
                    conf = plan["conf"]
                    rounds = int(conf["global_epochs"])
                    repeats = int(plan["folds"]) * int(plan["seeds"]) * int(conf.get("rotations", 1))
                except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
                    continue
                begun = {}
                for path in sorted(plan_path.parent.glob("*.npz")):
                    present.add(path)
                    if (record := self._record(path)) is not None:
                        begun[path.stem] = record
                found[plan_path.parent.name] = {"rounds": rounds, "repeats": repeats, "begun": begun}
            for gone in set(self._kept) - present:
                del self._kept[gone]
        return found

    def _at_work(self, name: str) -> bool:
        try:
            return is_busy(self.cache, name)
        except OSError:
            return False

    def _record(self, path: Path) -> dict[str, Any] | None:
        try:
            stamp = path.stat().st_mtime_ns
        except OSError:
            return None
        kept = self._kept.get(path)
        if kept is None or kept[0] != stamp:
            kept = self._kept[path] = (stamp, peek(path))
        return kept[1]


def news(snapshot: Mapping[str, Mapping[str, Any]], seen: Seen) -> list[dict[str, Any]]:
    """What a reader who has `seen` does not know yet; `seen` is brought up to date."""
    found: list[dict[str, Any]] = []
    for name, run in snapshot.items():
        for repeat, record in run["begun"].items():
            known, rounds = seen.get((name, repeat), 0), max(map(len, record.values()))
            if rounds > known or (name, repeat) not in seen:
                found.append(
                    {"run": name, "title": run["title"], "repeat": repeat, "from": known, "rounds": run["rounds"],
                     "repeats": run["repeats"], **{key: line[known:] for key, line in record.items()}}
                )  # fmt: skip
                seen[name, repeat] = rounds
    for name in {name for name, _ in seen} - set(snapshot):
        found.append({"run": name, "ended": True})
        for key in [key for key in seen if key[0] == name]:
            del seen[key]
    return found


def read_cursor(text: str) -> Seen:
    """What a reader had when it left; nothing where the text makes no sense."""
    seen: Seen = {}
    for part in text[:MAX_CURSOR].split(","):
        name, _, rest = part.partition("/")
        repeat, _, rounds = rest.partition("/")
        if rounds.isascii() and rounds.isdecimal() and len(rounds) < 7:
            seen[name, repeat] = int(rounds)
    return seen


def write_cursor(seen: Seen) -> str:
    """The text from which `read_cursor` makes `seen`; empty when it would be too long for a header."""
    text = ",".join(f"{name}/{repeat}/{rounds}" for (name, repeat), rounds in seen.items())
    return text if len(text) <= MAX_CURSOR else ""


def stream(live: Live, cursor: str, reader: str) -> Iterator[str]:
    """Server-sent events (WHATWG HTML, section 9.2): each with what is new and, as its id, the cursor after it."""
    seen, started = read_cursor(cursor), time.monotonic()
    yield "retry: 2000\n\n"
    while time.monotonic() - started < _LIFETIME:
        for one in news(live.snapshot(reader), seen):
            yield f"id: {write_cursor(seen)}\ndata: {as_json(one)}\n\n"
        yield ":\n\n"  # a comment; writing is how a server learns that the reader has gone
        time.sleep(_PULSE)
