"""Median of each weight by itself (Yin et al. 2018, definition 1), https://arxiv.org/abs/1803.01498."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from utils.federated.strategies._gathering import Gathering, in_order

if TYPE_CHECKING:
    from utils.nets.layout import Vector

ABOUT = ("the median of each weight by itself", "逐个权重取中位数")
NEEDS_EACH = NEEDS_ALL = True


class Strategy(Gathering):
    """The middle value of each weight, of an even number of updates the mean of both middle ones.

    Every client counts the same, whatever number of examples it claims. It is right while less than half are hostile.
    """

    def middle(self, pieces: list[Vector]) -> NDArray[np.float64]:
        """See `Gathering`."""
        both = in_order(pieces)[:, (len(pieces) - 1) // 2 : len(pieces) // 2 + 1]
        return np.asarray(both.mean(axis=1, dtype=np.float64))
