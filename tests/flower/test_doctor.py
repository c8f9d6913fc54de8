"""What the doctor says of each thing that may be wrong."""

import sqlite3
import subprocess
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from app.flower import doctor, proxy
from app.flower.certificates import Certificate, make_authority, make_server
from app.flower.setup import DATABASE
from tests.flower.fakes import KEYS
from utils.engines.flower_home import JoinedNode


@pytest.fixture
def told(run, ready):
    """All that the doctor says, and the exit status."""

    def told_(*arguments):
        status, out, errors = run("doctor", *arguments)
        assert errors == ""
        return status, out

    return told_


def test_what_was_never_set_up(run, home):
    status, out, _ = run("doctor")
    assert status == 1 and "is not set up; python3 -m app.flower setup" in out


def test_what_does_not_run_is_told_of_and_the_time(told):
    status, out = told()
    assert status == 1 and "the SuperLink at 127.0.0.1:" in out and "the proxy at port" in out
    assert out.count("is not running; start serve") == 2 and "2 things are wrong" in out
    assert f"{datetime.now(UTC):%Y-%m-%d %H:}" in out and "date -u on a node" in out and "5 s ahead" in out


def test_another_flower_and_none(told, bin):
    (bin / "flwr").write_text("#!/bin/sh\necho Flower version: 1.43.0\n")
    assert "Flower 1.43.0 is there, and 1.42.0 was set up" in told()[1]
    (bin / "flwr").unlink()
    assert "there is no" in told()[1] and "make flower installs it" in told()[1]


def test_files_that_lack_or_that_others_may_read(told, ready):
    (ready.folder / "secret").unlink()
    (ready.folder / "server.key").chmod(0o644)
    out = told()[1]
    assert "secret: is not there" in out and "server.key: others may read it" in out


def test_certificates_of_another_authority_without_a_name_and_near_their_end(told, ready, monkeypatch):
    make_authority(ready.folder)
    assert "is not of the authority in ca.crt" in told()[1]
    make_server(ready.folder, ["elsewhere.example"])
    out = told()[1]
    assert "does not hold for 127.0.0.1" in out and "is not of the authority" not in out
    now = datetime.now(UTC)
    soon = Certificate(frozenset(), now - timedelta(1), now + timedelta(29.9))
    monkeypatch.setattr(doctor.certificates, "read_certificate", lambda _: soon)
    assert told()[1].count("certificate ends in 30 days") == 2
    ended = Certificate(frozenset(), now - timedelta(9), now - timedelta(1))
    monkeypatch.setattr(doctor.certificates, "read_certificate", lambda _: ended)
    assert "certificate has ended" in told()[1]
    early = Certificate(frozenset(), now + timedelta(1), now + timedelta(400))
    monkeypatch.setattr(doctor.certificates, "read_certificate", lambda _: early)
    assert "begins in the future: this machine's clock went back" in told()[1]


def test_a_database_of_a_newer_flower(told, ready, bin, run):
    versions = bin.parent / "lib/python3.11/site-packages/flwr/supercore/state/alembic/versions"
    versions.mkdir(parents=True)
    (versions / "one.py").write_text('revision: str = "aaaa1111"\ndown_revision = None\n')
    for revision, is_wrong in (("aaaa1111", False), ("d9bd9d502cf9", True)):
        with closing(sqlite3.connect(ready.folder / DATABASE)) as database, database:
            database.execute("CREATE TABLE IF NOT EXISTS alembic_version (version_num TEXT)")
            database.execute("DELETE FROM alembic_version")
            database.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
        assert ("another, newer version of Flower" in told()[1]) == is_wrong
    status, _, errors = run("serve")  # it would only fail, again and again
    assert status == 1 and "revision d9bd9d502cf9" in errors and errors.count("\n") == 1
    (ready.folder / DATABASE).write_bytes(b"this is no database at all" * 100)
    assert "no database" in told()[1]


def test_a_superlink_that_is_open_to_others(told, ready, monkeypatch):
    asked = []
    monkeypatch.setattr(
        doctor, "_listening", lambda port: asked.append(port) or {"127.0.0.1", "10.0.0.7", "::"}
    )
    out = told()[1]
    assert "is open at 10.0.0.7" in out and "is open at ::" in out and "open at 127" not in out
    assert asked == [int(ready.read().address.rpartition(":")[2])]


def test_who_listens_is_read_as_linux_writes_it(tmp_path):
    (tmp_path / "tcp").write_text(
        "  sl  local_address rem_address   st\n"
        "   0: 0100007F:2383 00000000:0000 0A 0\n   1: 00000000:2383 00000000:0000 0A 0\n"
        "   2: 0700000A:2383 0100007F:1111 01 0\n   3: 0700000A:2384 00000000:0000 0A 0\n"
    )
    (tmp_path / "tcp6").write_text(
        "  sl  local_address rem_address   st\n"
        "   0: 00000000000000000000000001000000:2383 00000000000000000000000000000000:0000 0A 0\n"
        "   1: 0000000000000000FFFF00000100007F:2383 00000000000000000000000000000000:0000 0A 0\n"
    )
    assert doctor._listening(9091, tmp_path) == {"127.0.0.1", "0.0.0.0", "::1"}


def test_a_list_of_keys_that_is_not_that_of_the_nodes(run, told, ready):
    ready.write_joined([JoinedNode("a", "1", KEYS[0], "")])
    assert "keys.map: is not the list" in told()[1] and "never written down" in told()[1]
    assert run("allow")[0] == 0
    assert "keys.map: is not the list" not in told()[1]


@pytest.mark.parametrize(("ahead", "says"), [(0, ""), (40, "40 s ahead of"), (-400, "400 s behind")])
def test_the_clock_is_compared_with_that_of_the_site(told, ahead, says):
    class Site(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200)
            self.end_headers()

        def date_time_string(self, timestamp=None):
            return f"{datetime.now(UTC) - timedelta(seconds=ahead):%a, %d %b %Y %H:%M:%S GMT}"

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        out = told("--site", f"http://127.0.0.1:{server.server_port}")[1]
        server.shutdown()
    assert ("this machine's clock is" in out) == bool(says)
    found = int(out.partition("clock is ")[2].partition(" s ")[0]) if says else 0
    assert abs(found - abs(ahead)) <= 1 and says.partition(" s ")[2] in out


@pytest.mark.skipif(proxy.nginx() is None, reason="no nginx on this machine")
def test_the_proxy_is_asked_as_a_stranger_would(ready, run):
    process = subprocess.Popen(proxy.command(ready), stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            out = run("doctor")[1]
            if "the proxy at port" not in out:
                break
        assert "the proxy" not in out
        conf = ready.folder / proxy.CONF
        conf.write_text(
            conf.read_text().replace("$skyfed_joined = 0", "$skyfed_joined = 2").replace("403", "200")
        )
        subprocess.run([*proxy.command(ready), "-s", "reload"], check=True, capture_output=True)
        for _ in range(100):
            out = run("doctor")[1]
            if "the proxy answers 502" in out:  # the workers of before are gone
                break
        assert "the proxy answers 200 to anybody at /" in out
        assert "the proxy answers 502 to a stranger without a key at /v1/fleet/" in out
    finally:
        process.terminate()
        process.wait(timeout=30)
