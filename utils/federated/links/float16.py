"""Half precision: two bytes a value (IEEE 754 binary16)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from utils.federated.links._sparse import down_key
from utils.federated.update import Bytes

if TYPE_CHECKING:
    from utils.nets.layout import Layout, Vector

ABOUT = ("half precision: two bytes a value", "半精度：每个数值两字节")
_MOST = 65504.0


@dataclass(frozen=True)
class Keys:
    """Which way."""

    down: bool = down_key()


class Link:
    """2 n bytes; what is beyond 65,504 is that. A difference keeps eleven digits of its own, weights would not."""

    def __init__(self, keys: Keys, layout: Layout) -> None:
        self._size, self.down = layout.trained, keys.down

    def encode(self, difference: Vector, samples: int, rng: np.random.Generator) -> bytes:
        """Every value, rounded."""
        return np.clip(difference, -_MOST, _MOST).astype("<f2").tobytes()

    def decode(self, payload: Bytes) -> Vector:
        """The values (n,). Raises ValueError on another length."""
        found = np.frombuffer(payload, "<f2").astype(np.float32)
        if len(found) != self._size:
            raise ValueError(f"an update of {len(found)} values, expected {self._size}")
        return found
