"""Photos from a folder the user has, nested as it may be."""

import os
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from utils.photos.cleaning import MAX_BYTES, Refused
from utils.photos.sources import Candidate, candidate

_LITTER = {"__macosx", "thumbs.db", "desktop.ini"}


def from_folder(root: Path) -> list[Candidate]:
    """All files below `root` in order of name, labelled by their names."""
    return [candidate(path, read) for path, read in files_in_folder(root)]


def files_in_folder(root: Path) -> list[tuple[PurePosixPath, Callable[[], bytes]]]:
    """All files below `root` in order of name with what reads them, hidden ones and a system's litter left out.

    Links to folders are not followed, so a loop ends nowhere.
    """
    return [
        (PurePosixPath(path.relative_to(root).as_posix()), partial(_read, path))
        for path in sorted(_files(root))
    ]


def is_litter(name: str) -> bool:
    """Whether a file or folder is none of the user's doing: hidden, or written by a desktop."""
    return name.startswith(".") or name.casefold() in _LITTER


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        linked = [name for name in folders if Path(parent, name).is_symlink()]
        folders[:] = [name for name in folders if name not in linked and not is_litter(name)]
        yield from (Path(parent, name) for name in files + linked if not is_litter(name))


def _read(path: Path) -> bytes:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise Refused("link to a folder")
        if not stat.S_ISREG(status.st_mode):
            raise Refused("not a file")
        if status.st_size > MAX_BYTES:
            raise Refused("too large", f"{status.st_size} bytes, at most {MAX_BYTES}")
        return path.read_bytes()
    except OSError as error:
        raise Refused("unreadable", str(error.strerror)) from error
