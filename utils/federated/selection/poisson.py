"""Every client by itself, with the same chance: Poisson sampling, as differential privacy accounts for it.

How many come is left to chance: `k` is what is expected. A round may have none; with `min_clients` 0 the run goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from utils.conf import Conf

ABOUT = ("each by itself with the same chance, `k` expected", "每个客户端以相同概率独立参加，期望 `k` 个")


class Selection:
    """All alike, and independent."""

    def __init__(self, conf: Conf, sizes: list[int]) -> None:
        self._all = len(sizes)

    def select(self, rng: np.random.Generator, count: int, ask: Any) -> list[int]:
        """See `utils.federated.selection`; more than `count` may come, too."""
        return [client for client, draw in enumerate(rng.random(self._all)) if draw < count / self._all]
