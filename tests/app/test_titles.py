"""Trainings are shown and found by what people called them, in every script, whatever their files are called."""

import json
import re

import pytest
from sqlalchemy import select

from app.auth import service as people
from app.extensions import db
from app.jobs import service
from app.language import CATALOGUE, WORD, words
from app.models import Job
from tests.app.conftest import begin_training, whole_result
from tests.conftest import ROOT, TINY
from utils.results import result_path, write_result

NAMES = ["晴天实验", "C++ & <b>wolkig</b>", "☀️ ünïcode ☁", "my first"]


@pytest.fixture
def trained(site, cache):
    """Makes a training called so, with its result; returns its run and its number."""

    def make(name, finished=True):
        with site.app_context():
            asked = {"name": name, "note": "", "folds": 1, "seeds": 1, "sweep": {}}
            user = people.find_user("researcher@example.org")
            [job] = service.submit(user, {**TINY}, **asked)
            if finished:
                write_result(result_path(cache, job.run), whole_result(job.run))
            return job.run, job.id

    return make


@pytest.mark.parametrize("name", NAMES)
def test_a_training_is_called_by_its_name_everywhere(trained, browse, name):
    run, number = trained(name)
    called = f"{name}-{number}"
    browser = browse("researcher")
    listed = {one["name"]: one["title"] for one in browser.get("/api/v1/runs").json["runs"]}
    assert listed[run] == called and listed["conf_a"] == "a"
    assert browser.get(f"/api/v1/runs/{run}").json["title"] == called
    browser.put(f"/api/v1/labels/{run}", {"tags": ["mine"], "note": ""})
    escaped = called.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for path in ("/home", f"/runs/{run}", "/profile"):
        page = browser.get(path).text.partition("<main")[2]
        assert escaped in page and "<b>wolkig" not in page, path
    admin = browse("admin")
    assert escaped in admin.get("/admin/runs").text
    deleted = admin.post(f"/admin/runs/{run}/delete")
    assert escaped in admin.get(deleted.headers["Location"]).text


@pytest.mark.parametrize("name", NAMES)
def test_a_training_under_way_is_called_by_its_name(trained, cache, browse, monkeypatch, name):
    monkeypatch.setattr("app.runs.live._LIFETIME", 0.2)
    monkeypatch.setattr("app.runs.live._PULSE", 0.0)
    run, number = trained(name, finished=False)
    checkpoints, rounds = begin_training(cache, run)
    rounds(0, [0.5])
    assert browse().get("/api/v1/live").json["runs"][run]["title"] == f"{name}-{number}"
    [event] = [
        part for part in browse().get("/api/v1/live/events").text.split("\n\n") if part.startswith("id: ")
    ]
    assert json.loads(event.partition("data: ")[2])["title"] == f"{name}-{number}"
    checkpoints.release()


def test_a_new_name_is_shown_at_once_and_a_training_of_nobody_has_that_of_its_file(trained, browse, site):
    run, number = trained("first name")
    browser = browse("researcher")

    def called():
        return next(one["title"] for one in browser.get("/api/v1/runs").json["runs"] if one["name"] == run)

    assert called() == f"first name-{number}"
    answer = browser.put(f"/api/v1/jobs/{number}", {"name": "改名"})
    assert answer.status_code == 200 and called() == f"改名-{number}"
    assert browser.get(f"/api/v1/runs/{run}").json["title"] == f"改名-{number}"
    with site.app_context():
        db.session.delete(db.session.scalar(select(Job).where(Job.id == number)))
        db.session.commit()
    assert called() == run


def test_two_of_one_name_can_be_told_apart(trained, browse):
    numbers = [trained("晴天实验")[1] for _ in range(2)]
    titles = {one["title"] for one in browse().get("/api/v1/runs").json["runs"]}
    assert {f"晴天实验-{number}" for number in numbers} <= titles


def test_a_shipped_run_is_called_the_same_in_plain_words_everywhere(cache, browse):
    write_result(result_path(cache, "conf_f10"), whole_result("conf_f10"))
    browser = browse("researcher")
    browser.put("/api/v1/labels/conf_f10", {"tags": ["mine"], "note": ""})
    for language, name in (("en", "Ten owners, federated"), ("zh", "十位所有者，联邦学习")):
        browser.post(f"/language/{language}", {"next": "/why"})
        [run] = [one for one in browser.get("/api/v1/runs").json["runs"] if one["name"] == "conf_f10"]
        assert (run["title"], run["conf_name"]) == (name, "f10")
        assert browser.get("/api/v1/runs/conf_f10").json["title"] == name
        assert {one["title"] for one in browser.get("/api/v1/story").json["marks"]} == {name}
        for path in ("/home", "/runs/conf_f10", "/profile"):
            assert name in browser.get(path).text, path
        assert '<small class="numbers">f10</small>' in browser.get("/runs/conf_f10").text


def test_a_shipped_run_under_way_is_called_in_the_readers_language(cache, browse, monkeypatch):
    monkeypatch.setattr("app.runs.live._LIFETIME", 0.2)
    monkeypatch.setattr("app.runs.live._PULSE", 0.0)
    checkpoints, rounds = begin_training(cache, "conf_f10@2")
    rounds(0, [0.5])
    browser = browse()
    browser.post("/language/zh", {"next": "/why"})
    assert browser.get("/api/v1/live").json["runs"]["conf_f10@2"]["title"] == "十位所有者，联邦学习 @2"
    [event] = [p for p in browser.get("/api/v1/live/events").text.split("\n\n") if p.startswith("id: ")]
    assert json.loads(event.partition("data: ")[2])["title"] == "十位所有者，联邦学习 @2"
    checkpoints.release()


def test_words_that_explain_themselves_are_known_and_harmless():
    source = ROOT / "app" / "static" / "vue" / "src"
    known = set(
        re.findall(r'^  "?([a-z0-9-]+)"?: \(\) => t\(', (source / "words.ts").read_text(), re.MULTILINE)
    )
    used = {key for key, _ in WORD.findall(CATALOGUE.read_text())}  # all that is shown, in both languages
    assert len(known) > 12 and {"fold", "seed", "balanced"} <= used <= known
    assert words("<b> [fold:Fold] [1.0, 2.0]") == (
        '&lt;b&gt; <button type="button" class="word" data-word="fold">Fold</button> [1.0, 2.0]'
    )
