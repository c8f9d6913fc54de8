"""A set of photos on disk, `data/<set>/`: reading its manifest, and building or adding to it.

A build may be stopped at any moment and run again. Each photo is cleaned once into `.work/`, the clean photos
move to their places when all are grouped, and the manifest, written last and at once, is what counts.
"""

import csv
import fcntl
import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin
from tqdm import tqdm

from utils.apart import Apart, Overrun
from utils.data.examples import DataError, NoSetError
from utils.data.split import SPLITS, deck_of, fold_of, scene_of, split_of
from utils.files import DRAFTS, atomic_write
from utils.photos.cleaning import LOOK_SIDE, Refused, lies, look_of
from utils.photos.duplicates import Bytes, find_pairs
from utils.photos.labels import LABELS
from utils.photos.sources import Candidate

MANIFEST = "manifest.csv"
COLUMNS = (
    "file",
    "sha256",
    "label",
    "group",
    "scene",
    "deck",
    "fold",
    "split",
    "duplicate_of",
    "source",
    "name",
)
WITHOUT_SCENES = tuple(column for column in COLUMNS if column != "scene")
"""The columns of manifests that were written before there were scenes: each group was one."""

DOUBTFUL = "doubtful"
"""The further column in which a photo whose label is doubted has the reason: it is judged and never trained on."""

SIMULATED = "simulated"
WORK = ".work"
"""Inside a set: what builds need again. Deleting it costs time, and the looks of duplicates."""
LOOKS = f"{WORK}/looks"
FETCHED = f"{WORK}/fetched"

_CLEAN = f"{WORK}/clean"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PIXELS = "pixels"


@dataclass(frozen=True)
class PhotoRow:
    """One photo of the manifest.

    Attributes
    ----------
    file : the clean photo, relative to the set's folder; empty for a duplicate.
    sha256 : of the source file's bytes, the photo's identity.
    label : "sunny" or "cloudy".
    group : id of its group of near-duplicates.
    scene : id of what belongs together where it comes from; the group where that is not known.
    deck, fold, split : follow from the scene; split is that of fold 0.
    duplicate_of : sha256 of the kept photo of the group; empty for that photo itself.
    source, name : where it came from and what it was called there.
    provenance : further columns (author, licence, page, doubtful).
    """

    file: str
    sha256: str
    label: str
    group: str
    scene: str
    deck: int
    fold: int
    split: str
    duplicate_of: str
    source: str
    name: str
    provenance: Mapping[str, str] = field(default_factory=dict)

    @property
    def doubtful(self) -> bool:
        """Whether its label is doubted."""
        return bool(self.provenance.get(DOUBTFUL))


def photo_row(
    sha256: str,
    label: str,
    group: str,
    kept: str,
    source: str,
    name: str,
    scene: str = "",
    provenance: Mapping[str, str] | None = None,
) -> PhotoRow:
    """The row of a photo, with all that follows; `kept` is the sha256 of the group's kept photo, and an empty `scene`
    means the group.
    """
    scene = scene or group
    deck = deck_of(scene)
    split = split_of(deck, 0)
    return PhotoRow(
        file=f"{split}/{label}/{sha256}.png" if sha256 == kept else "",
        sha256=sha256,
        label=label,
        group=group,
        scene=scene,
        deck=deck,
        fold=fold_of(deck),
        split=split,
        duplicate_of="" if sha256 == kept else kept,
        source=source,
        name=name,
        provenance={column: value for column, value in (provenance or {}).items() if value},
    )


def read_manifest(folder: Path) -> list[PhotoRow]:
    """The photos of a set, sorted by sha256, checked to agree with each other.

    Raises
    ------
    DataError
        In one line with file and line number: no manifest, or one that is broken or contradicts itself.
    """
    path = folder / MANIFEST
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise NoSetError("", "no_set", file=path) from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8 text") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: dict[str, PhotoRow] = {}
    lines: dict[str, int] = {}
    try:
        header = next(reader, [])
        if tuple(header[: len(WITHOUT_SCENES)]) == WITHOUT_SCENES:
            columns = WITHOUT_SCENES
        elif tuple(header[: len(COLUMNS)]) == COLUMNS:
            columns = COLUMNS
        else:
            raise DataError(f"{path}, line 1: expected the columns {','.join(COLUMNS)}")
        if len(set(header)) != len(header):
            raise DataError(f"{path}, line 1: expected the columns {','.join(COLUMNS)}")
        for cells in reader:
            place = f"{path}, line {reader.line_num}"
            row = _row(cells, header, columns, place)
            if row.sha256 in rows:
                raise DataError(f"{place}: photo {row.sha256} stands here twice")
            rows[row.sha256], lines[row.sha256] = row, reader.line_num
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from None
    kept: dict[str, str] = {}
    for row in rows.values():
        if row.file and kept.setdefault(row.group, row.sha256) != row.sha256:
            raise DataError(f"{path}, line {lines[row.sha256]}: group {row.group} keeps two photos")
    for row in rows.values():
        if kept.get(row.group) != (row.duplicate_of or row.sha256):
            raise DataError(f"{path}, line {lines[row.sha256]}: duplicate_of is not its group's kept photo")
        for column in ("label", "scene"):
            if getattr(rows[kept[row.group]], column) != getattr(row, column):
                raise DataError(
                    f"{path}, line {lines[row.sha256]}: {column} differs within group {row.group}"
                )
    return [rows[sha256] for sha256 in sorted(rows)]


def _row(cells: list[str], header: list[str], columns: tuple[str, ...], place: str) -> PhotoRow:
    if len(cells) != len(header):
        raise DataError(f"{place}: {len(cells)} cells, expected {len(header)}")
    cell = dict(zip(header, cells, strict=True))
    for column in ("sha256", "group", "duplicate_of", *(["scene"] if "scene" in columns else [])):
        if not (_SHA256.fullmatch(cell[column]) or (column == "duplicate_of" and not cell[column])):
            raise DataError(f"{place}: {column} {cell[column][:70]!r} is not a sha256")
    if cell["label"] not in LABELS:
        raise DataError(f"{place}: label {cell['label'][:70]!r} is neither sunny nor cloudy")
    provenance = {name: cell[name] for name in header[len(columns) :]}
    row = photo_row(
        cell["sha256"],
        cell["label"],
        cell["group"],
        cell["duplicate_of"] or cell["sha256"],
        cell["source"],
        cell["name"],
        cell.get("scene", ""),
        provenance,
    )
    for column in columns:
        expected = str(getattr(row, column))
        if cell[column] != expected:
            raise DataError(f"{place}: {column} is {cell[column][:70]!r}, expected {expected!r}")
    return row


def write_manifest(folder: Path, rows: Iterable[PhotoRow]) -> None:
    """Write the manifest whole or not at all; an unchanged one is left alone."""
    ordered = sorted(rows, key=lambda row: row.sha256)
    extra = sorted({name for row in ordered for name in row.provenance})
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *extra])
    for row in ordered:
        cells = [getattr(row, column) for column in COLUMNS]
        writer.writerow([*cells, *(row.provenance.get(name, "") for name in extra)])
    data = text.getvalue().encode("utf-8")
    path = folder / MANIFEST
    if not path.exists() or path.read_bytes() != data:
        with atomic_write(path) as file:
            file.write(data)


@dataclass
class Build:
    """What a build did: the set as it now is, and what became of each file the source offered.

    `lying` has by sha256 the names of those that ask to be turned and are not believed.
    """

    rows: list[PhotoRow]
    added: set[str] = field(default_factory=set)
    copies: list[tuple[str, str]] = field(default_factory=list)
    refused: list[tuple[str, Refused]] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    lying: dict[str, str] = field(default_factory=dict)

    def taken_as_they_lie(self) -> list[str]:
        """Names of the photos in the set that ask to be turned and were not."""
        return sorted(self.lying[row.sha256] for row in self.rows if row.file and row.sha256 in self.lying)

    def refusals(self) -> list[tuple[str, int]]:
        """How many files were refused for each reason, the commonest first."""
        counts = Counter(refusal.reason for _, refusal in self.refused)
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


@dataclass(frozen=True)
class _Fresh:
    """A cleaned photo that is not in the manifest yet."""

    sha256: str
    label: str
    name: str
    pixels: int
    look: Bytes
    provenance: Mapping[str, str]
    scene: str


def build(
    folder: Path, source: str, candidates: Sequence[Candidate], doubtful: Mapping[str, str] | None = None
) -> Build:
    """Add a source's photos to the set in `folder`, which may not exist yet; to be called while it is `locked`.

    Photos of the set whose SHA-256 is in `doubtful` are marked with the reason that stands there.

    Photos that are in the set stay as they are: their groups, folds and kept files never change. A newcomer that
    shows the picture of one of them becomes its duplicate; one that does so with the other label is refused. Of
    newcomers among each other, the one with most pixels (then the smallest sha256) is kept of each group, and a
    group with both labels is refused whole. A newcomer that shows the pictures of several groups of the set joins
    the one with the smallest id; duplicates are not used, so it carries no scene across a split. A group has the scene
    of its kept photo.

    Raises
    ------
    DataError
        Where simulated and real photos would mix, or the manifest is broken.
    """
    old = {row.sha256: row for row in read_manifest(folder)} if (folder / MANIFEST).exists() else {}
    if any((row.source == SIMULATED) != (source == SIMULATED) for row in old.values()):
        raise DataError(f"{folder}: simulated and real photos never mix in one set; choose another --set")
    result = Build([])
    with closing(Apart("utils.photos.cleaning:digest", 1, cpu_seconds=20, seconds=120)) as apart:
        fresh = _clean_all(folder, old, source, candidates, result, apart)
    rows = old | _grouped(folder, old, fresh, source, result)
    for sha256, reason in (doubtful or {}).items():
        if sha256 in rows:
            row = rows[sha256]
            rows[sha256] = replace(row, provenance={**row.provenance, DOUBTFUL: reason})
    result.rows = [rows[sha256] for sha256 in sorted(rows)]
    _put_in_place(folder, result)
    return result


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other runs away from a set while this one builds it. The lock goes with the process, however it ends.

    Raises
    ------
    DataError
        Where another run is at it.
    """
    (folder / WORK).mkdir(parents=True, exist_ok=True)
    with (folder / WORK / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"{folder}: another run is building this set") from None
        yield


def _clean_all(
    folder: Path,
    old: Mapping[str, PhotoRow],
    source: str,
    candidates: Sequence[Candidate],
    result: Build,
    apart: Apart,
) -> list[_Fresh]:
    by_name: dict[str, set[str]] = {}
    for row in old.values():
        if row.source == source:
            by_name.setdefault(row.name, set()).add(row.sha256)
    names: dict[str, list[str]] = {}
    labels: dict[str, set[str]] = {}
    fresh: dict[str, _Fresh] = {}
    failed: dict[str, Refused] = {}
    for candidate in tqdm(candidates, desc="cleaning", unit=" photos", disable=None):
        try:
            if candidate.refused:
                raise candidate.refused
            data = candidate.read()
            sha256 = hashlib.sha256(data).hexdigest()
            if sha256 not in by_name.get(candidate.name, {sha256}):
                result.changed.append(candidate.name)
            if sha256 in failed:
                raise failed[sha256]
            if sha256 in old and old[sha256].label != candidate.label:
                raise Refused("labels contradict", f"the set has this photo as {old[sha256].label}")
            try:
                one = _cleaned(folder, sha256, data, candidate, old.get(sha256), apart)
            except Refused as refusal:
                failed[sha256] = refusal
                raise
        except Refused as refusal:
            result.refused.append((candidate.name, refusal))
            continue
        if lies(data):
            result.lying[sha256] = candidate.name
        names.setdefault(sha256, []).append(candidate.name)
        labels.setdefault(sha256, set()).add(candidate.label)
        if one and (sha256 not in fresh or one.name < fresh[sha256].name):
            fresh[sha256] = one
    for sha256, called in names.items():
        if len(labels[sha256]) > 1:
            fresh.pop(sha256, None)
            result.refused += [
                (name, Refused("labels contradict", "the same file has both")) for name in called
            ]
        else:
            first = min(called)
            result.copies += [(name, first) for name in sorted(called) if name != first]
    return [fresh[sha256] for sha256 in sorted(fresh)]


def _cleaned(
    folder: Path, sha256: str, data: bytes, candidate: Candidate, row: PhotoRow | None, apart: Apart
) -> _Fresh | None:
    """The photo, cleaned now or by an earlier run that was stopped; None where the set has it already."""
    look_path = folder / LOOKS / f"{sha256}.png"
    if look_path.exists() and (_clean_file(folder, sha256) or (row and row.duplicate_of)):
        with Image.open(look_path) as image:
            pixels, look = int(str(image.info[_PIXELS])), np.asarray(image)
    else:
        known = bool((row and row.duplicate_of) or _clean_file(folder, sha256))
        try:
            found = apart(data, known=known)
        except Overrun:
            raise Refused("too costly", "more than 20 s of processor time or 1 GB") from None
        if "refused" in found:
            raise Refused(*found["refused"])
        pixels, look = found["pixels"], np.frombuffer(found["look"], np.uint8).reshape(LOOK_SIDE, LOOK_SIDE)
        if not known:
            with atomic_write(folder / _CLEAN / f"{sha256}.png") as file:
                file.write(found["png"])
        with atomic_write(look_path) as file:
            file.write(_look_file(look, pixels))
    if row:
        return None
    return _Fresh(
        sha256, candidate.label, candidate.name, pixels, look, candidate.provenance, candidate.scene
    )


def _look_file(look: Bytes, pixels: int) -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_text(_PIXELS, str(pixels))
    buffer = io.BytesIO()
    Image.fromarray(look).save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue()


def _clean_file(folder: Path, sha256: str) -> Path | None:
    places = [folder / _CLEAN, *(folder / split / label for split in SPLITS for label in LABELS)]
    return next((place / f"{sha256}.png" for place in places if (place / f"{sha256}.png").exists()), None)


def _look_of_row(folder: Path, row: PhotoRow) -> Bytes | None:
    """The look of a photo of the set: as its source gave it, or, where that is lost, of the clean photo."""
    look_path = folder / LOOKS / f"{row.sha256}.png"
    if look_path.exists():
        with Image.open(look_path) as image:
            return np.asarray(image)
    path = folder / row.file
    if not row.file or not path.exists():
        return None
    with Image.open(path) as image:
        return look_of(image)


def _grouped(
    folder: Path, old: Mapping[str, PhotoRow], fresh: Sequence[_Fresh], source: str, result: Build
) -> dict[str, PhotoRow]:
    """Rows for the fresh photos."""
    if not fresh:
        return {}
    known = [(row, look) for row in old.values() if (look := _look_of_row(folder, row)) is not None]
    looks = [look for _, look in known] + [one.look for one in fresh]
    # No two simulated photos show one sky, so there is nothing to look for.
    pairs = [] if source == SIMULATED else find_pairs(looks, len(known))
    component = list(range(len(known) + len(fresh)))

    def root(index: int) -> int:
        while component[index] != index:
            component[index] = component[component[index]]
            index = component[index]
        return index

    for pair in pairs:
        component[root(pair.first)] = root(pair.second)
    residents: dict[int, list[PhotoRow]] = {}
    for index, (row, _) in enumerate(known):
        residents.setdefault(root(index), []).append(row)
    newcomers: dict[int, list[_Fresh]] = {}
    for index, one in enumerate(fresh, start=len(known)):
        newcomers.setdefault(root(index), []).append(one)

    rows: dict[str, PhotoRow] = {}
    for top, members in newcomers.items():
        hosts = residents.get(top, [])
        labels = {one.label for one in members} | {row.label for row in hosts}
        if len(labels) > 1:
            names = [row.name for row in hosts] + [one.name for one in members]
            for one in members:
                others = ", ".join([name for name in names if name != one.name][:5])
                result.refused.append((one.name, Refused("labels contradict", f"same picture: {others}")))
            continue
        if hosts:
            host = min(hosts, key=lambda row: row.group)
            group, kept, scene = host.group, host.duplicate_of or host.sha256, host.scene
        else:
            group = min(one.sha256 for one in members)
            best = min(members, key=lambda one: (-one.pixels, one.sha256))
            kept, scene = best.sha256, scene_of(source, best.scene) if best.scene else ""
        for one in members:
            rows[one.sha256] = photo_row(
                one.sha256, one.label, group, kept, source, one.name, scene, one.provenance
            )
    result.added = set(rows)
    return rows


def _put_in_place(folder: Path, result: Build) -> None:
    kept = {row.file for row in result.rows if row.file}
    for row in result.rows:
        target = folder / row.file
        if row.file and not target.exists() and (clean_file := _clean_file(folder, row.sha256)):
            target.parent.mkdir(parents=True, exist_ok=True)
            clean_file.replace(target)
    write_manifest(folder, result.rows)
    for left in (*(folder / _CLEAN).glob("*.png"), *folder.rglob(DRAFTS)):
        left.unlink()
    for split, label in product(SPLITS, LABELS):
        for path in (folder / split / label).glob("*.png"):
            if _SHA256.fullmatch(path.stem) and f"{split}/{label}/{path.name}" not in kept:
                path.unlink()
