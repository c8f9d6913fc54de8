"""The one update nearest to its neighbours (Krum, Blanchard et al. 2017), https://arxiv.org/abs/1703.02757."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from utils.federated.strategies._gathering import Weighing, distances
from utils.parts import AtLeast, key

if TYPE_CHECKING:
    from utils.conf import Conf

ABOUT = ("the one update that lies nearest to its neighbours", "Krum：取与邻近更新最接近的那一个更新")
NEEDS_EACH = NEEDS_ALL = True


@dataclass(frozen=True)
class Keys:
    """How many it stands."""

    f: int = key(
        "how many of a round's clients may be hostile; `k` is at least 2 f + 3, as its theorem asks",
        zh="每轮最多可能有多少个恶意客户端；`k` 至少为 2 f + 3（其定理的条件）",
        default=1,
        low=0,
        high=50_000,
    )


def _least(keys: Any) -> int:
    return 2 * int(keys.f) + 3


NEEDS = {"k": AtLeast(_least)}


class Strategy(Weighing):
    """The update with the lowest score; of equal ones that of the lowest client. The score of one of n updates is the
    sum of squared distances to the n - f - 2 others nearest to it, as in the paper (others take one more).

    Where clients failed it goes on while there is one neighbour, although the theorem then no longer holds. `kept` is
    the one chosen.
    """

    def __init__(self, conf: Conf) -> None:
        super().__init__(conf)
        self._f: int = conf.strategy.keys.f
        self.least = self._f + 3

    def weights(self, products: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Weighing`; those chosen count the same."""
        count = len(products)
        # The least distance of each is the one to itself.
        scores = np.sort(distances(products), axis=1)[:, 1 : count - self._f - 1].sum(axis=1)
        nearest = np.argsort(scores, kind="stable")[: self.taken(count)]
        chosen = np.isin(np.arange(count), nearest)
        self._judged = list(zip(scores.tolist(), chosen.tolist(), strict=True))
        return chosen / len(nearest)

    def taken(self, count: int) -> int:
        """How many of so many updates are chosen."""
        return 1
