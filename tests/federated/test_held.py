"""What a client says of how a model does on what it has: sums, which give what judging it here gives."""

from types import SimpleNamespace

import numpy as np
import pytest

from utils.federated.bench import scores
from utils.federated.held import Held, answered, mean_error


def _asked(outputs, targets):
    return SimpleNamespace(targets=targets, buffers={"weights": b""}, logits=lambda weights: outputs)


def test_of_classes_they_give_accuracy_and_loss():
    random = np.random.default_rng(0)
    outputs, targets = random.normal(size=(50, 4)).astype(np.float32), random.integers(4, size=50)
    held = Held.read(answered(_asked(outputs, targets)))
    exact = np.exp(outputs.astype(np.float64))
    wanted = scores(exact / exact.sum(axis=1, keepdims=True), targets)
    assert held.score() == wanted["accuracy"]
    assert mean_error([held, None]) == pytest.approx(wanted["loss"], rel=1e-12)
    assert held.total.tolist() == np.bincount(targets, minlength=4).tolist()


def test_of_numbers_they_give_the_error():
    random = np.random.default_rng(0)
    outputs, targets = random.normal(size=(50, 1)).astype(np.float32), random.normal(size=50)
    held = Held.read(answered(_asked(outputs, targets)))
    assert held.score() == pytest.approx(scores(outputs[:, 0].astype(float), targets)["rmse"], rel=1e-12)


def test_of_outputs_that_are_not_finite_nothing_is_right():
    outputs = np.array([[1, 0], [np.nan, 5], [0, np.inf]], np.float32)
    held = Held.read(answered(_asked(outputs, np.array([0, 1, 1]))))
    assert held.right.tolist() == [1, 0] and held.total.tolist() == [1, 2] and np.isfinite(held.errors)
    outputs = np.array([[np.inf]], np.float32)
    assert np.isfinite(Held.read(answered(_asked(outputs, np.array([1.0])))).score())


def test_of_no_example_there_is_no_score():
    for targets in (np.zeros(0, np.int64), np.zeros(0)):
        assert Held.read(answered(_asked(np.zeros((0, 2), np.float32), targets))).score() is None
    assert mean_error([None]) is None


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"1234567", b"\0" * 16, np.array([2.0, 1.0, 0.0]).tobytes(), np.array([-1.0, 1.0, 0.0]).tobytes(),
        np.array([np.nan, 1.0, 0.0]).tobytes(), b"\0" * 16 * 20_000,
    ],
)  # fmt: skip
def test_an_answer_that_cannot_be_is_none(payload):
    assert Held.read(payload) is None
