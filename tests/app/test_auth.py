"""Accounts and sessions, as people use them and as others would misuse them."""

import re
import statistics
import time

import pyotp
import pytest
from argon2 import PasswordHasher
from sqlalchemy import select

from app.auth import service
from app.extensions import db, limiter
from app.models import AuditEntry, LiveSession, User
from tests.app.conftest import PASSWORD, Browser


def _register(browser, email="new@example.org", nickname="New", password=PASSWORD):
    return browser.post(
        "/register", {"email": email, "nickname": nickname, "password": password, "again": password}
    )


def test_register_log_in_log_out(browse):
    browser = browse()
    assert _register(browser, email="New@Example.org").status_code == 302
    assert browser.log_in("new@example.org ", "wrong wrong wrong").status_code == 401
    assert browser.log_in("NEW@example.org").status_code == 302
    assert "New" in browser.get("/profile").get_data(as_text=True)
    assert browser.post("/logout").status_code == 302
    assert browser.get("/profile").status_code == 302


def test_passwords_are_kept_as_argon2id(site):
    with site.app_context():
        hashes = db.session.scalars(select(User.password_hash)).all()
    assert all(one.startswith("$argon2id$") for one in hashes)


def test_an_address_that_has_an_account_gets_the_same_answer_and_keeps_its_password(browse):
    first, again = _register(browse()), _register(browse(), "user@example.org", password="another password")
    assert (first.status_code, first.headers["Location"]) == (again.status_code, again.headers["Location"])
    assert browse().log_in("user@example.org", "another password").status_code == 401
    assert browse("user").get("/profile").status_code == 200


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"email": "nobody"}, "not an e-mail address"),
        ({"password": "short", "again": "short"}, "10 to 128"),
        ({"again": "something else"}, "differ"),
        ({"nickname": "x" * 41}, "At most 40"),
        ({"nickname": "a\u202eb"}, "visible"),
        ({"nickname": ""}, "fill this in"),
    ],
)
def test_what_is_wrong_is_said_at_the_field(browse, changes, says):
    values = {"email": "n@example.org", "nickname": "N", "password": PASSWORD, "again": PASSWORD}
    answer = browse().post("/register", {**values, **changes})
    assert answer.status_code == 422 and says in answer.get_data(as_text=True)


@pytest.mark.serial
def test_a_wrong_password_and_no_account_look_alike_in_words_and_in_time(site, browse, monkeypatch):
    monkeypatch.setattr(service, "_hasher", PasswordHasher())  # as slow as the site's own
    service._nobodys_hash.cache_clear()
    with site.app_context():
        service.set_password(service.find_user("user@example.org"), PASSWORD)
        db.session.commit()

    def tried(email):
        started = time.perf_counter()
        answer = browser.log_in(email, "not the password")
        return time.perf_counter() - started, re.sub(r'"[^"]{60,}"', "", answer.get_data(as_text=True))

    browser = browse()
    tried("warm@example.org")
    known, unknown = [], []
    for _ in range(9):
        known.append(tried("user@example.org"))
        unknown.append(tried("none@example.org"))
    assert known[0][1].replace("user@", "") == unknown[0][1].replace("none@", "")
    ratio = statistics.median(t for t, _ in known) / statistics.median(t for t, _ in unknown)
    assert 0.5 < ratio < 2


def test_logging_in_starts_a_new_session(browse):
    browser = browse()
    browser.get("/login")
    before = browser.cookie()
    browser.log_in("user@example.org")
    assert browser.cookie() != before
    stranger = browse()
    stranger.client.set_cookie("skyfed_demo_session", before)
    assert stranger.get("/profile").status_code == 302


def test_a_stolen_cookie_is_worth_nothing_after_log_out(browse):
    browser, thief = browse(), browse()
    browser.log_in("user@example.org", remember="y")
    for name in ("skyfed_demo_session", "skyfed_demo_remember"):
        thief.client.set_cookie(name, browser.cookie(name))
    assert thief.get("/profile").status_code == 200
    browser.post("/logout")
    assert thief.get("/profile").status_code == 302
    assert browser.cookie("skyfed_demo_remember") is None


def test_log_out_everywhere_and_a_new_password_end_all_sessions(browse):
    here, there = browse("user"), browse("user")
    here.post("/profile/sessions/end")
    assert there.get("/profile").status_code == 302
    here, there = browse("user"), browse("user")
    new = {"old": PASSWORD, "password": "a quite new password", "again": "a quite new password"}
    assert here.post("/profile/password", {**new, "old": "wrong"}).status_code == 422
    assert there.get("/profile").status_code == 200
    assert here.post("/profile/password", new).status_code == 302
    assert there.get("/profile").status_code == here.get("/profile").status_code == 302
    assert browse().log_in("user@example.org", "a quite new password").status_code == 302


def test_the_eleventh_session_ends_the_oldest(site, browse):
    browsers = [browse("user") for _ in range(11)]
    assert browsers[0].get("/profile").status_code == 302
    assert all(browser.get("/profile").status_code == 200 for browser in browsers[1:])
    with site.app_context():
        assert len(db.session.scalars(select(LiveSession)).all()) == 10


@pytest.mark.parametrize("cookie", ["", "garbage", "a.b.c", "x" * 3000])
def test_a_tampered_cookie_is_nobody(browse, cookie):
    browser = browse("user")
    browser.client.set_cookie("skyfed_demo_session", cookie or "." + (browser.cookie() or "")[:-2])
    assert browser.get("/profile").status_code == 302
    assert browser.get("/home").status_code == 200


def test_guessing_is_slowed_down(site):
    limiter.enabled = True
    limiter.reset()
    browser = Browser(site)
    codes = [browser.log_in("user@example.org", "guess number 1").status_code for _ in range(12)]
    limiter.enabled = False
    assert codes[:10] == [401] * 10 and codes[-1] == 429


def test_guessing_from_elsewhere_does_not_lock_the_owner_out(site):
    limiter.enabled = True
    limiter.reset()
    stranger, owner = Browser(site), Browser(site)
    data = {"csrf_token": stranger.token(), "email": "user@example.org", "password": "guess number 1"}
    for number in range(30):
        stranger.client.post("/login", data=data, environ_base={"REMOTE_ADDR": f"10.0.0.{number % 4}"})
    assert owner.log_in("user@example.org").status_code == 302
    limiter.enabled = False


def test_one_time_codes_are_asked_for_once_they_are_on_and_count_once(browse, monkeypatch):
    browser = browse("admin")
    secret = re.search(r'id="secret">(\w+)<', browser.get("/profile/codes").get_data(as_text=True))[1]
    totp, clock = pyotp.TOTP(secret), [time.time()]
    monkeypatch.setattr(service.time, "time", lambda: clock[0])
    assert browser.post("/profile/codes", {"password": PASSWORD, "code": "000000"}).status_code == 422
    assert browser.post("/profile/codes", {"password": PASSWORD, "code": totp.now()}).status_code == 302
    clock[0] += 60
    code = totp.at(int(clock[0]))
    assert browse().log_in("admin@example.org").status_code == 401
    assert browse().log_in("admin@example.org", code=code).status_code == 302
    assert browse().log_in("admin@example.org", code=code).status_code == 401
    clock[0] += 30
    off = {"password": PASSWORD, "code": totp.at(int(clock[0]))}
    assert browser.post("/profile/codes", off).status_code == 302
    assert browse().log_in("admin@example.org").status_code == 302


@pytest.mark.parametrize(
    "address",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "home",
     "/home\r\n", "/home\r\nX-Evil: 1", "/\t/evil.example", "/\x00", "///evil.example", "//[", "/why\\..", "/\x7f"],
)  # fmt: skip
def test_after_logging_in_one_stays_on_this_site(browse, address):
    browser = browse()
    data = {"csrf_token": browser.token(), "email": "user@example.org", "password": PASSWORD}
    answer = browser.client.post("/login", query_string={"next": address}, data=data)
    assert answer.headers["Location"] == "/home"
    assert browser.get("/login", query_string={"next": address}).headers["Location"] == "/home"
    assert browser.post("/language/en", {"next": address}).headers["Location"] == "/home"


@pytest.mark.parametrize(
    ("address", "to"),
    [("/profile/tokens", "/profile"), ("/admin/people/3/reset", "/admin/people"), ("/logout", "/home"),
     ("/home?runs=conf_a,conf_b&q=%E6%99%B4#curves", "/home?runs=conf_a,conf_b&q=%E6%99%B4#curves"),
     ("/nowhere", "/nowhere"), ("/home?q=晴天", "/home?q=%E6%99%B4%E5%A4%A9")],
)  # fmt: skip
def test_one_goes_on_to_the_page_meant_and_never_to_what_is_only_posted_to(browse, address, to):
    answer = browse().post("/language/zh", {"next": address})
    assert (answer.status_code, answer.headers["Location"]) == (302, to)


@pytest.mark.parametrize("token", ["its own", "", "forged"])
def test_a_log_in_form_left_open_leads_on_once_one_has_logged_in_elsewhere(browse, token):
    browser = browse()
    form = {"csrf_token": browser.token() if token == "its own" else token, "email": "user@example.org"}
    browser.log_in("user@example.org")
    for password in (PASSWORD, "wrong wrong wrong"):
        answer = browser.client.post("/login?next=/why", data={**form, "password": password})
        assert (answer.status_code, answer.headers["Location"]) == (302, "/why")
    assert browser.get("/login?next=/why").headers["Location"] == "/why"
    assert browser.get("/profile").status_code == 200


def test_who_is_logged_in_and_a_token_that_holds_are_told_to_the_page(site, browse):
    browser = browse()
    assert browser.get("/session").json["who"] == ""
    browser.log_in("user@example.org")
    told = browser.get("/session").json
    with site.app_context():
        assert told["who"] == str(service.find_user("user@example.org").id)
    headers = {"X-CSRFToken": told["token"]}
    label = {"tags": ["kept"], "note": ""}
    assert browser.client.put("/api/v1/labels/conf_a", json=label, headers=headers).status_code == 200
    refused = browser.client.put("/api/v1/labels/conf_a", json=label, headers={"X-CSRFToken": "old"})
    assert (refused.status_code, refused.json["error"]["detail"]) == (400, "token")
    assert (
        browser.client.put("/api/v1/labels/conf_a", json={"tags": 1}, headers=headers).json["error"]["detail"]
        != "token"
    )


def _language(browser, path="/why", accept="en"):
    return re.search(r'<html lang="(\w+)"', browser.get(path, headers={"Accept-Language": accept}).text)[1]


def test_the_language_chosen_survives_logging_in_logging_out_and_every_page(browse):
    browser = browse()
    browser.post("/language/zh", {"next": "/login"})
    browser.log_in("user@example.org")
    for path in ("/home", "/forecast", "/profile", "/runs/conf_a", "/nowhere", "/jobs"):
        assert _language(browser, path) == "zh", path
    browser.post("/logout")
    assert _language(browser, "/login") == _language(browser, "/register") == "zh"
    browser.log_in("user@example.org")
    browser.post("/profile/sessions/end")
    assert _language(browser) == "zh"


def test_the_accounts_language_stays_after_logging_out_and_the_latest_choice_counts(browse):
    first = browse("user")
    first.post("/language/zh", {"next": "/home"})
    elsewhere = browse()
    assert _language(elsewhere) == "en"
    elsewhere.log_in("user@example.org")
    assert _language(elsewhere) == "zh", "the account's"
    elsewhere.post("/logout")
    assert _language(elsewhere) == "zh"
    elsewhere.log_in("user@example.org")
    elsewhere.post("/profile", {"nickname": "U", "language": "", "theme": "auto"})
    assert _language(elsewhere) == "en", "the browser's"
    assert browse().client.get("/why", headers={"Cookie": "language=tlh"}).status_code == 200


def test_whoever_wants_a_page_gets_it_after_logging_in(browse):
    browser = browse()
    sent_to = browser.get("/profile").headers["Location"]
    answer = browser.post(sent_to, {"email": "user@example.org", "password": PASSWORD})
    assert answer.headers["Location"] == "/profile"


def test_log_ins_and_failures_are_in_the_audit_log(site, browse):
    browse("user")
    browse().log_in("user@example.org", "wrong wrong wrong")
    with site.app_context():
        entries = [(one.action, one.target) for one in db.session.scalars(select(AuditEntry))]
    assert ("login", "user@example.org") in entries and ("login failed", "user@example.org") in entries
    assert not any(PASSWORD in text or "wrong wrong" in text for entry in entries for text in entry)


@pytest.mark.parametrize(
    "text", ["' OR 1=1 --", '"; DROP TABLE users; --', "<script>alert(1)</script>", "{{7*7}}", "%00"]
)
def test_injections_stay_text(site, browse, text):
    browser = browse()
    assert browser.log_in(f"{text}@example.org", text).status_code in (401, 422)
    assert _register(browser, nickname=text[:40]).status_code == 302
    browser.log_in("new@example.org")
    page = browser.get("/profile").get_data(as_text=True)
    assert "<script>alert(1)" not in page and "49" not in page.partition("<h1>")[0].partition("<nav")[2]
    people = browse("admin").get("/admin/people").get_data(as_text=True)
    assert "<script>alert(1)" not in people
    with site.app_context():
        assert len(db.session.scalars(select(User)).all()) == 4


def test_too_large_a_form_is_refused(browse):
    assert browse().post("/register", {"nickname": "x" * 300_000}).status_code == 413
