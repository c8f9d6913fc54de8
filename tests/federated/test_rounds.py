"""Rounds of other kinds: buffered ones against a simulation by events, gossip against its theory, relay by hand."""

import heapq
from contextlib import closing
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from tests.here import Here, trained, watched
from utils.conf import ConfError, make_conf
from utils.engines.workers import Workers
from utils.experiment import run_repeat
from utils.federated import RunError
from utils.federated.bench import Bench, Repeat, share_out
from utils.federated.client import vector
from utils.federated.clock import CLOCK_STREAM, LOST, PACES_STREAM, paces
from utils.federated.rounds._graphs import edges_of, mixing, second
from utils.federated.rounds.buffered import START_STREAM
from utils.federated.update import Failure, Reply
from utils.nets.build import build
from utils.nets.layout import read_weights
from utils.results import values

FIRST = Repeat(0, 0, 0)
IRIS = {
    "type": "iris", "no_models": 4, "k": 4, "global_epochs": 6, "local_epochs": 1, "batch_size": 8, "lr": 0.1,
    "momentum": 0.0, "network": {"layers": [{"flatten": True}, {"dense": 8}]},
}  # fmt: skip
EQUAL = {"owners": 8, "holds": [[3], [4], [5], [6]]}  # four owners of as many examples each
KINDS = [
    {"name": "buffered", "buffer": 2, "duration": "lognormal", "drop_out": 0.2},
    {"name": "buffered", "buffer": 3, "arrival": "exponential", "rate": 2.0, "same_slow": False},
    {"name": "gossip"},
    {"name": "gossip", "graph": "random", "rings": 1, "mixes": "begun"},
    {"name": "relay"},
    {"name": "relay", "order": "random"},
]
NAMES = ["buffered", "arriving", "gossip", "random gossip", "relay", "random relay"]


def iris(**changes):
    return make_conf({**IRIS, **changes}, "x")


@pytest.fixture(scope="module")
def flowers(tmp_path_factory):
    conf = iris()
    return conf.task.module.open_examples(conf, tmp_path_factory.mktemp("data"))


class Toy(Here):
    """An engine on which client i has the loss |x - goal_i|² / 2, and takes one step of gradient descent."""

    def __init__(self, goals, lr, bad=()):
        self.goals, self.lr, self.bad, self.calls = goals, lr, bad, []

    def train(self, work, jobs, buffers):
        for job in jobs:
            self.calls.append((job.client, job.round))
            start = np.frombuffer(buffers[job.reads[0]], np.float32)
            if job.client in self.bad:
                yield Failure(job.client, "no power")
                continue
            made = start - np.float32(self.lr) * (start - self.goals[job.client])
            samples = len(work.shares[f"client/{job.client}"])
            yield Reply(
                job.client,
                made.astype(np.float32).tobytes(),
                samples,
                {"loss": 1.0, "steps": 1.0, "seconds": 0.0},
            )

    def judge(self, work, jobs, buffers):
        count = len(work.shares[jobs[0].share])
        return [
            np.zeros((len(np.array_split(range(count), job.pieces)[job.piece]), 3), np.float32)
            for job in jobs
        ]


def start_of(conf, flowers):
    """The weights before round 1, with the scaling that the owners agree on."""
    with closing(Bench(conf, FIRST, flowers, Here())) as bench:
        return bench.start()


def goals(conf, seed=0):
    size = len(read_weights(build(conf, 0)))
    return np.random.default_rng(seed).normal(size=(conf.no_models, size)).astype(np.float32)


def without_times(record):
    clients = [{k: v for k, v in one.items() if k != "seconds"} for one in record["clients"]]
    series = [one for one in record["series"] if one["name"] not in ("seconds", "training_seconds")]
    return {**record, "series": series, "clients": clients}


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_the_same_curve_on_any_number_of_workers_and_from_any_round(kind, flowers):
    conf = iris(rounds=kind)
    whole, seen = watched(conf, FIRST, flowers)
    with Workers(2) as engine:
        others = [run_repeat(conf, FIRST, flowers, engine), run_repeat(conf, FIRST, flowers, engine, seen[2])]
    for other in others:
        assert np.array_equal(other.weights, whole.weights)
        assert without_times(other.record) == without_times(whole.record)
    assert values(whole.record, "accuracy")[-1] > values(whole.record, "accuracy")[0] - 0.1
    assert len({round(one, 6) for one in values(whole.record, "loss")}) == 6


def test_a_buffer_of_all_who_are_equally_fast_is_a_synchronous_round_to_the_bit(flowers):
    conf = iris(rounds={"name": "buffered", "buffer": 4, "duration": "constant"}, **EQUAL)
    sizes = {len(mine) for mine in share_out(conf, FIRST, flowers).clients}
    assert len(sizes) == 1
    buffered = run_repeat(conf, FIRST, flowers, Here())
    plain = run_repeat(iris(**EQUAL), FIRST, flowers, Here())
    assert np.array_equal(buffered.weights, plain.weights)
    assert values(buffered.record, "staleness") == [0.0] * 6
    assert values(buffered.record, "bytes_down") == values(plain.record, "bytes_down")
    assert np.allclose(values(buffered.record, "virtual_seconds"), 0.01 * sizes.pop() * np.arange(1, 7))


def simulated(conf, sizes, goals, lr, start, steps):
    """FedBuff, event by event: a heap of beginnings and endings, of the server's steps and of nothing else."""
    keys = conf.rounds.keys
    pace = paces(keys.duration, keys.spread, np.random.default_rng([PACES_STREAM, conf.seed]), len(sizes))
    now, model, version, buffer, lost = 0.0, start.astype(np.float64), 0, [], []
    turns, idle, began, told = [0] * len(sizes), set(range(len(sizes))), 0, []
    ends = []

    def fill():
        nonlocal began
        while idle and len(ends) < conf.k:
            rng = np.random.default_rng([START_STREAM, conf.seed, began, 0])
            client = sorted(idle)[int(rng.integers(len(idle)))]
            vanishes = (
                np.random.default_rng([CLOCK_STREAM, conf.seed, client, turns[client]]).random()
                < keys.drop_out
            )
            heapq.heappush(
                ends,
                (
                    now + 0.01 * sizes[client] * conf.local_epochs * pace[client],
                    client,
                    version,
                    model.copy(),
                    vanishes,
                ),
            )
            idle.discard(client)
            turns[client] += 1
            began += 1

    while version < steps:
        if not ends or ends[0][0] > now:
            fill()
        now, client, of, begun, vanishes = heapq.heappop(ends)
        idle.add(client)
        if vanishes:
            lost.append((version, client))
            continue
        difference = -lr * (begun - goals[client])
        buffer.append((sizes[client], (1 + version - of) ** -keys.exponent * difference, version - of))
        if len(buffer) == keys.buffer:
            all_in = sum(size for size, _, _ in buffer)
            model = model + sum(size / all_in * change for size, change, _ in buffer)
            told.append(
                (now, float(np.mean([late for *_, late in buffer])), max(late for *_, late in buffer))
            )
            version, buffer = version + 1, []
    return model, told, lost


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("clients", "k", "buffer"), [(4, 4, 2), (8, 3, 5), (8, 8, 1)])
def test_buffered_rounds_are_those_of_an_independent_simulation(clients, k, buffer, exponent, flowers):
    kind = {
        "name": "buffered",
        "buffer": buffer,
        "exponent": exponent,
        "duration": "half_normal",
        "drop_out": 0.15,
    }
    conf = iris(no_models=clients, k=k, global_epochs=40, partition="quantity", alpha=2.0, rounds=kind)
    wanted = goals(conf)
    state = run_repeat(conf, FIRST, flowers, Toy(wanted, 0.2))
    sizes = [len(mine) for mine in share_out(conf, FIRST, flowers).clients]
    model, told, lost = simulated(conf, sizes, wanted, 0.2, start_of(conf, flowers), 40)
    assert np.abs(state.weights - model).max() < 1e-5
    assert np.allclose(values(state.record, "virtual_seconds"), [now for now, _, _ in told])
    assert np.allclose(values(state.record, "staleness"), [mean for _, mean, _ in told])
    assert values(state.record, "staleness_most") == [most for *_, most in told]
    assert [one[:2] for one in state.record["failures"]] == [list(one) for one in lost] and lost
    assert {one[2] for one in state.record["failures"]} == {LOST}
    assert any(late for _, late, _ in told)


def test_the_weights_of_stale_updates_are_those_of_the_paper():
    assert np.allclose(
        [(1 + t) ** -0.5 for t in (0, 1, 2, 5, 10)], [1, 0.7071, 0.5774, 0.4082, 0.3015], atol=5e-5
    )


def test_it_does_not_matter_in_which_order_a_buffer_is_filled(flowers):
    conf = iris(rounds={"name": "buffered", "buffer": 4}, global_epochs=1)
    start, wanted = start_of(conf, flowers), goals(conf)
    with_bench = Bench(conf, FIRST, flowers, Toy(wanted, 0.2))
    made = []
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        with_bench.begin(start, 1)
        for client in order:
            reply = Reply(client, (start + np.float32(0.1) * wanted[client]).tobytes(), 30)
            with_bench.take(reply, start, 0, start, 0.5)
        made.append(with_bench.finish(start, 1)[0])
    with_bench.close()
    assert np.abs(made[0] - made[1]).max() < 1e-6
    assert np.allclose(made[0], start + 0.05 * wanted.mean(axis=0), atol=1e-5)


def test_clients_that_come_at_a_rate_are_sent_away_while_all_places_are_taken(flowers):
    kind = {"name": "buffered", "buffer": 1, "arrival": "constant", "rate": 10.0, "duration": "constant"}
    conf = iris(no_models=4, k=1, global_epochs=5, rounds=kind)
    state = run_repeat(conf, FIRST, flowers, Toy(goals(conf), 0.2))
    found, sizes = (
        values(state.record, "virtual_seconds"),
        [len(one) for one in share_out(conf, FIRST, flowers).clients],
    )
    assert found[0] in [0.01 * size for size in sizes]
    for before, after in pairwise(found):
        assert min(abs(after - 0.01 * size - np.ceil(before * 10 - 1e-9) / 10) for size in sizes) < 1e-9


def test_where_all_fail_a_buffered_run_ends_with_one_line(flowers):
    conf = iris(rounds={"name": "buffered", "buffer": 1}, no_models=2, k=2)
    with pytest.raises(RunError, match=r"has 0 updates of 1 after .* last failure: no power"):
        run_repeat(conf, FIRST, flowers, Toy(goals(conf), 0.2, bad=(0, 1)))
    conf = iris(rounds={"name": "buffered", "buffer": 2}, no_models=2, k=2)
    state = run_repeat(conf, FIRST, flowers, Toy(goals(conf), 0.2, bad=(0,)))
    assert state.round == 6 and {one[1] for one in state.record["failures"]} == {0}


@pytest.mark.parametrize(
    ("nodes", "by"), [(4, 0.333333), (5, 0.539345), (8, 0.804738), (10, 0.872678), (16, 0.949253)]
)
def test_distances_on_a_ring_shrink_by_the_second_eigenvalue(nodes, by, flowers):
    assert second(mixing(edges_of("ring", nodes), nodes)) == pytest.approx(by, abs=5e-7)
    conf = iris(no_models=nodes, k=nodes, global_epochs=4, rounds="gossip")
    engine = Toy(goals(conf), 0.0)  # gossip only
    start = start_of(conf, flowers)
    wave = np.cos(2 * np.pi * np.arange(nodes) / nodes)  # the eigenvector that shrinks least
    models = (start + wave[:, None] * goals(conf, 1)[:1]).astype(np.float32)
    if nodes == 4:  # whose second eigenvalue in size is that of the other end too
        models = (start + np.array([1, 0, -1, 0])[:, None] * goals(conf, 1)[:1]).astype(np.float32)
    blank = run_repeat(
        iris(no_models=nodes, k=nodes, global_epochs=1, rounds="gossip"), FIRST, flowers, engine
    )
    blank.round = 0
    blank.record.pop("test")
    for one in blank.record["series"]:
        one["values"].clear()
    blank.vectors |= {"rounds/models": models, "rounds/right": np.zeros(nodes)}
    state = run_repeat(conf, FIRST, flowers, engine, blank)
    apart = values(state.record, "consensus_distance")
    assert np.allclose(np.array(apart[1:]) / apart[:-1], by, rtol=1e-4)
    assert values(state.record, "spectral_gap") == pytest.approx([1 - by] * 4, abs=5e-7)
    assert np.allclose(state.weights, models.mean(axis=0), atol=1e-5)


@pytest.mark.parametrize("graph", ["ring", "torus", "full", "random"])
def test_gossip_on_quadratics_comes_to_the_optimum_of_the_mean(graph, flowers):
    kind = {"name": "gossip", "graph": graph, "mixes": "begun"}
    conf = iris(no_models=9, k=9, global_epochs=80, rounds=kind)
    wanted = goals(conf)
    state = run_repeat(conf, FIRST, flowers, Toy(wanted, 0.1))
    left = 0.9**80 * np.abs(start_of(conf, flowers) - wanted.mean(axis=0))
    assert (np.abs(state.weights - wanted.mean(axis=0)) <= left + 1e-5).all()
    near = [
        values(run_repeat(conf, FIRST, flowers, Toy(wanted, lr)).record, "consensus_distance")[-1]
        for lr in (0.1, 0.05)
    ]
    assert 1.5 < near[0] / near[1] < 2.2  # no nearer to each other than the step is small


def test_one_step_of_gossip_is_that_of_d_psgd(flowers):
    conf = iris(no_models=5, k=5, global_epochs=3, rounds={"name": "gossip", "mixes": "begun"})
    wanted, lr = goals(conf), 0.1
    models = np.tile(start_of(conf, flowers), (5, 1)).astype(np.float64)
    for _ in range(3):
        now = np.zeros_like(models)
        for one in range(5):
            beside = [models[(one - 1) % 5], models[one], models[(one + 1) % 5]]
            now[one] = sum(beside) / 3 - lr * (models[one] - wanted[one])
        models = now
    state = run_repeat(conf, FIRST, flowers, Toy(wanted, lr))
    assert np.allclose(state.vectors["rounds/models"], models, atol=1e-5)
    assert np.allclose(state.weights, models.mean(axis=0), atol=1e-5)
    assert values(state.record, "bytes_up")[1:] == [5 * 2 * state.weights.nbytes] * 2
    assert values(state.record, "bytes_down")[1:] == [0.0] * 2


def test_among_all_what_was_trained_is_mixed_to_its_mean(flowers):
    kind = {"name": "gossip", "graph": "full"}
    conf, plain = iris(rounds=kind, **EQUAL), iris(**EQUAL)
    state, plain = (run_repeat(one, FIRST, flowers, Here()) for one in (conf, plain))
    assert np.allclose(state.weights, plain.weights, atol=1e-6)
    assert values(state.record, "consensus_distance")[-1] < 1e-6


def test_who_fails_is_nobodys_neighbour_for_a_round(flowers):
    conf = iris(no_models=5, k=5, global_epochs=2, rounds="gossip")
    wanted = goals(conf)
    state = run_repeat(conf, FIRST, flowers, Toy(wanted, 0.1, bad=(2,)))
    assert np.array_equal(state.vectors["rounds/models"][2], start_of(conf, flowers))
    assert values(state.record, "bytes_up")[1:] == [3 * 2 * state.weights.nbytes]
    away = mixing(edges_of("ring", 5), 5, away={2})
    assert np.allclose(away.sum(axis=0), 1) and np.array_equal(away, away.T) and away[2, 2] == 1


def test_graphs():
    assert second(mixing(edges_of("torus", 16), 16)) == pytest.approx(0.6)
    assert np.allclose(mixing(edges_of("torus", 9), 9)[mixing(edges_of("torus", 9), 9) > 0], 0.2)
    assert np.allclose(mixing(edges_of("full", 7), 7), 1 / 7)
    assert (
        edges_of("ring", 2) == [(0, 1)] and len(edges_of("ring", 9)) == 9 and len(edges_of("torus", 12)) == 24
    )
    drawn = edges_of("random", 20, 2, np.random.default_rng(1))
    assert (
        drawn
        == edges_of("random", 20, 2, np.random.default_rng(1))
        != edges_of("random", 20, 2, np.random.default_rng(2))
    )
    assert 30 < len(drawn) <= 40 and second(mixing(drawn, 20)) < second(mixing(edges_of("ring", 20), 20))


def test_a_model_that_is_passed_on_is_sgd_on_one_after_the_other_and_goes_on_where_it_was(flowers):
    conf = iris(no_models=5, k=3, global_epochs=3, rounds="relay")
    state, now = run_repeat(conf, FIRST, flowers, Here()), start_of(conf, flowers)
    mine = share_out(conf, FIRST, flowers).clients
    for round_, turns in enumerate(([0, 1, 2], [3, 4, 0], [1, 2, 3])):
        for client in turns:
            now = vector(trained(conf, flowers, mine[client], now, number=client, round=round_).payload)
    assert np.abs(state.weights - now).max() < 1e-5
    assert [one["rounds"] for one in state.record["clients"]] == [2, 2, 2, 2, 1]
    assert state.record["graph"] == {"edges": [[0, 1], [0, 4], [1, 2], [2, 3], [3, 4]]}
    assert values(state.record, "bytes_up")[1:] == [3 * now.nbytes] * 2


@pytest.mark.parametrize("kind", ["gossip", "relay", "selective"])
@pytest.mark.parametrize(
    ("given", "says"), [(b"1234", "an update of 4 bytes"), (None, "an update that is not finite")]
)
def test_what_is_no_model_is_a_failure(kind, given, says, flowers):
    class Odd(Toy):
        def train(self, work, jobs, buffers):
            for reply in super().train(work, jobs, buffers):
                odd = (
                    np.full(len(reply.payload) // 4, np.nan, np.float32).tobytes() if given is None else given
                )
                yield replace(reply, payload=odd) if reply.client == 1 else reply

    conf = iris(rounds=kind, global_epochs=1)
    state = run_repeat(conf, FIRST, flowers, Odd(goals(conf), 0.1))
    assert state.record["failures"] == [[0, 1, says]] and np.isfinite(state.weights).all()


def test_who_fails_is_passed_over(flowers):
    conf = iris(rounds="relay", global_epochs=1)
    wanted = goals(conf)
    state = run_repeat(conf, FIRST, flowers, Toy(wanted, 1.0, bad=(3,)))
    assert np.allclose(state.weights, wanted[2]) and state.record["failures"] == [[0, 3, "no power"]]
    with pytest.raises(RunError, match="has 0 updates, min_clients is 1; last failure: no power"):
        run_repeat(conf, FIRST, flowers, Toy(wanted, 1.0, bad=range(4)))


@pytest.mark.parametrize(
    ("kind", "changes", "says"),
    [
        ("gossip", {"link": ["topk"]}, "rounds: gossip does not go with link topk"),
        ("gossip", {"strategy": "median"}, "rounds: gossip needs strategy fedavg, found median"),
        ("gossip", {"k": 2}, "rounds: gossip needs k 4, found 2"),
        ("gossip", {"lambda": 0.5}, "rounds: gossip needs lambda 1, found 0.5"),
        ("gossip", {"no_models": 1, "k": 1}, "rounds: gossip needs no_models at least 2, found 1"),
        ("gossip", {"no_models": 300, "k": 300}, "rounds: gossip needs no_models at most 256"),
        ({"name": "gossip", "graph": "torus"}, {}, "needs no_models a number that fills a grid of at least 3"),
        ({"name": "gossip", "graph": "star"}, {}, "rounds.graph: expected one of ring, torus, full, random"),
        ("relay", {"link": ["float16"]}, "rounds: relay does not go with link float16"),
        ("relay", {"local": "scaffold"}, "rounds: relay needs local one of"),
        ("buffered", {"link": ["secure_aggregation"]}, "rounds: buffered does not go with link secure_aggregation"),
        ("buffered", {"local": "scaffold"}, "rounds: buffered needs local one of"),
        ("buffered", {"selection": "by_size"}, "rounds: buffered needs selection uniform, found by_size"),
        ({"name": "buffered", "rate": 0}, {}, "rounds.rate: expected"),
        (
            "buffered",
            {"network": {"layers": [{"flatten": True}, {"dense": 8}, {"batch_norm": True}]}},
            "rounds: buffered does not go with network with batch norm",
        ),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_one_line(kind, changes, says):
    with pytest.raises(ConfError, match=says):
        iris(rounds=kind, **changes)
