"""Inner product manipulation (Xie et al. 2020), https://arxiv.org/abs/1903.03936."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from utils.federated import attacks
from utils.federated.strategies import blocks
from utils.parts import key

if TYPE_CHECKING:
    from utils.nets.layout import Vector

ABOUT = (
    "sends the opposite of what hostile clients would learn together",
    "内积操纵（IPM）：发送恶意客户端共同所学的相反方向",
)
NEEDS = attacks.NEEDS


@dataclass(frozen=True)
class Keys(attacks.Keys):
    """How far the other way."""

    eps: float = key(
        "how many times the mean change they go the other way; far below 1 it hides among the honest",
        zh="沿平均变化的相反方向走多少倍；远小于 1 时隐藏在诚实更新之中",
        default=2.0,
        low=0.0,
        high=1e6,
    )


class Attack(attacks.Hostile):
    """All hostile clients send sent - eps * (mean - sent), the mean over what they trained honestly themselves, which
    they take for what the others train.
    """

    def together(self, trained: Vector, sent: Vector, rng: np.random.Generator) -> Vector:
        """What all of them send (size,), from what each trained (m, size)."""
        new = np.empty_like(sent)
        for block in blocks(len(sent)):
            start = sent[block].astype(np.float64)
            new[block] = start - self.keys.eps * (trained[:, block].mean(axis=0, dtype=np.float64) - start)
        return new
