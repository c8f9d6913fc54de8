"""Columns instead of rows, as rounds: one curve with one place's, whoever is matched, however often it is killed."""

import json
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import i2main
from tests.conftest import ROOT
from tests.here import Here
from utils.conf import ConfError, make_conf
from utils.engines.nodes import check as check_nodes
from utils.engines.workers import Workers
from utils.experiment import run_repeat
from utils.federated import RunError
from utils.federated.bench import Repeat, State, share_out
from utils.figures import costs
from utils.leaks import LeaksError
from utils.leaks.sent import FirstRound
from utils.nets.build import build, layout_of
from utils.nets.layout import read_weights
from utils.parts import load, names
from utils.results import read_result, values

FIRST = Repeat(0, 0, 0)
CONF = {
    "type": "breast_cancer", "no_models": 2, "k": 2, "global_epochs": 3, "local_epochs": 2, "batch_size": 32, "lr": 0.1,
    "momentum": 0.9, "partition": "columns", "rounds": {"name": "columns", "split": "weak"},
}  # fmt: skip
SMALL = {"layers": [{"flatten": True}, {"dense": 6, "activation": "relu"}]}
OF = {
    "breast_cancer": "weak",
    "digits": "halves",
    "diabetes": "laboratory",
}


def _opened(tmp_path, rounds=None, **changes):
    named = {"name": "columns", "split": OF[changes.get("type", "breast_cancer")], **(rounds or {})}
    conf = make_conf({**CONF, "rounds": named, **changes}, "test")
    return conf, conf.task.module.open_examples(conf, tmp_path)


def _descent(conf, examples, passes_in_all):
    """Weights (inputs, outputs) and bias after full-batch descent with momentum, as written down here, in float64."""
    mine = share_out(conf, FIRST, examples).clients[0]
    rows, targets = examples.inputs[mine].reshape(len(mine), -1).astype(np.float64), examples.targets[mine]
    rows = (rows - np.float32(rows.mean(0))) / np.float32(rows.std(0)).astype(np.float64)
    named = layout_of(conf).named(read_weights(build(conf, conf.seed)).astype(np.float64))
    weights, bias = (next(v for k, v in named.items() if k.endswith(end)) for end in (".weight", ".bias"))
    weights = np.column_stack([weights, bias]).T.copy()
    rows = np.column_stack([rows, np.ones(len(rows))])
    numbers = targets.dtype.kind == "f"
    if numbers:
        wanted = (targets - np.float32(targets.mean())) / np.float64(np.float32(targets.std()))
    else:
        wanted = np.eye(weights.shape[1])[targets]
    speed = np.zeros_like(weights)
    for number in range(passes_in_all):
        scores = rows @ weights
        if numbers:
            residuals = 2 * (scores - wanted[:, None])
        else:
            residuals = np.exp(scores) / np.exp(scores).sum(1, keepdims=True) - wanted
        gradient = rows.T @ residuals / len(rows) + conf.weight_decay * weights
        speed = gradient + conf.momentum * speed * (number % conf.local_epochs > 0)  # fresh every round
        weights -= conf.lr * speed
    return weights


@pytest.mark.parametrize("task", ["breast_cancer", "diabetes"])
def test_regression_is_that_of_one_place(tmp_path, task):
    conf, examples = _opened(
        tmp_path, type=task, batch_size=4096, global_epochs=10, local_epochs=5, lr=0.05, weight_decay=1e-3
    )
    state = run_repeat(conf, FIRST, examples, Here())
    wanted = _descent(conf, examples, 50)
    exact = state.vectors["rounds/exact"]
    assert np.abs(exact - np.concatenate([wanted[:-1].T.ravel(), wanted[-1]])).max() < 1e-10
    assert np.array_equal(state.weights[: len(exact)], exact.astype(np.float32))


def test_joining_helps_a_guest_with_weak_columns(tmp_path):
    found = {}
    for count in (1, 2):
        conf, examples = _opened(tmp_path, no_models=count, k=count, global_epochs=20)
        state = run_repeat(conf, FIRST, examples, Here())
        test = state.record["test"]
        benign = [p if said else 1 - p for p, said in zip(test["probability"], test["said"], strict=True)]
        found[count] = roc_auc_score(test["truth"], benign)
        if count == 1:
            columns = state.record["owners"][0]["columns"]
            first = layout_of(conf).named(state.weights)["net.output.weight"]
            assert not np.delete(first, columns, axis=1).any() and first[:, columns].all()
            assert sum(sum(values(state.record, n)) for n in ("bytes_up", "bytes_down", "messages")) == 0
    assert found[1] < 0.7 < 0.98 < found[2]


def test_a_run_says_what_travelled_whose_columns_are_which_and_how_often_people_were_passed(tmp_path):
    conf, examples = _opened(tmp_path, {"merge": "concat"}, network=SMALL)
    state = run_repeat(conf, FIRST, examples, Here())
    record, people = state.record, len(share_out(conf, FIRST, examples).clients[0])
    asked, steps = 2 * people * 3 * 8, 2 * -(-people // 32)  # two passes, three units of six are the host's
    assert values(record, "bytes_up") == [asked + 32 * people, asked, asked]
    assert values(record, "bytes_down") == [asked + 32 * people, asked, asked]
    assert values(record, "messages") == [2 * steps + 2, 2 * steps, 2 * steps]
    assert values(record, "steps") == [steps] * 3 and values(record, "examples") == [2 * people] * 3
    assert [one["columns"] for one in record["owners"]] == [
        list(of) for of in conf.task.module.COLUMNS["weak"]
    ]
    assert [one["examples"] for one in record["owners"]] == [people] * 2
    assert [one["rounds"] for one in record["clients"]] == [3, 3]
    assert set(record["degree"].values()) == {0.0} and not values(record, "client_accuracy")
    result = {"repeats": [record], "conf": conf.as_json()}
    assert costs(result)["passes"] == [2, 4, 6]
    assert record["clients"][0]["accuracy"] == record["clients"][1]["accuracy"] > 0.9
    assert values(record, "training_loss")[-1] < 0.2


def test_training_is_on_those_whom_all_have(tmp_path):
    conf, examples = _opened(tmp_path, {"overlap": 0.6})
    shares = share_out(conf, FIRST, examples)
    guest, host = map(set, shares.clients)
    assert guest == set(examples.split(0, "train")) and len(host) == round(0.6 * len(guest)) and host < guest
    state = run_repeat(conf, FIRST, examples, Here())
    assert state.vectors["rounds/people"].tolist() == sorted(guest & host)
    assert values(state.record, "examples") == [2 * len(host)] * 3
    assert [one["examples"] for one in state.record["owners"]] == [len(guest), len(host)]


def _at_once(tmp_path, name, conf):
    (tmp_path / f"{name}.json").write_text(json.dumps(conf))
    return ["-c", str(tmp_path / f"{name}.json"), "--data", str(tmp_path), "--folds", "1", "--quiet"]


def _plain(path):
    result = read_result(path)
    repeat = result["repeats"][0]
    series = {one["name"]: one["values"] for one in repeat["series"] if "seconds" not in one["name"]}
    return series, repeat["owners"], repeat["test"], path.with_suffix(".safetensors").read_bytes()


def test_a_run_that_was_killed_goes_on_to_the_same_end(tmp_path):
    conf = {
        **CONF, "global_epochs": 4, "network": SMALL,
        "rounds": {**CONF["rounds"], "merge": "concat", "overlap": 0.7},
    }  # fmt: skip
    arguments = _at_once(tmp_path, "conf_v", conf)
    assert i2main.main([*arguments, "--cache", str(tmp_path / "whole")]) == 0
    killed = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.killed",
            "after-write",
            "2",
            *arguments,
            "--cache",
            str(tmp_path / "cut"),
        ],
        cwd=ROOT,
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "cut" / "conf_v.json.pkl").exists()
    assert i2main.main([*arguments, "--cache", str(tmp_path / "cut"), "--resume"]) == 0
    assert _plain(tmp_path / "cut" / "conf_v.json.pkl") == _plain(tmp_path / "whole" / "conf_v.json.pkl")


@pytest.mark.parametrize(
    "network", ["logistic", {"layers": [*SMALL["layers"], {"dropout": 0.3}, {"dense": 4}]}]
)
def test_going_on_from_a_round_is_the_same_to_the_bit_on_any_number_of_workers(tmp_path, network):
    conf, examples = _opened(tmp_path, type="digits", network=network)
    seen = []

    def keep(repeat, state):
        vectors = {name: value.copy() for name, value in state.vectors.items()}
        seen.append(State(vectors, json.loads(json.dumps(state.record)), state.round))

    whole = run_repeat(conf, FIRST, examples, Here(), hook=keep)
    with Workers(2) as engine:
        resumed = run_repeat(conf, FIRST, examples, engine, state=seen[0])
    for name, vector in whole.vectors.items():
        assert np.array_equal(resumed.vectors[name], vector), name
    assert resumed.record["test"] == whole.record["test"]


CNN = {"layers": [{"conv2d": 2, "kernel": 3}, {"flatten": True}]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"rounds": {"name": "columns", "split": "x"}},
            'rounds.split: expected one of weak, fate, found "x"',
        ),
        ({"type": "iris"}, "rounds: columns does not go with type iris"),
        ({"no_models": 3, "k": 3}, "rounds: weak needs no_models at most 2, found 3"),
        ({"k": 1}, "rounds: columns needs k 2, found 1"),
        ({"owners": 3}, "rounds: columns needs owners 2, found 3"),
        ({"holds": [[1], [0]]}, "rounds: columns does not go with holds [[1], [0]]"),
        ({"rotations": 2, "no_models": 1, "k": 1, "owners": 2}, "rounds: columns needs rotations 1, found 2"),
        ({"partition": "equal"}, "rounds: columns needs partition columns, found equal"),
        ({"rounds": "synchronous"}, "partition: columns needs rounds columns, found synchronous"),
        ({"strategy": "median"}, "rounds: columns needs strategy fedavg, found median"),
        ({"lambda": 0.5}, "rounds: columns needs lambda 1, found 0.5"),
        ({"local": "fedprox"}, "rounds: columns needs local sgd, found fedprox"),
        ({"selection": "by_size"}, "rounds: columns needs selection uniform, found by_size"),
        ({"attack": "sign_flip"}, "rounds: columns needs attack null, found sign_flip"),
        ({"link": ["float16"]}, "rounds: columns does not go with link float16"),
        (
            {"type": "digits", "rounds": {"name": "columns", "split": "halves"}, "network": CNN},
            "network: columns takes numbers in one row (flatten makes one), found Conv2d",
        ),
        (
            {"network": {"layers": [{"flatten": True}, {"dropout": 0.5}, {"dense": 4}]}},
            "network: columns takes numbers in one row (flatten makes one), found Dropout",
        ),
        (
            {"network": {"layers": [{"flatten": True}, {"dense": 4}, {"batch_norm": True}]}},
            "rounds: columns does not go with network with batch norm",
        ),
        (
            {"rounds": {"name": "columns", "split": "weak", "merge": "concat"}},
            "rounds: concat needs dense at least 2, found 0",
        ),
        (
            {"rounds": {"name": "columns", "split": "weak", "overlap": 0}},
            "rounds.overlap: expected a value in (0.0, 1.0], found 0",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(changes, said):
    with pytest.raises(ConfError) as error:
        make_conf({**CONF, **changes}, "x")
    assert str(error.value).removeprefix("x: ").startswith(said) and "\n" not in str(error.value)


def test_nodes_and_attacks_on_updates_are_refused(tmp_path):
    conf, examples = _opened(tmp_path)
    with pytest.raises(ConfError, match="rounds: what this asks for needs"):
        check_nodes(conf, "x", ["a", "b"])
    with pytest.raises(LeaksError, match="no update travels"):
        FirstRound(conf, FIRST, examples)


def test_nobody_in_common_ends_a_run_in_one_line(tmp_path, monkeypatch):
    conf, examples = _opened(tmp_path)
    monkeypatch.setattr("utils.federated.rounds.columns.common", lambda *told: [])
    with pytest.raises(RunError, match=r"there is nobody whom all owners have; a larger overlap may help$"):
        run_repeat(conf, FIRST, examples, Here())


def test_the_first_way_is_taken_where_none_is_named():
    bare, named = (make_conf({**CONF, "rounds": one}, "x") for one in ("columns", CONF["rounds"]))
    assert bare.rounds.module.Rounds(bare).of_owner(0) == named.rounds.module.Rounds(named).of_owner(0)


@pytest.mark.parametrize("language", ["", ".zh-CN"])
def test_the_page_on_it_has_a_conf_that_runs_and_all_that_tasks_declare(language):
    page = (ROOT / "docs" / f"columns{language}.md").read_text(encoding="utf-8")
    [conf] = re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert make_conf(json.loads(conf), "page").rounds.name == "columns"
    declared = {(n, way) for n in names("task") for way in getattr(load("task", n), "COLUMNS", {})}
    assert set(re.findall(r"^\| `(\w+)` \| `(\w+)` \|", page, re.MULTILINE)) == declared


@pytest.mark.parametrize("task", ["breast_cancer", "digits", "diabetes", "heart"])
def test_columns_of_tasks_are_each_owners_own_and_there(task):
    conf = make_conf({**CONF, "type": task, "data": "x", "partition": "equal", "rounds": "synchronous"}, "x")
    inputs = int(np.prod(conf.task.module.input_shape(conf)))
    for split in conf.task.module.COLUMNS.values():
        assert sorted(one for of in split for one in of) == list(range(inputs))
