"""Photos from a zip file. Nothing is unpacked to disk, so no name in it can reach outside the set."""

import lzma
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath

from utils.data.examples import DataError
from utils.photos.cleaning import MAX_BYTES, Refused
from utils.photos.sources import Candidate, candidate
from utils.photos.sources.folder import is_litter

DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError)
"""What reading a file of an archive may raise, besides OSError."""
MAX_MEMBERS = 200_000
MAX_UNPACKED = 100_000_000_000


def open_zip(path: Path) -> zipfile.ZipFile:
    """The archive at `path`.

    Raises
    ------
    DataError
        Where it is no zip, or would unpack to more than any folder of photos.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise DataError(f"{path}: not a usable zip file ({error})") from None
    members = archive.infolist()
    unpacked = sum(member.file_size for member in members)
    if len(members) > MAX_MEMBERS or unpacked > MAX_UNPACKED:
        archive.close()
        raise DataError(
            f"{path}: {len(members)} files of {unpacked} bytes in all, "
            f"at most {MAX_MEMBERS} of {MAX_UNPACKED} are unpacked"
        )
    return archive


def from_zip(archive: zipfile.ZipFile) -> list[Candidate]:
    """All files of an open archive in order of name, labelled by their names, a system's litter left out."""
    return [candidate(path, read) for path, read in files_in_zip(archive)]


def files_in_zip(archive: zipfile.ZipFile) -> list[tuple[PurePosixPath, Callable[[], bytes]]]:
    """All files of an open archive in order of name with what reads them, a system's litter left out."""
    found: list[tuple[PurePosixPath, Callable[[], bytes]]] = []
    for member in sorted(archive.infolist(), key=lambda member: member.filename):
        path = PurePosixPath(member.filename.replace("\\", "/"))
        litter = any(is_litter(part) for part in path.parts if part != "..")
        if not member.is_dir() and not litter:
            found.append((path, partial(_read, archive, member)))
    return found


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.file_size > MAX_BYTES:
        raise Refused("too large", f"{member.file_size} bytes, at most {MAX_BYTES}")
    if member.flag_bits & 1:
        raise Refused("encrypted")
    try:
        with archive.open(member) as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, *DAMAGED) as error:
        raise Refused("damaged", " ".join(str(error).split())[:120]) from error
    if len(data) > MAX_BYTES:
        raise Refused("too large", f"more than {MAX_BYTES} bytes")
    return data
