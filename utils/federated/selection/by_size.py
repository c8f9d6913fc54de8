"""Drawn in proportion to their examples (Li et al. 2020, scheme I), https://arxiv.org/abs/1907.02189.

`k` draws with replacement, and every draw weighs alike in the mean, whoever was drawn twice twice: so the mean of what
is expected is that of all clients weighted by examples. A round may have fewer clients than `k`, and
fewer than `min_clients` end a run.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.federated.update import Update

ABOUT = ("`k` draws, the more examples the likelier", "抽取 `k` 次，样本越多越可能被抽中")


class Selection:
    """By examples."""

    def __init__(self, conf: Conf, sizes: list[int]) -> None:
        self._chances = np.array(sizes) / sum(sizes)
        self._drawn: Counter[int] = Counter()

    def select(self, rng: np.random.Generator, count: int, ask: Any) -> list[int]:
        """See `utils.federated.selection`."""
        self._drawn = Counter(rng.choice(len(self._chances), size=count, p=self._chances).tolist())
        return sorted(self._drawn)

    def weigh(self, update: Update) -> int:
        """As often as it was drawn."""
        return self._drawn[update.client]
