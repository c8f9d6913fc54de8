"""What a run gives away, on the site: figures for all, pictures for researchers, and a button that has it found out."""

from __future__ import annotations

import io
import shutil
from threading import Event

import numpy as np
import pytest
from PIL import Image

from app.extensions import db
from app.jobs import runner, service
from app.models import Job
from app.runs.schemas import LeaksSchema
from tests.conftest import ROOT
from utils.leaks import CAVEAT
from utils.leaks.report import leaks_path, write_leaks
from utils.packing import packed
from utils.results import read_result, result_path

PICTURE = np.arange(64, dtype=np.uint8).reshape(1, 1, 8, 8)


def row_of(**changes):
    """A row of a report made of thin air."""
    return {
        "network": "own", "protection": "none", "label": ["none", "无"], "changes": {}, "failed": "",
        "psnr": [40.0, 20.0], "error": [],
        "guess": 12.0, "label_told": 1.0, "distance": 0.1, "updates": 2, "examples": 1, "passes": 1,
        "iterations": 100, "parameters": 10, "exact": 0, "seconds": 1.0,
        "pictures": {"shape": [1, 1, 8, 8], "original": packed(PICTURE), "found": packed(255 - PICTURE)}, **changes,
    }  # fmt: skip


def write_made_up(cache, run="conf_a"):
    """A report with pictures in its first row and none in the second, in the cache of a test."""
    ends = {"value": 0.75, "low": 0.7, "high": 0.8}
    told = {"auc": ends, "tpr": ends, "members": 9, "others": 3, "member_scenes": 9, "other_scenes": 3}
    failed = {
        "network": "own", "protection": "sum", "label": ["sum", "和"], "changes": {}, "failed": "only a sum is opened",
    }  # fmt: skip
    report = {
        "format": 1, "kind": "leaks", "run": run, "caveat": CAVEAT[0], "seed": 0, "seconds": 3.0, "fingerprint": "f",
        "finished": "2026-01-02T03:04:05+00:00", "membership": told,
        "trained": str(read_result(result_path(cache, run)).get("finished", "")),
        "rows": [row_of(), row_of(protection="topk", label=["top", "大"], pictures=None, label_told=None), failed],
    }  # fmt: skip
    write_leaks(leaks_path(cache, run), report)


def test_figures_are_for_all_with_the_caveat_in_their_language(browse, cache):
    browser = browse()
    for language in ("en", "zh"):
        browser.client.set_cookie("language", language)
        found = browser.get("/api/v1/runs/conf_a/leaks").json
        assert found["report"] is None and found["caveat"] == CAVEAT[language == "zh"]
    write_made_up(cache)
    found = browser.get("/api/v1/runs/conf_a/leaks").json
    assert LeaksSchema().validate(found) == {}
    assert [row["label"] for row in found["report"]["rows"]] == ["无", "大", "和"]
    assert [row["pictures"] for row in found["report"]["rows"]] == [True, False, False]
    assert found["report"]["membership"]["auc"]["low"] == 0.7
    assert browser.get("/api/v1/runs/conf_none/leaks").status_code == 404


def test_pictures_are_for_researchers(browse, cache):
    write_made_up(cache)
    for role, status in ((None, 401), ("user", 403), ("researcher", 200)):
        browser = browse(role)
        assert browser.get("/api/v1/runs/conf_a/leaks/0.png").status_code == status
        assert "original" not in browser.get("/api/v1/runs/conf_a/leaks").text
    shown = np.asarray(Image.open(io.BytesIO(browser.get("/api/v1/runs/conf_a/leaks/0.png").data)))
    assert shown.shape == (256, 128) and (shown[0, 0], shown[128, 0], shown[127, 127]) == (0, 255, 63)
    for path in ("conf_a/leaks/1.png", "conf_a/leaks/2.png", "conf_a/leaks/9.png", "conf_b/leaks/0.png"):
        assert browser.get(f"/api/v1/runs/{path}").status_code == 404


def test_a_report_that_cannot_be_read_says_so(browse, cache):
    path = leaks_path(cache, "conf_a")
    path.parent.mkdir()
    path.write_bytes(b"\0")
    found = browse("researcher").get("/api/v1/runs/conf_a/leaks").json
    assert found["report"] is None and "not a readable pickle" in found["fault"]
    assert str(cache) not in found["fault"]
    assert browse("researcher").get("/api/v1/runs/conf_a/leaks/0.png").status_code == 404


def _attack(browser, run):
    path = f"/api/v1/runs/{run}/leaks/jobs"
    return browser.client.post(path, headers={"X-CSRFToken": browser.token()})


@pytest.fixture
def trained(cache):
    """A run with a model whose examples are on every machine."""
    for path in (ROOT / "cache").glob("conf_breast_cancer_f10.json.*"):
        shutil.copy(path, cache)
    return "conf_breast_cancer_f10"


def test_only_researchers_have_a_run_attacked_and_only_one_with_a_model(browse, trained):
    for role, status in ((None, 401), ("user", 403)):
        assert _attack(browse(role), trained).status_code == status
    researcher = browse("researcher")
    assert _attack(researcher, "conf_none").status_code == _attack(researcher, "conf_a").status_code == 404


def test_a_researcher_has_it_found_out_and_the_report_stays(browse, site, cache, trained):
    site.config["LEAKS_SECONDS"] = 1
    browser = browse("researcher")
    [job] = _attack(browser, trained).json["jobs"]
    assert (job["kind"], job["run"], job["state"]) == ("leaks", trained, "queued")
    again = _attack(browser, trained)
    assert again.status_code == 409 and "already" in again.text
    with site.app_context():
        number, claim = service.claim_next()
    runner.carry_out(site, number, claim, Event())
    found = browser.get(f"/api/v1/jobs/{number}").json
    assert (found["state"], found["run"], found["conf"]) == ("done", trained, {"run": trained})
    assert any(
        "own network" in line["text"] for line in browser.get(f"/api/v1/jobs/{number}/log").json["lines"]
    )
    report = browser.get(f"/api/v1/runs/{trained}/leaks").json["report"]
    assert report["rows"][0]["error"] and not report["rows"][0]["psnr"] and report["membership"]
    titles = {one["name"]: one["title"] for one in browser.get("/api/v1/runs").json["runs"]}
    assert str(number) not in titles[trained]  # the job gives the run no other name
    assert browser.client.delete(f"/api/v1/jobs/{number}", headers={"X-CSRFToken": browser.token()}).json[
        "gone"
    ]
    assert leaks_path(cache, trained).exists()


def test_the_report_goes_with_the_training_it_is_of(browse, site, cache):
    write_made_up(cache)
    with site.app_context():
        made = Job(user_id=2, name="x", conf="{}", run="conf_a", state="done")
        db.session.add(made)
        db.session.commit()
        service.remove(made)
    assert not leaks_path(cache, "conf_a").exists()
