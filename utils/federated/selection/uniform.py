"""As many clients as are wanted, drawn without replacement (McMahan et al. 2017, algorithm 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from utils.conf import Conf

ABOUT = ("`k` of them, drawn anew each round", "每轮随机抽取 `k` 个")


class Selection:
    """All alike."""

    def __init__(self, conf: Conf, sizes: list[int]) -> None:
        self._all = len(sizes)

    def select(self, rng: np.random.Generator, count: int, ask: Any) -> list[int]:
        """See `utils.federated.selection`."""
        if count == self._all:
            return list(range(self._all))
        return sorted(rng.choice(self._all, size=count, replace=False).tolist())
