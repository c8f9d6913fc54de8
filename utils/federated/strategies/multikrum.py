"""The mean of the updates nearest to their neighbours (Multi-Krum, Blanchard et al. 2017),
https://arxiv.org/abs/1703.02757.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from utils.federated.strategies import krum
from utils.parts import AtLeast, key

if TYPE_CHECKING:
    from utils.conf import Conf

ABOUT = (
    "the mean of the updates that lie nearest to their neighbours",
    "Multi-Krum：与邻近更新最接近的若干更新的均值",
)
NEEDS_EACH = NEEDS_ALL = True


@dataclass(frozen=True)
class Keys(krum.Keys):
    """How many it stands, and takes."""

    m: int = key(
        "how many updates the mean is of; 0 is all but `f`",
        zh="对多少个更新取均值；0 即除 `f` 个以外的全部",
        default=0,
        low=0,
        high=100_000,
    )


def _least(keys: Any) -> int:
    return max(2 * int(keys.f) + 3, int(keys.m) + int(keys.f))


NEEDS = {"k": AtLeast(_least)}


class Strategy(krum.Strategy):
    """As Krum, but the mean of the m updates with the lowest scores, each counting the same. Where clients failed, m is
    at most the number of updates without f.
    """

    def __init__(self, conf: Conf) -> None:
        super().__init__(conf)
        self._m: int = conf.strategy.keys.m

    def taken(self, count: int) -> int:
        """How many of so many updates are chosen."""
        return min(self._m or count, count - self._f)
