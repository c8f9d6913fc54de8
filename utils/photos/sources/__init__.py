"""Where photos come from, one module a source. Each gives candidates; none decides whether one is fit for use."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from utils.photos.cleaning import Refused
from utils.photos.labels import label_of


@dataclass(frozen=True)
class Candidate:
    """One file a source offers.

    Attributes
    ----------
    name : the path inside the source, printable, the same at each run.
    label : "sunny" or "cloudy"; empty where `refused`.
    read : gives the file's bytes, or raises Refused.
    provenance : what the manifest keeps of it besides (author, licence, page).
    scene : what it belongs together with at its source (an outing, a day of a webcam); empty where that is not known.
    refused : why the source itself turns the file down.
    """

    name: str
    label: str
    read: Callable[[], bytes]
    provenance: Mapping[str, str] = field(default_factory=dict)
    refused: Refused | None = None
    scene: str = ""


LICENCES = {"mwd": "CC BY 4.0", "opensky": "public domain (Unlicense)", "simulated": "drawn by SkyFed"}


def licence_of(source: str, provenances: Iterable[Mapping[str, str]]) -> str:
    """Under which licence a source's photos are, as far as it or their provenances say; empty where nobody does."""
    said = {one.get("licence", "") for one in provenances} - {""}
    return LICENCES.get(source) or ", ".join(sorted(said))


def candidate(path: PurePosixPath, read: Callable[[], bytes]) -> Candidate:
    """The candidate for a file whose path inside its source names its class, or fails to."""
    try:
        return Candidate(printable(str(path)), label_of(path), read)
    except Refused as refusal:
        return Candidate(printable(str(path)), "", read, refused=refusal)


def only_listed(candidates: Iterable[Candidate], sha256s: Container[str]) -> list[Candidate]:
    """The candidates, each refused when its bytes' SHA-256 is not in `sha256s`."""

    def checked(read: Callable[[], bytes]) -> Callable[[], bytes]:
        def read_if_listed() -> bytes:
            data = read()
            if hashlib.sha256(data).hexdigest() not in sha256s:
                raise Refused("not in the list", "--only leaves it out")
            return data

        return read_if_listed

    return [replace(one, read=checked(one.read)) for one in candidates]


def printable(name: str) -> str:
    """A file name as one line of valid Unicode: control characters and stray bytes appear as escapes."""
    escaped = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in escaped)
