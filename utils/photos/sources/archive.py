"""Files from a zip or tar. Nothing is unpacked to disk, so no name in it can reach outside the set."""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path, PurePosixPath

from utils.data.examples import DataError
from utils.files import Files
from utils.photos.cleaning import MAX_BYTES, Refused
from utils.photos.sources import Candidate, candidate
from utils.photos.sources.folder import files_in_folder, is_litter

DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError)
"""What reading a file of an archive may raise, besides OSError."""
MAX_MEMBERS = 200_000
MAX_UNPACKED = 100_000_000_000
MAX_TAR = 1_000_000_000


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


def files_in_zip(archive: zipfile.ZipFile) -> Files:
    """All files of an open archive in order of name with what reads them, a system's litter left out."""
    found: list[tuple[PurePosixPath, Callable[[], bytes]]] = []
    for member in sorted(archive.infolist(), key=lambda member: member.filename):
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if not member.is_dir() and not _is_litter(path):
            found.append((path, partial(_read, archive, member)))
    return found


def files_at(path: Path, stack: ExitStack) -> Files:
    """All files of the folder, zip or tar (gzipped or not) at `path`, open as long as `stack`; or that file alone.

    Raises DataError where there is nothing, or a zip or tar that cannot be used.
    """
    if path.is_dir():
        return files_in_folder(path)
    if not path.exists():
        raise DataError(f"{path}: no such folder or file")
    if _is_tar(path):
        return _files_in_tar(stack.enter_context(tarfile.open(path)), path)
    if zipfile.is_zipfile(path) or path.suffix.casefold() == ".zip":
        return files_in_zip(stack.enter_context(open_zip(path)))
    return [(PurePosixPath(path.name), path.read_bytes)]


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except DAMAGED as error:
        raise DataError(f"{path}: damaged ({error})") from None


def _files_in_tar(archive: tarfile.TarFile, where: Path) -> Files:
    found: list[tuple[PurePosixPath, Callable[[], bytes]]] = []
    unpacked = 0
    try:
        for member in archive:
            path, unpacked = PurePosixPath(member.name), unpacked + member.size
            if unpacked > MAX_TAR:
                raise DataError(f"{where}: more than {MAX_TAR} bytes in it")
            if member.isfile() and not _is_litter(path):
                found.append((path, partial(_read_tar, archive, member)))
    except (OSError, tarfile.TarError, *DAMAGED) as error:
        raise DataError(f"{where}: damaged ({' '.join(str(error).split())[:120]})") from None
    return sorted(found, key=lambda one: one[0])


def _is_litter(path: PurePosixPath) -> bool:
    return any(is_litter(part) for part in path.parts if part != "..")


def _read_tar(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.size > MAX_BYTES:
        raise Refused("too large", f"{member.size} bytes, at most {MAX_BYTES}")
    try:
        file = archive.extractfile(member)
        assert file is not None  # it is a file
        return file.read()
    except (OSError, tarfile.TarError, *DAMAGED) as error:
        raise Refused("damaged", " ".join(str(error).split())[:120]) from error


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
