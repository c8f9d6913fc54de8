"""What updates of a call were worth; the games behind that are tested in `tests.federated.test_worth`."""

import numpy as np

from tests.calls.test_described import VALUES
from utils.calls.begin import drawn
from utils.calls.described import checked_call
from utils.calls.home import fresh
from utils.calls.worth import TestSet, worth_of


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
