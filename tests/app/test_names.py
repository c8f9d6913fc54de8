"""What may be a name: one rule for all that people give names to."""

import pytest
from sqlalchemy import select

from app import names
from app.extensions import db
from app.models import ApiToken, User
from tests.app.conftest import PASSWORD
from tests.conftest import TINY

FAMILY = "👨\u200d👩\u200d👧"
PERSIAN = "می\u200cخواهم"
GOOD = [
    "Sky", "晴天实验", FAMILY, PERSIAN, "क्\u200dष", "🏳\ufe0f\u200d🌈", "1\ufe0f\u20e3", "👩🏽\u200d🚀 Ada",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "❤\ufe0f", "ශ්\u200dරී", "José", "🙂\u200d↔\ufe0f",
]  # fmt: skip
UNSEEN = [
    "\u3164",
    "\u2060",
    "\ufeff",
    "\u00ad",
    "\u2800",
    "\u115f",
    "\u1160",
    "\uffa0",
    "\u200b",
    "\U000e0041",
]
NEVER = [
    "a\u202eb", "a\u2066b", "\u200fa", "a\u061cb", "a\u200db", "a\u200cb", "\u200d☀", "☀\u200d", "می\u200c",
    "a\0b", "a\x1bb", "a\ud800b", "☀\u200da",
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_names_of_all_scripts_and_joined_emoji_are_names(site, text):
    with site.test_request_context():
        assert names.fault(text, unseen=False) == names.fault(text) == ""


@pytest.mark.parametrize("blank", UNSEEN)
def test_what_cannot_be_seen_is_no_name_and_no_part_of_a_nickname(site, blank):
    with site.test_request_context():
        assert names.fault(blank) == names.fault(f"{blank} {blank}") != ""
        assert names.fault(f"Sky{blank}", unseen=False) != ""
        assert names.fault(f"Sky{blank}") == ""  # beside what is seen, in a title that was pasted, say


@pytest.mark.parametrize("text", [*NEVER, "\u0301", " ", "\ufe0f"])
def test_what_hides_or_turns_what_one_reads_is_never_a_name(site, text):
    with site.test_request_context():
        assert names.fault(text) and names.fault(text, unseen=False)


def _nickname(browser, text):
    return browser.post("/profile", {"nickname": text, "language": "", "theme": "auto"}).status_code == 302


def _registered(browser, text):
    data = {"email": "new@example.org", "nickname": text, "password": PASSWORD, "again": PASSWORD}
    return browser.post("/register", data).status_code == 302


def _training(browser, text):
    return _api(browser, "POST", "/jobs", {"conf": TINY, "name": text})


def _training_note(browser, text):
    return _api(browser, "POST", "/jobs", {"conf": TINY, "name": "x", "note": text})


def _tag(browser, text):
    return _api(browser, "PUT", "/labels/conf_a", {"tags": [text], "note": ""})


def _note(browser, text):
    return _api(browser, "PUT", "/labels/conf_a", {"tags": [], "note": text})


def _token(browser, text):
    return browser.post("/profile/tokens", {"name": text, "scopes": "read"}).status_code == 201


def _api(browser, method, path, json):
    headers = {"X-CSRFToken": browser.token()}
    answer = browser.client.open(f"/api/v1{path}", method=method, json=json, headers=headers)
    assert answer.status_code in (200, 422), answer.text
    return answer.status_code == 200


@pytest.mark.parametrize(
    "given",
    [_nickname, _registered, _training, _training_note, _tag, _note, _token],
    ids=lambda one: one.__name__,
)
def test_every_name_is_held_to_the_rule(browse, given):
    browser = browse() if given is _registered else browse("researcher")
    for text in ("\u3164", "\u2060\ufeff", "\u2800", "a\u202eb", "a\u200db"):
        assert not given(browser, text), ascii(text)
    for text in (FAMILY, PERSIAN):
        assert given(browser, text), text
        browser = browse() if given is _registered else browser


def test_notes_have_lines_and_may_be_empty(browse):
    browser = browse("user")
    assert _note(browser, "one\n\ttwo\r\n") and _note(browser, "") and _note(browser, " ")
    assert not _tag(browser, "a b") and not _tag(browser, "a\n") and not _tag(browser, "x" * 31)


def test_a_name_is_kept_as_it_was_given(site, browse):
    browser = browse("user")
    assert _nickname(browser, FAMILY) and _token(browser, PERSIAN)
    with site.app_context():
        assert db.session.scalar(select(User.nickname).where(User.email == "user@example.org")) == FAMILY
        assert db.session.scalar(select(ApiToken.name)) == PERSIAN
