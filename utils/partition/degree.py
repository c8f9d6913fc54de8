"""How unequal a partition is: one number for labels (two ways) and one for sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def degree_of_non_iid(counts: Sequence[Sequence[int]]) -> dict[str, float]:
    """Degree of non-IID of owners whose examples per class are `counts` (shape (owners, classes)).

    Returns `jensen_shannon` (bits, 0 for equal label shares, at most log2(classes)), `hellinger` (0..1,
    mean distance of an owner's label shares from the pool's, weighted by examples) and `gini` (0 for equal
    sizes, towards 1 when one owner has all).
    """
    table = np.asarray(counts, dtype=np.float64)
    sizes = table.sum(axis=1)
    shares = table[sizes > 0] / sizes[sizes > 0, None]
    weights = sizes[sizes > 0] / sizes.sum()
    return {
        "jensen_shannon": jensen_shannon(shares, weights),
        "hellinger": float(weights @ _hellinger(shares, weights @ shares)),
        "gini": gini(sizes),
    }


def jensen_shannon(shares: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Generalised Jensen-Shannon divergence in bits: H(sum w p) - sum w H(p) (Lin 1991, eq. 5.1).

    `shares` (owners, classes) sum to 1 per row, `weights` (owners,) sum to 1.
    """
    return max(0.0, float(_entropy(weights @ shares) - weights @ _entropy(shares)))


def gini(sizes: NDArray[np.float64]) -> float:
    """Gini coefficient of non-negative `sizes` (owners,): half the relative mean absolute difference."""
    ordered = np.sort(sizes)
    n = len(ordered)
    return float(2 * (np.arange(1, n + 1) @ ordered) / (n * ordered.sum()) - (n + 1) / n)


def _entropy(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.asarray(-(shares * logs).sum(axis=-1))


def _hellinger(shares: NDArray[np.float64], pool: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(((np.sqrt(shares) - np.sqrt(pool)) ** 2).sum(axis=-1) / 2))
