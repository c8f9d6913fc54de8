"""Photos fall to owners exactly once each, and the degree of inequality is what the formulas say."""

import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import TINY
from utils.conf import make_conf
from utils.partition.degree import degree_of_non_iid, gini, hellinger, wasserstein
from utils.partition.schemes import PARTITION_STREAM, SCHEMES, PartitionError, partition


def _conf(**changes):
    return make_conf({**TINY, "no_models": 1, "k": 1, "holds": [[0]], **changes}, "test")


@settings(deadline=None, max_examples=60)
@given(
    scheme=st.sampled_from(sorted(SCHEMES)),
    owners=st.integers(1, 12),
    sunny=st.integers(0, 60),
    cloudy=st.integers(0, 60),
    alpha=st.sampled_from([0.01, 0.5, 100.0]),
    seed=st.integers(0, 1000),
)
def test_every_photo_falls_to_exactly_one_owner(scheme, owners, sunny, cloudy, alpha, seed):
    labels = np.array([1] * sunny + [0] * cloudy)
    conf = _conf(owners=owners, partition=scheme, alpha=alpha, shards_per_owner=1)
    if len(labels) < owners:
        with pytest.raises(PartitionError):
            partition(labels, conf, seed)
        return
    parts = partition(labels, conf, seed)
    assert len(parts) == owners and all(len(part) for part in parts)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(labels)))
    again = partition(labels, conf, seed)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))
    if scheme in ("equal", "dirichlet"):
        sizes = [len(part) for part in parts]
        assert max(sizes) - min(sizes) <= 1


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=12).filter(any),
    owners=st.integers(1, 12),
    alpha=st.sampled_from([1e-12, 0.05, 0.5, 100.0, 1e6]),
    seed=st.integers(0, 1000),
)
def test_dirichlet_of_any_classes_gives_every_example_once_in_equal_sizes(sizes, owners, alpha, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    conf = _conf(owners=min(owners, len(labels)), partition="dirichlet", alpha=alpha)
    parts = partition(labels, conf, seed)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(labels)))
    assert {len(part) for part in parts} <= {len(labels) // len(parts), -(-len(labels) // len(parts))}
    assert all(np.array_equal(*pair) for pair in zip(parts, partition(labels, conf, seed), strict=True))


@given(seed=st.integers(0, 1000))
def test_the_smaller_alpha_the_more_unequal_the_labels_of_ten_classes(seed):
    labels = np.repeat(np.arange(10), 40)
    degrees = []
    for alpha in (0.1, 10.0, 1e5):
        parts = partition(labels, _conf(owners=20, partition="dirichlet", alpha=alpha), seed)
        degrees.append(degree_of_non_iid([np.bincount(labels[part], minlength=10) for part in parts]))
    for key in ("jensen_shannon", "hellinger", "l1"):
        most, middle, least = (degree[key] for degree in degrees)
        assert most > middle > least


def test_dirichlet_draws_the_shares_it_says():
    # Of Dirichlet(a p), the share of class c has the mean p_c and the variance p_c (1 - p_c) / (a + 1).
    labels, expected = np.repeat([0, 2, 3], [8_000, 20_000, 12_000]), np.array([0.2, 0.5, 0.3])
    shares = []
    for seed in range(12):
        parts = partition(labels, _conf(owners=1000, partition="dirichlet", alpha=4.0), seed)
        early = parts[:500]  # before any class runs out
        shares += [np.bincount(labels[part], minlength=4)[[0, 2, 3]] / 40 for part in early]
    variance = expected * (1 - expected) * (1 / 5 + 4 / 5 / 40)  # that of a draw of 40 from such shares
    assert np.mean(shares, axis=0) == pytest.approx(expected, abs=4 * np.sqrt(variance.max() / len(shares)))
    assert np.var(shares, axis=0) == pytest.approx(variance, rel=0.08)


def test_what_has_run_out_is_replaced_in_proportion_to_what_is_left():
    labels = np.repeat([0, 1, 2], [5, 100, 300])
    counts = [
        np.bincount(labels[partition(labels, _conf(owners=2, partition="dirichlet", alpha=1e-9), seed)[0]])
        for seed in range(300)
    ]
    # So small an alpha makes an owner want one class alone: of 203, all 5 of class 0 and 198 of the 400 others.
    short = np.array([count for count in counts if count[0] == 5 and count[2] < 198])
    assert len(short) > 20 and short[:, 1].sum() / short[:, 1:].sum() == pytest.approx(0.25, abs=0.02)


def _two_classes(labels, owners, alpha, rng):
    """Dirichlet as it was while it knew two classes only."""
    sizes = [len(part) for part in np.array_split(np.arange(len(labels)), owners)]
    left = [list(rng.permutation(np.flatnonzero(labels == label))) for label in (0, 1)]
    shares = np.array([len(pool) for pool in left]) / len(labels)
    for size in sizes:
        share = rng.dirichlet(np.maximum(alpha * shares, 1e-9))[1]
        second = int(np.clip(rng.binomial(size, share), size - len(left[0]), len(left[1])))
        yield np.sort([left[1].pop() for _ in range(second)] + [left[0].pop() for _ in range(size - second)])


@settings(deadline=None, max_examples=150)
@given(
    labels=st.lists(st.integers(0, 1), min_size=40, max_size=300).map(np.array),
    owners=st.integers(1, 40),
    alpha=st.floats(1e-9, 1e6, exclude_min=True),
    seed=st.integers(0, 1000),
)
def test_dirichlet_of_two_classes_is_what_it_always_was(labels, owners, alpha, seed):
    parts = partition(labels, _conf(owners=owners, partition="dirichlet", alpha=alpha), seed)
    before = _two_classes(labels, owners, alpha, np.random.default_rng([PARTITION_STREAM, seed, owners]))
    assert all(np.array_equal(*pair) for pair in zip(parts, before, strict=True))


def test_dirichlet_of_two_classes_is_what_the_version_before_computed():
    found = hashlib.sha256()
    for ones, alpha, owners, seed in itertools.product(
        (0, 1, 20, 60, 119, 120), (1e-6, 0.05, 0.5, 5.0, 1e6), (1, 7, 40, 120), range(4)
    ):
        labels = (np.arange(120) * 7 % 120 < ones).astype(np.int64)
        for part in partition(labels, _conf(owners=owners, partition="dirichlet", alpha=alpha), seed):
            found.update(part.astype("<i8").tobytes() + b"|")
    assert found.hexdigest()[:32] == "3c405e300a59e87d7047341c4ce87a08"  # computed by commit 4508e6f


def _degree(**changes):
    labels = np.array([0] * 130 + [1] * 110)
    parts = partition(labels, _conf(owners=10, **changes), 0)
    return degree_of_non_iid([[int((labels[p] == 0).sum()), int((labels[p] == 1).sum())] for p in parts])


def test_each_scheme_skews_what_it_says():
    equal = _degree()
    dirichlet, mild = _degree(partition="dirichlet", alpha=0.3), _degree(partition="dirichlet", alpha=100.0)
    quantity, shards = (
        _degree(partition="quantity", alpha=0.5),
        _degree(partition="shards", shards_per_owner=1),
    )
    assert equal["jensen_shannon"] < 0.05 and equal["gini"] == 0
    assert dirichlet["jensen_shannon"] > 0.3 > mild["jensen_shannon"] and dirichlet["gini"] == 0
    assert quantity["gini"] > 0.25
    assert shards["jensen_shannon"] > 0.8


def test_the_seed_of_the_partition_changes_it():
    labels = np.array([0, 1] * 50)
    first, second = (partition(labels, _conf(owners=5), seed) for seed in (0, 1))
    assert not np.array_equal(first[0], second[0])


def test_more_shards_than_photos_are_refused():
    with pytest.raises(PartitionError, match="20 shards"):
        partition(np.array([0, 1] * 5), _conf(owners=10, partition="shards"), 0)


def test_degrees_of_known_tables():
    same = degree_of_non_iid([[5, 5], [5, 5]])
    assert same == {"jensen_shannon": 0.0, "hellinger": 0.0, "l1": 0.0, "gini": 0.0}
    apart = degree_of_non_iid([[8, 0], [0, 8]])
    assert apart["jensen_shannon"] == pytest.approx(1.0)  # one bit tells the owner from the label
    assert apart["hellinger"] == pytest.approx(np.sqrt(1 - np.sqrt(0.5)))
    assert apart["l1"] == pytest.approx(1.0)  # half of the shares would have to change sides, counted twice
    # Mutual information of owner and label, computed from the joint table.
    table = np.array([[6, 2], [1, 3], [4, 4]], dtype=float)
    joint = table / table.sum()
    product = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    assert degree_of_non_iid(table)["jensen_shannon"] == pytest.approx(
        (joint * np.log2(joint / product)).sum()
    )


def test_gini_agrees_with_mean_absolute_difference():
    sizes = np.array([1.0, 2.0, 3.0, 10.0])
    pairwise = np.abs(sizes[:, None] - sizes[None]).mean() / (2 * sizes.mean())
    assert gini(sizes) == pytest.approx(pairwise)


def test_degrees_of_the_worked_case():
    degree = degree_of_non_iid([[90, 10], [10, 90]])
    assert degree["l1"] == pytest.approx(0.8)
    assert degree["jensen_shannon"] == pytest.approx(0.531004, abs=5e-7)
    assert np.sqrt(degree["jensen_shannon"]) == pytest.approx(0.728700, abs=5e-7)
    between = hellinger(np.array([[0.9, 0.1]]), np.array([0.1, 0.9]))
    assert between == pytest.approx([0.632456], abs=5e-7)


def test_l1_counts_owners_by_their_examples_and_passes_over_those_without():
    # Pool (1/2, 1/4, 1/4): the first owner is 1 away, the second 1/3.
    assert degree_of_non_iid([[2, 0, 0], [0, 0, 0], [2, 2, 2]])["l1"] == pytest.approx((2 * 1 + 6 / 3) / 8)


_numbers = st.lists(st.integers(-50, 50).map(lambda number: number / 4), max_size=9).map(np.array)


@given(owners=st.lists(_numbers, min_size=1, max_size=5))
def test_wasserstein_agrees_with_the_cost_of_moving_sorted_copies(owners):
    pool = np.concatenate(owners)
    if not len(pool):
        with pytest.raises(ValueError, match="targets"):
            wasserstein(owners)
        return
    # As many copies of both, so that the best transport moves the i-th smallest to the i-th smallest.
    moved = [
        np.abs(np.sort(np.repeat(own, len(pool))) - np.sort(np.repeat(pool, len(own)))).sum() / len(pool)
        for own in owners
    ]
    assert wasserstein(owners) == pytest.approx(sum(moved) / len(pool), abs=1e-12)


def test_wasserstein_has_the_unit_of_the_targets_and_of_two_classes_is_half_the_l1():
    assert wasserstein([np.zeros(4), np.full(4, 10.0)]) == pytest.approx(5.0)
    first, second = np.repeat([0.0, 1.0], [9, 1]), np.repeat([0.0, 1.0], [1, 9])
    assert wasserstein([first, second]) == pytest.approx(0.4)
