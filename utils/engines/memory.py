"""Memory that a server and its workers share, so that weights need not travel.

It has no name, so nobody can leave it behind: it is gone with the last process that has it mapped, however that ends.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
import weakref
from collections import deque
from contextlib import suppress
from itertools import count

import numpy as np
from numpy.typing import NDArray

from utils.federated.update import Bytes

_SMALL = 2**22
_SPARE = 64  # blocks kept for the next who wants one as large


class Block:
    """So many bytes, mapped here and, by its descriptor, wherever that is sent. No two have the same number."""

    _numbers = count()

    def __init__(self, size: int) -> None:
        self.number, self.size = next(Block._numbers), max(size, 1)
        self.descriptor = _nameless()
        weakref.finalize(self, os.close, self.descriptor).atexit = False
        os.ftruncate(self.descriptor, self.size)
        self._map = mmap.mmap(self.descriptor, self.size)

    def view(self, start: int, length: int) -> memoryview:
        """`length` bytes of it from `start`."""
        return memoryview(self._map)[start : start + length]


class Lease:
    """A block that somebody uses, in places of `each` bytes; it is free again when nobody holds the lease any more."""

    def __init__(self, block: Block, each: int) -> None:
        self.block, self.each = block, each

    def payload(self, start: int, length: int) -> memoryview:
        """`length` bytes from `start`; who holds them, or an array made of them, holds the lease too."""
        # Whatever is made of what is returned keeps this array.
        found = np.frombuffer(self.block.view(start, length), np.uint8)
        weakref.finalize(found, _hold, self).atexit = False
        return found.data


def _hold(lease: Lease) -> None:
    """Nothing: that this is to be called keeps the lease until then."""


class Memory:
    """Blocks for one engine, used again and again. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spare: list[Block] = []
        # What came back since somebody looked, in any thread at any moment.
        self._free: deque[Block] = deque()
        self._vectors: weakref.WeakValueDictionary[int, Lease] = weakref.WeakValueDictionary()

    def lease(self, each: int, places: int = 1) -> Lease:
        """A block with so many places, or up to twice as large. Raises OSError where there is no room."""
        length = each * places
        if length < _SMALL:  # of few sizes, so that there is one
            length = max(4096, 1 << (length - 1).bit_length())
        with self._lock:
            while self._free:
                self._spare.append(self._free.popleft())
            del self._spare[:-_SPARE]
            fitting = [one for one in self._spare if length <= one.size <= 2 * length]
            block = min(fitting, key=lambda one: one.size, default=None)
            if block is not None:
                self._spare.remove(block)
        found = Lease(block or Block(length), each)
        weakref.finalize(found, self._free.append, found.block).atexit = False
        return found

    def vector(self, length: int) -> NDArray[np.float32]:
        """A vector of no particular values, to be filled once; its memory is free again when nobody holds it."""
        lease = self.lease(4 * length)
        found = np.frombuffer(lease.payload(0, 4 * length), np.float32)
        self._vectors[found.ctypes.data] = lease
        return found

    def holding(self, content: Bytes) -> Lease:
        """A block that begins with these bytes: the one in which they are, if they are a `vector`, or else a copy."""
        plain = memoryview(content).cast("B")
        own = self._vectors.get(np.frombuffer(plain, np.uint8).ctypes.data) if plain.nbytes else None
        if own is not None and own.each == plain.nbytes:
            return own
        found = self.lease(plain.nbytes)
        found.block.view(0, plain.nbytes)[:] = plain
        return found


POOL = Memory()
"""What this process shares with its workers."""


def _nameless() -> int:
    """A descriptor of memory without a name; where a system has none, of a file that is no longer in its folder."""
    if hasattr(os, "memfd_create"):
        with suppress(OSError):  # a sandbox may forbid it
            return os.memfd_create("skyfed")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
