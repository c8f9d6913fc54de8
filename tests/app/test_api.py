"""The API over cache/: what is there is told, what is broken is told as broken, nothing else is reached."""

import pickle
import re
import time

import numpy as np
import pytest
from sqlalchemy import select

from app.extensions import db
from app.models import ApiToken
from tests.app.conftest import Browser, whole_result
from tests.test_results import HOSTILE, OF_NUMBERS
from utils.federated.spread import MOST_ROWS
from utils.packing import UPDATES, packed
from utils.results import UNITS, result_path, write_result


def test_a_run_that_appears_changes_or_goes_is_noticed_without_a_restart(browse, cache):
    browser = browse()

    def listed():
        return {run["name"]: run for run in browser.get("/api/v1/runs").json["runs"]}

    assert set(listed()) == {"conf_a", "conf_b"}
    write_result(result_path(cache, "conf_c@2"), whole_result("conf_c@2"))
    changed = whole_result("conf_a")
    changed["loss"] = [0.5, 0.25]
    write_result(result_path(cache, "conf_a"), changed)
    result_path(cache, "conf_b").unlink()
    assert set(listed()) == {"conf_a", "conf_c@2"} and listed()["conf_a"]["loss"] == 0.25
    assert browser.get("/runs/conf_c@2").status_code == 200


def test_the_list_is_not_sent_again_when_nothing_changed(browse):
    browser = browse()
    tag = browser.get("/api/v1/runs").headers["ETag"]
    assert browser.get("/api/v1/runs", headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize("kind", ["code", "billion laughs", "cycle", "huge frame", "no pickle"])
def test_a_hostile_pickle_is_listed_as_unreadable_and_the_site_lives(
    browse, cache, tmp_path, monkeypatch, kind
):
    monkeypatch.chdir(tmp_path)
    (cache / "conf_evil.json.pkl").write_bytes(HOSTILE[kind])
    browser = browse()
    listed = {run["name"]: run for run in browser.get("/api/v1/runs").json["runs"]}
    assert "error" in listed["conf_evil"] and "accuracy" in listed["conf_a"]
    assert str(cache) not in listed["conf_evil"]["error"]
    assert browser.get("/api/v1/runs/conf_evil").status_code == 422
    assert browser.get("/api/v1/comparison?a=conf_a&b=conf_evil").status_code == 422
    for page in ("/home", "/runs/conf_evil"):
        text = browser.get(page).get_data(as_text=True)
        assert "conf_evil" in text or "evil" in text
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../conf_a",
        "..%2fconf_a",
        "%2e%2e%2fconf_a",
        "conf_a%00",
        ".hidden",
        "conf_a.json.pkl",
        "a" * 300,
    ],
)
def test_names_that_would_climb_lead_nowhere(browse, cache, name):
    (cache.parent / "conf_a.json.pkl").write_bytes(pickle.dumps({}))
    for path in (f"/api/v1/runs/{name}", f"/api/v1/runs/{name}/model.safetensors", f"/runs/{name}"):
        assert browse().get(path).status_code == 404


def test_curves_comparison_and_csv(browse):
    browser = browse()
    curves = browser.get("/api/v1/runs/conf_a/curves").json
    by_name = {one["name"]: one for one in curves["series"]}
    assert by_name["accuracy"]["mean"] == [0.5, 0.75] and by_name["accuracy"]["better"] == "higher"
    assert set(by_name) == set(UNITS) - set(OF_NUMBERS) and by_name["bytes_up"]["unit"] == "B"
    assert curves["costs"]["round"] == [1, 2] and curves["costs"]["examples"] == [0.5, 1.25]
    assert set(curves["costs"]) == {"round", "passes", "steps", "examples", "seconds", "bytes"}
    found = browser.get("/api/v1/comparison?a=conf_b&b=conf_a").json["comparison"]
    assert found["difference"] == 0 and found["seeds"] == 1 and found["verdict"] == "untested"
    text = browser.get("/api/v1/runs/conf_a/curves.csv").get_data(as_text=True)
    assert text.startswith("run,round,passes") and text.count("\n") == 3
    assert browser.get("/api/v1/comparison?a=conf_a").status_code == 422
    assert browser.get("/api/v1/comparison?a=conf_a&b=none").status_code == 404


def _with_updates(rows, **more):
    """A result whose first repeat has a table of so many updates, of one client that sends one a round."""
    result = whole_result("conf_sent")
    table = {
        "round": np.arange(rows), "client": np.zeros(rows), "norm": np.full(rows, 1.23456),
        "cosine": np.full(rows, -0.5), "score": np.full(rows, np.nan), "kept": np.ones(rows),
    } | more  # fmt: skip
    result["repeats"][0]["updates"] = {
        name: packed(np.asarray(column).astype(UPDATES[name])) for name, column in table.items()
    }
    return result


def test_what_each_client_sent_is_told_of_the_first_repeat_where_it_was_recorded(browse, cache):
    result = _with_updates(2, norm=[1.23456, np.inf], score=[np.nan, 2.5], kept=[True, False])
    result["repeats"][0]["hostile"] = [0, 7]
    write_result(result_path(cache, "conf_sent"), result)
    browser = browse()
    assert browser.get("/api/v1/runs/conf_sent").json["updates"] == {
        "fold": 0, "seed": 0, "rotation": 0, "round": [1, 2], "client": [0, 0], "norm": [1.235, None],
        "cosine": [-0.5, -0.5], "score": [None, 2.5], "kept": [True, False], "attacked": True, "hostile": [0],
    }  # fmt: skip
    assert "updates" not in browser.get("/api/v1/runs/conf_a").json


def test_updates_are_bounded_and_those_of_no_client_are_not_told(browse, cache):
    write_result(result_path(cache, "conf_sent"), _with_updates(MOST_ROWS + 5))
    write_result(result_path(cache, "conf_odd"), _with_updates(3, client=[-1, 5, 0]))
    write_result(result_path(cache, "conf_none"), _with_updates(0))
    browser = browse()
    told = browser.get("/api/v1/runs/conf_sent").json["updates"]
    assert {len(told[name]) for name in UPDATES} == {MOST_ROWS} and told["hostile"] == []
    odd = browser.get("/api/v1/runs/conf_odd").json["updates"]
    assert (odd["client"], odd["round"], odd["attacked"]) == ([0], [3], False)
    assert "updates" not in browser.get("/api/v1/runs/conf_none").json


def test_a_client_that_was_not_waited_for_is_no_failure(browse, cache):
    result = whole_result("conf_late")
    result["repeats"][0]["failures"] = [
        [0, 0, "lost"], [0, 0, "too late"], [1, 0, "too late"], [1, 0, "the engine broke"],
    ]  # fmt: skip
    write_result(result_path(cache, "conf_late"), result)
    told = browse().get("/api/v1/runs/conf_late").json
    assert told["failures"] == 1 and told["failed_for"] == [{"reason": "the engine broke", "count": 1}]
    assert told["missed_for"] == [{"reason": "lost", "count": 1}, {"reason": "too late", "count": 2}]


def test_the_model_is_the_file_beside_the_result(browse, cache):
    (cache / "conf_a.json.safetensors").write_bytes(b"weights")
    answer = browse().get("/api/v1/runs/conf_a/model.safetensors")
    assert answer.data == b"weights" and "attachment" in answer.headers["Content-Disposition"]


def test_labels_are_ones_own(browse):
    mine, other = browse("user"), browse("researcher")
    assert mine.put("/api/v1/labels/conf_a", {"tags": ["b", "a", "a"], "note": "<b>"}).json["tags"] == [
        "a",
        "b",
    ]
    assert mine.get("/api/v1/labels").json == {"labels": {"conf_a": {"tags": ["a", "b"], "note": "<b>"}}}
    assert other.get("/api/v1/labels").json == {"labels": {}}
    assert mine.put("/api/v1/labels/conf_none", {"tags": [], "note": ""}).status_code == 404
    assert mine.put("/api/v1/labels/conf_a", {"tags": ["a b"], "note": ""}).status_code == 422
    mine.put("/api/v1/labels/conf_a", {"tags": [], "note": ""})
    assert mine.get("/api/v1/labels").json == {"labels": {}}


def _token(browser, scopes):
    page = browser.post("/profile/tokens", {"name": "script", "scopes": scopes}).get_data(as_text=True)
    return page.partition('id="token">')[2].partition("<")[0]


def test_a_token_speaks_for_its_owner_within_its_scopes_until_revoked(site, browse):
    owner = browse("user")
    reading, writing = _token(owner, ["read"]), _token(owner, ["read", "label"])
    program = Browser(site).client
    body = {"tags": ["t"], "note": ""}

    def put(secret):
        headers = {"Authorization": f"Bearer {secret}"}
        return program.put("/api/v1/labels/conf_a", json=body, headers=headers).status_code

    assert (put(reading), put(writing), put("wrong")) == (403, 200, 401)
    headers = {"Authorization": f"Bearer {reading}"}
    assert program.get("/api/v1/labels", headers=headers).json["labels"]["conf_a"]["tags"] == ["t"]
    assert program.get("/profile", headers=headers).status_code == 401
    assert reading not in owner.get("/profile").get_data(as_text=True)
    with site.app_context():
        numbers = db.session.scalars(select(ApiToken.id)).all()
    for number in numbers:
        owner.post(f"/profile/tokens/{number}/revoke")
    assert put(writing) == 401


def test_the_description_of_the_api_names_every_route(site, browse):
    described = browse().get("/api/v1/openapi.json").json
    assert described["openapi"] == "3.0.3"
    routes = {
        re.sub(r"<(?:\w+(?:\(.*?\))?:)?(\w+)>", r"{\1}", rule.rule)
        for rule in site.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/") and "openapi" not in rule.rule
    }
    assert set(described["paths"]) == routes


def test_what_makes_no_sense_is_said_and_never_breaks_the_site(browse):
    browser = browse("researcher")
    headers = {"X-CSRFToken": browser.token(), "Content-Type": "application/json"}
    for path in ("/api/v1/labels/conf_a", "/api/v1/confs/preview", "/api/v1/jobs"):
        for raw in ("[" * 5000, '{"a":' * 5000 + "1" + "}" * 5000):
            method = "PUT" if "labels" in path else "POST"
            assert browser.client.open(path, method=method, data=raw, headers=headers).status_code in (
                400,
                422,
            )
    answer = browser.get("/api/v1/comparison?a=conf_a")
    assert answer.status_code == 422 and answer.json["error"]["detail"].startswith("query.b: ")
    assert "query.b" in answer.json["error"]["message"]


def test_a_conf_of_many_keys_is_refused_in_no_time(browse):
    browser = browse("researcher")
    raw = "{" + ",".join(f'"k{number}": 1' for number in [*range(15_000), 0]) + "}"
    started = time.process_time()
    answer = browser.client.post(
        "/api/v1/confs/preview", data=raw,
        headers={"X-CSRFToken": browser.token(), "Content-Type": "application/json"},
    )  # fmt: skip
    assert answer.status_code == 422 and "stands twice" in answer.json["error"]["message"]
    assert time.process_time() - started < 5  # it took minutes when each key was compared with all before


def test_errors_of_the_api_are_json(browse):
    answer = browse().get("/api/v1/nothing")
    assert answer.status_code == 404 and answer.json["error"]["code"] == 404
