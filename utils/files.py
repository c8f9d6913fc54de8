"""Where this project's folders lie; files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

ROOT = Path(__file__).resolve().parent.parent
DRAFTS = ".*.draft"
"""Glob pattern of what a killed process leaves half written."""
Files = Sequence[tuple[PurePosixPath, Callable[[], bytes]]]
"""Files of a folder or an archive, each with what reads it."""


def place(name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Where the folder `name` ("data", "cache") is: where SKYFED_DATA or SKYFED_CACHE says, else in this project."""
    return Path(environ.get(f"SKYFED_{name.upper()}") or ROOT / name)


@contextmanager
def atomic_write(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """A binary file that becomes `path`, whole and on disk, when the block ends; on an error nothing changes.

    `mode` says who may read it (0o600: its owner alone, from the first byte on). Raises OSError that names the file (a
    full disk, say).
    """
    draft = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".draft", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(draft).chmod(mode)
        Path(draft).replace(path)
    except BaseException as error:
        if draft:
            Path(draft).unlink(missing_ok=True)
        if isinstance(error, OSError) and not error.filename:
            error.filename = str(path)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
