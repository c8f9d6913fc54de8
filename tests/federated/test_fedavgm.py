"""Server momentum, checked against published values and against torch's own SGD."""

import numpy as np
import pytest
import torch

from tests.conftest import TINY
from utils.conf import make_conf
from utils.federated.strategies.fedavgm import Strategy
from utils.federated.update import Update


def _strategy(momentum, server_lr=1.0):
    part = {"name": "fedavgm", "momentum": momentum}
    return Strategy(make_conf({**TINY, "strategy": part, "lambda": server_lr}, "test"))


def _round(strategy, old, vectors, samples):
    strategy.begin(np.asarray(old, np.float32))
    for client, (vector, count) in enumerate(zip(vectors, samples, strict=True)):
        strategy.fold(Update(client, np.asarray(vector, np.float32), count))
    return strategy.finish()


def test_clients_that_always_go_on_by_one():
    strategy, weights, seen = _strategy(0.9), np.zeros(1, np.float32), []
    for _ in range(3):
        weights = _round(strategy, weights, [weights + 1], [5])
        seen.append(float(weights[0]))
    assert seen == pytest.approx([1, 2.9, 5.61])  # v = b v + (mean - x), x = x + v, by hand


def test_without_momentum_it_is_the_weighted_mean():
    assert _round(_strategy(0.0), [0.0], [[1.0], [3.0]], [1, 2])[0] == pytest.approx(7 / 3)


@pytest.mark.parametrize("server_lr", [0.3, 1.0])
def test_it_is_torchs_sgd_on_the_difference_to_the_mean(server_lr):
    rng = np.random.default_rng(4)
    strategy, weights = _strategy(0.7, server_lr), rng.normal(size=20).astype(np.float32)
    parameter = torch.nn.Parameter(torch.from_numpy(weights.copy()).double())
    sgd = torch.optim.SGD([parameter], lr=server_lr, momentum=0.7)
    for _ in range(5):
        vectors = [weights + rng.normal(size=20).astype(np.float32) for _ in range(3)]
        mean = np.average(np.array(vectors, np.float64), axis=0, weights=[1, 2, 3])
        parameter.grad = torch.from_numpy(weights.astype(np.float64) - mean)
        sgd.step()
        weights = _round(strategy, weights, vectors, [1, 2, 3])
        assert np.allclose(weights, parameter.detach().numpy(), atol=1e-5)
        parameter.data = torch.from_numpy(weights.astype(np.float64))  # rounded to float32 each round


def test_what_it_remembers_goes_on_in_another_process():
    rng = np.random.default_rng(5)
    vectors = [rng.normal(size=9).astype(np.float32) for _ in range(4)]
    whole, first, second = _strategy(0.9), _strategy(0.9), _strategy(0.9)
    old = np.zeros(9, np.float32)
    middle = _round(whole, old, vectors[:2], [1, 1])
    assert np.array_equal(_round(first, old, vectors[:2], [1, 1]), middle)
    assert first.state()["velocity"].dtype == np.float64
    second.restore(first.state())
    assert np.array_equal(
        _round(second, middle, vectors[2:], [1, 1]), _round(whole, middle, vectors[2:], [1, 1])
    )
