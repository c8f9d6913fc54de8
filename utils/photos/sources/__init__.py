"""Where photos come from, one module a source. Each gives candidates; none decides whether one is fit for use."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
    refused : why the source itself turns the file down.
    """

    name: str
    label: str
    read: Callable[[], bytes]
    provenance: Mapping[str, str] = field(default_factory=dict)
    refused: Refused | None = None


def candidate(path: PurePosixPath, read: Callable[[], bytes]) -> Candidate:
    """The candidate for a file whose path inside its source names its class, or fails to."""
    try:
        return Candidate(printable(str(path)), label_of(path), read)
    except Refused as refusal:
        return Candidate(printable(str(path)), "", read, refused=refusal)


def printable(name: str) -> str:
    """A file name as one line of valid Unicode: control characters and stray bytes appear as escapes."""
    escaped = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in escaped)
