"""Profiles and what admins may do: one's own, nobody else's."""

import json

import pytest
from sqlalchemy import select

from app.extensions import db
from app.models import ApiToken, AuditEntry, LiveSession, RunLabel, User
from tests.app.conftest import PASSWORD, whole_result
from utils.results import result_path, write_result


def _user(role):
    return db.session.scalar(select(User).where(User.email == f"{role}@example.org"))


def test_nickname_language_and_theme_are_kept(browse):
    browser = browse("user")
    answer = browser.post("/profile", {"nickname": "Sky <b>", "language": "zh", "theme": "dark"})
    assert answer.status_code == 302
    page = browser.get("/home").get_data(as_text=True)
    assert '<html lang="zh" data-bs-theme="dark">' in page and "Sky &lt;b&gt;" in page
    assert browser.post("/profile", {"nickname": "x", "language": "xx", "theme": "dark"}).status_code == 422


def test_nothing_but_the_three_fields_can_be_changed_by_the_profile_form(site, browse):
    values = {
        "nickname": "N",
        "language": "",
        "theme": "auto",
        "role": "admin",
        "email": "x@example.org",
        "id": "3",
    }
    browse("user").post("/profile", values)
    with site.app_context():
        assert _user("user").role == "user"


def test_export_holds_what_is_kept_and_no_secret(browse):
    browser = browse("user")
    browser.post("/profile/tokens", {"name": "script", "scopes": "read"})
    browser.put("/api/v1/labels/conf_a", {"tags": ["best"], "note": "mine"})
    text = browser.get("/profile/export").get_data(as_text=True)
    found = json.loads(text)
    assert found["email"] == "user@example.org" and found["tokens"][0]["name"] == "script"
    assert found["labels"] == [{"run": "conf_a", "tags": ["best"], "note": "mine"}]
    assert "hash" not in text and "argon2" not in text


def test_deleting_the_account_leaves_nothing_but_the_audit_log(site, browse):
    browser = browse("user")
    browser.post("/profile/tokens", {"name": "script", "scopes": "read"})
    browser.put("/api/v1/labels/conf_a", {"tags": ["best"], "note": ""})
    assert browser.post("/profile/delete", {"password": "wrong"}).status_code == 422
    assert browser.post("/profile/delete", {"password": PASSWORD}).status_code == 302
    assert browser.get("/profile").status_code == 302
    with site.app_context():
        assert _user("user") is None
        assert not [
            row for kind in (ApiToken, LiveSession, RunLabel) for row in db.session.scalars(select(kind))
        ]
        assert "account deleted" in db.session.scalars(select(AuditEntry.action)).all()


def test_a_token_of_somebody_else_is_not_there(site, browse):
    browse("admin").post("/profile/tokens", {"name": "script", "scopes": "read"})
    with site.app_context():
        number = db.session.scalar(select(ApiToken.id))
    assert browse("user").post(f"/profile/tokens/{number}/revoke").status_code == 404
    with site.app_context():
        assert db.session.get(ApiToken, number) is not None


def test_admins_change_roles_and_close_accounts(site, browse):
    other, admin = browse("user"), browse("admin")
    with site.app_context():
        number = _user("user").id
    admin.post(f"/admin/people/{number}/role", {"role": "researcher"})
    admin.post(f"/admin/people/{number}/disable")
    with site.app_context():
        assert (_user("user").role, _user("user").disabled) == ("researcher", True)
    assert other.get("/profile").status_code == 302
    assert browse().log_in("user@example.org").status_code == 401
    log = admin.get("/admin/audit").get_data(as_text=True)
    assert "role researcher" in log and "account closed" in log


@pytest.mark.parametrize("change", ["role", "disable", "delete"])
def test_the_last_admin_stays(site, browse, change):
    admin = browse("admin")
    with site.app_context():
        number = _user("admin").id
    if change == "delete":
        assert admin.post("/profile/delete", {"password": PASSWORD}).status_code == 422
    else:
        admin.post(f"/admin/people/{number}/{change}", {"role": "user"})
    with site.app_context():
        assert _user("admin").is_admin and not _user("admin").disabled


def test_a_reset_link_works_once_and_ends_all_sessions(site, browse):
    other, admin = browse("user"), browse("admin")
    with site.app_context():
        number = _user("user").id
    page = admin.post(f"/admin/people/{number}/reset").get_data(as_text=True)
    link = page.partition('id="reset-link">')[2].partition("<")[0].partition("localhost")[2]
    new = {"password": "a quite new password", "again": "a quite new password"}
    stranger = browse()
    assert stranger.get(link).status_code == 200
    assert stranger.post(link, {**new, "again": "differs"}).status_code == 422
    assert stranger.post(link, new).status_code == 302
    assert stranger.post(link, new).status_code == 404
    assert other.get("/profile").status_code == 302
    assert browse().log_in("user@example.org", new["password"]).status_code == 302


def test_an_admin_deletes_runs_but_no_shipped_one(browse, cache):
    for name in ("conf_a", "conf_f10"):
        write_result(result_path(cache, name), whole_result(name))
        (cache / f"{name}.json.md").write_text("card")
    admin = browse("admin")
    assert "conf_a" in admin.get("/admin/runs").text
    assert admin.post("/admin/runs/conf_f10/delete").status_code == 403
    for name in ("..", "..%2fx", "conf_nobody"):
        assert admin.post(f"/admin/runs/{name}/delete").status_code in (404, 308)
    assert admin.post("/admin/runs/conf_a/delete").status_code == 302
    assert not list(cache.glob("conf_a.*")) and list(cache.glob("conf_f10.*"))
    assert "run deleted" in admin.get("/admin/audit").text
