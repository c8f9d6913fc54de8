"""What a run leaves beside its curves: the model as ONNX, its photos for researchers, a citation."""

import shutil

import onnxruntime
import pytest

from app.models import ROLES
from tests.conftest import ROOT
from utils.photos.dataset import read_manifest
from utils.results import read_result, result_path, write_result


@pytest.fixture
def shipped(cache):
    for suffix in ("pkl", "safetensors"):
        shutil.copy(ROOT / "cache" / f"conf_f10.json.{suffix}", cache)
    return cache


def test_the_model_comes_as_onnx_made_once(browse, site, shipped):
    browser = browse()
    answer = browser.get("/api/v1/runs/conf_f10/model.onnx")
    assert answer.status_code == 200 and "conf_f10.onnx" in answer.headers["Content-Disposition"]
    (made,) = (site.config["INSTANCE"] / "onnx").iterdir()
    first = made.stat().st_mtime_ns
    assert browser.get("/api/v1/runs/conf_f10/model.onnx").data == answer.data == made.read_bytes()
    assert made.stat().st_mtime_ns == first
    assert onnxruntime.InferenceSession(answer.data).get_inputs()[0].name == "pixels"


def test_a_model_that_is_not_its_runs_is_not_given(browse, site, shipped):
    (shipped / "conf_f10.json.safetensors").write_bytes(b"something else")
    assert browse().get("/api/v1/runs/conf_f10/model.onnx").status_code == 404
    assert not list((site.config["INSTANCE"] / "onnx").glob("*"))


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
