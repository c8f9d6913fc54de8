"""Flower kept running at the server, by commands that only look like Flower's and nginx."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from app.flower import registry, serving
from tests.conftest import ROOT
from tests.flower.fakes import KEYS, alive, commands
from tests.test_supervision import until
from utils.engines.flower_home import FlowerError, JoinedNode

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="as Linux does it")
NAMES = ("flower-superlink", "flower-superexec", "nginx")
SCRIPT = """cd {folder}
echo $$ > {name}.pid
echo "$0 $@" >> {name}.told
env > {name}.draft
mv {name}.draft {name}.env
exec sleep 1000"""


@pytest.fixture
def served(ready, bin, tmp_path):
    """Starts `serve`, and gives what it said so far; it is ended in the end."""
    scripts = {name: SCRIPT.format(folder=tmp_path, name=name) for name in NAMES}
    commands(bin, **scripts)
    code = (
        "import sys\nfrom app.flower import __main__, serving\nserving.EACH = 0.2\n"
        "sys.exit(__main__.main(sys.argv[1:]))"
    )
    log = tmp_path / "said"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", code, "serve", "--folder", ready.folder], cwd=ROOT, stdout=out,
            stderr=subprocess.STDOUT, env={**os.environ, "PATH": f"{bin}:{os.environ['PATH']}"},
        )  # fmt: skip
    until(lambda: all((tmp_path / f"{name}.env").exists() for name in NAMES), 30)
    yield process, log
    with suppress(ProcessLookupError):
        process.terminate()
    process.wait(timeout=30)


def _pid(folder, name):
    return int((folder / f"{name}.pid").read_text())


def test_all_three_run_as_they_have_to(served, ready, tmp_path):
    told = {name: (tmp_path / f"{name}.told").read_text() for name in NAMES}
    for words in (
        "--host 127.0.0.1", "--enable-supernode-auth", "--isolation process", "--superexec-auth-secret-file",
        "--database", "--disable-runtime-dependency-installation", "--ssl-certfile",
    ):  # fmt: skip
        assert words in told["flower-superlink"]
    assert f"--runtime-api-address {ready.read().address}" in told["flower-superexec"]
    assert "--superexec-auth-secret-file" in told["flower-superexec"]
    around = (tmp_path / "flower-superexec.env").read_text().splitlines()
    assert f"FLWR_HOME={ready.folder / 'flwr'}" in around and "FLWR_TELEMETRY_ENABLED=0" in around
    assert "FLWR_SUPEREXEC_TASK_POLL_INTERVAL=0.1" in around
    assert any(line.startswith(f"PATH={ready.read().bin}:") for line in around)


def test_what_dies_comes_back_and_sigterm_ends_all(served, ready, tmp_path):
    process, log = served
    first = _pid(tmp_path, "flower-superlink")
    os.kill(first, signal.SIGKILL)
    until(lambda: _pid(tmp_path, "flower-superlink") != first)
    assert "superlink: ended by SIGKILL; again in 1 s" in log.read_text()
    pids = [_pid(tmp_path, name) for name in NAMES]
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=30)
    assert process.returncode == 130, log.read_text()
    assert not any(map(alive, pids))
    said = log.read_text()
    assert "superlink: started" in said and "proxy: ended" in said and "Traceback" not in said
    assert json.loads((ready.folder / "online.json").read_text())["nodes"] == {}


def test_who_is_online_is_written_down_and_changes_are_said(served, ready, bin, tmp_path):
    number = registry.register(ready, KEYS[0])
    ready.write_joined([JoinedNode("school", number, KEYS[0], "")])
    until(lambda: ready.online() == {number: None}, 20)
    nodes = json.loads((bin / "flwr.json").read_text())
    next(iter(nodes.values())).update({"status": "online", "online-elapsed": 60.0})
    (bin / "flwr.json").write_text(json.dumps(nodes))
    until(lambda: bool(ready.online().get(number)), 20)
    assert abs(time.time() - 60 - ready.online()[number]) < 10
    until(lambda: "online: school" in served[1].read_text())
    (bin / "flwr").write_text("#!/bin/sh\necho no line >&2; exit 1\n")
    until(lambda: "online: the nodes cannot be listed: no line" in served[1].read_text(), 20)


def test_it_runs_once(served, run):
    status, _, errors = run("serve")
    assert status == 1 and "is kept running there already" in errors and errors.count("\n") == 1


def test_where_it_cannot_begin_that_is_one_line(run, ready):
    ready.write_joined([JoinedNode("school", "1", "no key", "")])
    status, _, errors = run("serve")
    assert (status, errors) == (1, "node school: the public key is not in PEM (BEGIN PUBLIC KEY)\n")


def test_a_list_that_is_none_is_said():
    assert serving.online_of({"nodes": [{"node-id": "5", "status": "deleted"}]}, 0) == {}
    for told in ({}, {"nodes": [{}]}, {"nodes": 3}):
        with pytest.raises(FlowerError, match="cannot be listed"):
            serving.online_of(told, 0)


@pytest.mark.parametrize(
    ("of", "line", "says"),
    [
        (
            serving._of_superlink,
            "alembic.util.exc.CommandError: Can't locate revision identified by 'd9bd'",
            "version",
        ),
        (
            serving._of_superlink,
            "[Errno 98] error while attempting to bind: address already in use",
            "port is taken",
        ),
        (serving._of_superlink, "INFO :      Starting Flower SuperLink", None),
        (
            serving._of_proxy,
            "10.1.1.1 403 POST /v1/control/start-run",
            "refused 10.1.1.1 POST /v1/control/start-run",
        ),
        (
            serving._of_proxy,
            "2026/11/27 [emerg] 1#1: bind() to 0.0.0.0:443 failed (13: Permission denied)",
            "bind()",
        ),
    ],
)
def test_what_their_words_mean(of, line, says):
    found = of(line)
    assert (found is None) == (says is None) and (found is None or says in found.text)
