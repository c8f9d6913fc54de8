"""Photos taken with a phone straight up, from OpenSky (github.com/0x4248/OpenSky, public domain, Unlicense).

An entry of it is one outing, and with it one scene: a folder with `info.json`, in which the author noted the
`percentage_of_clouds` of the whole sky, and photos in `processed/1000/` (a copy of the collection may also have them
beside `info.json`; the same photos in other sizes are left out). Less than half of the sky under cloud is sunny, half
or more is cloudy.
"""

import json
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath

from utils.data.examples import DataError
from utils.photos.cleaning import Refused
from utils.photos.sources import Candidate, printable
from utils.photos.sources.archive import files_in_zip, open_zip
from utils.photos.sources.fetch import FetchError, Web
from utils.photos.sources.folder import files_in_folder

URL = "https://github.com/0x4248/OpenSky/archive/refs/heads/main.zip"
"""Unverified: it follows the form of other archives of that site and could not be tried where this was written."""

PAGE = "https://github.com/0x4248/OpenSky"
MAX_DOWNLOAD = 4_000_000_000

_INFO = "info.json"
_PROCESSED = ("processed", "1000")
_PICTURES = {".jpg", ".jpeg", ".png", ".heic", ".webp"}
_HALF = 50.0  # percent of the sky
File = tuple[PurePosixPath, Callable[[], bytes]]


def fetch_opensky(web: Web, url: str, target: Path) -> zipfile.ZipFile:
    """The collection's archive, fetched to `target` unless it lies there, open.

    Raises
    ------
    FetchError
        Where the address gives no zip with entries; says how to go on by hand. What came is removed, so that the next
        run fetches it anew.
    """
    by_hand = f"download it by hand from {PAGE} and give the file to the sub-command opensky"
    if not target.exists():
        try:
            web.download(url, target, MAX_DOWNLOAD)
        except FetchError as error:
            raise FetchError(f"{error}; or {by_hand}") from error
    fault = "what came is no zip file"
    try:
        archive = open_zip(target)
        if from_opensky(files_in_zip(archive)):
            return archive
        archive.close()
        fault = "what came holds no entry of OpenSky"
    except DataError:
        pass
    target.unlink(missing_ok=True)
    raise FetchError(f"{url}: {fault}; {by_hand}")


def opensky_in(path: Path) -> list[Candidate]:
    """The photos of a copy of the collection, a folder or a zip file. Raises DataError where there are none."""
    found = from_opensky(files_in_folder(path) if path.is_dir() else files_in_zip(open_zip(path)))
    if not found:
        raise DataError(f"{path}: no entry of OpenSky in it (a folder with {_INFO} and photos)")
    return found


def from_opensky(files: Iterable[File]) -> list[Candidate]:
    """The photos of all entries, each labelled by its entry's note; an entry whose note cannot be read is refused."""
    listed = list(files)
    notes = {path.parent: read for path, read in listed if path.name == _INFO}
    deep = {path.parents[2] for path, _ in listed if path.parent.parts[-2:] == _PROCESSED}
    found: list[Candidate] = []
    for path, read in listed:
        in_processed = path.parent.parts[-2:] == _PROCESSED
        entry = path.parents[2] if in_processed else path.parent
        if (
            entry not in notes
            or path.suffix.casefold() not in _PICTURES
            or (not in_processed and entry in deep)
        ):
            continue
        name = printable(f"{entry.name}/{path.name}")
        one = Candidate(
            name, "", read, {"page": PAGE, "licence": "public domain (Unlicense)"}, scene=entry.name
        )
        try:
            clouds = _clouds(notes[entry])
        except Refused as refusal:
            found.append(replace(one, refused=refusal))
        else:
            label = "sunny" if clouds < _HALF else "cloudy"
            found.append(
                replace(one, label=label, provenance={**one.provenance, "clouds_noted": f"{clouds:g}"})
            )
    return sorted(found, key=lambda one: one.name)


def _clouds(read: Callable[[], bytes]) -> float:
    """Percent of the sky under cloud, as an entry's note has it."""
    try:
        said = json.loads(read())
        clouds = float(said["percentage_of_clouds"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Refused("no cloud cover noted", f"in its {_INFO}") from None
    if not 0 <= clouds <= 100:
        raise Refused("no cloud cover noted", f"{clouds:g} percent in its {_INFO}")
    return clouds
