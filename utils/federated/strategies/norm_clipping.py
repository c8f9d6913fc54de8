"""Averaging of updates whose length is bounded (Sun et al. 2019), https://arxiv.org/abs/1911.07963."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from utils.federated.strategies import blocks, fedavg, refused, towards
from utils.federated.update import Update, Verdict
from utils.parts import key

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.nets.layout import Vector

ABOUT = (
    "averaging in which no update reaches further than a bound",
    "范数裁剪：任何更新的长度都不超过给定上限",
)
NEEDS_EACH = True


@dataclass(frozen=True)
class Keys:
    """How far is too far."""

    bound: float = key(
        "the largest norm of an update; longer ones are made that long",
        zh="更新的最大范数；更长的更新被缩短到这个长度",
        default=1.0,
        low=0.0,
        high=1e9,
        above_low=True,
    )


class Strategy(fedavg.Strategy):
    """New weights = old weights + lambda * mean of D / max(1, |D| / bound), weighted by examples, where D is what a
    client's weights are away from the old ones.

    |D| is that of the whole vector, normalisation buffers too: what were not bounded would be where to attack. An
    update that is not finite is left out. Scores are norms; `kept` are those that were not shortened.
    """

    def __init__(self, conf: Conf) -> None:
        super().__init__(conf)
        self._bound: float = conf.strategy.keys.bound

    def begin(self, weights: Vector) -> None:
        """Start a round from `weights` (layout.size,)."""
        super().begin(weights)
        self._verdicts: list[Verdict] = []
        self._counted = 0.0

    def fold(self, update: Update) -> None:
        """Add one update, shortened where it is too long."""
        square = 0.0
        with np.errstate(invalid="ignore"):
            for block in blocks(len(self._old)):
                difference = np.subtract(update.weights[block], self._old[block], dtype=np.float64)
                square += float(difference @ difference)
        norm = math.sqrt(square) if math.isfinite(square) else None
        self._verdicts.append(Verdict(update.client, norm, norm is not None and norm <= self._bound))
        if norm is not None:
            times = update.samples / max(1.0, norm / self._bound)
            self._add(update, times, slice(0, len(self._sum)))
            self._samples += update.samples
            self._counted += times

    def finish(self) -> Vector:
        """The new weights (layout.size,), float32. Raises RunError when no update was finite."""
        if not self._samples:
            raise refused("norm_clipping", 0, len(self._verdicts), 1)
        return super().finish()

    def _moved(self, block: slice, mean: NDArray[np.float64]) -> NDArray[np.float64]:
        """With `mean` that of shortened weights, what is missing for whole ones is the old weights."""
        missing = 1 - self._counted / self._samples
        old = self._old[block]
        return towards(mean + missing * old if missing else mean, old, self.server_lr)

    def verdicts(self) -> list[Verdict]:
        """The norm of each update, and whether it was within the bound."""
        return self._verdicts
