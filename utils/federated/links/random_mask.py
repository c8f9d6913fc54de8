"""A random mask: each value is sent or not, by chance (Konečný et al. 2016, https://arxiv.org/abs/1610.05492)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from utils.federated.update import Bytes
from utils.parts import key

if TYPE_CHECKING:
    from utils.nets.layout import Layout, Vector

ABOUT = ("each value by chance, the others not at all", "每个数值按概率发送，其余不发送（随机掩码）")


@dataclass(frozen=True)
class Keys:
    """How likely."""

    chance: float = key(
        "probability that a value is sent",
        zh="一个数值被发送的概率",
        default=0.3,
        low=0.0,
        high=1.0,
        above_low=True,
    )


class Link:
    """A seed (uint64) that says which, and their values (float32): some 8 + 4 chance n bytes. Nothing makes up for
    those that are not sent, so that on average an update is shorter by `chance`.
    """

    def __init__(self, keys: Keys, layout: Layout) -> None:
        self._size, self._chance = layout.trained, keys.chance

    def encode(self, difference: Vector, samples: int, rng: np.random.Generator) -> bytes:
        """Seed and values."""
        seed = int(rng.integers(2**63))
        return np.array([seed], "<u8").tobytes() + difference[self._mask(seed)].astype("<f4").tobytes()

    def decode(self, payload: Bytes) -> Vector:
        """The values where they belong, and 0 elsewhere (n,). Raises ValueError on another length."""
        view, found = memoryview(payload), np.zeros(self._size, np.float32)
        mask = self._mask(int(np.frombuffer(view[:8], "<u8")[0]))
        values = np.frombuffer(view[8:], "<f4")
        if len(values) != (expected := int(mask.sum())):
            raise ValueError(f"an update of {len(values)} values, expected {expected}")
        found[mask] = values
        return found

    def _mask(self, seed: int) -> NDArray[np.bool_]:
        chosen: NDArray[np.bool_] = np.random.default_rng(seed).random(self._size) < self._chance
        return chosen
