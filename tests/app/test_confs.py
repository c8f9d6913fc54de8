"""Confs over HTTP: every key told, the same accepted and refused as on the command line, previews that come true."""

import dataclasses
import json
import re

import numpy as np
import pytest

from tests.app.conftest import whole_result
from tests.conftest import ROOT, TINY
from tests.here import Here
from tests.nets.test_layers import BROKEN as BROKEN_NETWORKS
from tests.nets.test_layers import FREE
from tests.test_conf import BROKEN
from utils import parts
from utils.conf import all_keys, load_conf, make_conf
from utils.experiment import run_repeat
from utils.federated.bench import Repeat, share_out
from utils.nets.outline import checked_description, templates
from utils.results import result_path, values, write_result
from utils.tasks import weather

FIELDS = {one.name: one.field for one in all_keys()}


def _ask(browser, raw):
    return browser.client.post(
        "/api/v1/confs/preview", data=raw, content_type="application/json", headers={"X-CSRFToken": browser.token()}
    )  # fmt: skip


def test_every_key_and_every_shipped_conf_is_told(browse):
    told = browse().get("/api/v1/confs").json
    assert [key["key"] for key in told["keys"]] == list(FIELDS)
    for key in told["keys"]:
        assert key["doc"] and key["required"] == (FIELDS[key["key"]].default is dataclasses.MISSING)
    by_name = {key["key"]: key for key in told["keys"]}
    momentum = [part for part in by_name["strategy"]["parts"] if part["name"] == "fedavgm"][0]["keys"][0]
    assert (momentum["key"], momentum["default"], momentum["low"], momentum["high"]) == (
        "momentum",
        0.9,
        0,
        1,
    )
    assert by_name["augment"]["of"] == "weather" and by_name["width"]["of"] == "resnet"
    assert set(told["tasks"]) == set(parts.names("task"))
    assert (told["tasks"]["weather"], told["tasks"]["digits"]) == ("resnet", "layers")
    assert told["brought"]["digits"] == {"data": "digits", "network": "small_cnn"}
    assert told["brought"]["weather"] == {}
    for path in (ROOT / "utils").glob("conf_*.json"):
        assert told["confs"][path.stem] == load_conf(path).as_json()


def test_the_networks_that_can_be_named_are_told_in_ones_language(browse):
    browser = browse()
    told = browser.get("/api/v1/confs").json["networks"]
    assert [one["name"] for one in told] == list(templates())
    told = {one["name"]: one for one in told}
    assert told["mlp"]["about"] == "two hidden layers, 128 and 64 units"
    for name, one in told.items():
        for said in (name, one["description"], one["whole"]):
            assert checked_description(said, "x", "network").as_json() == one["whole"]
        assert list(one["description"]) == ["layers"]
    chinese = browser.get("/api/v1/confs", headers={"Accept-Language": "zh"}).json["networks"]
    assert {one["name"]: one["about"] for one in chinese}["mlp"] == "两个隐藏层，128 与 64 个单元"


def test_a_preview_tells_of_the_network_and_of_one_that_does_not_fit_as_far_as_it_does(browse):
    browser = browse("researcher")
    digits = {key: value for key, value in FREE.items() if key not in ("data", "image_size")} | {
        "type": "digits"
    }
    said = _ask(browser, json.dumps(digits)).json["network"]
    assert [one["kind"] for one in said["layers"]] == [
        "conv2d",
        "conv2d",
        "pooling",
        "flatten",
        "dense",
        "dense",
    ]
    assert (said["input"], said["layers"][2]["shape"], said["parameters"]) == ([1, 8, 8], [32, 4, 4], 38_282)
    assert said["bytes_of_update"] == 4 * said["parameters"] and said["bytes_of_training"] > 0
    resnet = _ask(browser, json.dumps({**TINY, "width": 16})).json["network"]
    assert (resnet["layers"], resnet["parameters"]) == (None, 702_354)
    broken = {"layers": [{"conv2d": 4}, {"dense": 3}]}
    answer = _ask(browser, json.dumps({**digits, "network": broken}))
    assert answer.status_code == 422 and "network.layers[1]" in answer.json["error"]["message"]
    assert [one["shape"] for one in answer.json["network"]["layers"]] == [[4, 6, 6]]
    assert "network" not in _ask(browser, json.dumps({**digits, "lr": -1})).json


def test_a_preview_is_what_training_does(browse, site, data, photos):
    site.extensions["photos"].folder = site.config["DATA"] = data
    browser = browse("researcher")
    for changes in ({}, {"partition": "dirichlet", "alpha": 0.1}, {"owners": 6, "holds": [[0, 1], [2], [5]]}):
        conf = make_conf({**TINY, **changes}, "x")
        said = _ask(browser, json.dumps({**TINY, **changes})).json
        shares = share_out(conf, Repeat(0, 0, 0), photos)
        assert said["conf"] == conf.as_json() and said["reason"] == ""
        assert said["classes"] == ["cloudy", "sunny"]
        assert [owner["examples"] for owner in said["owners"]] == [len(part) for part in shares.owners]
        assert [owner["counts"][1] for owner in said["owners"]] == [
            int(photos.targets[part].sum()) for part in shares.owners
        ]
        largest = max(len(part) for part in shares.clients)
        assert said["steps"] == -(-largest // conf.batch_size) * conf.local_epochs * conf.global_epochs
        assert said["examples"] == sum(map(len, shares.clients)) * conf.local_epochs * conf.global_epochs


def test_a_preview_of_columns_counts_the_people_whom_all_have_once(browse, tmp_path):
    told = {
        "type": "breast_cancer", "no_models": 2, "k": 2, "global_epochs": 2, "local_epochs": 3, "batch_size": 32,
        "lr": 0.1, "momentum": 0.0, "partition": "columns", "rounds": {"name": "columns", "overlap": 0.5},
    }  # fmt: skip
    said, conf = _ask(browse("researcher"), json.dumps(told)).json, make_conf(told, "x")
    examples = conf.task.module.open_examples(conf, tmp_path)
    record = run_repeat(conf, Repeat(0, 0, 0), examples, Here()).record
    assert said["steps"] == sum(values(record, "steps")) and said["examples"] == sum(
        values(record, "examples")
    )
    assert [one["examples"] for one in said["owners"]] == [one["examples"] for one in record["owners"]]
    assert set(said["degree"]) == set(record["degree"])


def test_a_preview_counts_the_scenes_of_what_is_judged(browse, site, tmp_path):
    site.config["DATA"] = tmp_path
    (tmp_path / "plays").mkdir()
    said = [f"Speak, {name}, or be silent in this matter!" for name in dir(json) + dir(dataclasses) + dir(re)]
    said = [re.sub("[^ A-Za-z,!]", "", text) for text in said] * 2
    (tmp_path / "plays" / "input.txt").write_text("\n\n".join(f"KING:\n{text}" for text in said))
    alone = {"type": "dialogue", "data": "plays", "no_models": 1, "k": 1, "judge_every": 60, "stride": 1}
    changes = {**alone, "network": "char_gru"}
    general = {one.name for one in all_keys() if not one.family}
    told = {**{key: value for key, value in TINY.items() if key in general}, **changes}
    preview = _ask(browse("researcher"), json.dumps(told)).json
    conf = make_conf(told, "x")
    examples = conf.task.module.open_examples(conf, tmp_path)
    tests = [share_out(conf, Repeat(fold, 0, 0), examples).test for fold in range(5)]
    assert preview["scenes"] == [len({examples.scenes[index] for index in test}) for test in tests]
    assert 0 < sum(preview["scenes"]) < len(set(examples.scenes))


@pytest.mark.parametrize("only", [0, 1])
def test_a_set_of_one_class_is_said(browse, site, data, monkeypatch, only):
    site.config["DATA"] = data
    browser = browse("researcher")
    assert _ask(browser, json.dumps(TINY)).json["absent"] == []
    outline = weather.outline

    def one_class(conf, folder):
        every = outline(conf, folder)
        return dataclasses.replace(every, targets=np.full_like(every.targets, only))

    monkeypatch.setattr(weather, "outline", one_class)
    other = weather.CLASSES[1 - only]
    assert _ask(browser, json.dumps(TINY)).json["absent"] == [
        {"where": where, "what": other} for where in ("training", "test")
    ]


def test_what_cannot_be_shared_out_says_why(browse, site, data):
    site.config["DATA"] = data
    browser = browse("admin")
    for changes, reason in (
        ({"data": "nowhere"}, "nowhere"), ({"no_models": 500, "k": 500}, "cannot fall to 500 owners"),
        ({"no_models": 5000, "k": 1}, "more than 1000 owners"),
    ):  # fmt: skip
        said = _ask(browser, json.dumps({**TINY, **changes}))
        assert said.status_code == 200 and said.json["owners"] is None and reason in said.json["reason"]
        assert str(data) not in said.json["reason"]


def test_only_researchers_learn_how_photos_fall(browse):
    for role, code in ((None, 401), ("user", 403)):
        assert _ask(browse(role), json.dumps(TINY)).status_code == code


def test_what_is_no_conf_at_all_is_refused_alike(browse):
    browser = browse("researcher")
    for raw in (b"", b"[]", b"{", b"\xff\xfe", b'{"lr": 1, "lr": 2}', b"null", b"9" * 2000):
        answer = _ask(browser, raw)
        assert (
            answer.status_code == 422 and "Traceback" not in answer.text and answer.json["error"]["message"]
        )


WHOLE = {f"network: {name}": {**FREE, "network": network} for name, (network, _) in BROKEN_NETWORKS.items()}
WHOLE |= {name: {**TINY, **changes} for name, (changes, _) in BROKEN.items()}
WHOLE["two networks"] = {**TINY, "network": "mlp"}


@pytest.mark.parametrize("conf", WHOLE.values(), ids=WHOLE)
def test_refusals_are_in_ones_language(browse, conf):
    browser = browse("researcher")
    headers = {"X-CSRFToken": browser.token(), "Accept-Language": "zh", "Content-Type": "application/json"}
    raw = json.dumps(conf)
    told = browser.client.post("/api/v1/confs/preview", data=raw, headers=headers)
    said = told.json["error"]["message"]
    assert told.status_code == 422 and any(ord(letter) > 0x2E80 for letter in said), said
    assert not re.search(r"expected|found|missing|unknown", said), said


def test_a_run_of_a_described_network_is_told_like_any_other(browse, cache, site, data):
    site.config["DATA"] = data
    conf = make_conf({**FREE, "network": "photo_cnn"}, "x")
    result = {**whole_result("conf_own"), "conf": conf.as_json()}
    write_result(result_path(cache, "conf_own"), result)
    browser = browse("researcher")
    told = browser.get("/api/v1/runs/conf_own").json
    assert told["conf"] == conf.as_json() and "model_name" not in told["conf"]
    assert browser.get("/runs/conf_own").status_code == 200
    layers = told["network"]["layers"]
    assert len(layers) == 2 + 2 * 7 + 3 and layers[2]["place"] == "network.layers[2].residual[0]"
    assert layers[8]["kind"] == "residual" and layers[8]["options"] == {"activation": "relu"}
    assert browser.get("/api/v1/runs/conf_a").json["network"] is None, "a ResNet has its list of layers"
    assert _ask(browser, json.dumps(told["conf"])).json["likened_to"] is not None, "a run of the same network"
    other = json.dumps({**FREE, "network": "small_cnn"})
    assert _ask(browser, other).json["likened_to"] is None
