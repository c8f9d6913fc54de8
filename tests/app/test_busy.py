"""Nobody stops the site for the others: slow work has its places, and who finds none is told when to come back."""

import io
import json
import math
import threading

import pytest

from app.api import busy, documents
from app.forecast import uploads
from tests.app.conftest import whole_result
from tests.app.test_forecast import PHOTO, cache, send  # noqa: F401  # with models that answer
from tests.photos.test_cleaning import with_scans
from utils.results import read_result, result_path, write_result


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(busy, "PATIENCE", 0.05)
    monkeypatch.setattr(uploads, "PATIENCE", 0.05)


def _told_to_come_back(answer):
    assert answer.status_code == 503 and int(answer.headers["Retry-After"]) >= 1
    return True


def test_uploads_leave_two_thirds_of_the_threads_to_everybody_else(site, browse, impatient):
    places = site.extensions["uploads"]
    for _ in range(site.config["THREADS"] // 3):
        assert places.acquire(blocking=False)
    assert _told_to_come_back(send(browse(), PHOTO))
    assert "again" in send(browse(), PHOTO).json["error"]["message"]
    assert browse().get("/api/v1/runs").status_code == 200
    places.release()
    assert send(browse(), PHOTO).status_code == 200
    assert send(browse(), b"no picture").status_code == 415  # and gives its place back
    assert send(browse(), PHOTO).status_code == 200


def test_photos_wait_for_children_and_for_judging_no_longer(site, browse, impatient):
    forecasters = site.extensions["forecasters"]
    children = [forecasters.look._places.get() for _ in range(2)]
    assert _told_to_come_back(send(browse(), PHOTO))
    for child in children:
        forecasters.look._places.put(child)
    for _ in range(2):
        forecasters.places.acquire()
    assert _told_to_come_back(send(browse(), PHOTO))


def _in_another_thread(lock, then):
    """Runs `then` while another thread holds the lock."""
    held, over = threading.Event(), threading.Event()

    def hold():
        with lock:
            held.set()
            over.wait(60)

    other = threading.Thread(target=hold)
    other.start()
    held.wait(60)
    try:
        return then()
    finally:
        over.set()
        other.join()


def test_who_comes_first_waits_a_moment_and_a_page_then_comes_by_itself(site, browse, impatient):
    library = site.extensions["library"]
    story = _in_another_thread(library._telling, lambda: browse().get("/api/v1/story"))
    assert _told_to_come_back(story)
    page = _in_another_thread(library._listing, lambda: browse().get("/home"))
    assert _told_to_come_back(page) and page.headers["Refresh"] == page.headers["Retry-After"]
    assert "try again" in page.text


def test_while_somebody_reads_what_is_new_others_get_what_was_known(site, browse, impatient, cache):  # noqa: F811
    library = site.extensions["library"]
    listed, told = browse().get("/api/v1/runs").data, browse().get("/api/v1/story").data
    write_result(result_path(cache, "conf_new"), whole_result("conf_new"))
    write_result(result_path(cache, "conf_f10"), whole_result("conf_f10"))
    assert _in_another_thread(library._listing, lambda: browse().get("/api/v1/runs").data) == listed
    assert _in_another_thread(library._telling, lambda: browse().get("/api/v1/story").data) == told
    assert b"conf_new" in browse().get("/api/v1/runs").data
    assert browse().get("/api/v1/story").data != told


def test_what_is_computed_of_runs_has_its_places(site, browse, impatient):
    library = site.extensions["library"]
    known = browse().get("/api/v1/runs/conf_a").data
    for _ in range(site.config["THREADS"] // 3):
        assert library.places.acquire(blocking=False)
    for path in ("runs/conf_b", "runs/conf_b/curves", "comparison?a=conf_a&b=conf_b"):
        assert _told_to_come_back(browse().get(f"/api/v1/{path}"))
    assert browse().get("/api/v1/runs/conf_a").data == known  # what is known costs nothing


@pytest.fixture
def limited(site):
    from app.extensions import limiter

    limiter.enabled = True
    limiter.reset()
    yield site
    limiter.reset()
    limiter.enabled = False


def test_a_visitor_may_send_so_many_photos_whoever_else_does(limited, browse):
    limited.config["PHOTOS"] = 3
    two = send(browse(), PHOTO, PHOTO)
    assert two.status_code == 200
    answer = send(browse(), PHOTO, PHOTO).json["forecasts"]
    assert "forecast" in answer[0] and answer[1]["error"]["code"] == 429
    assert send(browse(), PHOTO).status_code == 429
    assert send(browse("user"), PHOTO).status_code == 200  # an account has its own
    other = browse().client.post(
        "/api/v1/forecast", data={"photo": (io.BytesIO(PHOTO), "p.jpg")},
        environ_base={"REMOTE_ADDR": "192.0.2.7"},
    )  # fmt: skip
    assert other.status_code == 200


def test_megapixels_count_and_what_took_all_it_may_counts_most(limited, browse, monkeypatch):
    limited.config["MEGAPIXELS"] = 2  # a photo of 0.04 counts as one
    assert [send(browse(), PHOTO).status_code for _ in range(4)] == [200, 200, 200, 429]
    limited.config["MEGAPIXELS"] = 400
    assert {send(browse("user"), with_scans(1200, 2000)).status_code for _ in range(3)} == {413}
    assert send(browse("user"), PHOTO).status_code == 200  # what was refused unread costs nothing

    def overrun(*_, **__):
        raise uploads.Overrun

    monkeypatch.setattr(limited.extensions["forecasters"], "look", overrun)
    refused = send(browse(), PHOTO)
    assert refused.status_code == 413 and "too long to read" in refused.json["error"]["message"]
    assert send(browse(), PHOTO).status_code == 429


def _one_class(result):
    for repeat in result["repeats"]:
        repeat["test"]["truth"] = [1] * len(repeat["test"]["truth"])
        repeat["confusion"] = [[0, 0], [0, len(repeat["test"]["truth"])]]


def _no_answer(result):
    for repeat in result["repeats"]:
        for client in repeat["clients"]:
            client["accuracy"] = None


def _long(result):
    for repeat in result["repeats"]:
        for one in repeat["series"]:
            if one["name"] == "seconds":
                one["values"] = [9e99] * len(one["values"])


@pytest.mark.parametrize("change", [_one_class, _no_answer, _long])
def test_every_answer_is_json_whatever_a_result_holds(browse, cache, change):  # noqa: F811
    result = read_result(result_path(cache, "conf_a"))
    change(result)
    write_result(result_path(cache, "conf_a"), result)
    for path in (
        "runs",
        "runs/conf_a",
        "runs/conf_a/curves",
        "comparison?a=conf_a&b=conf_b",
        "story",
        "live",
    ):
        answer = browse().get(f"/api/v1/{path}")
        assert answer.status_code == 200, path

        def none(text):
            raise AssertionError(text)

        json.loads(answer.data, parse_constant=none)
    told = browse().get("/api/v1/runs/conf_a").json
    one = {"where": "test", "what": told["classes"][0], "folds": [0]}
    assert told["absent"] == ([one] if change is _one_class else [])
    assert browse().get("/home").status_code == browse().get("/runs/conf_a").status_code == 200


def test_a_number_that_is_none_is_null_and_noted(site, monkeypatch, caplog):
    monkeypatch.undo()
    odd = {"a": [1.5, math.nan, -math.inf], "b": {"c": math.inf}, "d": (1, True, None, "NaN")}
    expected = {"a": [1.5, None, None], "b": {"c": None}, "d": [1, True, None, "NaN"]}
    assert json.loads(documents.as_json(odd)) == json.loads(site.json.dumps(odd)) == expected
    assert "a number that is none" in caplog.text


def test_a_summary_that_holds_one_is_an_unreadable_result(site, browse, monkeypatch):
    from app.runs import library

    told = library.summarised
    odd = {"seconds": math.inf}
    monkeypatch.setattr(library, "summarised", lambda n, r: told(n, r) | (odd if n == "conf_a" else {}))
    listed = {one["name"]: one for one in browse().get("/api/v1/runs").json["runs"]}
    assert "cannot be summarised" in listed["conf_a"]["error"] and "error" not in listed["conf_b"]
