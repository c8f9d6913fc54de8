"""Tokens end when their right ends: with the password, with a reset, on their day."""

import re
from datetime import timedelta

import pytest
from flask_migrate import downgrade, upgrade
from sqlalchemy import select

from app.extensions import db
from app.models import ApiToken, User, now
from tests.app.conftest import PASSWORD

NEW = {"password": "a quite new password", "again": "a quite new password"}


@pytest.fixture
def token(browse):
    """A browser that has made a token of so many days, and a function that says what it is answered."""
    browser, program = browse("user"), browse()

    def make(days=""):
        page = browser.post("/profile/tokens", {"name": "script", "scopes": "read", "days": days})
        secret = re.search(r'id="token">([\w-]+)<', page.text)[1]
        return lambda: (
            program.get("/api/v1/labels", headers={"Authorization": f"Bearer {secret}"}).status_code
        )

    return browser, make


@pytest.mark.parametrize(
    ("wish", "after"), [({}, 401), ({"tokens": "revoke"}, 401), ({"tokens": "keep"}, 200)]
)
def test_with_a_new_password_tokens_go_unless_they_are_to_stay(token, wish, after):
    browser, make = token
    ask = make()
    assert ask() == 200
    assert browser.post("/profile/password", {"old": "wrong", **NEW}).status_code == 422 and ask() == 200
    assert browser.post("/profile/password", {"old": PASSWORD, **NEW, **wish}).status_code == 302
    assert ask() == after


def test_a_reset_takes_the_tokens_along(site, browse, token):
    _, make = token
    ask = make()
    with site.app_context():
        number = db.session.scalar(select(User.id).where(User.email == "user@example.org"))
    page = browse("admin").post(f"/admin/people/{number}/reset").text
    link = page.partition('id="reset-link">')[2].partition("<")[0].partition("localhost")[2]
    assert ask() == 200
    assert browse().post(link, {**NEW, "tokens": "keep"}).status_code == 302
    assert ask() == 401


def test_a_token_ends_on_its_day(site, token):
    browser, make = token
    ask, for_ever = make("7"), make()
    assert (now() + timedelta(days=7)).strftime("%Y-%m-%d") in browser.get("/profile").text
    with site.app_context():
        one = db.session.scalar(select(ApiToken).where(ApiToken.expires.is_not(None)))
        assert timedelta(days=6.9) < one.expires - now() < timedelta(days=7.1)
        one.expires = now() - timedelta(seconds=1)
        db.session.commit()
    assert (ask(), for_ever()) == (401, 200)
    assert "(over)" in browser.get("/profile").text
    assert [bool(one["expires"]) for one in browser.get("/profile/export").json["tokens"]] == [True, False]
    assert browser.post("/profile/tokens", {"name": "x", "scopes": "read", "days": "8"}).status_code == 422


def test_tokens_of_before_never_expire(site, token):
    _, make = token
    ask = make()
    folder = f"{site.root_path}/migrations"
    with site.app_context():
        downgrade(folder, revision="0005")
        upgrade(folder)
        assert db.session.scalars(select(ApiToken.expires)).all() == [None]
    assert ask() == 200
