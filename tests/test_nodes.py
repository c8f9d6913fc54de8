"""A run at nodes, whole but for Flower: hospitals that have their own records, a server that judges on those it has."""

import errno
import json
import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy

import i2main
from tests.engines.relay import Relay, home_of
from tests.tasks.test_heart import SIZES, _lines
from utils.conf import make_conf
from utils.data.hospitals import HOSPITALS
from utils.engines import wire
from utils.engines.flower_home import Home
from utils.participant.node import Node, examples_of
from utils.participant.node_home import NodeAbout, NodeHome
from utils.results import read_result

AT_NODES = ("cleveland", "hungarian", "va")
CONF = {
    "type": "heart", "data": "heart", "no_models": 3, "k": 3, "global_epochs": 3, "local_epochs": 2, "batch_size": 16,
    "lr": 0.1, "momentum": 0.0, "partition": "source", "train_on": list(AT_NODES), "judge_on": ["switzerland"],
}  # fmt: skip


@pytest.fixture
def data(tmp_path):
    """All hospitals' tables in one place."""
    folder = tmp_path / "data" / "heart"
    folder.mkdir(parents=True)
    for hospital in HOSPITALS:
        (folder / f"{hospital}.csv").write_text(_lines(hospital, SIZES[hospital]))
    return tmp_path / "data"


class Nodes:
    """Nodes of hospitals, each with its own table alone; behind what stands for Flower."""

    def __init__(self, folder, data, monkeypatch):
        self.homes, self.nodes, self.said = {}, {}, []
        lock = threading.Lock()  # one process here, and torch's generator is the process's
        for number, name in enumerate(AT_NODES):
            own = folder / name / "data" / "heart"
            own.mkdir(parents=True)
            shutil.copy(data / "heart" / f"{name}.csv", own)
            home = self.homes[name] = NodeHome(folder / name / "home")
            home.folder.mkdir()
            home.keep(
                NodeAbout("https://x", name, "x:1", "1.42.0", "/bin", "heart", str(own.parent), "heart")
            )
            self.nodes[7 + number] = Node(home, self.said.append)

        def answer(node, head, buffers):
            with lock:
                return self.nodes[node].answer(json.loads(json.dumps(head)), buffers)

        self.relay = Relay(monkeypatch, answer)
        monkeypatch.setenv("SKYFED_FLOWER", str(folder / "flower"))
        home_of(folder / "flower", AT_NODES)

    def change(self, name, **changes):
        """Change what the owner of a node lets out."""
        home = self.homes[name]
        home.keep(replace(home.about, **changes))


@pytest.fixture
def nodes(tmp_path, data, monkeypatch):
    return Nodes(tmp_path, data, monkeypatch)


@pytest.fixture
def run(tmp_path, data):
    """Carries out a conf, here or at nodes; returns the exit status and the result."""

    def carry_out(*more, name="conf_h", **changes):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({**CONF, **changes}))
        cache = tmp_path / ("flower" if "flower" in more else "here")
        given = [
            "-c",
            str(path),
            "--data",
            str(data),
            "--cache",
            str(cache),
            "--quiet",
            "--workers",
            "1",
            *more,
        ]
        status = i2main.main(given)
        result = cache / f"{name}.json.pkl"
        return status, read_result(result) if result.exists() else None

    return carry_out


def _series(result):
    return {one["name"]: one["values"] for one in result["repeats"][0]["series"]}


def _model(tmp_path, place, name="conf_h"):
    return safetensors.numpy.load_file(tmp_path / place / f"{name}.json.safetensors")


CHANGES = [
    {},
    {"local": "scaffold"},
    {"strategy": "fedadam"},
    {"link": [{"name": "topk", "share": 0.5}]},
    {"selection": "power_of_choice", "k": 2},
]


@pytest.mark.parametrize("changes", CHANGES, ids=lambda one: "-".join(one) or "plain")
def test_a_run_at_nodes_is_bit_by_bit_the_one_with_the_same_owners_here(nodes, run, tmp_path, changes):
    status, here = run(**changes)
    assert status == 0
    status, there = run("--engine", "flower", **changes)
    assert status == 0
    ours, theirs = _model(tmp_path, "here"), _model(tmp_path, "flower")
    assert all((ours[name] == theirs[name]).all() for name in ours) and set(ours) == set(theirs)
    own, other = _series(here), _series(there)
    timed = {"seconds", "training_seconds"}
    only_here = {"validation_accuracy", "validation_loss"}  # which nodes keep
    of_clients = {"client_accuracy", "client_accuracy_spread", "client_accuracy_worst"}
    for name in set(own) - timed - only_here - of_clients:
        assert own[name] == other[name], name
    assert here["repeats"][0]["test"] == there["repeats"][0]["test"]
    for one, other in zip(here["repeats"][0]["clients"], there["repeats"][0]["clients"], strict=True):
        assert all(one[key] == other[key] for key in ("examples", "counts", "accuracy", "rounds"))
    assert (
        there["machine"]["nodes"] == list(AT_NODES)
        and there["data"]["fingerprint"] != here["data"]["fingerprint"]
    )


def test_noise_at_a_node_is_drawn_afresh_and_not_from_the_seed_that_the_server_knows(nodes, run, tmp_path):
    noisy = {
        "type": "digits", "data": "digits", "partition": "equal", "train_on": [], "judge_on": [], "global_epochs": 1,
        "network": "logistic", "link": [{"name": "local_dp", "clip": 1.0, "noise": 0.5}],
    }  # fmt: skip
    for name in AT_NODES:
        nodes.change(name, type="digits", set="")
    for name in ("conf_a", "conf_b"):
        assert run(name=name, **noisy)[0] == 0
        assert run("--engine", "flower", name=name, **noisy)[0] == 0
    assert (
        _model(tmp_path, "here", "conf_a")["output.weight"]
        == _model(tmp_path, "here", "conf_b")["output.weight"]
    ).all()
    first, second = (_model(tmp_path, "flower", name)["output.weight"] for name in ("conf_a", "conf_b"))
    assert (first != second).mean() > 0.9


def test_masks_are_agreed_on_between_nodes_and_only_the_sum_is_opened(nodes, run, tmp_path):
    sealed = {"link": ["secure_aggregation"]}
    assert run(**sealed)[0] == 0
    status, result = run("--engine", "flower", **sealed)
    assert status == 0 and not result["repeats"][0]["failures"]
    here, there = _model(tmp_path, "here"), _model(tmp_path, "flower")
    assert all(np.allclose(here[name], there[name], atol=0.01) for name in here)  # they round by other dice


def test_nothing_of_a_record_leaves_a_node_and_what_does_stands_in_the_ledger(nodes, run):
    asked = []
    answer = nodes.relay.answer
    nodes.relay.answer = lambda node, head, buffers: asked.append(answer(node, head, buffers)) or asked[-1]
    status, result = run("--engine", "flower")
    assert status == 0
    weights = 4 * sum(int(np.prod(shape)) for _, shape in result["layers"])
    for head, buffers in asked:
        size = sum(memoryview(one).nbytes for one in buffers.values())
        assert size <= weights and len(json.dumps(head)) < 1500
    sent = [one for one in nodes.homes["va"].ledger.lines() if one["event"] == "sent"]
    assert [one["round"] for one in sent if one["what"] == "update"] == [1, 2, 3]
    assert {one["run"] for one in sent} == {"conf_h"}
    assert all(len(one["sha256"]) == 64 and one["bytes"] > 0 for one in sent)


def test_what_an_owner_withholds_is_null(nodes, run):
    nodes.change("va", counts=False, judges=False)
    status, result = run("--engine", "flower")
    assert status == 0
    *others, va = result["repeats"][0]["clients"]
    assert va["counts"] is None and va["accuracy"] is None and va["examples"] > 0
    assert all(one["counts"] and one["accuracy"] is not None for one in others)
    assert result["degree"]["jensen_shannon"] is None and result["degree"]["gini"] >= 0
    assert result["data"]["counts"] is None


def test_an_owner_who_withholds_counts_tells_of_all_classes_together_how_models_do(nodes, run):
    told, answer = [], nodes.relay.answer

    def hears(node, head, buffers):
        said = answer(node, head, buffers)
        if head["verb"] == "ask" and head["job"]["name"] == "held":
            told.append((node, np.frombuffer(said[1]["payload"], "<f8")))
        return said

    nodes.relay.answer = hears
    whole = run("--engine", "flower", name="conf_w")[1]["repeats"][0]["clients"]
    nodes.change("va", counts=False)
    status, result = run("--engine", "flower")
    assert status == 0
    assert [one["accuracy"] for one in result["repeats"][0]["clients"]] == [one["accuracy"] for one in whole]
    before, after = [values for node, values in told if node == 9]
    assert before[3] > 0 and after[3] == 0 == after[1] and after[2] == before[2] + before[3]


def test_a_run_that_was_interrupted_goes_on_and_gives_the_same(nodes, run, tmp_path, monkeypatch):
    status, whole = run("--engine", "flower", local="scaffold", name="conf_w")
    assert status == 0
    answer, trained = nodes.relay.answer, []

    def stops(node, head, buffers):
        if head["verb"] == "train" and head["job"]["round"] == 2:
            trained.append(node)
            raise EOFError
        return answer(node, head, buffers)

    nodes.relay.answer = stops
    status, _ = run("--engine", "flower", local="scaffold", name="conf_i")
    assert status == 1 and trained
    nodes.relay.answer = answer
    status, resumed = run("--engine", "flower", "--resume", local="scaffold", name="conf_i")
    assert status == 0
    ours, theirs = _model(tmp_path, "flower", "conf_w"), _model(tmp_path, "flower", "conf_i")
    assert all((ours[name] == theirs[name]).all() for name in ours)
    assert _series(whole)["loss"] == _series(resumed)["loss"]


def test_a_node_that_fails_is_noted_with_its_reason_and_counts_in_no_round(nodes, run):
    answer = nodes.relay.answer

    def fails(node, head, buffers):
        if node == 8 and head["verb"] == "train" and head["job"]["round"] == 1:
            return "Flower: no such node (code 5)"
        return answer(node, head, buffers)

    nodes.relay.answer = fails
    status, result = run("--engine", "flower")
    assert status == 0
    ((round_, client, why),) = result["repeats"][0]["failures"]
    assert (round_, client) == (1, 1) and why.startswith("the node was not there")
    assert [one["rounds"] for one in result["repeats"][0]["clients"]] == [3, 2, 3]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"no_models": 2, "k": 2}, "no_models: expected 3, as there are nodes (cleveland, hungarian, va), found 2"),
        ({"attack": "sign_flip"}, "attack: what this asks for needs"),
        ({"local": "ditto"}, "local: what this asks for needs"),
        ({"early_stop": 2}, "early_stop: what this asks for needs"),
        ({"partition": "columns", "rounds": "columns", "network": "logistic"}, "rounds: what this asks for needs"),
        ({"rounds": "gossip"}, "rounds: what this asks for needs"),
        ({"rounds": {"name": "synchronous", "drop_out": 0.1}}, "drop_out: what this asks for needs"),
    ],
)  # fmt: skip
def test_a_conf_that_is_none_for_nodes_is_refused_before_anything_is_sent(nodes, run, changes, why, capsys):
    status, result = run("--engine", "flower", **changes)
    assert status == 2 and result is None and why in capsys.readouterr().err and not nodes.relay.handed


def test_a_node_that_is_not_there_or_says_no_is_one_line(nodes, run, capsys):
    assert run("--engine", "flower", "--nodes", "cleveland,west")[0] == 1
    assert "no node called west has joined" in capsys.readouterr().err
    nodes.homes["va"].mark(paused=True)
    assert run("--engine", "flower")[0] == 1
    assert "node va: its owner has paused it" in capsys.readouterr().err
    nodes.homes["va"].mark(paused=False)
    nodes.change("va", type="weather")
    assert run("--engine", "flower")[0] == 1
    assert "node va: its owner takes part in weather, not in heart" in capsys.readouterr().err
    home = Home()
    home.write_online(0.0, {})
    assert run("--engine", "flower")[0] == 1
    assert "no node that has joined is there at the moment" in capsys.readouterr().err


def test_where_flowers_folder_is_can_be_told(nodes, run, tmp_path, monkeypatch):
    monkeypatch.delenv("SKYFED_FLOWER")
    status, result = run(
        "--engine", "flower", "--nodes", "cleveland,hungarian,va", "--flower", str(tmp_path / "flower")
    )
    assert status == 0 and result["machine"]["nodes"] == list(AT_NODES)


def test_why_a_node_fails_says_nothing_of_where_things_lie_there(nodes, tmp_path, monkeypatch):
    node, home = nodes.nodes[7], nodes.homes["cleveland"]

    def said(message):
        return node.answer(wire.described(make_conf(CONF, "test"), message, 10.0), {})[0]["failure"]

    nodes.change("cleveland", data=str(tmp_path / "empty"))
    (tmp_path / "empty").mkdir()
    assert said("one").startswith("data/heart/cleveland.csv: no such file")
    full = OSError(errno.ENOSPC, "No space left on device", str(home.ledger.path))
    monkeypatch.setattr(node, "_carried_out", raised(full))
    assert said("two") == "its disk is full"
    monkeypatch.setattr(
        node, "_carried_out", raised(PermissionError(13, "Permission denied", str(home.ledger.path)))
    )
    assert said("three") == "PermissionError: [Errno 13] Permission denied: 'home/ledger.jsonl'"


def raised(error):
    """Does nothing but raise this."""

    def fails(_):
        raise error

    return fails


def test_a_message_is_carried_out_once(nodes):
    head = wire.described(make_conf(CONF, "test"), "once", 10.0)
    node = nodes.nodes[7]
    assert "described" in node.answer(head, {})[0]
    assert node.answer(head, {})[0]["failure"] == "this message was answered already"


def test_a_node_takes_the_set_and_the_sources_that_its_owner_named(nodes, data):
    about = nodes.homes["va"].about
    conf = make_conf({**CONF, "data": "somebody_elses"}, "test")
    examples, mine = examples_of(about, conf)
    assert set(examples.sources) == {"va"} and len(mine) == len(examples.ids)
    examples, mine = examples_of(replace(about, data=str(data), sources=["cleveland"]), conf)
    assert {examples.sources[index] for index in mine} == {"cleveland"} and len(set(examples.sources)) == 4
