"""Trainings are shown and found by what people called them, in every script, whatever their files are called."""

import json

import pytest
from sqlalchemy import select

from app.auth import service as people
from app.extensions import db
from app.jobs import service
from app.models import Job
from tests.app.conftest import begin_training, whole_result
from tests.conftest import TINY
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
