"""Normalised averaging, checked against published values and against the gradients that clients took."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tests.conftest import TINY
from tests.federated.folding import drawn, goes_on, played, strategy_of
from utils.conf import make_conf
from utils.federated.strategies.fednova import Strategy, counted
from utils.nets.build import layout_of
from utils.parts import Part, load

PLAIN = {"momentum": 0.0}


def test_steps_count_as_published():
    assert [counted(steps, 0.9, 0.0) for steps in (1, 2, 5)] == pytest.approx([1, 2.9, 13.1441])
    assert [counted(steps, 0.0, 0.0) for steps in (1, 7)] == [1, 7]
    for rho in (0.3, 0.9):
        for steps in (1, 4, 30):
            closed = (steps - rho * (1 - rho**steps) / (1 - rho)) / (1 - rho)
            assert counted(steps, rho, 0.0) == pytest.approx(closed)


@pytest.mark.parametrize(("momentum", "mu"), [(0.0, 0.0), (0.9, 0.0), (0.0, 3.0), (0.5, 0.4)])
def test_steps_count_as_often_as_gradients_of_one_are_in_the_change(momentum, mu):
    lr, place, velocity = 0.05, 0.0, 0.0
    for steps in range(1, 20):
        velocity = momentum * velocity + 1 + mu * place  # begun at 0, a gradient of 1 everywhere
        place -= lr * velocity
        assert counted(steps, momentum, lr * mu) == pytest.approx(-place / lr)


def test_a_client_with_more_steps_does_not_count_for_more():
    new = played(strategy_of("fednova", conf=PLAIN), [0.0], [[-0.1], [-0.8]], [1, 3], [1, 4])
    assert new[0] == pytest.approx(-0.56875)  # where federated averaging is at -.625
    assert played(strategy_of("fedavg"), [0.0], [[-0.1], [-0.8]], [1, 3])[0] == pytest.approx(-0.625)


@pytest.mark.parametrize("server_lr", [0.4, 1.0])
def test_it_is_the_mean_where_all_take_as_many_steps(server_lr):
    old, vectors = drawn(3)
    copies = [vector.copy() for vector in vectors]
    nova = played(strategy_of("fednova", server_lr), old, vectors, list(range(1, 8)), [5] * 7)
    mean = played(strategy_of("fedavg", server_lr), old, copies, list(range(1, 8)))
    assert np.allclose(nova, mean, atol=1e-6)


def test_one_client_gives_its_weights():
    old, (vector, *_) = drawn(4)
    assert np.array_equal(played(strategy_of("fednova"), old, [vector.copy()], [9], [6]), vector)


@pytest.mark.parametrize("server_lr", [0.4, 1.0])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_it_is_the_formula(server_lr, momentum):
    old, vectors = drawn(5, count=4)
    samples, steps = [4, 1, 10, 2], [2, 1, 7, 30]
    p = np.array(samples) / sum(samples)
    a = np.array([sum(sum(momentum**j for j in range(i + 1)) for i in range(tau)) for tau in steps])
    d = np.array([(old.astype(np.float64) - vector) / one for vector, one in zip(vectors, a, strict=True)])
    expected = old - server_lr * (p @ a) * (p @ d)
    new = played(strategy_of("fednova", server_lr, {"momentum": momentum}), old, vectors, samples, steps)
    assert np.allclose(new, expected, atol=1e-6)


def test_with_a_pull_steps_count_less_at_the_rate_of_the_round_and_as_many_as_they_are():
    conf = make_conf({**TINY, "momentum": 0.0, "lr": 0.1, "warmup": 1}, "x")
    strategy = Strategy(replace(conf, local=Part("local", "pulled", SimpleNamespace(mu=2.0))))
    weights, samples, steps = np.zeros(1, np.float32), [1, 3], [1, 4]
    for lr in (0.05, 0.1):  # of the warm-up, then the whole
        away = np.array([-0.1, -0.8])
        a = [sum((1 - 2 * lr) ** i for i in range(tau)) for tau in steps]
        expected = weights[0] + 13 / 4 * (1 / 4 * away[0] / a[0] + 3 / 4 * away[1] / a[1])
        weights = played(strategy, weights, [weights + one for one in away], samples, steps)
        assert weights[0] == pytest.approx(expected, rel=1e-5)


def test_buffers_are_averaged_by_examples():
    conf = {"norm": "batch"}
    layout = layout_of(make_conf({**TINY, **conf}, "x"))
    ones = np.ones(layout.size, np.float32)
    new = played(strategy_of("fednova", 1.0, conf), ones, [2 * ones, 4 * ones], [1, 3], [1, 50])
    assert np.allclose(new[layout.trained :], 3.5)
    assert not np.allclose(new[: layout.trained], 3.5, atol=0.1)


def test_it_goes_on_in_another_process_and_looks_at_each_update():
    assert goes_on(lambda: strategy_of("fednova", 0.5, {"warmup": 2}))
    assert load("strategy", "fednova").NEEDS_EACH and not hasattr(load("strategy", "fednova"), "NEEDS_ALL")
