"""Limits hold however many ask at once: what is counted is counted where nobody else writes."""

import time
from concurrent.futures import ThreadPoolExecutor

import pyotp
from sqlalchemy import select

from app.auth import service as people
from app.extensions import db
from app.jobs import service as jobs
from app.models import MAX_SESSIONS, ApiToken, Job, LiveSession, RunLabel, User
from app.profile.routes import MAX_TOKENS
from tests.app.conftest import PASSWORD
from tests.conftest import TINY

TIMES = 24


def at_once(site, browser, requests):
    """Status codes of requests (path and what is sent) made at once, each through a connection of its own.

    Who is told to come back does.
    """
    token, cookie = browser.token(), browser.cookie()

    def send(one):
        path, given = one
        client = site.test_client()
        client.set_cookie("skyfed_demo_session", cookie or "")
        while True:
            sent = given() if callable(given) else given
            answer = client.open(path, headers={"X-CSRFToken": token}, **{"method": "POST", **sent})
            if answer.status_code != 503:
                return answer.status_code
            time.sleep(0.1)

    with ThreadPoolExecutor(len(requests)) as pool:
        return sorted(pool.map(send, requests))


def _all(site, what):
    with site.app_context():
        return db.session.scalars(select(what)).all()


def test_tokens(site, browse):
    one = ("/profile/tokens", {"data": {"name": "n", "scopes": "read"}})
    assert at_once(site, browse("user"), [one] * TIMES) == [201] * MAX_TOKENS + [422] * (TIMES - MAX_TOKENS)
    assert len(_all(site, ApiToken)) == MAX_TOKENS


def test_sessions(site, browse):
    one = ("/login", {"data": {"email": "user@example.org", "password": PASSWORD}})
    assert at_once(site, browse(), [one] * TIMES) == [302] * TIMES
    assert len(_all(site, LiveSession)) == MAX_SESSIONS


def test_trainings_that_wait(site, browse, monkeypatch):
    monkeypatch.setattr(jobs, "MAX_WAITING", 3)
    browser = browse("researcher")
    one = ("/api/v1/jobs", {"json": {"conf": TINY, "name": "n"}})
    assert at_once(site, browser, [one] * TIMES) == [200] * 3 + [422] * 21
    with site.app_context():
        user = people.find_user("researcher@example.org")
        user.jobs = [Job(name="n", conf="{}", state="stopped", run=f"n-{n}") for n in range(TIMES)]
        db.session.commit()
    again = [(f"/api/v1/jobs/{number}/resume", {}) for number in _all(site, Job.id)]
    assert at_once(site, browser, again) == [200] * 3 + [409] * 21
    assert _all(site, Job.state).count("queued") == 3


def test_labels_of_one_run(site, browse):
    one = ("/api/v1/labels/conf_a", {"method": "PUT", "json": {"tags": ["t"], "note": ""}})
    assert at_once(site, browse("user"), [one] * TIMES) == [200] * TIMES
    assert len(_all(site, RunLabel)) == 1


def test_a_one_time_code_counts_once(site, browse):
    secret = pyotp.random_base32()
    with site.app_context():
        people.find_user("user@example.org").totp_secret = secret
        db.session.commit()
    code = pyotp.TOTP(secret).at(int(time.time()))
    one = ("/login", {"data": {"email": "user@example.org", "password": PASSWORD, "code": code}})
    assert at_once(site, browse(), [one] * TIMES) == [302] + [401] * (TIMES - 1)


def test_a_reset_link_works_once(site, browse):
    with site.app_context():
        secret = people.start_reset(people.find_user("user@example.org"))
        db.session.commit()
    new = [f"a quite new password {number}" for number in range(TIMES)]
    answers = at_once(
        site, browse(), [(f"/reset/{secret}", {"data": {"password": one, "again": one}}) for one in new]
    )
    assert answers == [302] + [404] * (TIMES - 1)


def test_an_admin_is_left_when_all_admins_are_made_none(site, browse):
    with site.app_context():
        for user in db.session.scalars(select(User)):
            user.role = "admin"
        db.session.commit()
    numbers = _all(site, User.id)
    at_once(site, browse("admin"), [(f"/admin/people/{n}/role", {"data": {"role": "user"}}) for n in numbers])
    assert _all(site, User.role).count("admin") >= 1  # whoever asks may have been made none first
