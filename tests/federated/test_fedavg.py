"""Federated averaging, checked against a few lines that know nothing of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import TINY
from utils.conf import make_conf
from utils.federated.strategies.fedavg import Strategy
from utils.federated.update import Update


def _fedavg(server_lr=1.0):
    return Strategy(make_conf({**TINY, "lambda": server_lr}, "test"))


def _fold(strategy, old, vectors, samples):
    strategy.begin(old)
    for client, (vector, count) in enumerate(zip(vectors, samples, strict=True)):
        strategy.fold(Update(client, vector, count))
    return strategy.finish()


@given(st.lists(st.integers(1, 500), min_size=1, max_size=8), st.sampled_from([0.1, 0.5, 1.0, 1.5]))
def test_new_weights_are_the_old_moved_by_lambda_towards_the_mean_weighted_by_photos(samples, server_lr):
    rng = np.random.default_rng(len(samples))
    old = rng.normal(size=50).astype(np.float32)
    vectors = [rng.normal(size=50).astype(np.float32) for _ in samples]
    new = _fold(_fedavg(server_lr), old, vectors, samples)
    total = sum(samples)
    for place in range(50):
        mean = sum(n / total * float(vector[place]) for n, vector in zip(samples, vectors, strict=True))
        expected = float(old[place]) + server_lr * (mean - float(old[place]))
        assert new[place] == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_lambda_one_is_exact_and_one_client_gives_its_weights_to_the_bit():
    rng = np.random.default_rng(0)
    old, new = (rng.normal(size=1000).astype(np.float32) for _ in range(2))
    assert np.array_equal(_fold(_fedavg(), old, [new], [17]), new)


def test_the_server_step_does_not_depend_on_the_number_of_clients():
    old = np.zeros(3, dtype=np.float32)
    moved = np.ones(3, dtype=np.float32)
    for clients in (1, 5, 10):
        assert np.allclose(_fold(_fedavg(0.1), old, [moved] * clients, [7] * clients), 0.1)


def test_sums_run_in_float64():
    vectors = [np.full(1, 1e8, np.float32), np.full(1, 1.0, np.float32), np.full(1, -1e8, np.float32)]
    assert _fold(_fedavg(), np.zeros(1, np.float32), vectors, [1, 1, 1])[0] == pytest.approx(1 / 3)
