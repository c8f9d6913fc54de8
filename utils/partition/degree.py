"""How unequal a partition is: one number for labels (three ways), one for targets that are numbers, one for sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def degree_of(owners: Sequence[NDArray[Any]], classes: int) -> dict[str, float]:
    """Degree of non-IID of owners with these targets (shape (examples,) each): of class numbers below `classes` what
    `degree_of_non_iid` has, of numbers (`classes` 0) `wasserstein`, in their unit, and `gini`.
    """
    if not classes:
        sizes = np.array([len(own) for own in owners], np.float64)
        return {"wasserstein": wasserstein(owners), "gini": gini(sizes)}
    return degree_of_non_iid([np.bincount(own, minlength=classes).tolist() for own in owners])


def degree_of_non_iid(counts: Sequence[Sequence[int]]) -> dict[str, float]:
    """Degree of non-IID of owners whose examples per class are `counts` (shape (owners, classes)).

    Returns `jensen_shannon` (bits, 0 for equal label shares, at most log2(classes)), `hellinger` (0..1) and `l1`
    (0..2, twice the total variation), both the mean distance of an owner's label shares from the pool's, weighted by
    examples, and `gini` (0 for equal sizes, towards 1 when one owner has all). Results of earlier versions lack `l1`.
    """
    table = np.asarray(counts, dtype=np.float64)
    sizes = table.sum(axis=1)
    shares = table[sizes > 0] / sizes[sizes > 0, None]
    weights = sizes[sizes > 0] / sizes.sum()
    pool = weights @ shares
    return {
        "jensen_shannon": jensen_shannon(shares, weights),
        "hellinger": float(weights @ hellinger(shares, pool)),
        "l1": float(weights @ np.abs(shares - pool).sum(axis=1)),
        "gini": gini(sizes),
    }


def wasserstein(targets: Sequence[NDArray[np.float64]]) -> float:
    """Wasserstein-1 distance of an owner's targets from the pool's, mean over owners, weighted by examples.

    `targets` holds each owner's numbers (shape (examples,)), which together are the pool; the result is in their unit,
    0 where all owners have the same distribution. On the line the distance is the area between the two distribution
    functions (Vallender 1974). Raises ValueError where no owner has any.
    """
    pool = np.sort(np.concatenate(targets)).astype(np.float64)
    if not len(pool):
        raise ValueError("expected targets, found none")
    steps, below = np.diff(pool), np.arange(1, len(pool))
    distances = [
        np.abs(np.searchsorted(np.sort(own), pool[:-1], side="right") / len(own) - below / len(pool)) @ steps
        for own in targets if len(own)
    ]  # fmt: skip
    return float(np.average(distances, weights=[len(own) for own in targets if len(own)]))


def jensen_shannon(shares: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Generalised Jensen-Shannon divergence in bits: H(sum w p) - sum w H(p) (Lin 1991, eq. 5.1).

    `shares` (owners, classes) sum to 1 per row, `weights` (owners,) sum to 1.
    """
    return max(0.0, float(_entropy(weights @ shares) - weights @ _entropy(shares)))


def hellinger(shares: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hellinger distance (0..1) of each row of `shares` (owners, classes) from `other` (classes,): the Euclidean
    distance of the square roots, divided by sqrt(2). Returns shape (owners,).
    """
    return np.asarray(np.sqrt(((np.sqrt(shares) - np.sqrt(other)) ** 2).sum(axis=-1) / 2))


def gini(sizes: NDArray[np.float64]) -> float:
    """Gini coefficient of non-negative `sizes` (owners,): half the relative mean absolute difference."""
    ordered = np.sort(sizes)
    n = len(ordered)
    return float(2 * (np.arange(1, n + 1) @ ordered) / (n * ordered.sum()) - (n + 1) / n)


def _entropy(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.asarray(-(shares * logs).sum(axis=-1))
