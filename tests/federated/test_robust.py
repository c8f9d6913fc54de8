"""Rules that stand hostile clients, checked against published values and against slow computations by definition."""

import itertools

import numpy as np
import pytest

from tests.conftest import TINY
from tests.federated.folding import drawn, goes_on, played, strategy_of
from utils.conf import ConfError, make_conf
from utils.federated import RunError
from utils.federated.update import Verdict
from utils.parts import load

X = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
CORNERS = [[0, 0], [0, 1], [1, 0], [10, 10]]
RULES = {
    "median": {},
    "trimmed_mean": {"beta": 0.2},
    "krum": {"f": 1},
    "multikrum": {"f": 1},
    "geometric_median": {},
    "norm_clipping": {"bound": 2.0},
}
MANY = {"no_models": 9, "k": 9}


def _rule(name, server_lr=1.0, **keys):
    return strategy_of(name, server_lr, MANY, **{**RULES[name], **keys})


def _new(name, vectors, old=None, samples=None, **keys):
    strategy = _rule(name, **keys)
    vectors = [np.array(vector, np.float32) for vector in vectors]
    new = played(strategy, np.zeros(len(vectors[0])) if old is None else old, vectors, samples)
    return new, strategy.verdicts()


@pytest.mark.parametrize(
    ("name", "keys", "vectors", "expected"),
    [
        ("median", {}, X, [4, 5, 6]),
        ("median", {}, [[1, 0.2, 0.5, 1], [0.2, 0.5, 1, 0.2], [0.5, 1, 0.2, 0.5]], [0.5] * 4),
        ("median", {}, [[1], [2], [4], [90]], [3]),
        ("trimmed_mean", {"beta": 0.34}, X, [4, 5, 6]),
        ("trimmed_mean", {"beta": 0.25}, [[0.5], [1], [2], [100]], [1.5]),
        ("trimmed_mean", {"beta": 0.0}, X, [4, 5, 6]),
        # Of three updates those who count one neighbour more, or one at least, say f is 1.
        ("krum", {"f": 0}, [[0.2], [0.7], [1.0]], [0.7]),
        ("krum", {"f": 0}, X, [1, 2, 3]),
        ("multikrum", {"f": 0, "m": 2}, [[0.2], [0.5], [1.0]], [0.35]),
        ("multikrum", {"f": 0, "m": 2}, X, [2.5, 3.5, 4.5]),
        ("geometric_median", {"iterations": 0}, CORNERS, [2.75, 2.75]),
        ("geometric_median", {"iterations": 1}, CORNERS, [1.324170] * 2),
        ("geometric_median", {"iterations": 3}, CORNERS, [0.570095] * 2),
        ("geometric_median", {"iterations": 4}, CORNERS, [0.522398] * 2),
        ("geometric_median", {"iterations": 200}, CORNERS, [0.5] * 2),
        ("geometric_median", {"iterations": 200}, X, [4, 5, 6]),
        ("norm_clipping", {"bound": 2.0}, [[1, 2, 3]], [0.53452248, 1.06904497, 1.60356745]),
    ],
)
def test_published_values(name, keys, vectors, expected):
    assert _new(name, vectors, **keys)[0] == pytest.approx(np.array(expected), abs=1e-6)


def test_krums_scores_are_those_of_the_paper():
    points = [[0, 0], [1, 0], [0, 1], [1, 1], [10, 10]]
    new, verdicts = _new("krum", points)
    assert [one.score for one in verdicts] == pytest.approx([2, 2, 2, 2, 343])
    assert [one.kept for one in verdicts] == [True, False, False, False, False], "of equal ones the first"
    assert new.tolist() == [0, 0]


def test_distances_are_right_where_updates_differ_little_and_all_are_far_from_nought():
    rng = np.random.default_rng(2)
    old = np.full(300, 3e4, np.float32)
    vectors = [(old + 0.01 * rng.normal(size=300)).astype(np.float32) for _ in range(7)]
    _, verdicts = _new("krum", vectors, old)
    assert [one.score for one in verdicts] == pytest.approx(_krum_by_hand(vectors, 1), rel=1e-9)


def test_a_share_of_clients_that_is_a_whole_number_is_that_many():
    vectors = [[float(number)] for number in range(29)] + [[50.0]] * 42 + [[100.0]] * 29
    assert _new("trimmed_mean", vectors, beta=0.29)[0] == [
        50.0
    ]  # in floating point .29 times 100 is less than 29


def _krum_by_hand(vectors, f):
    scores = []
    for one in vectors:
        far = sorted(float(((one.astype(np.float64) - other) ** 2).sum()) for other in vectors)
        scores.append(sum(far[1 : len(vectors) - f - 1]))
    return scores


def _geometric_by_hand(vectors, samples, iterations, nu=1e-5):
    points, z = np.array(vectors, np.float64), np.average(vectors, axis=0, weights=samples)
    for _ in range(iterations):
        weights = [
            count / sum(samples) / max(nu, np.linalg.norm(z - point))
            for count, point in zip(samples, points, strict=True)
        ]
        z = sum(weight * point for weight, point in zip(weights, points, strict=True)) / sum(weights)
    return z


def _by_hand(name, old, vectors, samples):
    whole = np.array(vectors, np.float64)
    if name == "median":
        return np.median(whole, axis=0)
    if name == "trimmed_mean":
        return np.array([np.mean(sorted(column)[1:-1]) for column in whole.T])
    if name == "geometric_median":
        return _geometric_by_hand(vectors, samples, 4)
    if name == "norm_clipping":
        away = [vector - old for vector in whole]
        shorter = [one * min(1.0, 2.0 / np.linalg.norm(one)) for one in away]
        return old + np.average(shorter, axis=0, weights=samples)
    order = np.argsort(_krum_by_hand(vectors, 1))
    return whole[order[: 1 if name == "krum" else len(vectors) - 1]].mean(axis=0)


@pytest.mark.parametrize("server_lr", [0.3, 1.0])
@pytest.mark.parametrize("name", RULES)
def test_it_is_the_definition_moved_to_by_lambda(name, server_lr):
    # Long enough for several blocks, at which nothing may show.
    old, vectors = drawn(11, size=70_001)
    samples = [3, 1, 4, 1, 5, 9, 2]
    expected = old + server_lr * (_by_hand(name, old, vectors, samples) - old)
    new, _ = _new(name, vectors, old, samples, server_lr=server_lr)
    assert new.dtype == np.float32 and np.allclose(new, expected, atol=2e-6)


@pytest.mark.parametrize("name", ["median", "trimmed_mean", "geometric_median"])
def test_one_client_gives_its_weights_to_the_bit(name):
    old, (vector, *_) = drawn(12)
    assert np.array_equal(_new(name, [vector], old)[0], vector)


def test_without_trimming_it_is_the_plain_mean_and_without_clipping_federated_averaging_to_the_bit():
    old, vectors = drawn(13)
    assert np.allclose(_new("trimmed_mean", vectors, old, beta=0.0)[0], np.mean(vectors, axis=0), atol=1e-6)
    for server_lr in (0.3, 1.0):
        clipped, _ = _new("norm_clipping", vectors, old, range(1, 8), bound=1e6, server_lr=server_lr)
        plain = played(
            strategy_of("fedavg", server_lr), old, [vector.copy() for vector in vectors], list(range(1, 8))
        )
        assert np.array_equal(clipped, plain)


@pytest.mark.parametrize(
    "name", [name for name in RULES if name not in ("geometric_median", "norm_clipping")]
)
def test_claimed_examples_give_no_power(name):
    old, vectors = drawn(14)
    assert np.array_equal(_new(name, vectors, old)[0], _new(name, vectors, old, [10**6] + [1] * 6)[0])


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_update_that_is_not_finite_is_left_out_and_said(name, bad):
    old, vectors = drawn(15)
    broken = vectors[2].copy()
    broken[[0, -1]] = bad
    new, verdicts = _new(name, [*vectors[:2], broken, *vectors[2:]], old)
    without, others = _new(name, vectors, old)
    assert np.array_equal(new, without)
    assert verdicts[2] == Verdict(2, None, False)
    rest = [(one.score, one.kept) for one in verdicts if one.client != 2]
    assert rest == [(one.score, one.kept) for one in others]


@pytest.mark.parametrize("name", [name for name in RULES if name != "norm_clipping"])
@pytest.mark.parametrize("far", [1e3, 1e30])
def test_one_hostile_update_of_any_size_takes_the_weights_no_further_than_the_honest_are_apart(name, far):
    old, vectors = drawn(16, size=500)
    keys = {"iterations": 60} if name == "geometric_median" and far == 1e3 else {}
    if name == "geometric_median" and far > 1e3:
        keys = {"iterations": 400}
    new, _ = _new(name, [np.full(500, far), *vectors], old, **keys)
    honest = np.mean(vectors, axis=0)
    apart = max(np.linalg.norm(one - other) for one, other in itertools.combinations(vectors, 2))
    assert np.linalg.norm(new - honest) < apart


def test_a_clipped_update_moves_no_further_than_the_bound():
    old, vectors = drawn(17)
    vectors[0][:] = 3e38
    new, verdicts = _new("norm_clipping", vectors, old, bound=0.5)
    assert np.linalg.norm(new - old) <= 0.5 + 1e-6
    norms = [np.linalg.norm(vector.astype(np.float64) - old) for vector in vectors]
    assert [one.score for one in verdicts] == pytest.approx(norms)
    assert not any(one.kept for one in verdicts)
    assert all(one.kept for one in _new("norm_clipping", [old, old + 0.01], old)[1])


def test_what_each_rule_says_of_the_updates():
    old, vectors = drawn(18)
    vectors[4] = old + 50
    _, cut = _new("trimmed_mean", vectors, old)
    assert cut[4].score == 1.0 and all(one.kept for one in cut)
    whole = np.array(vectors)
    for one in cut:
        others = np.sort(whole, axis=0)[1:-1]
        outside = (whole[one.client] < others.min(0)) | (whole[one.client] > others.max(0))
        assert one.score == pytest.approx(outside.mean())
    _, chosen = _new("multikrum", vectors, old)
    assert [one.kept for one in chosen] == [client != 4 for client in range(7)]
    assert [one.score for one in chosen] == pytest.approx(_krum_by_hand(vectors, 1), rel=1e-6)
    _, weighed = _new("geometric_median", vectors, old, [1, 1, 1, 1, 3, 1, 1])
    assert weighed[4].score < 0.2 and sum(
        one.score * n for one, n in zip(weighed, [1, 1, 1, 1, 3, 1, 1], strict=True)
    ) == pytest.approx(9)
    assert [one.score for one in _new("median", vectors, old)[1]] == [None] * 7
    assert [one.client for one in chosen] == list(range(7))


@pytest.mark.parametrize(
    ("part", "changes", "says"),
    [
        ({"name": "krum", "f": 3}, {}, "x: strategy: krum needs k at least 9, found 8"),
        ({"name": "multikrum", "f": 1, "m": 8}, {}, "x: strategy: multikrum needs k at least 9, found 8"),
        ("krum", {"k": 4}, "x: strategy: krum needs k at least 5, found 4"),
        ({"name": "trimmed_mean", "beta": 0.5}, {}, "x: strategy.beta: expected a value in [0.0, 0.5), found 0.5"),
    ],
)  # fmt: skip
def test_what_no_cohort_could_satisfy_is_refused_where_the_conf_is_read(part, changes, says):
    with pytest.raises(ConfError) as error:
        make_conf({**TINY, "no_models": 8, "k": 8, **changes, "strategy": part}, "x")
    assert str(error.value) == says
    make_conf(
        {**TINY, "no_models": 9, "k": 9, "strategy": part if isinstance(part, str) else part["name"]}, "x"
    )


@pytest.mark.parametrize("name", RULES)
def test_too_few_updates_end_the_run_in_one_line(name):
    old, vectors = drawn(19, count=3)
    keys, least = ({"f": 1}, 4) if "krum" in name else ({}, 1)
    strategy = _rule(name, **keys)
    bad = [np.full_like(vector, np.nan) for vector in vectors] if least == 1 else vectors
    with pytest.raises(RunError) as error:
        played(strategy, old, bad)
    found = 0 if least == 1 else 3
    assert str(error.value) == f"{name} needs {least} updates or more that are finite, found {found} of 3"


@pytest.mark.parametrize("name", RULES)
def test_a_round_leaves_nothing_behind(name):
    assert goes_on(lambda: _rule(name))
    strategy, (old, vectors) = _rule(name), drawn(20)
    first = played(strategy, old, [vector.copy() for vector in vectors])
    played(strategy, old, [2 * vector for vector in vectors[:5]])
    assert np.array_equal(played(strategy, old, [vector.copy() for vector in vectors]), first)
    assert len(strategy.verdicts()) == 7 and strategy.state() == {}


@pytest.mark.parametrize("name", RULES)
def test_it_is_said_that_the_sum_of_all_updates_would_not_do(name):
    module = load("strategy", name)
    assert module.NEEDS_EACH and getattr(module, "NEEDS_ALL", False) == (name != "norm_clipping")
