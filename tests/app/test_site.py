"""The site as a whole: settings, languages, database, commands."""

import os
import re
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import request

import i4wsgi
from app import create_app
from app.config import ConfigError, demo, production
from app.extensions import db
from app.language import _catalogue, texts
from tests.conftest import ROOT
from utils.comparison import answers, estimated
from utils.studies import first

KEY = "0123456789abcdef" * 4


@pytest.mark.parametrize("key", [None, "", "secret", "a" * 64, "0101" * 16])
def test_nothing_is_served_with_a_missing_or_guessable_key(key, tmp_path):
    with pytest.raises(ConfigError, match="SKYFED_SECRET_KEY"):
        production({} if key is None else {"SKYFED_SECRET_KEY": key})


def test_folders_are_named_to_the_site_as_to_the_other_scripts(monkeypatch, tmp_path, script):
    def capture(config):
        seen.update(config)
        raise ConfigError("seen enough")

    seen = {}
    monkeypatch.setattr("app.create_app", capture)
    for name in ("DATA", "CACHE"):
        monkeypatch.setenv(f"SKYFED_{name}", "/elsewhere")
    assert i4wsgi.main(["--demo", "--cache", str(tmp_path / "c")]) == 2
    assert (seen["DATA"], seen["CACHE"]) == (Path("/elsewhere"), tmp_path / "c")
    assert os.environ["SKYFED_CACHE"] == str(tmp_path / "c"), "for the processes that train"
    for program, options in (
        ("i0down_training_resource.py simulate", ["--data"]), ("i2main.py", ["--data", "--cache"]),
        ("i3experiment_drawing.py", ["--cache"]), ("i4wsgi.py", ["--data", "--cache"]),
    ):  # fmt: skip
        told = script(*program.split(), "--help").stdout
        assert all(option in told for option in options), program


def test_production_never_opens_the_demo_database_and_its_cookies_are_secure(tmp_path):
    settings = production({"SKYFED_SECRET_KEY": KEY, "SKYFED_INSTANCE": str(tmp_path)})
    assert "demo" not in settings["SQLALCHEMY_DATABASE_URI"] and settings["SESSION_COOKIE_SECURE"]
    assert settings["SESSION_COOKIE_HTTPONLY"] and settings["SESSION_COOKIE_SAMESITE"] == "Lax"
    trial = demo({"SKYFED_INSTANCE": str(tmp_path), "DATABASE_URL": "postgresql://real/database"})
    assert trial["SQLALCHEMY_DATABASE_URI"].endswith("/demo.db")


def test_only_as_many_proxies_as_there_are_are_believed(tmp_path):
    seen = []
    for proxies in ("0", "1"):
        settings = production(
            {"SKYFED_SECRET_KEY": KEY, "SKYFED_INSTANCE": str(tmp_path), "SKYFED_PROXIES": proxies}
        )
        site = create_app({**settings, "TESTING": True})
        site.before_request_funcs.setdefault(None, []).insert(0, lambda: seen.append(request.remote_addr))
        site.test_client().get("/why", headers={"X-Forwarded-For": "6.6.6.6, 10.1.1.1"})
    assert seen == ["127.0.0.1", "10.1.1.1"]
    with pytest.raises(ConfigError, match="SKYFED_PROXIES"):
        production({"SKYFED_SECRET_KEY": KEY, "SKYFED_PROXIES": "many"})


def test_the_migrations_make_what_the_models_say(site):
    with site.app_context(), db.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), db.metadata) == []


def test_every_text_has_its_chinese_and_no_other_is_kept():
    known = {message.id: message.string for message in _catalogue() if message.id}
    assert set(known) == texts(), "run python3 -m app.language"
    assert not [text for text, chinese in known.items() if not chinese]
    for text, chinese in known.items():
        assert sorted(re.findall(r"\{\w+\}|%\(\w+\)s|%%", text)) == sorted(
            re.findall(r"\{\w+\}|%\(\w+\)s|%%", chinese)
        ), text


def test_the_language_is_the_accounts_or_the_sessions_or_the_browsers(browse):
    browser = browse()
    assert '<html lang="zh"' in browser.get("/home", headers={"Accept-Language": "zh-CN,zh;q=0.9"}).text
    assert '<html lang="en"' in browser.get("/home", headers={"Accept-Language": "fr"}).text
    browser.post("/language/zh", {"next": "/why"})
    page = browser.get("/why")
    assert '<html lang="zh"' in page.text and "联邦" in page.text
    assert "登录" in browser.get("/messages.json").json["Log in"]
    errors = browser.post("/register", {"email": "x"}).text
    assert "这不是有效的邮箱地址" in errors and "请填写此项" in errors
    assert browser.post("/language/tlh").status_code == 404


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_page_says_what_it_is_in_a_sentence(browse, language):
    told = {}
    for role, paths in (
        (None, ("/home", "/why", "/forecast", "/runs/conf_a", "/login", "/register", "/nothing")),
        ("admin", ("/confs/new", "/jobs", "/profile", "/admin/people", "/admin/audit")),
    ):
        for path in paths:
            page = browse(role).get(path, headers={"Accept-Language": language}).text
            [told[path]] = re.findall(r'<meta name="description" content="([^"]+)">', page)
            assert (re.search(r"[\u4e00-\u9fff]", told[path]) is not None) == (language == "zh"), path
            assert len(told[path]) <= 160, path
    own = ("/home", "/why", "/forecast", "/runs/conf_a", "/confs/new", "/jobs", "/login")
    assert len({told[path] for path in own}) == len(own)


def test_home_tells_its_figures_without_javascript_and_is_useful_without_runs(browse, cache):
    page = browse().get("/home").text
    assert "0.750" not in page.partition("<table")[0] and "<table" in page and "1.000" in page
    for path in cache.glob("*.pkl"):
        path.unlink()
    assert "i2main.py" in browse().get("/home").text


def test_the_story_of_the_shipped_runs_is_made_from_their_numbers(tmp_path):
    site = create_app({**demo({"SKYFED_INSTANCE": str(tmp_path)}), "TESTING": True})
    from app.cli import prepare_database

    prepare_database(site)
    library = site.extensions["library"]
    story = library.story()
    assert [mark["role"] for mark in story["marks"]] == ["alone", "central", "federated", "everything"]
    page = site.test_client().get("/home").text
    told, _, rest = page.partition("All tests, with their numbers")
    assert len(story["first"]) == told.count('<li class="finding-') == 3
    assert len(story["facts"]) == rest.count('<li class="finding ') > 8
    for one in story["first"]:
        points = f"{100 * abs(one['difference']):.1f} points"
        sentences = {
            "better": f"by {points}; the test says this is no accident",
            "worse": f"by {points}; the test says this is no accident",
            "none": f"no difference was found: {points} may well be chance",
            "untested": "too little was measured",
        }
        assert sentences[one["verdict"]] in told
        if one["verdict"] in ("better", "worse"):
            assert one["p_holm"] < 0.05 and (one["difference"] > 0) == (one["verdict"] == "better")
    for mark in story["marks"]:
        assert f"{100 * mark['accuracy']:.1f} %" in page
        summary = next(one for one in library.summaries() if one["name"] == mark["run"])
        assert summary["accuracy"] == mark["accuracy"]
    held_out = {run.run for run in first().runs}
    assert {fact[side] for fact in story["facts"] for side in "ab"} <= held_out
    assert {one["judged_on"] for one in story["elsewhere"]} == {"mwd", "opensky"}
    for one in story["elsewhere"]:
        result = library.result(one["run"])
        assert one["judged_on"] not in result["conf"]["train_on"] == one["trained_on"]
        assert one["alone"] == estimated(answers(result), "balanced_accuracy").value
        both = answers(library.result(one["of"]), source=one["judged_on"])
        assert one["both"] == estimated(both, "balanced_accuracy").value
        for shown in (one["alone"], one["both"]):
            assert f"{100 * shown:.1f} %" in page.partition("What a new source costs")[2]
    for fact in story["facts"]:
        claimed = fact["verdict"] in ("better", "worse")
        assert claimed == (fact["seeds"] > 1 and fact["p_holm"] < 0.05)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _start(tmp_path, *arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "i4wsgi.py", *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
        env={"PATH": "/usr/bin:/bin", "SKYFED_INSTANCE": str(tmp_path / "instance"), **environment},
    )  # fmt: skip


def test_the_demo_serves_its_three_accounts_on_loopback_and_ends_when_told(tmp_path, cache):
    port = _free_port()
    process = _start(tmp_path, "--demo", "--port", port, SKYFED_CACHE=str(cache))
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/login", timeout=30) as answer:
                    page = answer.read().decode()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, process.stdout.read()
                time.sleep(0.2)
        assert all(email in page for email in ("admin@126.com", "greatabel1@126.com", "test@126.com"))
        busy = _start(tmp_path, "--demo", "--port", port)
        said, _ = busy.communicate(timeout=120)
        assert busy.returncode == 1 and f"port {port} is busy; try --port" in said and said.count("\n") == 1
    finally:
        process.terminate()
        said, _ = process.communicate(timeout=60)
    assert "Traceback" not in said and f"http://localhost:{port}/home" in said


def test_without_a_key_it_refuses_in_one_line(tmp_path):
    process = _start(tmp_path)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 2 and said.startswith("SKYFED_SECRET_KEY") and said.count("\n") == 1


def test_backup_and_restore_bring_everything_back(tmp_path, cache):
    environment = {"SKYFED_SECRET_KEY": KEY, "SKYFED_CACHE": str(cache)}
    instance = tmp_path / "instance"
    process = _start(tmp_path, "invite", "a class", **environment)  # makes the database
    assert process.wait(120) == 0, process.stdout.read()
    archive = tmp_path / "b.tar.gz"
    process = _start(tmp_path, "backup", archive, **environment)
    assert process.wait(120) == 0, process.stdout.read()
    assert archive.stat().st_mode & 0o077 == 0
    with tarfile.open(archive) as packed:
        assert {"database.db", "cache/conf_a.json.pkl"} <= set(packed.getnames())
    kept = (cache / "conf_a.json.pkl").read_bytes()
    (cache / "conf_a.json.pkl").unlink()
    (instance / "skyfed.db").unlink()
    process = _start(tmp_path, "restore", archive, **environment)
    assert process.wait(120) == 0, process.stdout.read()
    assert (cache / "conf_a.json.pkl").read_bytes() == kept and (instance / "skyfed.db").exists()
    archive.write_bytes(b"no archive")
    process = _start(tmp_path, "restore", archive, **environment)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 2 and said.count("\n") == 1
