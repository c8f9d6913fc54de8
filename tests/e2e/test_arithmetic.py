"""What a browser's worker reckons is what PyTorch reckons: updates from the same weights, examples and batches."""

import numpy as np
import pytest
import torch

from tests.e2e.arithmetic import CASES, apart, by_torch, case, in_browser, small
from utils.calls.home import fresh, in_memory
from utils.calls.weights import norm_of

MOST = 1e-3
"""Relative L2 distance: where a number before a ReLU is 0 to rounding, its sign may differ, and all before it."""


@pytest.fixture
def page(page_of):
    page = page_of()
    page.goto("/login")
    return page


@pytest.mark.parametrize("name", CASES)
def test_an_update_is_that_of_pytorch(page, name):
    torch.set_num_threads(1)
    call, inputs, answers = CASES[name]()
    difference, loss, _ = by_torch(call, inputs, answers)
    made = in_browser(page, call, inputs, answers)
    assert made["began"] == ("plain" if name in ("logistic", "linear", "head") else "wasm")
    assert apart(made["difference"], difference) < MOST
    assert made["loss"] == pytest.approx(loss, rel=1e-3)
    assert made["norm"] == pytest.approx(norm_of(made["difference"]), rel=1e-5)
    assert (made["samples"], made["steps"]) == (len(inputs), len(made["losses"]))


def test_a_repeat_is_equal_and_another_seed_is_not(page):
    call, inputs, answers = CASES["small_cnn"]()
    one, same, other = (in_browser(page, call, inputs, answers, seed)["difference"] for seed in (5, 5, 6))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert apart(one, other) > 1e-3


@pytest.mark.parametrize("name", ["mlp", "head", "cnn of many kinds", "photo_cnn"])
def test_examples_are_judged_as_by_pytorch(page, name):
    call, inputs, answers = CASES[name]()
    made = np.array(in_browser(page, call, inputs, answers, kind="outputs")["outputs"])
    wanted = in_memory(call, inputs)(fresh(call, 1))
    if of := call.format.number:
        made = of.low + (made + 1) / 2 * (of.high - of.low)
    np.testing.assert_allclose(made.reshape(wanted.shape), wanted, atol=2e-4)


def test_dropout_drops_in_training_and_nothing_else_does(page):
    """In a linear network with dropout updates differ by their seed alone, and are right in the mean."""
    shape = (
        {"kind": "picture", "side": 8, "channels": 1},
        {"kind": "number", "key": "y", "low": -1, "high": 1},
        16,
    )
    hyper = {"batch_size": 16, "local_epochs": 1, "lr": 0.001, "momentum": 0}
    layers = [{"flatten": True}, {"dropout": 0.4}]
    call, inputs, answers = case({"layers": layers}, *shape, **hyper)
    plain, _, _ = by_torch(*case({"layers": layers[:1]}, *shape, **hyper))
    drawn = [in_browser(page, call, inputs, answers, seed)["difference"] for seed in range(1, 41)]
    assert apart(drawn[0], drawn[1]) > 0.01
    mean = np.mean([one["output.bias"] for one in drawn], 0)
    np.testing.assert_allclose(mean, plain["output.bias"], rtol=0.15)


def test_a_loss_that_is_not_finite_ends_the_training(page):
    number = {"kind": "number", "key": "y", "low": 0, "high": 1}
    call, inputs, answers = case("mlp", small(8, 1), number, 32, lr=100.0, local_epochs=30)
    with pytest.raises(Exception, match="diverged"):
        in_browser(page, call, inputs, answers)
