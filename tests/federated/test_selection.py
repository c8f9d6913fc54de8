"""Who takes part, and when they answer."""

import math

import numpy as np
import pytest

from tests.here import Here
from utils.conf import make_conf
from utils.experiment import run_repeat
from utils.federated import RunError
from utils.federated.bench import Repeat, share_out
from utils.federated.clock import arrivals, paces
from utils.federated.selection.by_size import Selection as BySize
from utils.federated.update import Answer, Failure, Update
from utils.nets.build import build
from utils.nets.layout import Layout, read_weights
from utils.results import values

FIRST = Repeat(0, 0, 0)


def test_by_size_draws_in_proportion_and_its_mean_is_that_of_all_weighted_by_examples(tiny):
    sizes = [1, 2, 7]
    rule, told, means = BySize(tiny(), sizes), np.array([1.0, 10.0, 100.0]), []
    for round_ in range(4000):
        chosen = rule.select(np.random.default_rng([1, round_]), 4, None)
        assert chosen == sorted(set(chosen))
        counted = [rule.weigh(Update(client, np.zeros(1), sizes[client])) for client in chosen]
        assert sum(counted) == 4
        means.append(np.average(told[chosen], weights=counted))
    assert np.mean(means) == pytest.approx(np.average(told, weights=sizes), rel=0.02)


def test_by_size_weighs_updates_as_often_as_their_client_was_drawn(tiny, photos):
    conf = tiny(
        partition="quantity", alpha=0.5, selection="by_size", global_epochs=1, no_models=4, k=4, lr=1e-4
    )
    state = run_repeat(conf, FIRST, photos, Here())
    sizes = np.array([len(mine) for mine in share_out(conf, FIRST, photos).clients])
    drawn = np.random.default_rng([2, 0, 0]).choice(4, size=4, p=sizes / sizes.sum())
    assert [one["rounds"] for one in state.record["clients"]] == [int(client in drawn) for client in range(4)]
    assert len(set(drawn)) < 4  # so that weights differ


def test_power_of_choice_takes_those_of_the_candidates_who_do_worst(tiny, photos):
    conf = tiny(
        no_models=6, k=2, global_epochs=1, selection={"name": "power_of_choice", "candidates": 4},
        partition="shards", shards_per_owner=1,
    )  # fmt: skip
    state = run_repeat(conf, FIRST, photos, Here())
    sizes = np.array([len(mine) for mine in share_out(conf, FIRST, photos).clients])
    asked = sorted(
        np.random.default_rng([2, 0, 0]).choice(6, size=4, replace=False, p=sizes / sizes.sum()).tolist()
    )
    start, losses = read_weights(build(conf, 0)), {}
    from tests.here import judged

    for client in asked:
        mine = share_out(conf, FIRST, photos).clients[client]
        logits = judged(conf, photos, mine, start).astype(np.float64)
        likely = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        losses[client] = -np.log(likely[np.arange(len(mine)), photos.targets[mine]]).mean()
    worst = sorted(sorted(asked, key=lambda client: -losses[client])[:2])
    assert [number for number, one in enumerate(state.record["clients"]) if one["rounds"]] == worst
    size = 4 * len(start)
    assert values(state.record, "bytes_down") == [(4 + 2) * size]
    assert values(state.record, "bytes_up") == [2 * size + 4 * 8]


def test_power_of_choice_goes_on_without_candidates_that_do_not_answer(tiny):
    conf = tiny(no_models=5, k=2, selection={"name": "power_of_choice", "candidates": 5})
    rule = conf.selection.module.Selection(conf, [3] * 5)

    def ask(name, clients, reads):
        for client in clients:
            yield Failure(client, "gone") if client > 2 else Answer(client, np.float64(client).tobytes())

    assert rule.select(np.random.default_rng(0), 2, ask) == [1, 2]


def test_paces_are_of_their_distributions():
    rng = np.random.default_rng(0)
    assert (paces("constant", 2.0, rng, 5) == 1).all()
    assert np.median(paces("lognormal", 0.5, rng, 20_000)) == pytest.approx(1.0, abs=0.02)
    assert np.log(paces("lognormal", 0.5, rng, 20_000)).std() == pytest.approx(0.5, abs=0.02)
    assert paces("exponential", 2.0, rng, 20_000).mean() == pytest.approx(3.0, abs=0.06)
    assert paces("half_normal", 2.0, rng, 20_000).mean() == pytest.approx(
        1 + 2 * math.sqrt(2 / math.pi), abs=0.05
    )
    when = arrivals(np.array([100, 200] * 5000), np.ones(10_000), 0.25, rng)
    assert np.isinf(when).mean() == pytest.approx(0.25, abs=0.02)
    assert set(when[np.isfinite(when)]) == {1.0, 2.0}


def rounds(**keys):
    return {"name": "synchronous", **keys}


def test_rounds_end_with_the_last_client_that_is_wanted(tiny, photos):
    asked = {"no_models": 6, "k": 3, "global_epochs": 2}
    slow = rounds(over_select=2.0, duration="lognormal", spread=1.0)
    state = run_repeat(tiny(**asked, rounds=slow), FIRST, photos, Here())
    sizes = np.array([len(mine) for mine in share_out(tiny(**asked), FIRST, photos).clients])
    when = 0.01 * sizes * np.exp(np.random.default_rng([7, 0]).standard_normal(6))
    first = np.argsort(when)[:3]
    assert [one["rounds"] for one in state.record["clients"]] == [
        2 * int(client in first) for client in range(6)
    ]
    assert values(state.record, "virtual_seconds") == pytest.approx(when[first].max() * np.arange(1, 3))
    assert values(state.record, "bytes_down") == [6 * 4 * len(state.weights)] * 2
    assert {reason for _, _, reason in state.record["failures"]} == {"too late"}
    assert len(state.record["failures"]) == 6


def test_a_deadline_cuts_slow_clients_off_and_lost_ones_are_not_waited_for(tiny, photos):
    conf = tiny(
        no_models=6,
        k=6,
        global_epochs=6,
        rounds=rounds(deadline=0.15, duration="exponential", same_slow=False),
    )
    record = run_repeat(conf, FIRST, photos, Here()).record
    late = [client for _, client, reason in record["failures"] if reason == "too late"]
    assert 0 < len(late) < 36
    taken = np.diff([0.0, *values(record, "virtual_seconds")])
    assert taken.min() > 0 and taken.max() <= 0.15 + 1e-9
    conf = tiny(no_models=6, k=6, global_epochs=6, rounds=rounds(drop_out=0.4))
    record = run_repeat(conf, FIRST, photos, Here()).record
    assert {reason for _, _, reason in record["failures"]} == {"lost"}
    assert sum(one["rounds"] for one in record["clients"]) + len(record["failures"]) == 36


def test_a_round_with_too_few_is_abandoned_and_drawn_again_and_not_for_ever(tiny, photos):
    conf = tiny(no_models=6, k=2, min_clients=2, global_epochs=4, rounds=rounds(drop_out=0.5))
    record = run_repeat(conf, FIRST, photos, Here()).record
    assert [one["rounds"] for one in record["clients"]].count(0) < 6
    assert sum(one["rounds"] for one in record["clients"]) == 8
    assert "the round was abandoned" in {reason for _, _, reason in record["failures"]}
    size = 4 * sum(math.prod(shape) for shape in Layout.of(build(conf, 0)).shapes)
    asked = 8 + len(record["failures"])  # cohorts that were sent the model in vain count
    assert sum(values(record, "bytes_down")) == asked * size
    hopeless = tiny(rounds=rounds(deadline=1e-6))
    with pytest.raises(
        RunError, match=r"round 1 was abandoned 100 times, fewer than 1 clients answered in time"
    ):
        run_repeat(hopeless, FIRST, photos, Here())


def test_all_defaults_are_what_there_was_before(tiny, photos):
    plain, named = (
        run_repeat(tiny(global_epochs=1, **more), FIRST, photos, Here())
        for more in ({}, {"rounds": "synchronous"})
    )
    assert np.array_equal(plain.weights, named.weights)
    assert not values(named.record, "virtual_seconds")
    assert "rounds" not in tiny().as_json() and make_conf(tiny().as_json(), "x") == tiny()
