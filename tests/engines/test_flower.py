"""The engine of nodes against what stands for Flower: order, failures, an end in between, deadlines; no socket of any
network, and no flwr.
"""

import threading
import time

import numpy as np
import pytest

from tests.engines.relay import NAMES, Relay, home_of, plain
from utils.conf import make_conf
from utils.engines import EngineError, flower, wire
from utils.engines.flower import Flower, nodes_of
from utils.engines.flower_home import FlowerError
from utils.federated.update import Answer, Failure, Question, Reply, TrainJob, Work
from utils.nets.build import layout_of

SHARES = {f"client/{client}": np.arange(5) for client in range(3)}


def _conf(**changes):
    keys = {
        "type": "digits", "network": "logistic", "no_models": 3, "k": 3, "global_epochs": 1, "local_epochs": 1,
        "batch_size": 16, "lr": 0.1, "momentum": 0.9,
    }  # fmt: skip
    return make_conf({**keys, **changes}, "test")


class Nobody:
    """An engine that judges nothing."""

    def close(self):
        """Nothing to end."""


@pytest.fixture
def work():
    """Work of three clients, and what they read."""
    conf = _conf()
    made = Work("run", conf, 0, "", np.zeros(0), SHARES)
    return made, {"weights": np.arange(layout_of(conf).size, dtype=np.float32).tobytes()}


def _jobs(clients=(0, 1, 2), round_=0):
    return [TrainJob(round_, client, 0.1, ("weights",), f"update/{client}") for client in clients]


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """Makes an engine with so many nodes, and Flower, that answers so."""
    made = []

    def make(answer=lambda node, head, buffers: plain(head, buffers)):
        relay = Relay(monkeypatch, answer)
        home = home_of(tmp_path / "flower")
        made.append(Flower(home, home.joined(), Nobody()))
        return made[-1], relay, home

    yield make
    for one in made:
        one.close()


def test_outcomes_come_in_the_order_of_the_jobs_whoever_answers_first(engine, work):
    def last_first(node, head, buffers):
        time.sleep(0.05 * (9 - node))
        return plain(head, buffers)

    place, relay, home = engine(last_first)
    outcomes = list(place.train(work[0], _jobs(), work[1]))
    assert [one.client for one in outcomes] == [0, 1, 2] and all(isinstance(one, Reply) for one in outcomes)
    weights = np.frombuffer(work[1]["weights"], np.float32)
    assert all((np.frombuffer(one.payload, np.float32) == weights + 1).all() for one in outcomes)
    assert sorted(node for node, _ in relay.handed) == [7, 8, 9]
    noted = home.rounds(10)
    assert [one["node"] for one in noted] == list(NAMES) and not any(one["failure"] for one in noted)
    assert all(one["up"] == one["down"] == len(work[1]["weights"]) for one in noted)


def test_how_long_a_node_took_is_told_whoever_was_waited_for(engine, work):
    def first_is_slow(node, head, buffers):
        time.sleep(0.8 if node == 7 else 0)
        return plain(head, buffers)

    place, _, home = engine(first_is_slow)
    list(place.train(work[0], _jobs(), work[1]))
    first, *others = [one["seconds"] for one in home.rounds(3)]
    assert first >= 0.8 and all(one < 0.6 for one in others)


def test_every_part_of_the_work_but_examples_travels(engine, work):
    place, relay, _ = engine()
    list(place.train(work[0], _jobs([1], round_=4), work[1]))
    ((_, head),) = relay.handed
    order = wire.order_of(head, work[1])
    assert (order.conf, order.seed, order.fold) == (work[0].conf, 0, 0)
    assert order.job == TrainJob(4, 1, 0.1, ("weights",), "update/1") and order.run == wire.run_of(work[0])
    assert "store" not in str(head) and "targets" not in str(head)


def test_a_run_of_flower_serves_round_after_round_and_is_stopped_at_the_end(engine, work):
    place, relay, home = engine()
    for _ in range(3):
        assert len(list(place.train(work[0], _jobs(), work[1]))) == 3
    answers = list(place.ask(work[0], [Question("task", "digits", "x", 2, 0)], {}))
    assert answers == [Answer(2, b"answer")] and relay.commands == ["run"]
    place.close()
    place.close()
    assert relay.commands == ["run", "stop"] and not list((home.folder / "runs").iterdir())


def test_what_flower_cannot_deliver_is_a_failure_in_one_line_and_others_count(engine, work):
    def one_is_gone(node, head, buffers):
        return "Flower: no such node (code 5)" if node == 8 else plain(head, buffers)

    place, _, home = engine(one_is_gone)
    first, second, third = place.train(work[0], _jobs(), work[1])
    assert isinstance(first, Reply) and isinstance(third, Reply)
    assert second == Failure(1, "the node was not there (Flower: no such node (code 5))")
    assert home.rounds(2)[0]["failure"] == second.reason


def test_who_says_nothing_is_not_waited_for_beyond_the_deadline(engine, monkeypatch):
    monkeypatch.setattr(flower, "GRACE", 0.1)
    conf = _conf(k=3, rounds={"name": "synchronous", "deadline": 0.4})
    work = Work("run", conf, 0, "", np.zeros(0), SHARES)
    buffers = {"weights": np.zeros(layout_of(conf).size, np.float32).tobytes()}
    place, _, _ = engine(lambda node, head, buffers: None if node == 9 else plain(head, buffers))
    began = time.monotonic()
    outcomes = list(place.train(work, _jobs(), buffers))
    assert outcomes[2] == Failure(2, "no answer within 0.4 s") and time.monotonic() - began < 5
    assert all(isinstance(one, Reply) for one in outcomes[:2])


def test_of_more_that_are_asked_the_first_that_are_wanted_count(engine):
    conf = _conf(k=2, rounds={"name": "synchronous", "over_select": 1.5})
    work = Work("run", conf, 0, "", np.zeros(0), SHARES)
    buffers = {"weights": np.zeros(layout_of(conf).size, np.float32).tobytes()}
    place, _, _ = engine(lambda node, head, buffers: None if node == 7 else plain(head, buffers))
    first, *others = place.train(work, _jobs(), buffers)
    assert first == Failure(0, "too late") and [one.client for one in others] == [1, 2]


def test_where_flowers_run_ends_one_new_one_is_begun_and_only_what_is_open_sent_again(engine, work):
    ended = threading.Event()

    def ends_once(node, head, buffers):
        if node == 8 and not ended.is_set():
            time.sleep(0.2)
            ended.set()
            raise EOFError
        return plain(head, buffers)

    place, relay, _ = engine(ends_once)
    outcomes = list(place.train(work[0], _jobs(), work[1]))
    assert [one.client for one in outcomes] == [0, 1, 2] and all(isinstance(one, Reply) for one in outcomes)
    assert relay.commands == ["run", "stop", "run"]
    assert sorted(node for node, _ in relay.handed) == [7, 8, 8, 9]


def test_where_it_ends_again_the_engine_says_so(engine, work):
    def always(node, head, buffers):
        raise EOFError

    place, relay, _ = engine(always)
    with pytest.raises(EngineError, match="ended twice"):
        list(place.train(work[0], _jobs(), work[1]))
    assert relay.commands.count("run") == 2


def test_an_end_between_two_rounds_costs_nothing_but_a_new_run(engine, work):
    place, relay, _ = engine()
    list(place.train(work[0], _jobs(), work[1]))
    place._peer.shutdown(2)
    time.sleep(0.1)
    assert all(isinstance(one, Reply) for one in place.train(work[0], _jobs(round_=1), work[1]))
    assert relay.commands == ["run", "stop", "run"]


def test_closing_wakes_whoever_waits(engine, work):
    place, _, _ = engine(lambda node, head, buffers: None)
    threading.Timer(0.3, place.close).start()
    with pytest.raises(EngineError, match="closed"):
        list(place.train(work[0], _jobs(), work[1]))


def _changed(**changes):
    def answer(node, head, buffers):
        said, back = plain(head, buffers)
        return {**said, **changes}, back

    return answer


def _sends(payload):
    return lambda node, head, buffers: (plain(head, buffers)[0], {"payload": payload})


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (_sends(b"\0" * 12), "an update of 3 values, expected 650"),
        (_sends(b"\0" * 13), "buffer size must be a multiple of element size"),
        (_sends(np.full(650, np.nan, np.float32).tobytes()), "an update with values that are not finite"),
        (_changed(message="0" * 32), "an answer to something else"),
        (_changed(run="another"), "an answer to something else"),
        (_changed(format=9), "an answer of another version"),
        (_changed(reply={"client": 1, "samples": 5, "metrics": {}}), "an answer for another client"),
        (_changed(reply={"client": 0, "samples": 0, "metrics": {}}), "an answer without a number of examples"),
        (_changed(reply={"client": 0, "samples": 5, "metrics": {"steps": "x"}}), "an answer whose figures are none"),
        (
            _changed(reply={"client": 0, "samples": 6, "metrics": {"steps": 1.0, "seconds": 1.0}}),
            "an update from more examples than the node said it has",
        ),
        (_changed(failure="its disk\n is full"), "its disk is full"),
    ],
)  # fmt: skip
def test_an_update_that_cannot_be_taken_is_refused_and_the_owner_hears_why(engine, work, answer, why):
    place, relay, _ = engine(answer)
    (outcome,) = place.train(work[0], _jobs([0]), work[1])
    assert outcome == Failure(0, why)
    list(place.train(work[0], _jobs([0], 1), work[1]))
    assert relay.handed[-1][1]["refused"] == ("" if why == "its disk is full" else f"round 1: {why}")


def test_an_answer_that_comes_twice_counts_once(engine, work):
    place, relay, _ = engine()
    first = list(place.train(work[0], _jobs(), work[1]))
    again = list(place.train(work[0], _jobs(), work[1]))
    assert len(first) == len(again) == 3
    assert len({head["message"] for _, head in relay.handed}) == 6


def test_runs_that_were_left_over_are_stopped(tmp_path, monkeypatch, engine):
    runs = tmp_path / "flower" / "runs"
    runs.mkdir(parents=True)
    (runs / "41").touch()
    _, relay, _ = engine()
    assert relay.commands == ["stop"] and not list(runs.iterdir())


def test_nodes_say_what_they_have(engine):
    place, _, _ = engine(lambda node, head, buffers: "gone (code 5)" if node == 9 else plain(head, buffers))
    east, _, south = place.describe(_conf())
    assert east.decks == ((2, 3), (1, 0)) and east.told
    assert south.reason.startswith("the node was not there")


def test_only_nodes_that_joined_and_are_there_are_taken(tmp_path):
    home = home_of(tmp_path)
    assert [one.name for one in nodes_of(home, [])] == list(NAMES)
    assert [one.name for one in nodes_of(home, ["south", "east"])] == ["east", "south"]
    with pytest.raises(FlowerError, match="no node called west has joined; joined: east, north, south"):
        nodes_of(home, ["west"])
    home = home_of(tmp_path, online=False)
    with pytest.raises(FlowerError, match="not there at the moment: east"):
        nodes_of(home, ["east"])
    with pytest.raises(FlowerError, match="no node that has joined is there"):
        nodes_of(home, [])


def test_where_flower_is_not_set_up_or_not_installed_one_line_says_so(tmp_path, work):
    from utils.engines.flower_home import Home

    with pytest.raises(FlowerError, match="is not set up"):
        Flower(Home(tmp_path / "none"), [], Nobody())
    home = home_of(tmp_path)
    with (
        Flower(home, home.joined(), Nobody()) as place,
        pytest.raises(EngineError, match=r"flwr run: there is no .*flwr"),
    ):
        list(place.train(work[0], _jobs(), work[1]))
