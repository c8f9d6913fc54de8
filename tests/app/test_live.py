"""Runs in training: everybody sees each round once, whoever comes back gets the rest only."""

import json

import pytest

from app.runs import live as module
from app.runs.live import Live, news, read_cursor, write_cursor
from tests.app.conftest import begin_training


@pytest.fixture
def training(cache):
    """A run in training, and a function that ends a round of one of its folds."""
    checkpoints, rounds = begin_training(cache, "conf_t")
    yield checkpoints, rounds
    checkpoints.release()


def test_each_round_is_news_once(cache, training):
    checkpoints, rounds = training
    watched, seen = Live(cache, None), {}
    rounds(0, [0.5])
    (first,) = news(watched.snapshot(), seen)
    assert (first["run"], first["from"], first["acc"], first["rounds"], first["repeats"]) == (
        "conf_t",
        0,
        [0.5],
        5,
        2,
    )
    assert news(watched.snapshot(), seen) == []
    rounds(0, [0.5, 0.6, 0.7])
    rounds(1, [0.4])
    assert [(one["repeat"][:5], one["from"], one["acc"]) for one in news(watched.snapshot(), seen)] == [
        ("fold0", 1, [0.6, 0.7]),
        ("fold1", 0, [0.4]),
    ]
    checkpoints.remove()
    assert news(watched.snapshot(), seen) == [{"run": "conf_t", "ended": True}] and seen == {}


def test_a_cursor_survives_the_header_and_nonsense_is_no_cursor():
    seen = {("conf_f10@2", "fold0-seed1-rotation0"): 7, ("conf_f5", "fold1-seed0-rotation0"): 12}
    assert read_cursor(write_cursor(seen)) == seen
    for nonsense in ("", "x", "a/b/-1", "a/b/1e9", "a/b/" + "9" * 100, "\u0663/b/\u0663", "," * 10_000):
        assert read_cursor(nonsense) == {}


def test_the_stream_sends_what_is_new_and_goes_on_from_the_last_event(browse, training, monkeypatch):
    _, rounds = training
    monkeypatch.setattr(module, "_PULSE", 0.0)
    monkeypatch.setattr(module, "_LIFETIME", 0.2)
    rounds(0, [0.5, 0.6])
    answer = browse().get("/api/v1/live/events")
    assert answer.mimetype == "text/event-stream"
    events = [part for part in answer.text.split("\n\n") if part.startswith("id: ")]
    assert len(events) == 1 and json.loads(events[0].partition("data: ")[2])["acc"] == [0.5, 0.6]
    cursor = events[0].partition("id: ")[2].partition("\n")[0]
    rounds(0, [0.5, 0.6, 0.7])
    again = browse().get("/api/v1/live/events", headers={"Last-Event-ID": cursor}).text
    assert '"from": 2' in again and '"acc": [0.7]' in again


def test_a_stream_gives_its_place_back_however_it_ends(site, browse, monkeypatch):
    monkeypatch.setattr(module, "_LIFETIME", 0.0)
    for _ in range(site.config["THREADS"] // 3):
        for method in ("HEAD", "GET"):  # and nobody reads a line
            answer = browse().client.open("/api/v1/live/events", method=method)
            assert answer.status_code == 200
            answer.close()  # as a server does
    assert all(
        site.extensions["live"].places.acquire(blocking=False) for _ in range(site.config["THREADS"] // 3)
    )


def test_streams_leave_room_for_everybody_else(site, browse):
    places = site.extensions["live"].places
    for _ in range(site.config["THREADS"] // 3):
        assert places.acquire(blocking=False)
    assert browse().get("/api/v1/live/events").status_code == 204
    assert browse().get("/api/v1/live").status_code == 200


BROKEN = [
    b"", b"PK\x03\x04 no zip", b"\x93NUMPY", b"[" * 100_000,
    b'{"conf": {"global_epochs": 1e999}, "folds": 1, "seeds": 1}',
]  # fmt: skip


@pytest.mark.parametrize("raw", BROKEN, ids=range(len(BROKEN)))
def test_damaged_checkpoints_and_plans_are_passed_over(browse, cache, training, raw):
    checkpoints, rounds = training
    rounds(0, [0.5])
    rounds(1, [float("nan")])  # JSON cannot say it
    rounds(2, [0.5])
    with_a_bit_off = checkpoints.folder / "fold2-seed0-rotation0.npz"
    whole = bytearray(with_a_bit_off.read_bytes())
    whole[whole.index(b"PK\1\2") + 10] ^= 64
    with_a_bit_off.write_bytes(whole)
    (checkpoints.folder / "fold3-seed0-rotation0.npz").write_bytes(raw)
    broken = cache / ".unfinished" / "conf_broken"
    broken.mkdir()
    (broken / "plan.json").write_bytes(raw)
    runs = browse().get("/api/v1/live").json["runs"]
    assert set(runs) == {"conf_t"} and list(runs["conf_t"]["begun"]) == ["fold0-seed0-rotation0"]


def test_a_run_that_nobody_works_on_is_not_in_training(browse, training):
    checkpoints, rounds = training
    rounds(0, [0.5])
    assert set(browse().get("/api/v1/live").json["runs"]) == {"conf_t"}
    checkpoints.release()  # as when it was halted or killed
    assert browse().get("/api/v1/live").json["runs"] == {}
