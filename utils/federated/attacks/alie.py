"""A little is enough (Baruch et al. 2019), https://arxiv.org/abs/1902.06156."""

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
    "sends what is a few standard deviations off the mean, so that it looks like one of the honest",
    "ALIE：发送偏离均值若干个标准差的更新，看似诚实",
)


@dataclass(frozen=True)
class Keys(attacks.Keys):
    """How far off."""

    hostile: int = key(attacks.HOSTILE, zh=attacks.HOSTILE_ZH, default=2, low=2, high=100_000)
    z: float = key(
        "how many standard deviations off the mean of each weight",
        zh="每个权重偏离均值多少个标准差",
        default=1.5,
        low=-100.0,
        high=100.0,
    )


NEEDS = attacks.NEEDS


class Attack(attacks.Hostile):
    """All hostile clients send mean - z * standard deviation of each weight, over what they trained honestly
    themselves: as in the paper they know nothing of the others and take their own for a sample of them (so the
    deviation is over m - 1). The paper's code has z 1.5; what its formula calls safe is often less, and 0 for 2 of 10.
    """

    def together(self, trained: Vector, sent: Vector, rng: np.random.Generator) -> Vector:
        """What all of them send (size,), from what each trained (m, size)."""
        new = np.empty_like(sent)
        for block in blocks(len(sent)):
            piece = trained[:, block].astype(np.float64)
            new[block] = piece.mean(axis=0) - self.keys.z * piece.std(axis=0, ddof=1)
        return new
