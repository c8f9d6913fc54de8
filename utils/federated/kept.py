"""What clients keep from round to round (the personal model of one, say): in files of their own, so that a server never
sees it and memory does not grow with their number.

A state is written under its round's number, and a server remembers but the number of the latest one it took an update
of: whatever a run that was killed has written beyond its last checkpoint is written again, and is the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from utils.files import atomic_write

Memory = dict[str, NDArray[Any]]
"""What a client's half of a part remembers, by name."""


def read(home: str, client: int, round_: int) -> Memory:
    """What a client kept in a round; nothing where that is -1. Raises OSError or ValueError when it is gone."""
    if round_ < 0:
        return {}
    with np.load(_folder(home, client) / f"{round_}.npz", allow_pickle=False) as packed:
        return {name: packed[name] for name in packed.files}


def write(home: str, client: int, round_: int, memory: Memory, before: int) -> None:
    """Keep this, and the state of the round `before`, which a run that is killed now goes on from; earlier ones go."""
    folder = _folder(home, client)
    with atomic_write(folder / f"{round_}.npz") as file:
        np.savez(file, allow_pickle=False, **memory)
    for path in folder.glob("*.npz"):
        if path.stem not in (str(round_), str(before)):
            path.unlink(missing_ok=True)


def _folder(home: str, client: int) -> Path:
    return Path(home) / str(client)


class Rounds:
    """Which state of each client counts: that of the last round in which an update of it was taken."""

    def __init__(self, clients: int) -> None:
        self.last = np.full(clients, -1, np.int64)

    def state(self) -> Memory:
        """The rounds by client (clients,)."""
        return {"last": self.last.copy()}

    def restore(self, state: Memory) -> None:
        """Remember what `state` gave; before the first round that is nothing."""
        self.last = state.get("last", self.last).copy()
