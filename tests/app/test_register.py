"""Who may make an account, under which name, and with which password."""

import re
import subprocess
import sys
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from app import names
from app.auth import passwords, service
from app.config import ConfigError, demo, production
from app.extensions import db, limiter
from app.models import AuditEntry, Invite, User, now
from tests.app.conftest import PASSWORD, Browser
from tests.app.test_site import KEY
from tests.conftest import ROOT


def _register(browser, email="new@example.org", nickname="New", password=PASSWORD, again=None, **more):
    data = {"email": email, "nickname": nickname, "password": password, "again": again or password, **more}
    return browser.post("/register", data)


def _code(admin, uses=30, days=14):
    page = admin.post("/admin/invites", {"name": "7b", "uses": uses, "days": days})
    assert page.status_code == 201
    return re.search(r'id="code">([\w-]+)<', page.text)[1]


def _people(site):
    with site.app_context():
        return db.session.scalar(select(func.count(User.id)))


def test_in_production_nobody_registers_unless_it_is_said_and_in_the_demo_anybody():
    known = {"SKYFED_SECRET_KEY": KEY}
    assert (production(known)["REGISTER"], demo({})["REGISTER"]) == ("closed", "open")
    assert production({**known, "SKYFED_REGISTER": "invite"})["REGISTER"] == "invite"
    with pytest.raises(ConfigError, match="SKYFED_REGISTER: expected one of open, invite, closed"):
        production({**known, "SKYFED_REGISTER": "everybody"})


def test_where_registration_is_closed_nobody_gets_in_and_nothing_leads_there(site, browse):
    site.config["REGISTER"] = "closed"
    assert browse().get("/register").status_code == _register(browse()).status_code == 403
    assert "/register" not in browse().get("/login").text and _people(site) == 3


def test_a_class_registers_with_its_code_and_nobody_else(site, browse):
    site.config["REGISTER"] = "invite"
    code = _code(browse("admin"), uses=2)
    assert _register(browse(), invite="").status_code == 422
    assert "none, or cannot be used" in _register(browse(), invite="ABCD-EFGH-JKMN-PQRS").text
    assert code in browse().get(f"/register?invite={code}").text
    assert _register(browse(), "a@example.org", invite=code).status_code == 302
    assert _register(browse(), "a@example.org", invite=code).status_code == 302  # had one: spends nothing
    assert (
        _register(browse(), "b@example.org", invite=f" {code.lower().replace('-', ' ')} ").status_code == 302
    )
    assert _register(browse(), "c@example.org", invite=code).status_code == 422
    assert _people(site) == 5
    assert "2 / 2" in browse("admin").get("/admin/invites").text
    with site.app_context():
        assert code not in str(db.session.execute(select(Invite.__table__)).all())
        found = db.session.execute(select(AuditEntry.action, AuditEntry.target)).all()
    assert [tuple(row) for row in found].count(("registered with a code", "7b")) == 2


@pytest.mark.parametrize("end", ["over", "revoked"])
def test_a_code_ends(site, browse, end):
    site.config["REGISTER"] = "invite"
    admin = browse("admin")
    code = _code(admin)
    with site.app_context():
        made = db.session.scalar(select(Invite))
        if end == "over":
            made.expires = now() - timedelta(seconds=1)
            db.session.commit()
    if end == "revoked":
        assert admin.post(f"/admin/invites/{made.id}/revoke").status_code == 302
    assert _register(browse(), invite=code).status_code == 422 and _people(site) == 3


@pytest.mark.parametrize("values", [{"uses": 0}, {"uses": 1001}, {"days": "many"}, {"name": "\u3164"}])
def test_a_code_that_makes_no_sense_is_refused_at_its_field(browse, values):
    answer = browse("admin").post("/admin/invites", {"name": "7b", "uses": 3, "days": 3, **values})
    assert answer.status_code == 422 and "invalid-feedback" in answer.text


def test_no_haste_gets_more_out_of_a_code_than_there_is(site, browse):
    site.config["REGISTER"] = "invite"
    code = _code(browse("admin"), uses=5)
    browsers = [Browser(site) for _ in range(24)]
    forms = [
        {"csrf_token": one.token(), "email": f"{n}@example.org", "nickname": "N", "password": PASSWORD,
         "again": PASSWORD, "invite": code} for n, one in enumerate(browsers)
    ]  # fmt: skip
    with ThreadPoolExecutor(24) as pool:
        codes = list(
            pool.map(
                lambda pair: pair[0].client.post("/register", data=pair[1]).status_code,
                zip(browsers, forms, strict=True),
            )
        )
    assert sorted(codes) == [302] * 5 + [422] * 19 and _people(site) == 8


def test_two_at_once_with_one_address_are_one_account(site):
    browsers = [Browser(site) for _ in range(8)]
    tokens = [one.token() for one in browsers]

    def send(pair):
        data = {
            "csrf_token": pair[1],
            "email": "n@example.org",
            "nickname": "N",
            "password": PASSWORD,
            "again": PASSWORD,
        }
        return pair[0].client.post("/register", data=data).status_code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(send, zip(browsers, tokens, strict=True))) == [302] * 8
    assert _people(site) == 4


def test_guessed_codes_count_as_failures(site):
    site.config.update(REGISTER="invite", TRIES_ADDRESS=3)
    limiter.enabled = True
    tried = [_register(Browser(site), invite=f"ABCD-EFGH-JKMN-PQR{n}").status_code for n in range(5)]
    limiter.enabled = False
    assert tried == [422] * 4 + [429]


def test_the_command_line_makes_a_code(tmp_path, site, browse):
    command = [sys.executable, "i4wsgi.py", "--demo", "invite", "Class 7b", "--uses", "2"]
    environment = {"PATH": "/usr/bin:/bin", "SKYFED_INSTANCE": str(site.config["INSTANCE"])}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    site.config["REGISTER"] = "invite"
    assert _register(browse(), invite=done.stdout.strip()).status_code == 302
    done = subprocess.run(
        [*command[:-3], "\u3164"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2 and done.stderr.startswith("name: ") and done.stderr.count("\n") == 1


RESERVED = [
    "admin", "Root", "SkyFed", "Sky Fed", "sky-fed team",
    "аdmin", "АDМІN", "adm1n", "r00t", "ＡＤＭＩＮ", "ädmin", "adrnin",
    "admin2", "a d m i n", "𝓪𝓭𝓶𝓲𝓷", "管理员小王",
]  # fmt: skip


@pytest.mark.parametrize("nickname", RESERVED)
def test_nobody_passes_for_who_looks_after_the_site(browse, nickname):
    answer = _register(browse(), nickname=nickname)
    assert answer.status_code == 422 and "This name is kept" in answer.text
    values = {"nickname": nickname, "language": "", "theme": "auto"}
    assert browse("user").post("/profile", values).status_code == 422
    assert browse("admin").post("/profile", values).status_code == 302


@pytest.mark.parametrize("nickname", ["Badminton", "Adam", "Skye", "Ruth", "晴天", "Systematic", "student3"])
def test_names_that_are_merely_near_are_free(nickname):
    assert not names.is_reserved(nickname)


@pytest.mark.parametrize(
    "password",
    [
        "password12345",
        "qwertyuiop",
        "skyfedskyfed",
        "1111111111111",
        "Charlotte2024",
        "charlotte!1",
        "aaaaaaaaaa" * 12,
    ],
)
def test_what_is_easily_guessed_is_no_password(browse, password):
    answer = _register(browse(), "charlotte@example.org", "Charlotte", password)
    assert answer.status_code == 422 and "easily guessed" in answer.text


def test_a_changed_and_a_reset_password_are_judged_too(site, browse):
    weak = {"password": "user@example.org", "again": "user@example.org"}
    assert "easily guessed" in browse("user").post("/profile/password", {"old": PASSWORD, **weak}).text
    with site.test_request_context():
        secret = service.start_reset(service.find_user("user@example.org"))
        db.session.commit()
    assert "easily guessed" in browse().post(f"/reset/{secret}", weak).text


@pytest.mark.serial
@pytest.mark.parametrize("start", ["4@8({[<36!1i|l10$5s+7t%2z", "".join(map(chr, range(33, 127)))])
def test_no_password_takes_long_to_judge(site, start):
    with site.test_request_context():
        passwords.fault("warm me up, please")
        started = time.perf_counter()
        passwords.fault((start * 5)[:128])
    assert time.perf_counter() - started < 2


COMPOSED = "Übergrößen tragen Bären"


@pytest.mark.parametrize(
    "typed",
    [
        unicodedata.normalize("NFD", COMPOSED), COMPOSED.replace(" ", "\u00a0"),
        unicodedata.normalize("NFD", COMPOSED).replace(" ", "\u3000"),
    ],
)  # fmt: skip
def test_a_password_is_the_same_however_it_is_typed(browse, typed):
    assert _register(browse(), password=COMPOSED, again=typed).status_code == 302
    assert browse().log_in("new@example.org", typed).status_code == 302
    assert browse().log_in("new@example.org", COMPOSED).status_code == 302
    assert browse().log_in("new@example.org", COMPOSED.replace("Ü", "U")).status_code == 401


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_hashes_of_before_stay_valid(site, browse, form):
    with site.app_context():
        before = service._hasher.hash(unicodedata.normalize(form, COMPOSED))  # as it was typed
        service.find_user("user@example.org").password_hash = before
        db.session.commit()
    for typed in ("NFC", "NFD"):
        assert browse().log_in("user@example.org", unicodedata.normalize(typed, COMPOSED)).status_code == 302


def test_the_migration_to_invitations_keeps_everybody(site):
    from flask_migrate import downgrade, upgrade

    folder = f"{site.root_path}/migrations"
    with site.app_context():
        downgrade(folder, revision="0004")
        upgrade(folder)
        assert db.session.scalar(select(func.count(User.id))) == 3
        assert db.session.scalar(select(func.count(Invite.id))) == 0
