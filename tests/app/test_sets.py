"""The sets on this machine: told, drawn through the queue, and what they do not suffice for."""

from threading import Event

import pytest
from sqlalchemy import select

from app.auth import service as people
from app.extensions import db
from app.jobs import runner, service
from app.models import Job, User
from tests.app.conftest import PASSWORD
from tests.app.test_jobs import _submit, ask  # noqa: F401
from tests.conftest import ROOT, TINY
from utils.comparison import answers, compare, disagreement
from utils.conf import make_conf
from utils.photos.dataset import photo_row, read_manifest, write_manifest
from utils.results import read_result, result_path


@pytest.fixture
def sky(site, tmp_path):
    """A data folder of the test's own, without any set."""
    site.config["DATA"] = tmp_path / "own-data"
    return site.config["DATA"]


@pytest.fixture
def researcher(browse):
    """A researcher's browser, with the header that changes need."""
    browser = browse("researcher")
    return browser, {"X-CSRFToken": browser.token()}


def _sets(browser):
    """What is told of the sets that no package brings."""
    return [one for one in browser.get("/api/v1/sets").json["sets"] if not one["brought"]]


def _draw(researcher, status=200, **asked):
    browser, headers = researcher
    answer = browser.client.post("/api/v1/sets", json={"count": 20, "name": "mine", **asked}, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json["jobs"][0] if status == 200 else answer.json["error"]["message"]


def _carry_out(site, stopping=None):
    with site.app_context():
        number, claim = service.claim_next()
    runner.carry_out(site, number, claim, stopping or Event())
    return number


def test_sets_are_told_with_what_is_in_them(researcher):
    [drawn] = _sets(researcher[0])
    assert {key: drawn[key] for key in ("name", "type", "examples", "scenes")} == {
        "name": "drawn", "type": "weather", "examples": 60, "scenes": 60,
    }  # fmt: skip
    assert drawn["classes"] == {"cloudy": 30, "sunny": 30} and drawn["sources"] == {"drawn": 60}


def test_what_a_package_brings_is_told_as_well_wherever_data_lies(researcher, sky):
    found = {one["name"]: one for one in researcher[0].get("/api/v1/sets").json["sets"]}
    assert set(found) == {"breast_cancer", "diabetes", "digits", "iris"} and found["iris"]["brought"]
    assert found["digits"]["examples"] == 1797 and len(found["digits"]["classes"]) == 10
    assert found["iris"]["classes"] == {"setosa": 50, "versicolor": 50, "virginica": 50}


def test_a_set_is_drawn_through_the_queue_and_can_be_trained_on(researcher, site, sky):
    browser, _ = researcher
    assert _sets(browser) == []
    queued = _draw(researcher)
    assert (queued["kind"], queued["state"], queued["run"]) == ("drawing", "queued", "mine")
    told = browser.get(f"/api/v1/jobs/{queued['id']}").json
    assert told["conf"] == {"set": "mine", "count": 20} and told["rounds"] == 0
    assert "has begun" in _draw(researcher, 409)
    number = _carry_out(site)
    done = browser.get(f"/api/v1/jobs/{number}").json
    assert (done["state"], done["run"]) == ("done", "mine"), done
    assert len([row for row in read_manifest(sky / "mine") if row.file]) == 20
    assert "20 photos in the set" in browser.get(f"/api/v1/jobs/{number}/log").json["lines"][0]["text"]
    [told] = _sets(browser)
    assert told["sources"] == {"simulated": 20}
    assert "There is a set called mine" in _draw(researcher, 409)
    browser.client.delete(f"/api/v1/jobs/{number}", headers=researcher[1])
    assert (sky / "mine" / "manifest.csv").exists(), "a set that is whole is everybody's"


def test_a_drawing_that_is_halted_goes_on_and_a_deleted_one_leaves_nothing(researcher, site, sky):
    browser, headers = researcher
    queued, stopping = _draw(researcher, count=300), Event()
    stopping.set()  # as when the machine goes down
    _carry_out(site, stopping)
    assert browser.get(f"/api/v1/jobs/{queued['id']}").json["state"] == "queued"
    assert not (sky / "mine" / "manifest.csv").exists()
    browser.client.delete(f"/api/v1/jobs/{queued['id']}", headers=headers)
    assert not (sky / "mine").exists()


@pytest.mark.parametrize(
    "asked",
    [
        {"count": 19}, {"count": 2001}, {"count": "60"}, {"name": ""}, {"name": "../x"}, {"name": "a\n"},
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused(researcher, sky, asked):
    assert next(iter(asked)) in _draw(researcher, 422, **asked)


def test_a_folder_that_is_there_is_left_alone(researcher, sky):
    (sky / "mine").mkdir(parents=True)  # somebody's own photos, say, not yet a set
    assert "choose another name" in _draw(researcher, 409)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"data": "nowhere"}, "data/nowhere/manifest.csv: no such file"),
        ({"no_models": 50, "k": 50}, "training examples cannot fall to 50 owners"),
        ({"train_on": ["drawn"], "judge_on": ["phone"]}, "drawn: no training examples of phone"),
    ],
)
def test_what_cannot_be_carried_out_is_not_queued(ask, site, change, reason):  # noqa: F811
    said = _submit(ask, 422, conf={**TINY, **change})
    assert reason in said and str(site.config["DATA"]) not in said
    assert ask("GET")["jobs"] == []


def test_every_fold_that_is_asked_for_is_looked_at(ask, site, sky):  # noqa: F811
    hashes = [f"{n:064x}" for n in range(200)]
    made = [photo_row(sha, "sunny", sha, sha, "own", f"{sha}.png") for sha in hashes]
    write_manifest(sky / "few", [row for row in made if row.fold != 3])
    conf = {**TINY, "data": "few"}
    assert len(_submit(ask, conf=conf, folds=3)) == 1
    assert "few: fold 3 has no test examples" in _submit(ask, 422, conf=conf, folds=5)


def test_repeating_what_cannot_be_any_more_says_why(ask, site, tmp_path):  # noqa: F811
    [job] = _submit(ask)
    site.config["DATA"] = tmp_path / "empty"
    told = ask("POST", f"/{job['id']}/repeat", 409)
    assert "data/drawn/manifest.csv: no such file" in told["error"]["message"]


def test_two_runs_disagree_as_counted_by_hand():
    results = {name: read_result(result_path(ROOT / "cache", name)) for name in ("conf_f10", "conf_f5")}
    said = {
        name: {
            (repeat["seed"], one): right == truth
            for repeat in result["repeats"]
            for one, truth, right in zip(
                repeat["test"]["id"], repeat["test"]["truth"], repeat["test"]["said"], strict=True
            )
        }
        for name, result in results.items()
    }
    both = said["conf_f10"].keys() & said["conf_f5"].keys()
    by_hand = sum(said["conf_f10"][one] != said["conf_f5"][one] for one in both) / len(both)
    given = {name: answers(result) for name, result in results.items()}
    share = disagreement(given["conf_f10"], given["conf_f5"])
    assert share == pytest.approx(by_hand)
    [told] = compare(results)
    half_width = (told.difference.high - told.difference.low) / 2
    foreseen = 1.96 * (share / told.scenes) ** 0.5
    assert 0.5 * foreseen < half_width < 1.5 * foreseen, "the rule of thumb is of the size of the interval"


def test_the_pace_of_a_run_trained_elsewhere_is_told(site, researcher):
    browser, headers = researcher
    told = browser.client.post("/api/v1/confs/preview", json=TINY, headers=headers).json
    assert told["measured_by"] is None and told["likened_to"] == "a" and told["examples_per_second"] > 0
    assert sum(told["scenes"]) == 60 and len(told["scenes"]) == 5
    near = browser.client.post("/api/v1/confs/preview", json={**TINY, "seed": 1}, headers=headers).json
    assert near["likened_to"] == "b", "whose conf says the same seed"
    other = browser.client.post("/api/v1/confs/preview", json={**TINY, "width": 8}, headers=headers).json
    assert other["likened_to"] is None and other["examples_per_second"] is None


@pytest.mark.parametrize("demo", [True, False])
@pytest.mark.parametrize("path", ["/confs/new", "/jobs", "/jobs/1"])
def test_an_ordinary_account_is_told_what_it_can_do_and_what_to_do_next(browse, site, path, demo):
    browser = browse("user")
    site.config["DEMO"] = demo
    page = browser.get(path)
    assert page.status_code == 403 and "Trainings are for researchers" in page.text
    assert ("greatabel1@126.com" in page.text) == demo and ("Ask an admin" in page.text) != demo
    for link in ("/home", "/forecast", "/profile"):
        assert f'href="{link}"' in page.text
    assert "how you become a researcher" in browser.get("/profile").text
    assert "how you become a researcher" not in browse("researcher").get("/profile").text


def test_who_leaves_takes_the_log_of_a_drawing_along(site, sky):
    with site.app_context():
        user = people.register("leaving@example.org", "Leaving", PASSWORD, "researcher")
        user = db.session.scalar(select(User).where(User.email == "leaving@example.org"))
        job = service.draw(user, 20, "theirs")
        (folder := service.folder_of(job.id)).mkdir(parents=True)
        service.leave([job], anonymously=True)
        assert not folder.exists() and db.session.get(Job, job.id)


def test_a_drawings_conf_is_no_trainings(site, sky):
    with site.app_context():
        user = db.session.scalar(select(User).where(User.email == "researcher@example.org"))
        service.draw(user, 20, "mine")
        for job in db.session.scalars(select(Job)):
            job.started = job.created
        db.session.commit()
        assert service.measured_speed(make_conf(TINY, "x")) is None
