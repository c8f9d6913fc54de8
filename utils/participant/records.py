"""Records in files, written whole and read with care; folders that are nobody else's; one process at a time."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from utils.files import atomic_write
from utils.participant.refusals import ParticipantError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_PAUSED, _LEFT = "paused", "left"
Record = TypeVar("Record", bound="DataclassInstance")


def private(folder: Path) -> None:
    """Make a folder, and those above it, where only their owner gets in."""
    for path in (*reversed(folder.parents), folder):
        if not path.exists():
            path.mkdir(mode=0o700, exist_ok=True)


def read(path: Path, kind: type[Record], **fixed: Any) -> Record | None:
    """A record as it was written, with what is `fixed` beside it; None where there is none. Raises ParticipantError."""
    try:
        given = json.loads(path.read_bytes())
        if any(given.pop(name, None) != value for name, value in fixed.items()):
            raise ValueError
        kinds = {field.name: field.type for field in dataclasses.fields(kind)}
        if set(given) != set(kinds):
            raise ValueError
        for name, value in given.items():
            wanted = str(kinds[name]).partition("[")[0]
            if type(value).__name__ != wanted and not (wanted == "float" and type(value) is int):
                raise ValueError
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise ParticipantError(f"{path}: not as this program wrote it; join again") from None
    return kind(**given)


def write(path: Path, record: DataclassInstance, **fixed: Any) -> None:
    """Write a record, and what is `fixed` beside it."""
    with atomic_write(path) as file:
        file.write(json.dumps({**fixed, **dataclasses.asdict(record)}, ensure_ascii=False).encode())


class Wishes:
    """What an owner wants of a process that runs, as empty files in its `folder`; no lock is needed for them."""

    folder: Path

    @property
    def is_paused(self) -> bool:
        """Whether its owner paused it."""
        return (self.folder / _PAUSED).exists()

    @property
    def is_left(self) -> bool:
        """Whether its owner has left."""
        return (self.folder / _LEFT).exists()

    def mark(self, *, paused: bool | None = None, left: bool | None = None) -> None:
        """Wish for something, or no longer (False); None leaves it as it is."""
        for name, value in ((_PAUSED, paused), (_LEFT, left)):
            if value:
                (self.folder / name).touch()
            elif value is not None:
                (self.folder / name).unlink(missing_ok=True)


@contextmanager
def locked(path: Path, busy: str, patience: float = 0.5) -> Iterator[None]:
    """Be the only process here that holds this lock. Raises ParticipantError, which begins with `busy`."""
    from filelock import FileLock, Timeout

    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=patience, poll_interval=0.05)
    except Timeout:
        raise ParticipantError(f"{busy}; end that first") from None
    try:
        yield
    finally:
        lock.release()
