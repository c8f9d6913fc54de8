"""Photos decoded once into one memory-mapped file that all processes share.

A store holds the photos of one set at one side length, as uint8. It is rebuilt when the manifest, a photo or the
side changes or the store is damaged, and written atomically, so that a killed build leaves nothing behind that
could be mistaken for a whole one. Stores nobody needs any more are removed.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from utils.data.examples import DataError, Examples
from utils.files import atomic_write
from utils.photos.dataset import PhotoRow, read_manifest
from utils.photos.sources import licence_of

STORE_VERSION = 2


def open_photos(folder: Path, side: int, store_folder: Path) -> Examples:
    """Open the set in `folder` at `side` pixels, decoding it into `store_folder` if that was not done before.

    Raises DataError, one line, when there is no usable set or none of its photos can be decoded, and OSError that
    names the file when the store cannot be written.
    """
    rows = [row for row in read_manifest(folder) if row.file]
    if not rows:
        raise DataError(f"{folder}: no photos in its manifest")
    files = [folder / row.file for row in rows]
    sizes, digests = zip(*map(_size_and_digest, files), strict=True)
    content = [(row.sha256, row.label, row.deck, row.file) for row in rows]
    key = hashlib.sha256(repr((STORE_VERSION, side, content, digests)).encode()).hexdigest()
    path = store_folder / f"{folder.name}-{side}-{key[:16]}.npy"
    store = _load(path, len(files), side)
    if store is None:
        _build(files, side, path)
        store = _load(path, len(files), side)
        _remove_others(path)
    if store is None:
        raise DataError(f"{path}: the photo store cannot be read back")
    pixels, readable = store
    if not readable.any():
        raise DataError(f"{folder}: none of its {len(rows)} photos can be decoded")
    return Examples(
        folder.name,
        path,
        tuple(row.sha256 for row in rows),
        np.array([row.label == "sunny" for row in rows], dtype=np.int64),
        tuple(row.scene for row in rows),
        tuple(row.source for row in rows),
        np.array([row.deck for row in rows], dtype=np.int64),
        np.array(sizes, dtype=np.int64),
        pixels,
        readable,
        np.array([not row.doubtful for row in rows]),
        np.ones(len(rows), dtype=bool),
        _fingerprint([row for row, good in zip(rows, readable, strict=True) if good]),
        tuple(row.file for row, good in zip(rows, readable, strict=True) if not good),
        {
            source: licence_of(source, (row.provenance for row in rows if row.source == source))
            for source in sorted({row.source for row in rows})
        },
    )


def _size_and_digest(file: Path) -> tuple[int, str]:
    """Bytes of a file and their SHA-256; -1 and nothing where it cannot be read."""
    try:
        data = file.read_bytes()
    except OSError:
        return -1, ""
    return len(data), hashlib.sha256(data).hexdigest()


def _fingerprint(rows: list[PhotoRow]) -> str:
    """What a result was measured on: source hash, label and deck of every photo used; a scene of its own, and doubt, if
    any.
    """
    lines = "".join(
        f"{row.sha256} {row.label} {row.deck}{f' {row.scene}' if row.scene != row.group else ''}"
        f"{' doubtful' if row.doubtful else ''}\n"
        for row in rows
    )
    return hashlib.sha256(lines.encode()).hexdigest()


def _load(path: Path, count: int, side: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]] | None:
    """Pixels (count, 3, side, side) and mask (count,) of a store; None where it is missing or damaged."""
    header = _header(count, side)
    try:
        mask = path.with_suffix(".readable").read_bytes()
        with path.open("rb") as file:
            whole = file.read(len(header)) == header
            size = file.seek(0, os.SEEK_END)
    except OSError:
        return None
    if not whole or size != len(header) + count * 3 * side**2 or len(mask) != count:
        return None
    return np.load(path, mmap_mode="r"), np.frombuffer(mask, dtype=np.uint8).astype(bool)


def _header(count: int, side: int) -> bytes:
    """How the .npy file of a store begins."""
    header = io.BytesIO()
    about = {"descr": "|u1", "fortran_order": False, "shape": (count, 3, side, side)}
    np.lib.format.write_array_header_1_0(header, about)
    return header.getvalue()


def _build(files: list[Path], side: int, path: Path) -> None:
    """Decode the photos into a store. Written row by row: a full disk kills whoever writes to a memory map."""
    blank = np.zeros((3, side, side), dtype=np.uint8)
    readable = bytearray(len(files))
    with atomic_write(path) as store:
        store.write(_header(len(files), side))
        for index, file in enumerate(files):
            pixels = blank
            with suppress(OSError, ValueError, SyntaxError, Image.DecompressionBombError):
                pixels = _decoded(file, side)
                readable[index] = 1
            store.write(pixels.tobytes())
        with atomic_write(path.with_suffix(".readable")) as mask:
            mask.write(readable)


def _remove_others(path: Path) -> None:
    """Remove older stores of the same set and side, but none that a run of the last day may still be reading."""
    stem = path.stem.rpartition("-")[0]
    for other in path.parent.glob(f"{stem}-{'[0-9a-f]' * 16}.*"):
        with suppress(OSError):
            if other.stem != path.stem and other.stat().st_mtime < time.time() - 86_400:
                other.unlink()


def _decoded(file: Path, side: int) -> NDArray[np.uint8]:
    with Image.open(file) as image:
        square = image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(square).transpose(2, 0, 1)
