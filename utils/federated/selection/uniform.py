"""As many clients as `k` says, drawn without replacement (McMahan et al. 2017, algorithm 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from utils.federated.selection import COHORT_STREAM

if TYPE_CHECKING:
    from utils.conf import Conf

ABOUT = ("`k` of them, drawn anew each round", "每轮随机抽取 `k` 个")


class Selection:
    """All alike."""

    def __init__(self, conf: Conf) -> None:
        self._all, self._k = conf.no_models, conf.k

    def select(self, seed: int, round_: int, ask: Any) -> list[int]:
        """See `utils.federated.selection`."""
        if self._k == self._all:
            return list(range(self._all))
        rng = np.random.default_rng([COHORT_STREAM, seed, round_])
        return sorted(rng.choice(self._all, size=self._k, replace=False).tolist())
