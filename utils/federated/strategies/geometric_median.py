"""Geometric median of the updates (RFA, Pillutla et al. 2022), https://arxiv.org/abs/1912.13445."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from utils.federated.strategies._gathering import Weighing
from utils.parts import key

if TYPE_CHECKING:
    from utils.conf import Conf

ABOUT = (
    "the point with the least distance to all updates, so that what is far away pulls no harder",
    "几何中位数：到所有更新距离之和最小的点，远处的更新不会拉得更重",
)
NEEDS_EACH = NEEDS_ALL = True


@dataclass(frozen=True)
class Keys:
    """How near to the median."""

    iterations: int = key(
        "how often the weights of the updates are worked out anew; 0 is federated averaging",
        zh="重新计算各更新权重的次数；0 即联邦平均",
        default=4,
        low=0,
        high=10_000,
    )
    nu: float = key(
        "distances below this count as this",
        zh="小于此值的距离按此值计算",
        default=1e-5,
        low=0.0,
        high=1e9,
        above_low=True,
    )


class Strategy(Weighing):
    """Smoothed Weiszfeld: from z = the mean weighted by examples, each time z = sum of b_i w_i / sum of b_i with
    b_i = p_i / max(nu, |z - w_i|), where p_i is a client's share of the examples and w_i its weights, all of them as
    one vector.

    z always is a mean of the updates, so their products (n, n) are all it takes, however many iterations there are.
    It is right while hostile clients have less than half of the examples, those that they claim. A client's score is
    its weight over the one it has in federated averaging.
    """

    def __init__(self, conf: Conf) -> None:
        super().__init__(conf)
        self._keys = conf.strategy.keys

    def weights(self, products: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Weighing`."""
        shares = np.array(self._samples) / sum(self._samples)
        weights = shares
        for _ in range(self._keys.iterations):
            near = products @ weights  # |z - w|² = z z - 2 z w + w w
            squares = weights @ near - 2 * near + np.diag(products)
            pulls = shares / np.maximum(np.sqrt(np.maximum(squares, 0.0)), self._keys.nu)
            weights = pulls / pulls.sum()
        self._judged = [(score, True) for score in (weights / shares).tolist()]
        return weights
