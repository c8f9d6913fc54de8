"""Selective SGD: what is shared is what the paper says, everybody keeps the rest, and it converges."""

import numpy as np
import pytest

from tests.here import Here, trained
from utils.conf import ConfError, make_conf
from utils.experiment import run_repeat
from utils.federated.bench import Repeat, share_out
from utils.federated.client import vector
from utils.federated.rounds.selective import ORDER_STREAM
from utils.nets.build import build
from utils.nets.layout import read_weights
from utils.results import values

FIRST = Repeat(0, 0, 0)
IRIS = {
    "type": "iris", "no_models": 4, "k": 4, "global_epochs": 20, "local_epochs": 1, "batch_size": 8, "lr": 0.05,
    "momentum": 0.0, "network": {"layers": [{"flatten": True}, {"dense": 8}]},
}  # fmt: skip


def selective(tiny, **keys):
    own = {name: keys.pop(name) for name in ("global_epochs", "lr") if name in keys}
    return tiny(norm="group", rounds={"name": "selective", **keys}, **{"global_epochs": 1, **own})


def test_sharing_all_in_turn_is_sgd_on_the_examples_of_one_after_the_other(tiny, photos):
    conf = selective(tiny, upload=1.0, download=1.0)
    state = run_repeat(conf, FIRST, photos, Here())
    shares, now = share_out(conf, FIRST, photos), read_weights(build(conf, 0))
    for number, mine in enumerate(shares.clients):
        now = vector(trained(conf, photos, mine, now, number=number).payload)
    assert np.abs(state.weights - now).max() < 0.01 * np.abs(now - read_weights(build(conf, 0))).max()
    size = 4 * len(now)
    assert values(state.record, "bytes_up") == [3 * size] and values(state.record, "bytes_down") == [3 * size]


def test_the_largest_changes_are_sent_and_what_was_changed_often_is_fetched(tiny, photos):
    conf = selective(tiny, upload=0.1, download=0.3, gamma=0.001, global_epochs=2)
    state = run_repeat(conf, FIRST, photos, Here())
    shares, server = share_out(conf, FIRST, photos), read_weights(build(conf, 0)).astype(np.float64)
    own, counts = np.tile(server.astype(np.float32), (3, 1)), np.zeros(len(server))
    few, fetched = round(0.1 * len(server)), round(0.3 * len(server))
    for round_ in range(2):
        rng = np.random.default_rng([ORDER_STREAM, conf.seed, round_])
        for number, mine in enumerate(shares.clients):
            start, often = own[number].copy(), np.lexsort((rng.random(len(server)), -counts))[:fetched]
            start[often] = server[often].astype(np.float32)
            own[number] = vector(trained(conf, photos, mine, start, number=number, round=round_).payload)
            change = own[number] - start
            most = np.argsort(-np.abs(change))[:few]
            server[most] += np.clip(change[most], -np.float32(0.001), np.float32(0.001))
            counts[most] += 1
        server = server.astype(np.float32).astype(np.float64)
    assert np.allclose(state.weights, server, atol=1e-6)
    assert np.array_equal(state.vectors["rounds/counts"], counts)
    assert np.allclose(state.vectors["rounds/own"], own, atol=1e-6)
    assert values(state.record, "bytes_up") == [3 * 8 * few] * 2
    assert values(state.record, "bytes_down") == [3 * 8 * fetched] * 2


def test_random_changes_are_above_tau_and_asynchronous_ones_begin_alike(tiny, photos):
    conf = selective(tiny, upload=0.5, choose="random", tau=0.01, order="asynchronous")
    state = run_repeat(conf, FIRST, photos, Here())
    shares, start = share_out(conf, FIRST, photos), read_weights(build(conf, 0))
    changes = [
        vector(trained(conf, photos, mine, start, number=number).payload) - start
        for number, mine in enumerate(shares.clients)
    ]
    moved = np.flatnonzero(state.weights != start)
    above = np.unique(np.concatenate([np.flatnonzero(np.abs(change) > 0.01) for change in changes]))
    assert len(moved) and set(moved) <= set(above)
    assert state.vectors["rounds/counts"].sum() == sum(
        min(round(0.5 * len(start)), np.count_nonzero(np.abs(change) > 0.01)) for change in changes
    )


@pytest.mark.parametrize("order", ["round_robin", "random", "asynchronous"])
def test_it_converges_whatever_the_order_and_goes_on_as_if_nothing_had_happened(order, tmp_path):
    def conf(rounds):
        return make_conf(
            {**IRIS, "global_epochs": rounds, "rounds": {"name": "selective", "upload": 0.1, "order": order}},
            "x",
        )

    examples = conf(1).task.module.open_examples(conf(1), tmp_path)
    state = run_repeat(conf(30), FIRST, examples, Here())
    assert values(state.record, "accuracy")[-1] > 0.85
    assert values(state.record, "own_models_accuracy")[-1] > 0.85
    half = run_repeat(conf(15), FIRST, examples, Here())
    half.record.pop("test")
    on = run_repeat(conf(30), FIRST, examples, Here(), half)
    assert np.array_equal(on.weights, state.weights)
    assert values(on.record, "accuracy") == values(state.record, "accuracy")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"link": ["topk"]}, "rounds: selective does not go with link topk"),
        ({"strategy": "median"}, "rounds: selective needs strategy fedavg, found median"),
        ({"local": "scaffold"}, "rounds: selective needs local one of sgd, fedprox, found scaffold"),
        (
            {"network": {"layers": [{"flatten": True}, {"dense": 8}, {"batch_norm": True}]}},
            "rounds: selective does not go with network with batch norm",
        ),
    ],
)
def test_what_does_not_go_with_it(changes, says):
    with pytest.raises(ConfError, match=says):
        make_conf({**IRIS, "rounds": "selective", **changes}, "x")
