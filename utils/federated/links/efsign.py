"""Signs with one scale a tensor, and error feedback (Karimireddy et al. 2019), https://arxiv.org/abs/1901.09847."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from utils.federated.links._bits import packed, unpacked
from utils.federated.links._sparse import down_key, feedback_key
from utils.federated.update import Bytes

if TYPE_CHECKING:
    from utils.nets.layout import Layout, Vector

ABOUT = ("signs, and one scale a tensor", "只发送符号与每个张量的一个尺度（EF-signSGD）")


@dataclass(frozen=True)
class Keys:
    """What becomes of what signs leave out."""

    error_feedback: bool = feedback_key()
    down: bool = down_key()


class Link:
    """Of each tensor of d values v the mean magnitude ||v||_1 / d (float32) and a bit a value, where 0 counts as plus:
    4 m + n / 8 bytes for m tensors of n values in all.
    """

    def __init__(self, keys: Keys, layout: Layout) -> None:
        self._sizes = layout.sizes[: layout.parameters]
        self.feedback, self.down = keys.error_feedback, keys.down

    def encode(self, difference: Vector, samples: int, rng: np.random.Generator) -> bytes:
        """Scales and signs."""
        pieces = np.split(difference, np.cumsum(self._sizes)[:-1])
        scales = [np.abs(piece).mean(dtype=np.float64) for piece in pieces]
        return np.array(scales, "<f4").tobytes() + packed((difference < 0).astype(np.uint8))

    def decode(self, payload: Bytes) -> Vector:
        """Scale times sign (n,). Raises ValueError on another length."""
        view, cut = memoryview(payload), 4 * len(self._sizes)
        minus = unpacked(view[cut:], sum(self._sizes))
        scales = np.repeat(np.frombuffer(view[:cut], "<f4"), self._sizes)
        return np.where(minus, -scales, scales).astype(np.float32)
