"""With Flower itself: set up, served, a node registered, connected over the proxy, revoked. Skipped where it is not
installed (make flower).
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from app.flower import proxy, registry
from app.flower.setup import DEFAULT_BIN
from tests.conftest import ROOT
from tests.flower.fakes import alive, free_port
from tests.participant.fake_site import INVITE, FakeSite
from tests.test_supervision import until
from utils.engines.flower_home import FlowerError, JoinedNode

pytestmark = [
    pytest.mark.skipif(not (DEFAULT_BIN / "flwr").exists(), reason="no Flower on this machine (make flower)"),
    pytest.mark.skipif(proxy.nginx() is None, reason="no nginx on this machine"),
]


@pytest.fixture
def start(tmp_path):
    """Starts a program of ours; where its lines go. All are ended in the end."""
    processes = []

    def start_(*arguments):
        log = tmp_path / f"said{len(processes)}"
        with log.open("w") as out:
            command = [sys.executable, "-m", *map(str, arguments)]
            processes.append(
                subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, env=os.environ)
            )
        return processes[-1], log

    yield start_
    for process in reversed(processes):
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


@pytest.fixture
def site():
    made = FakeSite()
    yield made
    made.close()


def test_a_node_connects_over_the_proxy_until_it_is_revoked(run, home, start, site, tmp_path, public):
    port = free_port()
    assert run("setup", "--public", public, "--port", port)[0] == 0
    served, told = start("app.flower", "serve")
    until(lambda: (home.folder / "online.json").exists(), 60)
    status, out, _ = run("doctor", "--site", site.url)
    assert (status, "nothing is wrong" in out) == (0, True), out

    site.public, site.ca = public, (home.folder / "ca.crt").read_text()
    (tmp_path / "data").mkdir()
    joined, said = start(
        "utils.participant", "node", "join", site.url, f"--invite={INVITE}", "--name", "school", "--type", "heart",
        "--data", tmp_path / "data", "--accept", "1", "--anyway", "--home", tmp_path / "owner",
    )  # fmt: skip
    assert joined.wait(timeout=60) == 0, said.read_text()
    key = site.joins[0]["public_key"]
    number = registry.register(home, key)
    assert registry.register(home, key) == number
    link, said = start("utils.participant", "node", "link", "--home", tmp_path / "owner")
    until(lambda: "waiting until" in said.read_text(), 30)
    site.state = "joined"
    home.write_joined([JoinedNode("school", number, key, "")])
    proxy.allow(home)
    until(lambda: f"node: connected, as number {number}" in said.read_text(), 60)
    until(lambda: isinstance(home.online().get(number), float), 60)
    assert abs(home.online()[number] - time.time()) < 60

    home.write_joined([])
    proxy.allow(home)
    registry.unregister(home, number)
    until(lambda: "lets this node's key through no more" in said.read_text(), 30)
    with pytest.raises(FlowerError, match="join again with a new key"):
        registry.register(home, key)
    until(lambda: number not in home.online(), 60)
    site.state = "left"
    pids = [
        int(line.rpartition(" ")[2]) for line in told.read_text().splitlines() if "started, process" in line
    ]
    served.terminate()
    assert served.wait(timeout=30) == 130 and not any(map(alive, pids))
    assert "Traceback" not in told.read_text() + said.read_text()
    link.terminate()
    assert link.wait(timeout=30) == 130
