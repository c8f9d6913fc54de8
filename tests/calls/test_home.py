"""Training at home is the training of every other run; clip and noise are those of `local_dp`."""

import numpy as np
import pytest
import torch

from tests.calls.test_described import PICTURES, VALUES
from utils.calls.begin import begin, drawn
from utils.calls.described import checked_call
from utils.calls.fold import folded
from utils.calls.home import Home, fresh, in_memory, scores
from utils.nets.build import build, layout_of
from utils.nets.layout import pieces, write_weights
from utils.tasks._call import seen


def _trained(call, folder, weights, seed=3, **more):
    home = Home(call, *drawn(call, 20, seed=1), folder)
    return home.train(weights, seed=seed, **more)


@pytest.mark.parametrize("base", [PICTURES, VALUES], ids=["pictures", "values"])
def test_it_is_plain_sgd_with_momentum_in_the_clients_batches(base, tmp_path):
    call = checked_call(
        {**base, "training": {"lr": 0.02, "momentum": 0.5, "batch_size": 6, "local_epochs": 2}}
    )
    weights, layout = fresh(call, 0), layout_of(call.conf)
    trained = _trained(call, tmp_path, weights)
    inputs, answers = drawn(call, 20, seed=1)
    net = build(call.conf, 0)
    write_weights(net, weights)
    rng, velocity = np.random.default_rng([1, 3, 0, 0]), None
    for _ in range(2):
        for batch in np.array_split(rng.permutation(20), 4):
            net.zero_grad()
            outputs = net(seen(inputs[batch], call.format))
            if call.format.number is None:
                loss = torch.nn.functional.cross_entropy(outputs, torch.from_numpy(answers[batch]))
            else:
                wanted = torch.from_numpy(2 * (answers[batch] - 0) / 300 - 1).float()
                loss = ((outputs[:, 0] - wanted) ** 2).mean()
            loss.backward()
            gradients = torch.cat([p.grad.flatten() for p in net.parameters()])
            velocity = gradients if velocity is None else 0.5 * velocity + gradients
            with torch.no_grad():
                for p, v in zip(
                    net.parameters(), velocity.split([p.numel() for p in net.parameters()]), strict=True
                ):
                    p -= 0.02 * v.view_as(p)
    found = layout.flat({k: np.asarray(v) for k, v in trained.difference.items()})
    wanted = torch.cat([
        (p.detach() - before).flatten()
        for p, before in zip(net.parameters(), pieces(net, weights), strict=True)
    ]).numpy()  # fmt: skip
    got = torch.cat([piece.flatten() for piece in pieces(net, found)]).numpy()
    np.testing.assert_allclose(got, wanted, atol=2e-5)
    assert (trained.samples, trained.steps) == (20, 8)
    assert trained.norm == pytest.approx(np.linalg.norm(wanted), rel=1e-3)


def test_the_same_seed_gives_the_same_update_and_another_another(tmp_path):
    call = checked_call(VALUES)
    weights = fresh(call, 0)
    one, same, other = (_trained(call, tmp_path, weights, seed) for seed in (3, 3, 4))
    for name in one.difference:
        np.testing.assert_array_equal(one.difference[name], same.difference[name])
    assert any((one.difference[name] != other.difference[name]).any() for name in one.difference)


def test_a_clip_bounds_the_norm_and_noise_covers_every_number(tmp_path):
    call = checked_call(VALUES)
    weights = fresh(call, 0)
    plain, clipped = _trained(call, tmp_path, weights), _trained(call, tmp_path, weights, clip=0.1)
    assert plain.norm > 0.1 and clipped.norm == pytest.approx(0.1, rel=1e-4)
    noisy = _trained(call, tmp_path, weights, clip=0.1, noise=2.0)
    every = np.concatenate([one.ravel() for one in noisy.difference.values()])
    assert every.std() == pytest.approx(0.2, rel=0.1)


def test_prepared_examples_are_forgotten(tmp_path):
    home = Home(checked_call(VALUES), *drawn(checked_call(VALUES), 5, seed=1), tmp_path / "home")
    assert list((tmp_path / "home").iterdir())
    home.close()
    assert not list((tmp_path / "home").iterdir())


def test_numbers_are_told_in_their_unit():
    call = checked_call(VALUES)
    inputs, _ = drawn(call, 8, seed=0)
    outputs = in_memory(call, inputs)(np.zeros(layout_of(call.conf).size, np.float32))
    np.testing.assert_allclose(outputs, 150)  # the middle of 0 to 300
    assert scores(call, outputs, np.full(8, 140.0)) == {"rmse": pytest.approx(10)}


def test_a_try_learns_what_is_drawn(tmp_path):
    found = begin(checked_call(VALUES), tmp_path, tmp_path)
    assert found["after"] < found["before"] and (tmp_path / "1.safetensors").stat().st_size == found["bytes"]


def test_a_fold_is_fedavg_and_what_a_strategy_remembers_goes_on():
    call = checked_call(VALUES)
    before = fresh(call, 0)
    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 0.01, (2, len(before))).astype(np.float32)
    told = [{"samples": 30, "steps": 4, "loss": 0.5}, {"samples": 10, "steps": 4, "loss": 0.5}]
    after, state, _ = folded(call, before, [one, other], told, {})
    np.testing.assert_allclose(after, before + 0.75 * one + 0.25 * other, atol=1e-6)
    assert state == {}
    call = checked_call({**VALUES, "strategy": {"name": "fedavgm", "momentum": 0.9}})
    first, state, _ = folded(call, before, [one], told[:1], {})
    second, _, _ = folded(call, first, [one], told[:1], state)
    assert np.linalg.norm(second - first) > 1.5 * np.linalg.norm(first - before)


def test_a_rule_that_looks_at_each_says_whom_it_left_out():
    call = checked_call({**VALUES, "strategy": "krum", "aggregation": {"goal": 5, "least": 5}})
    before = fresh(call, 0)
    rng = np.random.default_rng(0)
    updates = [rng.normal(0, 0.01, len(before)).astype(np.float32) for _ in range(4)]
    updates.append(np.full(len(before), 100, np.float32))
    _, _, verdicts = folded(call, before, updates, [{"samples": 9, "steps": 1, "loss": 1}] * 5, {})
    assert [one["kept"] for one in verdicts].count(True) == 1 and not verdicts[4]["kept"]


def test_a_rate_at_which_nothing_is_learnt_is_found_out_in_a_try(tmp_path):
    call = checked_call({**VALUES, "training": {"lr": 100, "local_epochs": 50}})
    with pytest.raises(FloatingPointError, match="training loss is not finite at learning rate 100"):
        begin(call, tmp_path, tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))
