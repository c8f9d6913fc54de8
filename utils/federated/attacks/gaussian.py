"""Hostile clients send noise (Blanchard et al. 2017), https://arxiv.org/abs/1703.02757."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from utils.federated import attacks
from utils.parts import key

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.nets.layout import Vector

ABOUT = ("sends noise instead of what it learnt", "发送高斯噪声而不是所学内容")
NEEDS = attacks.NEEDS


@dataclass(frozen=True)
class Keys(attacks.Keys):
    """How much noise."""

    sd: float = key(
        "standard deviation of the noise that a hostile client adds to each of the weights it was sent",
        zh="恶意客户端给收到的每个权重所加噪声的标准差",
        default=0.1,
        low=0.0,
        high=1e6,
    )


class Attack(attacks.Hostile):
    """What is sent are the weights of the round's beginning, and noise; what was learnt is thrown away."""

    TRAINS = False

    def weights(self, weights: Vector, sent: Vector, rng: np.random.Generator) -> Vector:
        """What is sent."""
        return sent + np.float32(self.keys.sd) * rng.standard_normal(len(sent), dtype=np.float32)


def fits(conf: Conf, where: str) -> None:
    """Raises ConfError where all of a round's clients may be hostile."""
    attacks.check_idle(conf, where)
