"""Photos decoded once into one memory-mapped file that all processes share.

A store holds the photos of one set at one side length, as uint8. It is rebuilt when the manifest or the
side changes, and written atomically, so that a killed build leaves nothing behind that could be mistaken
for a whole one.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from utils.photos.dataset import DataError, PhotoRow, read_manifest
from utils.photos.split import split_of

STORE_VERSION = 2


@dataclass(frozen=True)
class PhotoSet:
    """The photos of one set, in the order of their SHA-256.

    `pixels` is a read-only memory map of shape (n, 3, side, side), uint8; `labels` is (n,) with 0 cloudy
    and 1 sunny; `file_bytes` (n,) is the size of each cleaned file. `readable` (n,) is False for photos that are in
    the manifest but could not be decoded (`unreadable` names their files): they still have their place, so
    that the others fall to the same folds and owners, but nothing may be trained or judged on them.
    """

    name: str
    path: Path
    hashes: tuple[str, ...]
    labels: NDArray[np.int64]
    decks: NDArray[np.int64]
    file_bytes: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    readable: NDArray[np.bool_]
    fingerprint: str
    unreadable: tuple[str, ...]

    def split(self, fold: int, part: str) -> NDArray[np.int64]:
        """Indices of all photos in `part` ("train", "val" or "test") while `fold` is held out."""
        return np.flatnonzero([split_of(int(deck), fold) == part for deck in self.decks])


def open_photos(folder: Path, side: int, store_folder: Path) -> PhotoSet:
    """Open the set in `folder` at `side` pixels, decoding it into `store_folder` if that was not done before.

    Raises DataError, one line, when there is no usable set or none of its photos can be decoded.
    """
    rows = [row for row in read_manifest(folder) if row.file]
    if not rows:
        raise DataError(f"{folder}: no photos in its manifest")
    files = [folder / row.file for row in rows]
    sizes = [_size(file) for file in files]
    content = [(row.sha256, row.label, row.deck, row.file, n) for row, n in zip(rows, sizes, strict=True)]
    key = hashlib.sha256(repr((STORE_VERSION, side, content)).encode()).hexdigest()
    path = store_folder / f"{folder.name}-{side}-{key[:16]}.npy"
    mask_path = path.with_suffix(".readable")
    if not (path.exists() and mask_path.exists()):
        _build(files, side, path, mask_path)
    readable = np.frombuffer(mask_path.read_bytes(), dtype=np.uint8).astype(bool)
    pixels = np.load(path, mmap_mode="r")
    if len(readable) != len(rows) or pixels.shape != (len(rows), 3, side, side):
        raise DataError(f"{path}: a damaged photo store; delete it and run again")
    if not readable.any():
        raise DataError(f"{folder}: none of its {len(rows)} photos can be decoded")
    return PhotoSet(
        folder.name,
        path,
        tuple(row.sha256 for row in rows),
        np.array([row.label == "sunny" for row in rows], dtype=np.int64),
        np.array([row.deck for row in rows], dtype=np.int64),
        np.array(sizes, dtype=np.int64),
        pixels,
        readable,
        _fingerprint([row for row, good in zip(rows, readable, strict=True) if good]),
        tuple(row.file for row, good in zip(rows, readable, strict=True) if not good),
    )


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return -1


def _fingerprint(rows: list[PhotoRow]) -> str:
    """What a result was measured on: source hash, label and deck of every photo used."""
    lines = "".join(f"{row.sha256} {row.label} {row.deck}\n" for row in rows)
    return hashlib.sha256(lines.encode()).hexdigest()


def _build(files: list[Path], side: int, path: Path, mask_path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    readable = np.zeros(len(files), dtype=np.uint8)
    with tempfile.TemporaryDirectory(dir=path.parent) as temporary:
        draft, mask_draft = Path(temporary) / path.name, Path(temporary) / mask_path.name
        pixels = np.lib.format.open_memmap(draft, "w+", np.uint8, (len(files), 3, side, side))
        for index, file in enumerate(files):
            with suppress(OSError, ValueError, SyntaxError, Image.DecompressionBombError):
                pixels[index] = _decoded(file, side)
                readable[index] = 1
        pixels.flush()
        mask_draft.write_bytes(readable.tobytes())
        for source, target in ((mask_draft, mask_path), (draft, path)):
            with source.open("rb") as whole:
                os.fsync(whole.fileno())
            source.replace(target)


def _decoded(file: Path, side: int) -> NDArray[np.uint8]:
    with Image.open(file) as image:
        square = image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(square).transpose(2, 0, 1)
