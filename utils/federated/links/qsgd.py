"""A few levels, rounded at random (Alistarh et al. 2017, QSGD), https://arxiv.org/abs/1610.02132."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from utils.federated.links._bits import bits_of, numbers_of, packed, unpacked
from utils.federated.links._sparse import down_key
from utils.federated.update import Bytes
from utils.parts import key

if TYPE_CHECKING:
    from utils.nets.layout import Layout, Vector

ABOUT = ("a few levels, rounded up or down at random", "少数几个等级，随机向上或向下取整（QSGD）")


@dataclass(frozen=True)
class Keys:
    """How fine."""

    levels: int = key(
        "levels s of a magnitude: 1, 3, 7, 127 take 2, 3, 4, 8 bits a value with its sign",
        zh="幅度的等级数 s：1、3、7、127 时每个数值（含符号）占 2、3、4、8 位",
        default=7,
        low=1,
        high=127,
    )
    bucket: int = key(
        "values that share a norm; 0: all",
        zh="共用一个范数的数值个数；0：全部",
        default=512,
        low=0,
        high=1_000_000_000,
    )
    down: bool = down_key()


class Link:
    """Of each bucket v the L2 norm (float32), and of each value sign(v) * xi with xi = s |v| / norm rounded up or down
    at random, right in the mean, in b = ceil(log2(2 s + 1)) bits: 4 ceil(n / bucket) + n b / 8 bytes.
    """

    def __init__(self, keys: Keys, layout: Layout) -> None:
        self._levels, self._size, self.down = keys.levels, layout.trained, keys.down
        self._bucket = min(keys.bucket or self._size, self._size)
        self._norms = -(-self._size // self._bucket) if self._size else 0
        self._width = (2 * keys.levels).bit_length()

    def encode(self, difference: Vector, samples: int, rng: np.random.Generator) -> bytes:
        """Norms and levels."""
        starts = np.arange(0, self._size, self._bucket)
        norms = np.sqrt(np.add.reduceat(difference.astype(np.float64) ** 2, starts)).astype("<f4")
        scales = self._levels / np.where(norms > 0, norms.astype(np.float64), 1.0)
        scaled = np.abs(difference) * np.repeat(scales, self._bucket)[: self._size]
        levels = np.minimum(np.floor(scaled + rng.random(self._size)), self._levels).astype(np.int64)
        signed = np.where(difference < 0, -levels, levels) + self._levels
        return norms.tobytes() + packed(bits_of(signed, self._width))

    def decode(self, payload: Bytes) -> Vector:
        """norm * level / s (n,). Raises ValueError on another length."""
        view, cut = memoryview(payload), 4 * self._norms
        numbers = numbers_of(unpacked(view[cut:], self._size * self._width), self._width)
        levels: NDArray[np.float64] = numbers.astype(np.float64) - self._levels
        norms = np.repeat(np.frombuffer(view[:cut], "<f4"), self._bucket)[: self._size]
        return (norms * (levels / self._levels)).astype(np.float32)
