"""The same schema and the same pages on a real PostgreSQL server."""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask_migrate import downgrade, upgrade

from app import create_app
from app.auth import service
from app.cli import prepare_database
from app.config import production
from app.extensions import db
from app.jobs import service as queue
from app.models import now
from tests.app.conftest import PASSWORD, Browser
from tests.conftest import TINY

PROGRAMS = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), *map(Path, os.get_exec_path())]
INITDB = next((str(folder / "initdb") for folder in PROGRAMS if (folder / "pg_ctl").exists()), None)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A PostgreSQL server of its own, as the DATABASE_URL of an empty database."""
    if INITDB is None:
        pytest.skip("no PostgreSQL on this machine")
    folder = tmp_path_factory.mktemp("postgresql")
    who = None
    if os.geteuid() == 0:  # the server refuses to run as root
        who = "postgres"
        for path in folder.parents:  # and whoever runs it has to get through to the data
            if path.is_relative_to(tempfile.gettempdir()) and path != Path(tempfile.gettempdir()):
                path.chmod(path.stat().st_mode | 0o111)
        shutil.chown(folder, who)
    user = who or getpass.getuser()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def run(program, *arguments):
        command = [str(Path(INITDB).parent / program), *arguments]
        subprocess.run(command, check=True, user=who, cwd=folder, stdout=subprocess.DEVNULL, timeout=120)

    run("initdb", "-D", str(folder / "data"), "-A", "trust", "-U", user, "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    run("pg_ctl", "-D", str(folder / "data"), "-w", "-o", options, "-l", str(folder / "log"), "start")
    yield f"postgres://{user}@127.0.0.1:{port}/postgres"
    run("pg_ctl", "-D", str(folder / "data"), "-m", "immediate", "stop")


def test_migrations_accounts_and_labels_on_postgresql(address, tmp_path, cache, data):
    settings = production(
        {
            "SKYFED_SECRET_KEY": "0123456789abcdef" * 4,
            "SKYFED_INSTANCE": str(tmp_path),
            "SKYFED_CACHE": str(cache),
            "SKYFED_DATA": str(data),
            "DATABASE_URL": address,
        }
    )
    plain = {"SESSION_COOKIE_SECURE": False, "SESSION_COOKIE_NAME": "session", "RATELIMIT_ENABLED": False}
    site = create_app({**settings, **plain, "TESTING": True})
    prepare_database(site)
    with site.app_context():
        assert db.engine.dialect.name == "postgresql"
        with db.engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), db.metadata) == []
        service.register("user@example.org", "User", PASSWORD, "researcher")
    browser = Browser(site)
    assert browser.log_in("user@example.org").status_code == 302
    assert browser.put("/api/v1/labels/conf_a", {"tags": ["a"], "note": "晴"}).status_code == 200
    assert browser.get("/api/v1/labels").json["labels"]["conf_a"]["note"] == "晴"
    with site.app_context():  # the queue's changes of state, as this database does them
        user = service.find_user("user@example.org")
        first, second = (
            queue.submit(user, TINY, name=n, note="", folds=1, seeds=1, sweep={})[0].id for n in "ab"
        )
        assert [one.id for one in queue.queue()] == [first, second]
        number, claim = queue.claim_next()
        assert number == first and queue.beat(number, claim) == "" and queue.beat(number, "other") is None
        assert queue.requeue_lost(now() - timedelta(minutes=1)) == []
        assert queue.requeue_lost(now()) == [first]
        assert [one.id for one in queue.queue()] == [
            first,
            second,
        ]  # nobody else's turn, and it waited longest
        queue.settle(*queue.claim_next(), 0, "")
        assert {one.id: one.state for one in user.jobs} == {first: "done", second: "queued"}
    token, cookie = browser.token(), browser.cookie("session")

    def make(_):  # a limit holds here too, however many ask at once
        client = site.test_client()
        client.set_cookie("session", cookie)
        headers = {"X-CSRFToken": token}
        return client.post(
            "/profile/tokens", data={"name": "n", "scopes": "read"}, headers=headers
        ).status_code

    with ThreadPoolExecutor(24) as pool:
        assert sorted(pool.map(make, range(24))) == [201] * 20 + [422] * 4
    assert browser.put("/api/v1/labels/conf_a", {"tags": [], "note": "\0"}).status_code == 422
    broken = browser.put(  # more than this database's column holds
        "/api/v1/labels/conf_a", {"tags": [letter * 30 for letter in "abcdefgh"], "note": ""}
    )
    assert broken.status_code == 400 and browser.get("/home").status_code == 200
    assert browser.post("/profile/delete", {"password": PASSWORD}).status_code == 302
    with site.app_context():
        folder = f"{site.root_path}/migrations"
        downgrade(folder, revision="base")
        upgrade(folder)
        assert service.find_user("user@example.org") is None
        db.engine.dispose()
