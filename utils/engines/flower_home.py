"""The folder of Flower at the server: how it is set up, which nodes joined and are online, what their last rounds were.

It is only read and written here; whoever sets Flower up and keeps it running is `app.flower`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from utils.files import ROOT, atomic_write

VERSION = "1.42.0"
"""The version of Flower that this is written for, at the server and at every node."""
STALE = 60.0
"""Seconds after which what was online is not known any more."""
_FORMAT = 1


class FlowerError(Exception):
    """What is wrong with Flower, or with what was asked of it, in one line."""


@dataclass(frozen=True)
class Settings:
    """How Flower is set up: where its commands are, where the SuperLink listens (loopback, TLS), what nodes connect to,
    under which name its commands know the SuperLink, and the version.
    """

    bin: str
    address: str
    public: str
    connection: str
    version: str


@dataclass(frozen=True)
class JoinedNode:
    """A node that may take part: its name, its number at the SuperLink, its public key (PEM), its owner's nickname."""

    name: str
    node_id: str
    public_key: str
    owner: str


def default_folder() -> Path:
    """Where Flower's folder lies unless told otherwise."""
    instance = Path(os.environ.get("SKYFED_INSTANCE") or ROOT / "instance")
    return Path(os.environ.get("SKYFED_FLOWER") or instance / "flower")


class Home:
    """The folder."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or default_folder()).absolute()

    def read(self) -> Settings:
        """How Flower is set up. Raises FlowerError."""
        path = self.folder / "flower.json"
        try:
            given = json.loads(path.read_bytes())
            if given.pop("format") != _FORMAT or not all(isinstance(one, str) for one in given.values()):
                raise ValueError
            return Settings(**given)
        except FileNotFoundError:
            raise FlowerError(
                f"{self.folder}: Flower is not set up; python3 -m app.flower setup does it"
            ) from None
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            raise FlowerError(
                f"{path}: not as setup wrote it; run python3 -m app.flower setup again"
            ) from None

    def joined(self) -> list[JoinedNode]:
        """The nodes that may take part. Raises FlowerError."""
        path = self.folder / "nodes.json"
        try:
            given = json.loads(path.read_bytes())
            if given["format"] != _FORMAT:
                raise ValueError
            return [JoinedNode(**one) for one in given["nodes"]]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError):
            raise FlowerError(f"{path}: not as the site wrote it") from None

    def write_joined(self, nodes: Sequence[JoinedNode]) -> None:
        """Put these nodes in the place of those that might take part."""
        with atomic_write(self.folder / "nodes.json") as file:
            file.write(
                json.dumps({"format": _FORMAT, "nodes": [asdict(one) for one in nodes]}, indent=1).encode()
            )

    def online(self) -> dict[str, float | None]:
        """Of each node by its number since when (unix seconds) it is online, None where it is not; empty where that is
        not known, because nobody wrote it down of late.
        """
        try:
            given = json.loads((self.folder / "online.json").read_bytes())
            return dict(given["nodes"]) if abs(time.time() - given["at"]) < STALE else {}
        except (OSError, ValueError, TypeError, KeyError):
            return {}

    def rounds(self, most: int) -> list[dict[str, Any]]:
        """The last outcomes, the oldest first."""
        try:
            lines = (self.folder / "rounds.jsonl").read_bytes().splitlines()[-most:]
            return [json.loads(line) for line in lines]
        except (OSError, ValueError):
            return []

    def environment(self) -> dict[str, str]:
        """What Flower's commands are told by their environment, beside what everything is."""
        return {
            "FLWR_HOME": str(self.folder / "flwr"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
        }
