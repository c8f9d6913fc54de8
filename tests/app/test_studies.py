"""Studies on the site: pages and API tell what was measured, and a researcher has one run beside the shipped result."""

import re
from threading import Event

import pytest
from flask import Flask

from app.extensions import db
from app.jobs import runner, service
from app.models import Job
from app.studies.schemas import StudiesSchema, StudySchema
from app.studies.service import COLOURS
from tests.asked import IRIS, SKEW, TINY_QUESTION, both, write_made_up, write_question
from tests.test_palette import DARK_GROUNDS, LIGHT_GROUNDS, contrast
from utils.studies.evidence import evidence
from utils.studies.measured import read_study, study_path
from utils.studies.questions import read_question
from utils.studies.sentences import answer, sentences

SKILL = {"plain": 0.7, "momentum": 0.85}


@pytest.fixture(autouse=True)
def asked(tmp_path, monkeypatch):
    """Two questions of the site: `tiny` is quick to train, nothing was measured for `heat`."""
    folder = tmp_path / "questions"
    write_question(folder, conf=IRIS | {"global_epochs": 1})
    heat = {
        "number": 2,
        "picture": "heat",
        "axes": [SKEW, TINY_QUESTION["axes"][0]],
        "title": both("Another"),
    }
    write_question(folder, "heat", **heat)
    monkeypatch.setenv("SKYFED_STUDIES", str(folder))
    return folder


@pytest.fixture
def measured(asked, cache):
    """What was measured for `tiny`: a shipped result."""
    return write_made_up(cache, read_question(asked, "tiny"), SKILL.get)


def _said(page):
    return re.sub(r"\s+", " ", page)


def test_a_study_that_is_not_measured_says_so(browse):
    browser = browse()
    for path in ("/studies", "/studies/tiny"):
        assert "Not measured yet." in browser.get(path).text
    assert "python3 i2main.py --study tiny" in browser.get("/studies/tiny").text
    assert browser.get("/api/v1/studies/tiny").json["results"] == []
    assert browser.get("/api/v1/studies").json["studies"][0]["answer"] is None
    assert browser.get("/studies/none").status_code == browser.get("/api/v1/studies/none").status_code == 404


def test_pages_and_api_say_what_the_numbers_allow_in_the_readers_language(browse, asked, measured):
    told = evidence(read_question(asked, "tiny"), measured)
    browser = browse()
    for language in ("en", "zh"):
        browser.client.set_cookie("language", language)
        found = browser.get("/api/v1/studies/tiny").json
        assert found["answer"] == found["results"][0]["answer"] == answer(told, language)
        assert found["results"][0]["sentences"] == sentences(told, language)
        for path in ("/studies", "/studies/tiny"):
            page = browser.get(path).text
            assert answer(told, language) in page and found["question"] in page
    assert "<polyline" not in page and '<div id="study"' in page
    assert StudySchema().validate(found) == {}
    assert StudiesSchema().validate(browser.get("/api/v1/studies").json) == {}


def test_figures_are_those_of_the_evidence(browse, asked, measured):
    told = evidence(read_question(asked, "tiny"), measured)
    [result] = browse().get("/api/v1/studies/tiny").json["results"]
    for cell in result["cells"]:
        one = told.found[cell["key"]]
        shown = cell["figures"]["accuracy"]
        assert (shown["value"], shown["low"], shown["high"]) == pytest.approx(
            (one.estimate.value, one.estimate.low, one.estimate.high)
        )
        assert shown["interval"] and len(shown["rounds"]) == 4
        over = one.figures["loss"]
        loss = cell["figures"]["loss"]
        assert not loss["interval"] and (loss["value"], loss["low"]) == pytest.approx((over.mean, over.low))
    [tested] = result["tested"]
    assert (tested["a"], tested["b"], tested["verdict"]) == ("momentum", "plain", "better")
    assert tested["difference"] == pytest.approx(told.tested[0].comparison.difference.value)


def test_cards_show_small_pictures_of_every_kind(browse, asked, cache):
    for picture in ("bars", "lines", "curves", "heat"):
        axes = [SKEW, TINY_QUESTION["axes"][0]] if picture != "curves" else TINY_QUESTION["axes"]
        write_question(asked, picture=picture, axes=axes)
        write_made_up(cache, read_question(asked, "tiny"), lambda key: 0.6 + 0.2 * ("momentum" in key))
        page = browse().get("/studies").text
        shows = {"bars": "<circle", "lines": "<polyline", "curves": "<polyline", "heat": "<rect"}[picture]
        assert page.count(shows) == {"bars": 4, "lines": 2, "curves": 2, "heat": 4}[picture]


def test_a_file_that_cannot_be_read_is_named_and_a_new_one_is_seen_at_once(browse, asked, cache, measured):
    browser = browse()
    assert len(browser.get("/api/v1/studies/tiny").json["results"]) == 1
    write_made_up(cache, read_question(asked, "tiny"), SKILL.get, name="tiny@2")
    study_path(cache, "tiny@3").write_bytes(b"\0")
    results = browser.get("/api/v1/studies/tiny").json["results"]
    assert [one["name"] for one in results] == ["tiny", "tiny@2", "tiny@3"]
    assert "not a readable pickle" in results[2]["error"] and str(cache) not in results[2]["error"]
    study_path(cache, "tiny").unlink()
    study_path(cache, "tiny@2").unlink()
    assert "Not measured yet." in browser.get("/studies/tiny").text


def test_a_broken_question_does_not_take_the_others_down(browse, asked):
    (asked / "heat" / "question.json").write_text("{")
    browser = browse()
    assert [one["name"] for one in browser.get("/api/v1/studies").json["studies"]] == ["tiny"]
    assert browser.get("/studies/heat").status_code == 404


def test_only_researchers_may_have_one_run(browse):
    for role, status in ((None, 401), ("user", 403)):
        browser = browse(role)
        answer_ = browser.client.post("/api/v1/studies/tiny/jobs", headers={"X-CSRFToken": browser.token()})
        assert answer_.status_code == status
    researcher = browse("researcher")
    headers = {"X-CSRFToken": researcher.token()}
    assert researcher.client.post("/api/v1/studies/none/jobs", headers=headers).status_code == 404


def _run(browser):
    answer_ = browser.client.post("/api/v1/studies/tiny/jobs", headers={"X-CSRFToken": browser.token()})
    assert answer_.status_code == 200, answer_.text
    [job] = answer_.json["jobs"]
    return job


def _carry_out(site: Flask, stopping=None):
    with site.app_context():
        number, claim = service.claim_next()
    runner.carry_out(site, number, claim, stopping or Event())


def test_a_run_of_ones_own_stands_beside_the_shipped_one(browse, site, cache, measured, monkeypatch):
    browser = browse("researcher")
    job = _run(browser)
    assert (job["kind"], job["name"], job["seeds"]) == ("study", "Momentum at the server", 2)
    assert job["run"] == f"tiny@{job['id'] + 1}" and job["state"] == "queued"
    shipped = study_path(cache, "tiny").read_bytes()
    _carry_out(site)
    told = browser.get(f"/api/v1/jobs/{job['id']}").json
    assert (told["state"], told["run"], told["reason"]) == ("done", job["run"], "")
    assert told["conf"] == {"study": "tiny"} and told["at_work"] == []
    assert study_path(cache, "tiny").read_bytes() == shipped
    assert read_study(study_path(cache, job["run"])).seeds == 2
    results = browser.get("/api/v1/studies/tiny").json["results"]
    assert [one["name"] for one in results] == ["tiny", job["run"]]
    assert browser.get(f"/jobs/{job['id']}").status_code == 200

    headers = {"X-CSRFToken": browser.token()}
    again = browser.client.post(f"/api/v1/jobs/{job['id']}/repeat", headers=headers).json
    assert again["kind"] == "study" and again["run"] not in ("", job["run"])
    assert browser.client.delete(f"/api/v1/jobs/{job['id']}", headers=headers).json["gone"]
    assert not study_path(cache, job["run"]).exists() and study_path(cache, "tiny").exists()


def test_one_that_is_halted_goes_on_later(browse, site, cache):
    browser = browse("researcher")
    job = _run(browser)
    stopping = Event()
    stopping.set()
    _carry_out(site, stopping)
    with site.app_context():
        assert db.session.get(Job, job["id"]).state == "queued"
    _carry_out(site)
    with site.app_context():
        assert db.session.get(Job, job["id"]).state == "done"
    assert study_path(cache, job["run"]).exists()


def test_lines_can_be_seen_on_either_ground():
    for light, dark in COLOURS:
        assert min(contrast(light, ground) for ground in LIGHT_GROUNDS) >= 3
        assert min(contrast(dark, ground) for ground in DARK_GROUNDS) >= 3
