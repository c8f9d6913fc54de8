"""Tasks that people publish and take part in, by the API alone: publish, join, train, send, fold."""

import json
import shutil
import sqlite3
import threading
import uuid
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, update

from app.auth import service as people
from app.backup import backup, restore
from app.calls import folding, publishing, service
from app.calls.demo import seed
from app.calls.models import Accepted, Call, Category, Training, Version
from app.extensions import db
from app.jobs import runner
from app.jobs import service as jobs
from app.models import ApiToken, Job, User, new_secret, now
from tests.app.conftest import PASSWORD
from tests.app.test_at_once import at_once
from utils.calls.demo import diabetes
from utils.calls.fold import main
from utils.calls.weights import read, written

VALUES = {
    "format": {
        "input": {"kind": "values", "fields": [{"key": "a", "low": 0, "high": 1}, {"key": "b", "low": 0, "high": 10}]},
        "answer": {"kind": "label", "labels": ["no", "yes"]},
    },
    "network": {"layers": [{"dense": 4, "activation": "relu"}]},
    "training": {"lr": 0.1, "batch_size": 8},
    "aggregation": {"goal": 2, "least": 2},
    "limits": {"examples": 2, "per_version": 1},
    "consent": "What is computed: a **change** of the model.",
}  # fmt: skip


def publish(browser, described=VALUES, name="a and b"):
    made = browser.send(
        "POST", "/api/v1/calls", json={"name": name, "description": "# What\nfor", "described": described}
    )
    assert made.status_code == 200, made.json
    number = made.json["id"]
    done = browser.send("POST", f"/api/v1/calls/{number}/publish")
    assert done.status_code == 200, done.json
    return number


def model(browser, number, version):
    raw = browser.get(f"/api/v1/calls/{number}/versions/{version}/model.safetensors").data
    shapes = browser.get(f"/api/v1/calls/{number}").json["update"]["shapes"]
    return read(raw, shapes)


def train(browser, number, change=0.01, samples=20):
    """Join, begin, and send a change of every weight by so much; what the site says of it."""
    consent = browser.get(f"/api/v1/calls/{number}").json["consent"]["version"]
    assert browser.send("POST", f"/api/v1/calls/{number}/join", json={"consent": consent}).status_code == 200
    name = str(uuid.uuid4())
    begun = browser.send("POST", f"/api/v1/calls/{number}/trainings", json={"id": name})
    assert begun.status_code == 200, begun.json
    weights = model(browser, number, begun.json["training"]["version"])
    body = written({key: np.full_like(one, change) for key, one in weights.items()})
    path = f"/api/v1/calls/{number}/trainings/{name}?samples={samples}&steps=3&loss=0.5"
    sent = browser.send("PUT", path, data=body, content_type="application/octet-stream")
    assert sent.status_code == 200, sent.json
    return sent.json["training"]


def fold(site, apart=False):
    """What the supervisor does: begin folds that are due, carry them out, adopt what they made. In this process, which
    has torch already, unless they are to be carried out `apart` as they really are.
    """
    with site.app_context():
        folding.tend()
        while claimed := jobs.claim_next(folds=True):
            if apart:
                runner.carry_out(site, *claimed, threading.Event())
                continue
            folder = folding.asked_of(db.session.get(Job, claimed[0]))
            jobs.settle(*claimed, main([str(folder)]), "no safetensors")
        folding.tend()


@pytest.fixture(scope="module")
def known():
    """Tries of descriptions by what they are, so that each is made once."""
    return {}


@pytest.fixture(autouse=True)
def tried_once(monkeypatch, known, tmp_path_factory):
    """What a try finds follows from the description alone; to start PyTorch for each takes seconds."""
    really = publishing.tried

    def tried(raw, test=lambda folder: None):
        text = json.dumps(raw, sort_keys=True)
        if text not in known:
            of, found, folder = really(raw, test)
            known[text] = of, found, shutil.copytree(folder, tmp_path_factory.mktemp("tried") / "it")
            shutil.rmtree(folder)
        of, found, kept = known[text]
        return of, found, Path(shutil.copytree(kept, tmp_path_factory.mktemp("again") / "it"))

    monkeypatch.setattr(publishing, "tried", tried)


def test_two_updates_make_a_version_that_is_their_mean(site, browse):
    researcher, one, other = browse("researcher"), browse("user"), browse("admin")
    number = publish(researcher)
    before = model(one, number, 1)
    assert train(one, number, 0.01, 10)["state"] == "waiting"
    assert train(other, number, 0.04, 20)["state"] == "waiting"
    fold(site)
    told = one.get(f"/api/v1/calls/{number}").json
    assert (told["version"], told["progress"]["waiting"], told["progress"]["folding"]) == (2, 0, False)
    after = model(one, number, 2)
    for key in before:
        np.testing.assert_allclose(after[key] - before[key], 0.03, atol=1e-6)
    [mine] = one.get(f"/api/v1/calls/{number}/trainings").json["trainings"]
    assert (mine["state"], mine["version_after"]) == ("folded", 2)
    [first, second] = one.get(f"/api/v1/calls/{number}/versions").json["versions"]
    assert (second["parent"], second["updates"], second["examples"], first["parent"]) == (1, 2, 30, None)


def _join(browser, number):
    consent = browser.get(f"/api/v1/calls/{number}").json["consent"]["version"]
    return browser.send("POST", f"/api/v1/calls/{number}/join", json={"consent": consent})


def _begin(browser, number, name=None):
    name = name or str(uuid.uuid4())
    return name, browser.send("POST", f"/api/v1/calls/{number}/trainings", json={"id": name})


def _body(browser, number, change=0.01, version=1):
    return written({key: np.full_like(one, change) for key, one in model(browser, number, version).items()})


def _put(browser, number, name, body, query="samples=20&steps=3&loss=0.5"):
    path = f"/api/v1/calls/{number}/trainings/{name}?{query}"
    return browser.send("PUT", path, data=body, content_type="application/octet-stream")


def test_who_has_not_joined_or_not_read_the_present_text_does_not_train(site, browse):
    researcher, user = browse("researcher"), browse("user")
    number = publish(researcher)
    _, refused = _begin(user, number)
    assert (refused.status_code, refused.json["why"], refused.json["retry_after"]) == (409, "not joined", 0)
    wrong = user.send("POST", f"/api/v1/calls/{number}/join", json={"consent": 7})
    assert (wrong.status_code, wrong.json["why"]) == (409, "consent changed")
    assert _join(user, number).json["me"]["consent"] == 1
    changed = {"described": {"consent": "Another text."}}
    assert researcher.send("PUT", f"/api/v1/calls/{number}", json=changed).status_code == 200
    _, refused = _begin(user, number)
    assert refused.json["why"] == "consent changed"
    me = user.get(f"/api/v1/calls/{number}").json["me"]
    assert (me["consent"], me["consent_current"]) == (1, False)
    assert _join(user, number).json["me"]["consent"] == 2
    assert _begin(user, number)[1].status_code == 200
    with site.app_context():
        assert [one.version for one in db.session.scalars(select(Accepted).order_by(Accepted.id))] == [1, 2]


def test_the_same_twice_is_once(browse):
    number, user = publish(browse("researcher")), browse("user")
    _join(user, number)
    name, first = _begin(user, number)
    assert _begin(user, number, name)[1].json["training"] == {
        **first.json["training"], "expires_in": pytest.approx(first.json["training"]["expires_in"], abs=60),
    }  # fmt: skip
    body = _body(user, number)
    sent = _put(user, number, name, body).json["training"]
    assert _put(user, number, name, body).json["training"] == sent
    assert _put(user, number, name, _body(user, number, 0.02)).status_code == 409
    assert len(user.get(f"/api/v1/calls/{number}/trainings").json["trainings"]) == 1


def test_a_limit_holds_however_many_ask_at_once(site, browse):
    limits = {"limits": {"trainings": 2, "per_version": 0, "examples": 2}}
    number, user = publish(browse("researcher"), {**VALUES, **limits}), browse("user")
    _join(user, number)
    path = f"/api/v1/calls/{number}/trainings"
    asked = [(path, {"json": {"id": str(uuid.uuid4())}}) for _ in range(20)]
    assert at_once(site, user, asked) == [200] * 2 + [409] * 18
    _, refused = _begin(user, number)
    assert refused.json["why"] == "over the limit"


def test_of_one_version_one_training_is_taken_and_the_next_is_told_when(browse):
    number, user = publish(browse("researcher")), browse("user")
    train(user, number)
    _, refused = _begin(user, number)
    assert (refused.json["why"], refused.json["retry_after"]) == ("wait for the next version", 30)
    assert refused.headers["Retry-After"] == "30"


BAD = {
    "not finite": lambda good: written({key: np.full_like(one, np.nan) for key, one in good.items()}),
    "norm too large": lambda good: written({key: 1e6 * np.ones_like(one) for key, one in good.items()}),
    "wrong shape": lambda good: written({key: one.ravel() for key, one in good.items()}),
}


@pytest.mark.parametrize("reason", BAD)
def test_what_would_harm_the_model_is_refused_with_the_reason_and_deleted(site, browse, reason):
    number, user = publish(browse("researcher")), browse("user")
    _join(user, number)
    name, _ = _begin(user, number)
    told = _put(user, number, name, BAD[reason](model(user, number, 1))).json["training"]
    assert (told["state"], told["reason"], told["kept"]) == ("refused", reason, False)
    assert reason not in told["says"] or told["says"].startswith("Refused: ")
    assert not list((site.config["INSTANCE"] / "calls" / str(number)).glob("updates/*"))
    assert user.get(f"/api/v1/calls/{number}").json["progress"]["waiting"] == 0
    assert _begin(user, number)[1].status_code == 200  # what was refused does not count


def test_too_few_examples_and_lies_about_them(browse):
    number, user = publish(browse("researcher")), browse("user")
    _join(user, number)
    name, _ = _begin(user, number)
    body = _body(user, number)
    assert (
        _put(user, number, name, body, "samples=1&steps=1&loss=0").json["training"]["reason"]
        == "too few examples"
    )
    for query in ("samples=0&steps=1&loss=0", "samples=1e9&steps=1&loss=0", "samples=9&steps=1&loss=nan", ""):
        name, _ = _begin(user, number)
        assert _put(user, number, name, body, query).status_code == 422


def test_a_claim_of_many_examples_counts_for_no_more_than_the_task_says(site, browse):
    limits = {"limits": {"examples": 2, "counted": 30}}
    number, user, other = publish(browse("researcher"), {**VALUES, **limits}), browse("user"), browse("admin")
    before = model(user, number, 1)
    train(user, number, 0.04, samples=10**9)
    train(other, number, 0.0, samples=30)
    fold(site)
    after = model(user, number, 2)
    for key in before:
        np.testing.assert_allclose(after[key] - before[key], 0.02, atol=1e-6)


def test_a_gigabyte_and_an_unknown_length_are_refused_before_they_are_read(site, browse):
    number, user = publish(browse("researcher")), browse("user")
    _join(user, number)
    name, _ = _begin(user, number)
    path = f"/api/v1/calls/{number}/trainings/{name}?samples=9&steps=1&loss=0"

    class Never:
        def read(self, *_):
            raise AssertionError("it is read")

        readline = read

    for length, code in (("1000000000", 413), (None, 411)):
        environ = {"wsgi.input": Never(), "CONTENT_LENGTH": length} if length else {"wsgi.input": Never()}
        if length is None:
            environ["HTTP_TRANSFER_ENCODING"] = "chunked"
            environ["wsgi.input_terminated"] = True
        headers = {"X-CSRFToken": user.token(), "Content-Type": "application/octet-stream"}
        answer = user.client.open(path, method="PUT", headers=headers, environ_overrides=environ)
        assert answer.status_code == code


def test_an_update_larger_than_a_form_comes_from_a_page_too_and_a_form_as_large_does_not(browse):
    """The page's token is looked for before the view bounds the body."""
    wide = {**VALUES, "network": {"layers": [{"dense": 30_000, "activation": "relu"}]}}
    number, user = publish(browse("researcher"), wide, "wide"), browse("user")
    _join(user, number)
    name, _ = _begin(user, number)
    body = _body(user, number, 1e-6)
    assert len(body) > 256 * 1024
    path = f"/api/v1/calls/{number}/trainings/{name}?samples=20&steps=3&loss=0.5"
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None):
        assert user.send("PUT", path, data=body, content_type=kind).status_code == 413
    assert _put(user, number, name, body).json["training"]["state"] == "waiting"


def test_how_a_network_reckons_is_told_with_the_names_of_its_weights(browse):
    researcher, visitor = browse("researcher"), browse()
    number = publish(researcher)
    told = visitor.get(f"/api/v1/calls/{number}/steps").json
    assert [one["do"] for one in told["steps"]] == ["dense", "relu", "dense"] and told["backbone"] is None
    shapes = visitor.get(f"/api/v1/calls/{number}").json["update"]["shapes"]
    named = [one[key] for one in told["steps"] for key in ("weight", "bias") if key in one]
    assert sorted(named) == sorted(shapes)
    page = visitor.get(f"/tasks/{number}/train")
    assert page.status_code == 200 and "wasm-unsafe-eval" not in page.headers["Content-Security-Policy"]
    draft = researcher.send("POST", "/api/v1/calls", json={"name": "d", "described": VALUES}).json["id"]
    for path in (f"/tasks/{draft}/train", f"/api/v1/calls/{draft}/steps"):
        assert researcher.get(path).status_code == 404


def test_nobody_touches_what_is_anothers(browse):
    researcher, user, other = browse("researcher"), browse("user"), browse("admin")
    number, second = publish(researcher), publish(researcher, name="another")
    _join(user, number)
    _join(other, number)
    name, _ = _begin(user, number)
    body = _body(user, number)
    assert _put(other, number, name, body).status_code == 404
    assert _put(user, second, name, body).status_code == 404  # of another task
    assert other.send("DELETE", f"/api/v1/calls/{number}/trainings/{name}").status_code == 404
    for path in ("pause", "finish", "fold", "versions/1/restore", "publish"):
        assert user.send("POST", f"/api/v1/calls/{number}/{path}").status_code == 403
    assert user.send("PUT", f"/api/v1/calls/{number}", json={"name": "mine"}).status_code == 403


def test_a_token_needs_the_scope(site, browse):
    number = publish(browse("researcher"))
    secrets = {}
    with site.app_context():
        user = db.session.scalar(select(User).where(User.email == "user@example.org"))
        for scope in ("read", "participate"):
            secrets[scope], hashed = new_secret()
            user.tokens.append(ApiToken(name=scope, secret_hash=hashed, scopes=scope))
        db.session.commit()
    client = site.test_client()
    for scope, code in (("read", 403), ("participate", 200)):
        headers = {"Authorization": f"Bearer {secrets[scope]}"}
        answer = client.post(f"/api/v1/calls/{number}/join", json={"consent": 1}, headers=headers)
        assert answer.status_code == code


def test_who_leaves_takes_back_what_waits_and_trains_no_more(site, browse):
    number, user = publish(browse("researcher")), browse("user")
    sent = train(user, number)
    assert user.send("POST", f"/api/v1/calls/{number}/leave").json["me"]["state"] == "left"
    [one] = user.get(f"/api/v1/calls/{number}/trainings").json["trainings"]
    assert (one["id"], one["state"], one["kept"]) == (sent["id"], "withdrawn", False)
    assert not list((site.config["INSTANCE"] / "calls" / str(number)).glob("updates/*"))
    assert _begin(user, number)[1].json["why"] == "not joined"


def test_a_training_goes_back_when_it_is_taken_back_and_not_when_it_is_folded(site, browse):
    number, user, other = publish(browse("researcher")), browse("user"), browse("admin")
    sent = train(user, number)
    path = f"/api/v1/calls/{number}/trainings/"
    for _ in range(2):
        assert user.send("DELETE", path + sent["id"]).json["training"]["state"] == "withdrawn"
    sent = train(user, number)
    train(other, number)
    fold(site)
    assert user.send("DELETE", path + sent["id"]).status_code == 409


def test_by_hand_nothing_is_folded_by_itself_and_too_few_not_at_all(site, browse):
    manual = {"aggregation": {"mode": "manual", "goal": 2, "least": 2}}
    researcher, user, other = browse("researcher"), browse("user"), browse("admin")
    number = publish(researcher, {**VALUES, **manual})
    train(user, number)
    assert researcher.send("POST", f"/api/v1/calls/{number}/fold").status_code == 409
    train(other, number)
    fold(site)
    assert user.get(f"/api/v1/calls/{number}").json["version"] == 1
    assert researcher.send("POST", f"/api/v1/calls/{number}/fold").json["progress"]["folding"]
    assert researcher.send("POST", f"/api/v1/calls/{number}/fold").status_code == 409  # two at once are none
    fold(site)
    assert user.get(f"/api/v1/calls/{number}").json["version"] == 2


def test_after_so_many_minutes_the_least_suffice(site, browse):
    rule = {"aggregation": {"goal": 9, "least": 2, "minutes": 10}}
    number, user, other = publish(browse("researcher"), {**VALUES, **rule}), browse("user"), browse("admin")
    train(user, number)
    fold(site)
    assert (
        user.get(f"/api/v1/calls/{number}").json["progress"]["due_in"] is None
    )  # alone it waits for another
    train(other, number)
    fold(site)
    due = user.get(f"/api/v1/calls/{number}").json["progress"]["due_in"]
    assert 500 < due <= 600
    with site.app_context():
        db.session.execute(update(Training).values(sent=now() - timedelta(minutes=11)))
        db.session.commit()
    fold(site)
    assert user.get(f"/api/v1/calls/{number}").json["version"] == 2


def test_what_is_too_old_is_refused_and_a_branch_that_was_left_too(site, browse):
    researcher, user, other = browse("researcher"), browse("user"), browse("admin")
    limits = {"limits": {"examples": 2, "staleness": 0, "per_version": 0}}
    number = publish(researcher, {**VALUES, **limits})
    _join(user, number)
    late, _ = _begin(user, number)
    body = _body(user, number)
    train(user, number)
    train(other, number)
    fold(site)
    told = _put(user, number, late, body).json["training"]
    assert (told["state"], told["reason"]) == ("refused", "too late")
    on_two, _ = _begin(user, number)
    gone_back = researcher.send("POST", f"/api/v1/calls/{number}/versions/1/restore")
    assert (gone_back.status_code, gone_back.json["version"]) == (200, 1)
    assert _put(user, number, on_two, body).json["training"]["reason"] == "too late"
    train(user, number)
    train(other, number)
    fold(site)
    versions = user.get(f"/api/v1/calls/{number}/versions").json["versions"]
    assert [(one["number"], one["parent"], one["current"]) for one in versions] == [
        (1, None, False), (2, 1, False), (3, 1, True),
    ]  # fmt: skip


def test_a_fold_that_is_killed_or_breaks_leaves_the_version_and_its_updates(site, browse, monkeypatch):
    number, user, other = publish(browse("researcher")), browse("user"), browse("admin")
    train(user, number)
    train(other, number)
    with site.app_context():
        folding.tend()
        assert jobs.claim_next(folds=True)  # and its process is lost
        folding.tend()
        assert jobs.requeue_lost(now() + timedelta(days=1))
    fold(site)
    assert user.get(f"/api/v1/calls/{number}").json["version"] == 2
    train(user, number)
    train(other, number)
    (site.config["INSTANCE"] / "calls" / str(number) / "versions" / "2.safetensors").write_bytes(b"torn")
    fold(site)
    told = user.get(f"/api/v1/calls/{number}").json
    assert (told["version"], told["progress"]["waiting"]) == (2, 2) and "no safetensors" in told["progress"][
        "failed"
    ]
    with site.app_context():
        assert not db.session.scalars(select(Call.folding).where(Call.folding.is_not(None))).all()


def test_a_job_of_a_fold_that_somebody_stops_or_deletes_lets_its_updates_wait_again(site, browse):
    researcher, user, other = browse("researcher"), browse("user"), browse("admin")
    number = publish(researcher)
    for how in ("stop", "delete"):
        if how == "stop":
            train(user, number)
            train(other, number)
        else:
            researcher.send("POST", f"/api/v1/calls/{number}/fold")
        with site.app_context():
            folding.tend()
            job = db.session.scalar(select(Call.folding).where(Call.id == number))
        if how == "stop":
            assert researcher.send("POST", f"/api/v1/jobs/{job}/stop").status_code == 200
        else:
            assert researcher.send("DELETE", f"/api/v1/jobs/{job}").status_code == 200
        with site.app_context():
            folding.tend()
        assert user.get(f"/api/v1/calls/{number}").json["progress"]["waiting"] == 2
    assert researcher.send("POST", f"/api/v1/calls/{number}/fold").status_code == 200
    fold(site)
    assert user.get(f"/api/v1/calls/{number}").json["version"] == 2


def test_a_draft_is_nobodys_else_and_published_as_a_whole_or_not_at_all(site, browse):
    researcher, user, other = browse("researcher"), browse("user"), browse("admin")
    made = researcher.send("POST", "/api/v1/calls", json={"name": "draft"})
    number = made.json["id"]
    assert user.get(f"/api/v1/calls/{number}").status_code == 404
    assert number not in [one["id"] for one in user.get("/api/v1/calls").json["calls"]]
    for described, message in (
        ({}, "format: expected a value"),
        ({**VALUES, "consent": ""}, "Say in the consent text what people agree to."),
        (
            {**VALUES, "start": {"from": "run", "run": "conf_a"}},
            "start.run: expected a run that has kept its model",
        ),
    ):
        edit = {"described": described, "description": "x"}
        assert researcher.send("PUT", f"/api/v1/calls/{number}", json=edit).status_code == 200
        refused = researcher.send("POST", f"/api/v1/calls/{number}/publish")
        assert refused.status_code == 422 and message in refused.json["error"]["message"]
        assert researcher.get(f"/api/v1/calls/{number}").json["state"] == "draft"
        assert not (site.config["INSTANCE"] / "calls" / str(number)).exists()
    researcher.send("PUT", f"/api/v1/calls/{number}", json={"described": VALUES})
    assert researcher.send("POST", f"/api/v1/calls/{number}/publish").json["state"] == "open"
    assert researcher.send("POST", f"/api/v1/calls/{number}/publish").status_code == 422
    frozen = researcher.send(
        "PUT", f"/api/v1/calls/{number}", json={"described": {**VALUES, "network": "mlp"}}
    )
    assert frozen.status_code == 409 and "network" in frozen.json["error"]["message"]
    assert researcher.send("DELETE", f"/api/v1/calls/{number}").status_code == 409
    assert other.send("DELETE", f"/api/v1/calls/{number}").json == {"gone": True}
    assert not (site.config["INSTANCE"] / "calls" / str(number)).exists()


def test_states_change_only_as_they_may(browse):
    researcher, user = browse("researcher"), browse("user")
    number = publish(researcher)
    _join(user, number)
    for action, state, code in (
        ("resume", "open", 409), ("pause", "paused", 200), ("pause", "paused", 409), ("resume", "open", 200),
        ("finish", "finished", 200), ("pause", "finished", 409), ("resume", "open", 200),
        ("cancel", "cancelled", 200), ("resume", "cancelled", 409),
    ):  # fmt: skip
        assert researcher.send("POST", f"/api/v1/calls/{number}/{action}").status_code == code
        assert user.get(f"/api/v1/calls/{number}").json["state"] == state
        if state in ("paused", "finished"):
            assert _begin(user, number)[1].json["why"] == {"paused": "paused", "finished": "closed"}[state]


def test_html_is_no_html_anywhere(browse):
    evil = "<img src=x onerror=alert(1)><script>alert(1)</script>[a](javascript:alert(1)) <b>bold</b>"
    described = {**VALUES, "consent": evil}
    researcher = browse("researcher")
    made = researcher.send(
        "POST", "/api/v1/calls", json={"name": evil[:80], "description": evil, "described": described}
    )
    number = made.json["id"]
    told = researcher.send("POST", f"/api/v1/calls/{number}/publish").json
    for text in (told["html"], told["consent"]["html"]):
        assert "<img" not in text and "<script" not in text and "<b>" not in text
        assert 'href="javascript' not in text
    assert told["about"].startswith("<img src=x")  # text, which no page takes for HTML
    cover = researcher.get(f"/api/v1/calls/{number}/cover")
    assert cover.mimetype == "image/svg+xml" and b"<script" not in cover.data and b"&lt;" in cover.data
    page = researcher.get(f"/tasks/{number}").get_data(as_text=True)
    assert "<img src=x" not in page and "<script>alert" not in page


def test_what_goes_is_gone(site, browse):
    researcher, user, other = browse("researcher"), browse("user"), browse("admin")
    number = publish(researcher)
    train(user, number)
    train(other, number)
    fold(site)
    train(user, number)
    form = {"password": PASSWORD, "runs": "delete"}
    assert user.post("/profile/delete", form).status_code == 302
    assert researcher.post("/profile/delete", form).status_code == 302
    told = other.get(f"/api/v1/calls/{number}").json
    assert (told["state"], told["by"], told["participants"], told["version"]) == ("finished", "", 1, 2)
    with site.app_context():
        assert len(db.session.scalars(select(Training)).all()) == 1  # the other's
        assert len(list((site.config["INSTANCE"] / "calls" / str(number)).glob("updates/*"))) == 1


def test_updates_go_when_their_time_is_over(site, browse):
    number, user, other = publish(browse("researcher")), browse("user"), browse("admin")
    train(user, number)
    train(other, number)
    fold(site)
    train(user, number)
    with site.app_context():
        service.forget_updates()
        assert len(list((site.config["INSTANCE"] / "calls" / str(number)).glob("updates/*"))) == 3
        db.session.execute(update(Training).values(sent=now() - timedelta(days=31)))
        db.session.commit()
        service.forget_updates()
    assert not list((site.config["INSTANCE"] / "calls" / str(number)).glob("updates/*"))
    told = user.get(f"/api/v1/calls/{number}/trainings").json["trainings"]
    assert [one["kept"] for one in told] == [False, False]
    assert [one["state"] for one in told] == [
        "refused",
        "folded",
    ]  # nothing waits for longer than was agreed to


def test_an_account_that_goes_while_a_fold_waits_stops_no_other_task(site, browse):
    researcher = browse("researcher")
    number, ending = publish(researcher), publish(researcher)
    people = [browse(role) for role in ("user", "admin", "researcher")]
    goal = {"described": {"aggregation": {"goal": 3, "least": 2}}}
    assert researcher.send("PUT", f"/api/v1/calls/{number}", json=goal).status_code == 200
    given = [[0.1, 0.2, "no"], [0.9, 8, "yes"]]
    table = "a,b,label\n" + "\n".join(",".join(map(str, row)) for row in given)
    assert researcher.send("PUT", f"/api/v1/calls/{number}/test", data=table).json["used"] == 2
    for change, one in enumerate(people, 1):
        train(one, number, change / 100)
    for one in people[:2]:
        train(one, ending)
    with site.app_context():
        folding.tend()
        gone = db.session.scalars(select(Training).order_by(Training.id)).first().participation.user
        service.forget_person(gone)
        db.session.commit()
        while claimed := jobs.claim_next(folds=True):
            try:
                folder = folding.asked_of(db.session.get(Job, claimed[0]))
            except OSError as error:
                jobs.settle(*claimed, 1, str(error.strerror))
            else:
                jobs.settle(*claimed, main([str(folder)]), "")
        folding.tend()
        found = db.session.scalars(select(Training).where(Training.call_id == number)).all()
        assert [one.state for one in found] == ["folded", "folded"]
        worth = [json.loads(one.worth) for one in found]
        assert all("shapley" in one for one in worth)
    assert researcher.get(f"/api/v1/calls/{ending}").json["version"] == 1  # one alone is never folded
    assert "too few" in researcher.get(f"/api/v1/calls/{ending}").json["progress"]["failed"]


def test_what_no_json_has_is_kept_nowhere(browse):
    for text in ('{"a": NaN}', '{"a": "\\ud800"}'):
        made = browse("researcher").send(
            "POST",
            "/api/v1/calls",
            data=f'{{"name": "x", "described": {text}}}',
            content_type="application/json",
        )
        assert made.status_code == 409 and "cannot be kept" in made.json["error"]["message"]


def test_test_examples_of_a_draft_have_to_fit_what_it_asks_now(browse):
    researcher = browse("researcher")
    number = researcher.send(
        "POST", "/api/v1/calls", json={"name": "a", "description": "R & D", "described": VALUES}
    )
    number = number.json["id"]
    assert researcher.get(f"/api/v1/calls/{number}").json["about"] == "R & D"
    given = f"/api/v1/calls/{number}/test"
    assert researcher.send("PUT", given, data="a,b,label\n0.1,2,no\n0.9,8,yes").json["used"] == 2
    more = {"key": "c", "low": 0, "high": 1}
    shape = {"kind": "values", "fields": [*VALUES["format"]["input"]["fields"], more]}
    other = {"described": {**VALUES, "format": {**VALUES["format"], "input": shape}}}
    assert researcher.send("PUT", f"/api/v1/calls/{number}", json=other).status_code == 200
    refused = researcher.send("POST", f"/api/v1/calls/{number}/publish")
    assert refused.status_code == 422 and "another format" in refused.json["error"]["message"]
    table = "a,b,c,label\n0.1,2,0,no\n" + "9" * 200_000 + ",0,0,no"
    assert "field" in researcher.send("PUT", given, data=table).json["error"]["message"]
    assert researcher.send("PUT", given, data="a,b,c,label\n0.1,2,0,no").json["used"] == 1
    done = researcher.send("POST", f"/api/v1/calls/{number}/publish")
    assert done.status_code == 200 and done.json["test"]["accepted"] == 1


def test_a_training_of_whom_nothing_is_heard_gives_its_place_back(site, browse):
    limits = {"limits": {"trainings": 1, "examples": 2}}
    number, user = publish(browse("researcher"), {**VALUES, **limits}), browse("user")
    _join(user, number)
    first, _ = _begin(user, number)
    assert _begin(user, number)[1].json["why"] == "over the limit"
    with site.app_context():
        db.session.execute(update(Training).values(expires=now() - timedelta(minutes=1)))
        db.session.commit()
        service.lapse()
    second, begun = _begin(user, number)
    assert begun.status_code == 200
    body = _body(user, number)
    assert _put(user, number, second, body).json["training"]["state"] == "waiting"
    assert _put(user, number, first, body).json["training"]["reason"] == "over the limit"


def test_of_one_version_a_training_that_has_lapsed_is_no_second_one(site, browse):
    number, user = publish(browse("researcher")), browse("user")  # one a version, fifty in all
    _join(user, number)
    first, _ = _begin(user, number)
    with site.app_context():  # its time is over, and nobody has noted it yet
        db.session.execute(update(Training).values(expires=now() - timedelta(minutes=1)))
        db.session.commit()
    second, begun = _begin(user, number)
    assert begun.status_code == 200
    body = _body(user, number)
    assert _put(user, number, second, body).json["training"]["state"] == "waiting"
    assert _put(user, number, first, body).json["training"]["reason"] == "over the limit"


def test_each_order_is_worked_out_otherwise_and_says_how(site, browse):
    researcher, user, other = browse("researcher"), browse("user"), browse("admin")
    with site.app_context():
        db.session.add_all([Category(name="One", name_zh="一"), Category(name="Two", place=-1)])
        db.session.commit()
    numbers = [publish(researcher, name=f"task {number}") for number in range(4)]
    for number, category in zip(numbers, (1, 2, 1, 2), strict=True):
        researcher.send("PUT", f"/api/v1/calls/{number}", json={"category_id": category})
    train(user, numbers[0])
    train(other, numbers[0])
    train(other, numbers[1])
    fold(site)

    def order(which, browser=user, **more):
        query = "&".join(f"{key}={value}" for key, value in {"order": which, **more}.items())
        told = browser.get(f"/api/v1/calls?{query}").json
        return [one["id"] for one in told["calls"]], told["says"]

    assert order("new")[0] == numbers[::-1]
    assert order("hot")[0][0] == numbers[0]
    assert order("recommended")[0][:2] == [
        numbers[1],
        numbers[2],
    ]  # what the other joined; then of my category
    assert len({order(which)[1] for which in ("new", "hot", "recommended")}) == 3
    assert order("new", category=2)[0] == [numbers[3], numbers[1]]
    assert order("new", search="task 2")[0] == [numbers[2]] and order("new", search="%")[0] == []
    told = user.get("/api/v1/calls").json["categories"]
    assert [(one["name"], one["count"]) for one in told] == [("Two", 2), ("One", 2)]


def test_a_backup_holds_versions_and_updates_and_what_is_lost_is_told(site, browse, tmp_path, capsys):
    number, user, other = publish(browse("researcher")), browse("user"), browse("admin")
    train(user, number)
    train(other, number)
    fold(site)
    train(user, number)
    folder = site.config["INSTANCE"] / "calls" / str(number)
    before = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {path.parts[0] for path in before} == {"versions", "updates"}
    with site.app_context():
        db.engine.dispose()
    assert backup(site, tmp_path / "b.tar.gz") == 0
    shutil.rmtree(folder)
    assert restore(site, tmp_path / "b.tar.gz") == 0
    assert {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    } == before
    shutil.rmtree(folder / "updates")
    train(other, number)
    with pytest.raises(service.CallError, match="1 updates wait"), site.app_context():
        folding.fold(db.session.get(Call, number))
    [mine, _] = user.get(f"/api/v1/calls/{number}/trainings").json["trainings"]
    assert (mine["state"], mine["reason"]) == ("refused", "lost")


def test_shares_are_the_publishers_to_see_and_credits_only_where_the_task_gives_them(site, browse):
    researcher, user, other = browse("researcher"), browse("user"), browse("admin")
    for credits in (False, True):
        number = publish(researcher, {**VALUES, "credits": credits}, name=f"credits {credits}")
        table = b"a,b,label\n0.5,5,yes\n0.1,1,no\n0.9,3,yes\n"
        given = researcher.send("PUT", f"/api/v1/calls/{number}/test", data=table, content_type="text/csv")
        assert given.json["used"] == 3
        train(user, number, 0.05)
        train(other, number, -0.05)
        fold(site)
        assert user.get(f"/api/v1/calls/{number}/shares").status_code == 403
        shares = researcher.get(f"/api/v1/calls/{number}/shares").json["shares"]
        assert [one["folded"] for one in shares] == [1, 1]
        for one in shares:
            assert one["worth"]["credits"] == (round(100 * one["worth"]["shapley"], 2) if credits else None)
        [mine] = user.get(f"/api/v1/calls/{number}/trainings").json["trainings"]
        me = user.get(f"/api/v1/calls/{number}").json["me"]
        assert me["worth"] in [one["worth"] for one in shares]
        assert me["worth"]["shapley"] == mine["worth"]["shapley"]


def test_a_draft_has_no_part_in_what_is_published(browse):
    researcher = browse("researcher")
    number = researcher.send("POST", "/api/v1/calls", json={"name": "draft"}).json["id"]
    path = f"/api/v1/calls/{number}"
    for method, rest, body in (
        ("POST", "fold", None), ("GET", "examples", None), ("GET", "examples/1.png", None),
        ("POST", "examples", {"consent": True, "examples": [{"answer": 1}]}),
        ("POST", "examples/1/accept", {}), ("DELETE", "examples/1", None),
    ):  # fmt: skip
        assert (
            researcher.send(
                method, f"{path}/{rest}", **({"json": body} if body is not None else {})
            ).status_code
            == 404
        )
    for action in ("pause", "resume", "finish", "cancel"):
        assert researcher.send("POST", f"{path}/{action}").status_code == 409
    for rest in ("", "/versions", "/trainings", "/shares", "/cover"):
        assert researcher.get(path + rest).status_code == 200
    assert researcher.get(f"/tasks/{number}").status_code == 200
    given = researcher.send("PUT", f"{path}/test", data=b"a,b\n1,2\n", content_type="text/csv")
    assert (given.status_code, given.json["error"]["message"]) == (422, "format: expected a value")


def test_a_draft_that_changes_while_it_is_tried_is_not_published(browse, monkeypatch):
    researcher = browse("researcher")
    given = {"name": "draft", "description": "x", "described": VALUES}
    number = researcher.send("POST", "/api/v1/calls", json=given).json["id"]
    really = publishing.tried

    def tried(raw, test=lambda folder: None):
        found = really(raw, test)
        db.session.execute(update(Call).values(described=json.dumps({**VALUES, "lambda": 0.5})))
        db.session.commit()
        return found

    monkeypatch.setattr(publishing, "tried", tried)
    refused = researcher.send("POST", f"/api/v1/calls/{number}/publish")
    assert refused.status_code == 422 and "has changed while it was tried" in refused.json["error"]["message"]
    told = researcher.get(f"/api/v1/calls/{number}").json
    assert (told["state"], told["described"]["lambda"]) == ("draft", 0.5)
    wrong = researcher.send("PUT", f"/api/v1/calls/{number}", json={"category_id": 99, "name": "other"})
    assert wrong.status_code == 409
    assert researcher.get(f"/api/v1/calls/{number}").json["name"] == "draft"


def test_the_demos_board_is_filled_once_and_makes_nobody_wait(site, monkeypatch):
    with site.app_context():
        people.register("greatabel1@126.com", "abel", PASSWORD, "researcher")
    monkeypatch.setattr("app.calls.demo.demos", lambda: [diabetes()])
    really, database = publishing.tried, site.config["INSTANCE"] / "demo.db"

    def killed(*_):
        raise KeyboardInterrupt

    def tried(*given):
        with closing(sqlite3.connect(database, timeout=0.2)) as other:
            other.execute("BEGIN IMMEDIATE")  # somebody logs in meanwhile, say
            other.rollback()
        return really(*given)

    for how, states in ((killed, ["draft"]), (tried, ["open"]), (killed, ["open"])):
        monkeypatch.setattr(publishing, "tried", how)
        with site.app_context(), suppress(KeyboardInterrupt):
            seed()
        with site.app_context():
            assert db.session.scalars(select(Call.state)).all() == states
    with site.app_context():
        assert len(db.session.scalars(select(Category)).all()) == 3
        [call] = db.session.scalars(select(Call)).all()
        tested = db.session.scalars(select(Version.tested).where(Version.call_id == call.id)).all()
    assert tested == [100]
