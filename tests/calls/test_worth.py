"""What updates were worth, on games whose values are known."""

import numpy as np
import pytest

from tests.calls.test_described import VALUES
from utils.calls.begin import drawn
from utils.calls.described import checked_call
from utils.calls.home import fresh
from utils.calls.worth import TestSet, worth_of
from utils.federated.worth import flags, gtg, leave_one_out, shapley


def duplicates(group):
    """Players 0 and 1 are duplicates, 2 is a null."""
    return 0.8 if group & {0, 1} else 0.5


def never():
    return False


def test_shapley_shares_between_duplicates_and_leave_one_out_misses_both():
    np.testing.assert_allclose(
        shapley(3, duplicates, np.random.default_rng(0), never).values, [0.15, 0.15, 0]
    )
    np.testing.assert_allclose(leave_one_out(3, duplicates), [0, 0, 0])


def test_gtg_comes_to_the_same_within_its_errors():
    found = gtg(3, duplicates, np.random.default_rng(1), never)
    assert found.settled and found.permutations >= 30
    np.testing.assert_array_less(np.abs(found.values - [0.15, 0.15, 0]), 3.5 * found.errors + 1e-9)
    assert found.values.sum() == pytest.approx(0.3)


def test_gtg_of_an_additive_game_is_exact_and_of_a_round_that_changes_nothing_zero():
    worth = np.array([0.05, 0.1, 0.02, 0.2, 0.01, 0.03, 0.07])
    found = shapley(7, lambda group: worth[list(group)].sum(), np.random.default_rng(0), never)
    np.testing.assert_allclose(found.values, worth, atol=2e-3)  # WITHIN cuts the last steps off
    still = gtg(7, lambda group: 0.5 + 0.001 * len(group), np.random.default_rng(0), never)
    assert still.permutations == 0 and not still.values.any()


def test_when_the_time_is_over_it_says_so():
    found = gtg(8, lambda group: len(group) ** 2 / 64, np.random.default_rng(0), lambda: True)
    assert not found.settled and found.permutations == 1 and found.values.sum() == pytest.approx(1, abs=0.01)


def test_copies_and_those_who_did_nothing_are_flagged():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 500)).astype(np.float32)
    assert flags([one, other, one * 1.5, np.zeros_like(one), one * 1e-6]) == [
        "", "", "duplicate 0", "free rider", "free rider",
    ]  # fmt: skip


def test_of_real_updates_the_helpful_one_is_worth_most():
    call = checked_call(VALUES)
    inputs, answers = drawn(call, 60, seed=1)
    tested = TestSet(call, inputs, answers)
    before = fresh(call, 0)
    import tempfile
    from pathlib import Path

    from utils.calls.home import Home
    from utils.nets.build import layout_of

    with tempfile.TemporaryDirectory() as folder:
        home = Home(call, *drawn(call, 60, seed=2), Path(folder))
        trained = home.train(before, seed=0)
    good = layout_of(call.conf).flat(trained.difference)
    told = [{"samples": 60, "steps": 8, "loss": 0.1}] * 3
    found = worth_of(call, before, [good, -good, np.zeros_like(good)], told, tested, 10)
    assert found["shapley"][0] > found["shapley"][2] > found["shapley"][1] or found["shapley"][0] > 0
    assert found["flags"] == ["", "", "free rider"]
