"""Only the values that change most (Aji and Heafield 2017, https://arxiv.org/abs/1704.05021), with error feedback."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from utils.federated.links._sparse import count_of, down_key, feedback_key, largest, share_key
from utils.federated.update import Bytes

if TYPE_CHECKING:
    from utils.nets.layout import Layout, Vector

ABOUT = ("only the values that change most, and where they are", "只发送变化最大的数值及其位置（top-k）")


@dataclass(frozen=True)
class Keys:
    """How many, and what becomes of the others."""

    share: float = share_key()
    error_feedback: bool = feedback_key()
    down: bool = down_key()


class Link:
    """Of all parameters together the k = share * n of largest magnitude: 8 k bytes, k positions (uint32) and k values
    (float32).
    """

    def __init__(self, keys: Keys, layout: Layout) -> None:
        self._size, self._count = layout.trained, count_of(keys.share, layout.trained)
        self.feedback, self.down = keys.error_feedback, keys.down

    def encode(self, difference: Vector, samples: int, rng: np.random.Generator) -> bytes:
        """Positions, ascending, and values."""
        places = largest(difference, self._count)
        return places.astype("<u4").tobytes() + difference[places].astype("<f4").tobytes()

    def decode(self, payload: Bytes) -> Vector:
        """The values where they belong, and 0 elsewhere (n,). Raises ValueError on anything else."""
        view, cut = memoryview(payload), 4 * self._count
        if view.nbytes != 2 * cut:
            raise ValueError(f"an update of {view.nbytes} bytes, expected {2 * cut}")
        places = np.frombuffer(view[:cut], "<u4")
        if self._count and places.max() >= self._size:
            raise ValueError(f"an update names position {places.max()} of {self._size}")
        found = np.zeros(self._size, np.float32)
        found[places] = np.frombuffer(view[cut:], "<f4")
        return found
