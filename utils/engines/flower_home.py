"""The folder in which a server keeps what Flower needs, and what its runs on nodes have to say.

The site writes which nodes may take part, `python3 -m app.flower serve` which of them are there, and every run what
became of what it sent.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from utils.files import ROOT, atomic_write

FORMAT = 1
VERSION = "1.42.0"
"""Of Flower, as requirements-flower.txt has it."""
SETTINGS, JOINED, ONLINE, ROUNDS, CONFIG = "flower.json", "nodes.json", "online.json", "rounds.jsonl", "flwr"
MOST_ROUNDS = 10_000
"""Lines that are kept of what became of what was sent."""
STALE = 60.0
"""Seconds after which nobody knows any more which nodes are there."""
_MOST_BYTES = 2**24


class FlowerError(RuntimeError):
    """What is wrong with Flower at the server, in one line."""


@dataclass(frozen=True)
class Settings:
    """What set-up wrote: the folder of Flower's commands, where the SuperLink listens, and where nodes connect to."""

    bin: str
    address: str
    public: str
    connection: str = "skyfed"
    version: str = VERSION


@dataclass(frozen=True)
class JoinedNode:
    """A node that may take part, by the name of its owner's choice; `node_id` is Flower's, `public_key` PEM."""

    name: str
    node_id: str
    public_key: str
    owner: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of a message to a node: seconds until the answer, bytes down and up, and why there is none."""

    at: float
    node: str
    run: str
    round: int
    verb: str
    seconds: float
    down: int
    up: int
    failure: str = ""


class Home:
    """The folder; without one the usual."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or default_folder()).absolute()

    def read(self) -> Settings:
        """What set-up wrote. Raises FlowerError where it did not, or where that cannot be read."""
        path = self.folder / SETTINGS
        if not path.exists():
            raise FlowerError(f"{self.folder}: Flower is not set up; python3 -m app.flower setup does it")
        given = _object(path)
        names = {one.name for one in fields(Settings)}
        if (
            given.pop("format", None) != FORMAT
            or set(given) != names
            or not all(map(_is_text, given.values()))
        ):
            raise FlowerError(f"{path}: not as set-up wrote it; run python3 -m app.flower setup again")
        return Settings(**given)

    def write(self, settings: Settings) -> None:
        """Put these in the place of what was."""
        self._write(SETTINGS, {"format": FORMAT, **asdict(settings)})

    def joined(self) -> list[JoinedNode]:
        """The nodes that may take part, by name. Raises FlowerError."""
        path = self.folder / JOINED
        if not path.exists():
            return []
        try:
            found = [JoinedNode(**one) for one in _object(path)["nodes"]]
        except (KeyError, TypeError):
            raise FlowerError(f"{path}: not as the site wrote it") from None
        return sorted(found, key=lambda one: one.name)

    def write_joined(self, nodes: Sequence[JoinedNode]) -> None:
        """Put these in the place of those who might take part before."""
        self._write(JOINED, {"format": FORMAT, "nodes": [asdict(one) for one in nodes]})

    def online(self) -> dict[str, float | None]:
        """By Flower's numbers since when nodes are there, in Unix seconds; None of one that is not. Nothing where
        nobody wrote that down of late.
        """
        try:
            given = _object(self.folder / ONLINE)
            return dict(given["nodes"]) if time.time() - float(given["at"]) < STALE else {}
        except (FlowerError, KeyError, TypeError, ValueError):
            return {}

    def write_online(self, at: float, nodes: Mapping[str, float | None]) -> None:
        """Note who is there at this moment, in Unix seconds."""
        self._write(ONLINE, {"at": at, "nodes": dict(nodes)})

    def note(self, outcome: Outcome) -> None:
        """Add what became of a message; of many the latest are kept."""
        path = self.folder / ROUNDS
        with self.locked("rounds"):
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(outcome), ensure_ascii=False) + "\n")
            if path.stat().st_size > 300 * MOST_ROUNDS:
                lines = path.read_bytes().splitlines(keepends=True)[-MOST_ROUNDS // 2 :]
                with atomic_write(path) as whole:
                    whole.writelines(lines)

    def rounds(self, most: int) -> list[dict[str, Any]]:
        """The latest of what became of messages, the oldest of them first."""
        path = self.folder / ROUNDS
        try:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - 400 * most))
                lines = file.read().splitlines()[-most:]
        except OSError:
            return []
        found = []
        for line in lines:
            try:
                found.append(asdict(Outcome(**json.loads(line))))
            except (ValueError, TypeError):
                continue  # the first may be cut, the last half written by a machine that lost power
        return found

    def environment(self) -> dict[str, str]:
        """What Flower's commands are told beside what everything is: nothing is reported to anybody."""
        return {
            "FLWR_HOME": str(self.folder / CONFIG),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
        }

    @contextmanager
    def locked(self, name: str, timeout: float = -1) -> Iterator[None]:
        """Be the only one in this folder who does what is called so. Raises FlowerError when that takes too long."""
        from filelock import FileLock, Timeout

        try:
            with FileLock(self.folder / f"{name}.lock", timeout=timeout, thread_local=False):
                yield
        except Timeout:
            raise FlowerError(f"{self.folder}: another process holds {name}.lock") from None

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        with atomic_write(self.folder / name) as file:
            file.write(json.dumps(content, ensure_ascii=False, indent=1).encode())


def default_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where SKYFED_FLOWER says, else beside the site's database."""
    return Path(
        environ.get("SKYFED_FLOWER") or Path(environ.get("SKYFED_INSTANCE") or ROOT / "instance") / "flower"
    )


def _object(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError
        given = json.loads(path.read_bytes())
    except OSError as error:
        raise FlowerError(f"{path}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise FlowerError(f"{path}: cannot be read") from None
    if not isinstance(given, dict):
        raise FlowerError(f"{path}: cannot be read")
    return given


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
