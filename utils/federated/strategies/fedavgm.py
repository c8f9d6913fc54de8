"""Federated averaging with server momentum (Hsu et al. 2019, section 4.3), https://arxiv.org/abs/1909.06335."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from utils.federated.strategies import fedavg
from utils.parts import key

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.nets.layout import Vector

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


class Strategy(fedavg.Strategy):
    """v = momentum * v + (mean of the updates - old weights); new weights = old weights + lambda * v.

    The convention of torch's SGD: the first v is the first step, and no bias is corrected. v is kept in float64.
    """

    def __init__(self, conf: Conf) -> None:
        super().__init__(conf)
        self._momentum: float = conf.strategy.keys.momentum
        self._velocity: NDArray[np.float64] | None = None

    def finish(self) -> Vector:
        """The new weights (layout.size,), float32."""
        old = self._old.astype(np.float64)
        step = self.mean() - old
        self._velocity = step if self._velocity is None else self._momentum * self._velocity + step
        return (old + self.server_lr * self._velocity).astype(np.float32)

    def state(self) -> dict[str, NDArray[Any]]:
        """The velocity (layout.size,)."""
        return {} if self._velocity is None else {"velocity": self._velocity}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take the velocity up again."""
        self._velocity = state.get("velocity")
