"""Hostile clients send the opposite of what they learnt (Li et al. 2019), https://arxiv.org/abs/1811.03761."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from utils.federated import attacks
from utils.parts import key

if TYPE_CHECKING:
    from utils.nets.layout import Vector

ABOUT = ("sends the opposite of what it learnt", "发送与所学相反的更新")
NEEDS = attacks.NEEDS


@dataclass(frozen=True)
class Keys(attacks.Keys):
    """How far the other way."""

    scale: float = key(
        "how many times its change a hostile client goes the other way",
        zh="恶意客户端向相反方向走自身变化的多少倍",
        default=1.0,
        low=0.0,
        high=1e6,
    )


class Attack(attacks.Hostile):
    """What is sent is sent - scale * (weights - sent)."""

    def weights(self, weights: Vector, sent: Vector, rng: np.random.Generator) -> Vector:
        """What is sent."""
        return sent - np.float32(self.keys.scale) * (weights - sent)
