"""The ways examples fall to owners. Every scheme but `columns` gives each example to exactly one owner and none to
nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from utils.conf import Conf
from utils.refusal import Refusal

PARTITION_STREAM = 3  # keeps these random numbers apart from those of training
Indices = NDArray[np.int64]


class PartitionError(Refusal):
    """The examples cannot be shared out as asked; the text is one line."""


def partition(
    labels: NDArray[np.int64], conf: Conf, partition_seed: int, sources: Sequence[str] = ()
) -> list[Indices]:
    """Share out the examples `0 .. len(labels) - 1` among `conf.pool` owners.

    `labels` (shape (n,), class numbers) must come in an order that does not depend on the machine (SkyFed sorts
    examples by id). `sources` (n,) are needed by the scheme `source` only. Returns one sorted index array per owner;
    together they hold every example exactly once, but with `columns`. Raises PartitionError when an owner would get
    nothing.
    """
    owners = conf.pool
    if len(labels) < owners:
        raise PartitionError("", "too_few_examples", count=len(labels), owners=owners)
    if conf.partition == "source":
        return _by_source(np.array(sources), owners)
    rng = np.random.default_rng([PARTITION_STREAM, partition_seed, owners])
    if conf.partition == "columns":
        return _of_columns(len(labels), owners, conf.rounds.keys.overlap, rng)
    parts = SCHEMES[conf.partition](np.asarray(labels), owners, conf, rng)
    return [np.sort(part) for part in parts]


def _by_source(sources: NDArray[np.str_], owners: int) -> list[Indices]:
    """Each owner has the examples of one source, in the order of their names: who holds what camera."""
    names = np.unique(sources)
    if len(names) != owners:
        raise PartitionError("", "other_sources", count=len(names), names=", ".join(names), owners=owners)
    return [np.flatnonzero(sources == name) for name in names]


def _of_columns(count: int, owners: int, overlap: float, rng: np.random.Generator) -> list[Indices]:
    """All examples for the first owner, for each other the share `overlap` of them, drawn by itself: at least one."""
    few = max(1, round(overlap * count))
    return [np.arange(count), *(np.sort(rng.permutation(count)[:few]) for _ in range(owners - 1))]


def _equal(labels: NDArray[np.int64], owners: int, conf: Conf, rng: np.random.Generator) -> list[Indices]:
    """Shuffled parts whose sizes differ by one at most (the IID partition of McMahan et al. 2017)."""
    return np.array_split(rng.permutation(len(labels)), owners)


def _dirichlet(labels: NDArray[np.int64], owners: int, conf: Conf, rng: np.random.Generator) -> list[Indices]:
    """Equal sizes, label shares drawn from Dirichlet(alpha * overall shares), after Hsu et al. 2019.

    https://arxiv.org/abs/1909.06335. An example whose class has run out is replaced by one of another class, drawn
    from all that are left, so the owners served last are less skewed than drawn; the degree recorded is that of the
    real outcome.
    """
    sizes = [len(part) for part in np.array_split(np.arange(len(labels)), owners)]
    classes, totals = np.unique(labels, return_counts=True)
    pools = [rng.permutation(np.flatnonzero(labels == label)) for label in classes]
    concentrations = np.maximum(conf.alpha * (totals / len(labels)), 1e-9)
    left = totals.copy()
    counts = np.empty((owners, len(classes)), dtype=np.int64)
    for owner, size in enumerate(sizes):
        # Last class first: of two classes that is one binomial draw of class 1, as runs of earlier versions had it.
        wanted = rng.multinomial(size, rng.dirichlet(concentrations)[::-1])[::-1]
        counts[owner] = np.minimum(wanted, left)
        left -= counts[owner]
        if missing := size - counts[owner].sum():
            there = np.flatnonzero(left)
            others = rng.multivariate_hypergeometric(left[there], missing)
            counts[owner, there] += others
            left[there] -= others
    owner_of = np.empty(len(labels), dtype=np.int64)
    for pool, count in zip(pools, counts.T, strict=True):
        owner_of[pool[::-1]] = np.repeat(np.arange(owners), count)
    return np.split(np.argsort(owner_of, kind="stable"), np.cumsum(sizes)[:-1])


def _quantity(labels: NDArray[np.int64], owners: int, conf: Conf, rng: np.random.Generator) -> list[Indices]:
    """Sizes drawn from Dirichlet(alpha) with at least one example each, labels left to chance."""
    shares = rng.dirichlet(np.full(owners, conf.alpha))
    spare = len(labels) - owners
    cuts = np.floor(np.cumsum(shares) * spare + 1e-9).astype(np.int64)[:-1] + np.arange(1, owners)
    return np.split(rng.permutation(len(labels)), cuts)


def _shards(labels: NDArray[np.int64], owners: int, conf: Conf, rng: np.random.Generator) -> list[Indices]:
    """Examples sorted by label, cut into shards, `shards_per_owner` dealt to each (McMahan et al. 2017)."""
    shuffled = rng.permutation(len(labels))
    by_label = shuffled[np.argsort(labels[shuffled], kind="stable")]
    total = owners * conf.shards_per_owner
    if total > len(labels):
        raise PartitionError("", "too_many_shards", count=len(labels), shards=total)
    shards = np.array_split(by_label, total)
    dealt = rng.permutation(total).reshape(owners, conf.shards_per_owner)
    return [np.concatenate([shards[shard] for shard in hand]) for hand in dealt]


SCHEMES: dict[str, Callable[[NDArray[np.int64], int, Conf, np.random.Generator], list[Indices]]] = {
    "equal": _equal,
    "dirichlet": _dirichlet,
    "quantity": _quantity,
    "shards": _shards,
}
