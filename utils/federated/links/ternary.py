"""Sparse ternary compression (Sattler et al. 2019, STC), https://arxiv.org/abs/1903.02891."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from utils.federated.links._bits import bits_of, numbers_of, packed, unpacked
from utils.federated.links._sparse import count_of, down_key, feedback_key, largest, share_key
from utils.federated.update import Bytes

if TYPE_CHECKING:
    from utils.nets.layout import Layout, Vector

ABOUT = ("the values that change most, all of one size", "变化最大的数值，统一为同一幅度（STC）")
_GOLDEN = (math.sqrt(5) + 1) / 2


@dataclass(frozen=True)
class Keys:
    """How many; by the paper both ways, with error feedback."""

    share: float = share_key()
    error_feedback: bool = feedback_key()
    down: bool = down_key(True)


class Link:
    """The k = share * n values of largest magnitude, each plus or minus their mean magnitude (float32). Gaps between
    positions are coded after Golomb: b = 1 + floor(log2(ln(golden ratio - 1) / ln(1 - share))) bits of the remainder
    by 2 ** b, the quotient in as many ones and a zero. With a bit of sign that is k (1 + b + 1 / (1 - (1 - share) ** 2
    ** b)) bits, and 4 bytes, where positions are random.
    """

    def __init__(self, keys: Keys, layout: Layout) -> None:
        self._size, self._count = layout.trained, count_of(keys.share, layout.trained)
        self.feedback, self.down = keys.error_feedback, keys.down
        rarely = math.log(1 - keys.share) if keys.share < 1 else -math.inf
        self._width = (
            max(0, 1 + math.floor(math.log2(math.log(_GOLDEN - 1) / rarely))) if keys.share < 1 else 0
        )

    def encode(self, difference: Vector, samples: int, rng: np.random.Generator) -> bytes:
        """Magnitude, then signs, remainders and quotients."""
        places = largest(difference, self._count)
        values = difference[places]
        gaps = np.diff(places, prepend=-1) - 1
        ones = (gaps >> self._width).astype(np.int64)
        quotients = np.ones(int(ones.sum()) + len(ones), np.uint8)
        quotients[np.cumsum(ones + 1) - 1] = 0
        remainders = bits_of(gaps & ((1 << self._width) - 1), self._width)
        bits = np.concatenate([(values < 0).astype(np.uint8), remainders, quotients])
        size = np.abs(values).mean(dtype=np.float64) if len(values) else 0.0
        return np.array([size], "<f4").tobytes() + packed(bits)

    def decode(self, payload: Bytes) -> Vector:
        """Plus or minus the magnitude where it was sent, and 0 elsewhere (n,). Raises ValueError on anything else."""
        view, count = memoryview(payload), self._count
        bits = unpacked(view[4:])
        minus, rest = bits[:count], bits[count * (1 + self._width) :]
        remainders = numbers_of(bits[count : count * (1 + self._width)], self._width)
        ends = np.flatnonzero(rest == 0)[:count]
        if len(ends) < count:
            raise ValueError(f"an update of {len(ends)} positions, expected {count}")
        gaps = (np.diff(ends, prepend=-1) - 1) << self._width
        if len(bits) != -(-(count * (1 + self._width) + (int(ends[-1]) + 1 if count else 0)) // 8) * 8:
            raise ValueError(f"an update of {view.nbytes} bytes, some of which say nothing")
        places = np.cumsum(gaps + (remainders.astype(np.int64) if self._width else 0) + 1) - 1
        if count and places[-1] >= self._size:
            raise ValueError(f"an update names position {places[-1]} of {self._size}")
        size, found = np.frombuffer(view[:4], "<f4")[0], np.zeros(self._size, np.float32)
        found[places] = np.where(minus, -size, size)
        return found
