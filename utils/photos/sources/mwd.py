"""The public "Multi-class Weather Dataset for Image Classification" from its publisher.

Gbeminiyi Ajayi (2018), Mendeley Data, V1, doi 10.17632/4drtyfjtfy.1, CC BY 4.0. Only its two sky classes are
used, the files named `cloudy…` and `shine…`; rain and sunrise are left out.
"""

import re
import shutil
import zipfile
from pathlib import Path

from utils.data.examples import DataError
from utils.files import Files, atomic_write
from utils.photos.sources import Candidate, candidate, printable
from utils.photos.sources.archive import DAMAGED, files_in_zip, open_zip
from utils.photos.sources.fetch import FetchError, Web
from utils.photos.sources.folder import files_in_folder

URL = "https://data.mendeley.com/public-api/zip/4drtyfjtfy/download/1"
"""Unverified: it follows the form of other Mendeley data sets and could not be tried where this was written."""

PAGE = "https://data.mendeley.com/datasets/4drtyfjtfy/1"
MAX_DOWNLOAD = 2_000_000_000

_SKY = re.compile(r"(cloudy|shine)\d*", re.IGNORECASE)


def fetch_mwd(web: Web, url: str, target: Path) -> zipfile.ZipFile:
    """The data set's archive, fetched to `target` unless it lies there, open.

    Raises
    ------
    FetchError
        Where the address gives no zip of photos; says how to go on by hand. What came is removed, so that the next
        run fetches it anew.
    """
    by_hand = f"download it by hand from {PAGE} and give the file to the sub-command mwd"
    if not target.exists():
        try:
            web.download(url, target, MAX_DOWNLOAD)
        except FetchError as error:
            raise FetchError(f"{error}; or {by_hand}") from error
    unpacked = target.with_name(f"{target.stem}-inner.zip")
    fault = "what came is no zip file"
    try:
        archive = open_zip(target)
        inner = [name for name in archive.namelist() if name.casefold().endswith(".zip")]
        if from_mwd(archive) or not inner:
            return archive
        fault = f"{printable(inner[0])} in what came is damaged"
        with archive:
            return _inner(archive, inner[0], unpacked)
    except DataError:
        target.unlink(missing_ok=True)
        unpacked.unlink(missing_ok=True)
        raise FetchError(f"{url}: {fault}; {by_hand}") from None


def mwd_in(path: Path) -> list[Candidate]:
    """The photos of the two sky classes in a copy of the data set, a folder or a zip file. Raises DataError where there
    are none.
    """
    files = files_in_folder(path) if path.is_dir() else files_in_zip(open_zip(path))
    found = _skies(files)
    if not found:
        raise DataError(
            f"{path}: no photo of the data set in it (files named cloudy1.jpg, shine1.jpg and so on)"
        )
    return found


def from_mwd(archive: zipfile.ZipFile) -> list[Candidate]:
    """The photos of the two sky classes."""
    return _skies(files_in_zip(archive))


def _skies(files: Files) -> list[Candidate]:
    return [candidate(path, read) for path, read in files if _SKY.fullmatch(path.stem)]


def _inner(archive: zipfile.ZipFile, name: str, target: Path) -> zipfile.ZipFile:
    if archive.getinfo(name).file_size > MAX_DOWNLOAD:
        raise DataError(f"{archive.filename}: {name} is larger than {MAX_DOWNLOAD} bytes")
    if not target.exists():
        try:
            with archive.open(name) as packed, atomic_write(target) as file:
                shutil.copyfileobj(packed, file)
        except DAMAGED as error:
            raise DataError(f"{archive.filename}: {name} is damaged ({error})") from error
    return open_zip(target)
