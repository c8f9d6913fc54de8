"""Looks for pieces of examples in bytes: any window of a width, wherever it begins. Not a test."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

_KEYS = np.random.default_rng(24).integers(1, 2**63, 64, dtype=np.uint64) | np.uint64(1)
_BITS = 24


def _hashes(raw: bytes, width: int):
    """A number for each window of so many bytes, a multiple of eight: those that begin at 0, 8, ..., then 1, 9, ..."""
    for start in range(8):
        words = (
            np.frombuffer(raw, np.uint64, (len(raw) - start) // 8, start) if len(raw) >= start + width else ()
        )
        count = len(words) - width // 8 + 1
        if count > 0:
            with np.errstate(over="ignore"):
                yield start, sum(words[at : at + count] * _KEYS[at] for at in range(width // 8))


class Pieces:
    """Windows of `width` bytes to look for. Those with fewer than `least` different bytes say nothing of anybody, and
    neither do those that stand in what was `known` before. With `step` one in so many is looked for, so that whatever
    is as long as `width` + `step` - 1 bytes is found.
    """

    def __init__(
        self, wanted: Iterable[bytes], width: int, known: Iterable[bytes] = (), least: int = 6, step: int = 1
    ) -> None:
        self.width, found = width, set()
        for raw in wanted:
            for at in range(0, len(raw) - width + 1, step):
                piece = raw[at : at + width]
                if len(set(piece)) >= least:
                    found.add(piece)
        self._set(found)
        self.of_all = len(found)
        self._set(found - self.within(known))

    def _set(self, found: set[bytes]) -> None:
        self.all, self._sorted = found, np.zeros(0, np.uint64)
        if found:
            words = np.frombuffer(b"".join(found), np.uint64).reshape(len(found), -1)
            with np.errstate(over="ignore"):
                self._sorted = np.sort(sum(words[:, at] * _KEYS[at] for at in range(words.shape[1])))
        self._table = np.zeros(1 << _BITS, bool)
        self._table[self._sorted >> np.uint64(64 - _BITS)] = True

    def __len__(self) -> int:
        return len(self.all)

    def within(self, hay: Iterable[bytes]) -> set[bytes]:
        """Those that stand in any of these."""
        found: set[bytes] = set()
        for raw in hay if self.all else ():
            for start, hashed in _hashes(raw, self.width):
                maybe = np.flatnonzero(self._table[hashed >> np.uint64(64 - _BITS)])
                places = np.searchsorted(self._sorted, hashed[maybe])
                maybe = maybe[self._sorted[np.minimum(places, len(self._sorted) - 1)] == hashed[maybe]]
                for at in maybe:
                    piece = raw[start + 8 * at : start + 8 * at + self.width]
                    if piece in self.all:
                        found.add(piece)
        return found
