"""Federated averaging with server momentum (Hsu et al. 2019, section 4.3), https://arxiv.org/abs/1909.06335."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from utils.federated.strategies._stepping import Stepping
from utils.parts import key

if TYPE_CHECKING:
    from utils.conf import Conf

ABOUT = ("averaging with momentum at the server", "带服务器动量的联邦平均")


@dataclass(frozen=True)
class Keys:
    """How much of the last step is in the next."""

    momentum: float = key(
        "share of the server's last step that is in the next one; 0 is plain averaging",
        zh="服务器上一步在下一步中所占的比例；0 即普通平均",
        default=0.9,
        low=0.0,
        high=1.0,
        below_high=True,
    )


class Strategy(Stepping):
    """v = momentum * v + (mean of the updates - old weights); new weights = old weights + lambda * v.

    The convention of torch's SGD: the first v is the first step, and no bias is corrected. v is kept in float64.
    """

    def __init__(self, conf: Conf) -> None:
        super().__init__(conf, velocity=0.0)
        self._momentum: float = conf.strategy.keys.momentum

    def step(
        self, mean: NDArray[np.float64], old: NDArray[np.float64], **kept: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Stepping`."""
        velocity = kept["velocity"]
        velocity *= self._momentum
        velocity += mean - old
        return velocity
