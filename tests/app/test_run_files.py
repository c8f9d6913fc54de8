"""What a run leaves beside its curves: the model as ONNX, its photos for researchers, a citation."""

import hashlib
import shutil
import threading
import time

import onnxruntime
import pytest
import safetensors.torch
import torch

from app.models import ROLES
from app.runs import files
from tests.conftest import ROOT
from utils.conf import all_keys
from utils.nets import stored
from utils.photos.dataset import read_manifest
from utils.results import read_result, result_path, write_result


@pytest.fixture
def shipped(cache):
    for suffix in ("pkl", "safetensors"):
        shutil.copy(ROOT / "cache" / f"conf_f10.json.{suffix}", cache)
    return cache


def onnx_of(browser, name="conf_f10"):
    """The answer that is not "come back in a moment"."""
    while (answer := browser.get(f"/api/v1/runs/{name}/model.onnx")).status_code == 503:
        assert "again" in answer.json["error"]["message"]
        time.sleep(int(answer.headers["Retry-After"]) / 20)
    return answer


def test_the_model_comes_as_onnx_made_once(browse, site, shipped, monkeypatch):
    answer = onnx_of(browse("user"))
    assert answer.status_code == 200 and "conf_f10.onnx" in answer.headers["Content-Disposition"]
    (made,) = (site.config["INSTANCE"] / "onnx").iterdir()
    monkeypatch.setattr(files, "convert", None)
    for browser in (browse("user"), browse()):
        assert browser.get("/api/v1/runs/conf_f10/model.onnx").data == answer.data == made.read_bytes()
    assert onnxruntime.InferenceSession(answer.data).get_inputs()[0].name == "pixels"


def test_only_the_models_of_the_forecast_are_converted_for_everybody(browse, site, shipped):
    assert [one["run"] for one in browse().get("/api/v1/forecast/models").json["models"]] == ["conf_f10"]
    assert onnx_of(browse()).status_code == 200
    for suffix in ("pkl", "safetensors"):
        shutil.copy(ROOT / "cache" / f"conf_f10.json.{suffix}", shipped / f"conf_mine.json.{suffix}")
    result = read_result(result_path(shipped, "conf_mine"))
    result["model"]["sha256"] = "0" * 64
    write_result(result_path(shipped, "conf_mine"), result)
    refused = browse().get("/api/v1/runs/conf_mine/model.onnx")  # costs seconds: not for anybody
    assert refused.status_code == 401 and "Log in" in refused.json["error"]["message"]


@pytest.mark.parametrize("kind", ["other bytes", "wider", "of another kind"])
def test_a_model_that_is_not_its_runs_is_not_given_and_not_tried_again(
    browse, site, shipped, kind, monkeypatch
):
    path = shipped / "conf_f10.json.safetensors"
    if kind == "other bytes":
        path.write_bytes(b"something else")
    else:
        result = read_result(result_path(shipped, "conf_f10"))
        if kind == "wider":  # a file of 1.4 MB whose conf speaks of a network of 700 MB
            result["conf"]["width"] = 256
        else:
            safetensors.torch.save_file({"x": torch.zeros(3, dtype=torch.bfloat16)}, path)
            result["model"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        write_result(result_path(shipped, "conf_f10"), result)
        monkeypatch.setattr(stored, "write_weights", None)  # no network is built
        with pytest.raises(stored.ModelError, match="does not fit its conf"):
            stored.load_model(shipped, "conf_f10")
    assert onnx_of(browse("user")).status_code == 404
    assert not list((site.config["INSTANCE"] / "onnx").glob("*"))
    monkeypatch.setattr(files, "convert", None)
    assert browse("user").get("/api/v1/runs/conf_f10/model.onnx").status_code == 404


def test_one_conversion_at_a_time_and_nobody_waits_for_it(browse, site, shipped, monkeypatch):
    going, running, most = threading.Event(), [], []

    def slow(cache, name, made):
        running.append(name)
        most.append(len(running))
        going.wait(30)
        running.remove(name)
        return False

    monkeypatch.setattr(files, "convert", slow)
    for number in range(3):
        result = read_result(result_path(shipped, "conf_f10"))
        result["model"]["sha256"] = f"{number}" * 64
        write_result(result_path(shipped, f"conf_x{number}"), result)
        answer = browse("user").get(f"/api/v1/runs/conf_x{number}/model.onnx")
        assert answer.status_code == 503 and answer.headers["Retry-After"]
    going.set()
    assert [onnx_of(browse("user"), f"conf_x{number}").status_code for number in range(3)] == [404] * 3
    assert max(most) == 1 and len(most) == 3


@pytest.fixture
def with_photos(site, cache, data):
    """conf_a was tested on two drawn photos that are on this machine and on one that is not."""
    site.extensions["photos"].folder = data
    result = read_result(result_path(cache, "conf_a"))
    rows = [row for row in read_manifest(data / "drawn") if row.file]
    result["data"]["set"] = "drawn"
    hashes = [rows[0].sha256, rows[1].sha256]
    for repeat in result["repeats"]:
        repeat["test"]["id"] = hashes + repeat["test"]["id"][2:]
    write_result(result_path(cache, "conf_a"), result)
    return rows


def test_researchers_see_the_photos_of_a_run_and_no_others(browse, with_photos, data):
    path = "/api/v1/runs/conf_a/photos"
    browser = browse("researcher")
    shown = browser.get(path).json["photos"]
    assert shown == sorted(row.sha256 for row in with_photos[:2])
    answer = browser.get(f"{path}/{shown[0]}")
    row = next(row for row in with_photos if row.sha256 == shown[0])
    assert answer.mimetype == "image/png" and answer.data == (data / "drawn" / row.file).read_bytes()
    other = with_photos[2].sha256  # in the set, but not among those the run was tested on
    for name in (other, "0" * 64, "..", "..%2f..%2fmanifest.csv"):
        assert browser.get(f"{path}/{name}").status_code == 404
    for role in (None, *ROLES[:1]):
        assert browse(role).get(f"{path}/{shown[0]}").status_code == (403 if role else 401)


@pytest.mark.parametrize("name", ["..", "../data", "nothing", "", "a/b"])
def test_a_set_that_is_not_here_has_no_photos(browse, site, cache, name):
    result = read_result(result_path(cache, "conf_a"))
    result["data"]["set"] = name
    write_result(result_path(cache, "conf_a"), result)
    assert browse("admin").get("/api/v1/runs/conf_a/photos").json == {"photos": []}


def test_a_run_can_be_cited_down_to_the_bit(browse, shipped):
    told = browse().get("/api/v1/runs/conf_f10").json
    assert told["citation"].startswith("@misc{skyfed-conf-f10,")
    assert told["model"]["sha256"] in told["citation"] and told["data"]["fingerprint"] in told["citation"]


def test_a_run_tells_what_is_not_as_by_default_and_how_many_examples_were_ever_misjudged(browse, shipped):
    told = browse().get("/api/v1/runs/conf_f10").json
    own, conf = set(told["conf_own"]), told["conf"]
    assert {"model_name", "no_models", "lr"} <= own, "what has no default is one's own"
    defaults = {one.name: one.field.default for one in all_keys()}
    assert {key for key in conf if key in defaults and conf[key] == defaults[key]}.isdisjoint(own)
    assert {"width", "colours", "data"} <= own and {
        "lambda",
        "weight_decay",
        "min_clients",
        "strategy",
    }.isdisjoint(own)
    result = read_result(result_path(shipped, "conf_f10"))
    wrong = {
        name
        for test in (repeat["test"] for repeat in result["repeats"])
        for name, truth, said in zip(test["id"], test["truth"], test["said"], strict=True)
        if truth != said
    }
    assert told["misjudged_ever"] == len(wrong) > len(told["misjudged"]) > 0
