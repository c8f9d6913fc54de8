"""Some values, drawn at random (Konečný et al. 2016, random subsampling, https://arxiv.org/abs/1610.05492)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from utils.federated.links._sparse import count_of, feedback_key, share_key
from utils.federated.update import Bytes

if TYPE_CHECKING:
    from utils.nets.layout import Layout, Vector

ABOUT = ("values drawn at random, without their positions", "随机抽取的若干数值，不发送位置（random-k）")


@dataclass(frozen=True)
class Keys:
    """How many, and what becomes of the others."""

    share: float = share_key(0.1)
    error_feedback: bool = feedback_key(False)


class Link:
    """k = share * n of the parameters: 8 + 4 k bytes, a seed (uint64) from which the server knows the positions, and k
    values (float32).

    Times n / k they are right in the mean; with error feedback, which adds the rest later, they are not multiplied.
    """

    def __init__(self, keys: Keys, layout: Layout) -> None:
        self._size, self._count = layout.trained, count_of(keys.share, layout.trained)
        self.feedback = keys.error_feedback
        self._times = np.float32(1.0 if self.feedback else self._size / max(self._count, 1))

    def encode(self, difference: Vector, samples: int, rng: np.random.Generator) -> bytes:
        """Seed and values."""
        seed = int(rng.integers(2**63))
        values = difference[self._places(seed)] * self._times
        return np.array([seed], "<u8").tobytes() + values.astype("<f4").tobytes()

    def decode(self, payload: Bytes) -> Vector:
        """The values where they belong, and 0 elsewhere (n,). Raises ValueError on another length."""
        view = memoryview(payload)
        if view.nbytes != 8 + 4 * self._count:
            raise ValueError(f"an update of {view.nbytes} bytes, expected {8 + 4 * self._count}")
        found = np.zeros(self._size, np.float32)
        found[self._places(int(np.frombuffer(view[:8], "<u8")[0]))] = np.frombuffer(view[8:], "<f4")
        return found

    def _places(self, seed: int) -> NDArray[np.int64]:
        chosen = np.random.default_rng(seed).choice(self._size, self._count, replace=False, shuffle=False)
        return np.sort(chosen)
