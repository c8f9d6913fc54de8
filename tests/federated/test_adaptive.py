"""Adaptive rules at the server, checked against published values and against optimizers of torch."""

import numpy as np
import pytest
import torch

from tests.conftest import TINY
from tests.federated.folding import drawn, goes_on, played, strategy_of
from utils.conf import make_conf
from utils.nets.build import layout_of

RULES = ("fedadagrad", "fedadam", "fedyogi")


@pytest.mark.parametrize(
    ("name", "server_lr", "start", "expected"),
    [
        ("fedadagrad", 0.1, 0.0, 0.09995716),
        ("fedadagrad", 0.1, None, 0.09995715),
        ("fedadam", 0.1, 0.0, 0.09957326),
        ("fedadam", 0.1, None, 0.09957236),
        ("fedyogi", 0.01, 0.0, 0.00995733),
        ("fedyogi", 0.01, None, 0.00995723),
    ],
)
def test_the_first_step_is_the_published_one_with_v_from_0_and_from_tau_squared(
    name, server_lr, start, expected
):
    strategy = strategy_of(name, server_lr)
    if start is not None:
        strategy.restore({"m": np.zeros(1), "v": np.full(1, start), "rounds": np.array([0])})
    new = played(strategy, [0.0], [[1.0], [3.0]], [1, 2])  # D = 7/3
    assert new[0] == pytest.approx(expected, abs=1e-8)


def test_corrected_adam_is_torchs():
    strategy, (weights, _) = strategy_of("fedadam", 0.05, corrected=True, beta2=0.95, tau=1e-2), drawn(0)
    parameter = torch.nn.Parameter(torch.from_numpy(weights.astype(np.float64)))
    adam = torch.optim.Adam([parameter], lr=0.05, betas=(0.9, 0.95), eps=1e-2)
    for round_ in range(6):
        vectors = [weights + change for change in np.random.default_rng(round_).normal(size=(3, 40))]
        vectors = [vector.astype(np.float32) for vector in vectors]
        mean = np.average(np.array(vectors, np.float64), axis=0, weights=[1, 5, 2])
        parameter.grad = torch.from_numpy(weights - mean)
        adam.step()
        weights = played(strategy, weights, vectors, [1, 5, 2])
        assert np.allclose(weights, parameter.detach().numpy(), atol=1e-6)
        parameter.data = torch.from_numpy(weights.astype(np.float64))  # rounded to float32 each round


@pytest.mark.parametrize(
    ("name", "corrected"), [(name, False) for name in RULES] + [("fedadam", True), ("fedyogi", True)]
)
def test_each_weight_goes_its_own_way_by_the_formula(name, corrected):
    keys = {"beta1": 0.7, "tau": 0.05, **({} if name == "fedadagrad" else {"beta2": 0.8})}
    strategy = strategy_of(name, 0.3, **keys, **({"corrected": True} if corrected else {}))
    weights, _ = drawn(1)
    m = [0.0] * 40
    v = [0.0 if corrected else 0.05**2] * 40
    for round_ in range(1, 5):
        _, vectors = drawn(round_ + 1)
        expected = []
        for place, before in enumerate(weights.tolist()):
            d = (
                sum(
                    count * float(vector[place]) for count, vector in zip((3, 1, 1), vectors[:3], strict=True)
                )
                / 5
            )
            d -= before
            m[place] = 0.7 * m[place] + 0.3 * d
            if name == "fedadagrad":
                v[place] += d * d
            elif name == "fedadam":
                v[place] = 0.8 * v[place] + 0.2 * d * d
            else:
                v[place] += 0.2 * d * d * (1 if d * d > v[place] else -1)
            over, under = (1 - 0.7**round_, 1 - 0.8**round_) if corrected else (1, 1)
            expected.append(before + 0.3 * m[place] / over / ((v[place] / under) ** 0.5 + 0.05))
        weights = played(strategy, weights, vectors[:3], [3, 1, 1])
        assert np.allclose(weights, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", [*RULES, "fedavgm"])
def test_what_they_remember_goes_on_in_another_process(name):
    assert goes_on(lambda: strategy_of(name, 0.1))
    if name in ("fedadam", "fedyogi"):
        assert goes_on(lambda: strategy_of(name, 0.1, corrected=True))


@pytest.mark.parametrize("name", [*RULES, "fedavgm"])
def test_normalisation_buffers_are_averaged_and_no_rule_steps_on_them(name):
    conf = {"norm": "batch"}
    layout = layout_of(make_conf({**TINY, **conf}, "x"))
    assert 0 < layout.trained < layout.size
    strategy, weights, lowest = strategy_of(name, 0.5, conf), np.ones(layout.size, np.float32), 1.0
    for round_ in range(1, 13):
        weights = played(strategy, weights, [np.zeros(layout.size), np.zeros(layout.size)])
        assert np.all(weights[layout.trained :] == (0.5**round_ if name == "fedavgm" else 0))
        lowest = min(lowest, weights[0])
    assert np.ptp(weights[: layout.trained]) == 0 and weights[0] != weights[-1]
    assert name == "fedadagrad" or lowest < 0, "where a variance must not go"
    assert all(vector.shape in ((layout.trained,), (1,)) for vector in strategy.state().values())
