"""Mean of each weight by itself without its extremes (Yin et al. 2018, definition 2), https://arxiv.org/abs/1803.01498."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from utils.federated.strategies._gathering import Gathering, in_order
from utils.parts import key

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.nets.layout import Vector

ABOUT = (
    "the mean of each weight by itself, without the largest and smallest",
    "逐个权重去掉最大和最小值后取均值",
)
NEEDS_EACH = NEEDS_ALL = True


@dataclass(frozen=True)
class Keys:
    """How much is cut off."""

    beta: float = key(
        "share of the values of each weight cut off at either end, rounded down to whole clients",
        zh="每个权重在两端各去掉的值的比例，向下取整为整数个客户端",
        default=0.2,
        low=0.0,
        high=0.5,
        below_high=True,
    )


class Strategy(Gathering):
    """Of n values of each weight the mean of those without the f smallest and the f largest, f = beta * n rounded down.

    Every client counts the same, whatever number of examples it claims. It is right while at most f are hostile. A
    client's score is the share of its weights that lie outside of what was kept.
    """

    def __init__(self, conf: Conf) -> None:
        super().__init__(conf)
        self._beta: float = conf.strategy.keys.beta

    def look(self, rows: list[Vector]) -> None:
        """Begin to count what is outside."""
        self._outside = np.zeros(len(rows), np.int64)

    def middle(self, pieces: list[Vector]) -> NDArray[np.float64]:
        """See `Gathering`."""
        cut = min(int(self._beta * len(pieces) + 1e-9), (len(pieces) - 1) // 2)  # .29 times 100 is 29
        kept = in_order(pieces)[:, cut : len(pieces) - cut]
        if cut:
            low, high = kept[:, 0].copy(), kept[:, -1].copy()
            self._outside += [
                np.count_nonzero(piece < low) + np.count_nonzero(piece > high) for piece in pieces
            ]
        return np.asarray(kept.mean(axis=1, dtype=np.float64))

    def finish(self) -> Vector:
        """The new weights (layout.size,), float32."""
        new = super().finish()
        self._judged = [(float(outside) / len(new), True) for outside in self._outside]
        return new
