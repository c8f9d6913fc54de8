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

STORE_VERSION = 1


@dataclass(frozen=True)
class PhotoSet:
    """The photos of one set, in the order of their SHA-256.

    `pixels` is a read-only memory map of shape (n, 3, side, side), uint8; `labels` is (n,) with 0 cloudy
    and 1 sunny; `file_bytes` (n,) is the size of each cleaned file; `unreadable` names the files that are
    in the manifest but could not be decoded (they are in none of the arrays).
    """

    name: str
    path: Path
    hashes: tuple[str, ...]
    labels: NDArray[np.int64]
    decks: NDArray[np.int64]
    file_bytes: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    fingerprint: str
    unreadable: tuple[str, ...]

    def split(self, fold: int, part: str) -> NDArray[np.int64]:
        """Indices of the photos in `part` ("train", "val" or "test") while `fold` is held out."""
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
    kept_path = path.with_suffix(".kept")
    if not (path.exists() and kept_path.exists()):
        _build(files, side, path, kept_path)
    kept = np.frombuffer(kept_path.read_bytes(), dtype=np.uint8).astype(bool)
    pixels = np.load(path, mmap_mode="r")
    if len(kept) != len(rows) or pixels.shape != (int(kept.sum()), 3, side, side):
        raise DataError(f"{path}: a damaged photo store; delete it and run again")
    if not kept.any():
        raise DataError(f"{folder}: none of its {len(rows)} photos can be decoded")
    good = [row for row, keep in zip(rows, kept, strict=True) if keep]
    return PhotoSet(
        folder.name,
        path,
        tuple(row.sha256 for row in good),
        np.array([row.label == "sunny" for row in good], dtype=np.int64),
        np.array([row.deck for row in good], dtype=np.int64),
        np.array(sizes, dtype=np.int64)[kept],
        pixels,
        _fingerprint(good),
        tuple(row.file for row, keep in zip(rows, kept, strict=True) if not keep),
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


def _build(files: list[Path], side: int, path: Path, kept_path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = np.zeros(len(files), dtype=np.uint8)
    with tempfile.TemporaryDirectory(dir=path.parent) as temporary:
        draft = Path(temporary) / path.name
        squares = []
        for index, file in enumerate(files):
            with suppress(OSError, ValueError, SyntaxError, Image.DecompressionBombError):
                squares.append(_decoded(file, side))
                kept[index] = 1
        pixels = np.lib.format.open_memmap(draft, "w+", np.uint8, (len(squares), 3, side, side))
        for index, square in enumerate(squares):
            pixels[index] = square
        pixels.flush()
        draft_kept = Path(temporary) / kept_path.name
        draft_kept.write_bytes(kept.tobytes())
        for source, target in ((draft_kept, kept_path), (draft, path)):
            with source.open("rb") as file_:
                os.fsync(file_.fileno())
            source.replace(target)


def _decoded(file: Path, side: int) -> NDArray[np.uint8]:
    with Image.open(file) as image:
        square = image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(square).transpose(2, 0, 1)
