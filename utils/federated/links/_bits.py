"""Numbers in as few bits as they need."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from utils.federated.update import Bytes


def bits_of(numbers: NDArray[np.integer], width: int) -> NDArray[np.uint8]:
    """The binary digits (n * width,) of whole numbers (n,) below 2 ** width, the highest first."""
    found = np.empty((len(numbers), width), np.uint8)
    for place in range(width):
        found[:, place] = (numbers >> (width - 1 - place)) & 1
    return found.ravel()


def numbers_of(bits: NDArray[np.uint8], width: int) -> NDArray[np.uint32]:
    """The whole numbers (n,) that have these binary digits (n * width,)."""
    found = np.zeros(len(bits) // width if width else 0, np.uint32)
    for place in range(width):
        found = (found << np.uint32(1)) | bits[place::width]
    return found


def packed(bits: NDArray[np.uint8]) -> bytes:
    """Eight to a byte, the last one filled up with zeros."""
    return np.packbits(bits).tobytes()


def unpacked(payload: Bytes, count: int | None = None) -> NDArray[np.uint8]:
    """The first `count` bits of a payload, or all. Raises ValueError where it has fewer."""
    bits = np.unpackbits(np.frombuffer(payload, np.uint8), count=count)
    if count is not None and 8 * memoryview(payload).nbytes != -(-count // 8) * 8:
        raise ValueError(f"{memoryview(payload).nbytes} bytes, expected {-(-count // 8)}")
    return bits
