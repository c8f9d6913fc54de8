"""Flower itself on loopback, whole: set up, served, and nodes that joined, each as an owner starts it."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

from app.flower import proxy, registry
from tests.conftest import ROOT
from tests.flower.fakes import free_port
from tests.participant.fake_site import INVITE, FakeSite
from tests.test_supervision import until
from utils.engines.flower_home import Home, JoinedNode


class Programs:
    """Programs of ours, all of which end in the end."""

    def __init__(self, folder):
        self._folder, self._processes = folder, []

    def start(self, *arguments):
        """Start a module; the process, and the file to which its lines go."""
        log = self._folder / f"said{len(self._processes)}"
        with log.open("w") as out:
            command = [sys.executable, "-m", *map(str, arguments)]
            self._processes.append(
                subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, env=os.environ)
            )
        return self._processes[-1], log

    def end(self):
        """End them, the latest first."""
        for process in reversed(self._processes):
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


class Federation:
    """A server and nodes, by their names: of each the folder that has its sets."""

    def __init__(self, folder, type, sets, given=()):
        """`given` are further options of `node join`. SKYFED_FLOWER has to name the server's folder."""
        self.home, self.programs = Home(), Programs(folder)
        self.folder, self.sites, self.said = folder, [], []
        public = f"127.0.0.1:{free_port()}"
        setup, said = self.programs.start("app.flower", "setup", "--public", public, "--port", free_port())
        assert setup.wait(timeout=60) == 0, said.read_text()
        self.server, self.served = self.programs.start("app.flower", "serve")
        until(lambda: (self.home.folder / "online.json").exists(), 60)
        joined = []
        for name, own in sets.items():
            self.sites.append(site := FakeSite())
            site.public, site.ca, site.state = public, (self.home.folder / "ca.crt").read_text(), "joined"
            process, said = self.programs.start(
                "utils.participant", "node", "join", site.url, f"--invite={INVITE}", "--name", name, "--type", type,
                "--data", own, "--accept", "1", "--anyway", "--home", folder / name / "home", *given,
            )  # fmt: skip
            assert process.wait(timeout=120) == 0, said.read_text()
            key = site.joins[0]["public_key"]
            joined.append(JoinedNode(name, registry.register(self.home, key), key))
        self.home.write_joined(joined)
        proxy.allow(self.home)
        for name in sets:
            place = ["--home", folder / name / "home"]
            self.said.append(self.programs.start("utils.participant", "node", "run", *place)[1])
        until(lambda: all(self.home.online().get(one.node_id) for one in joined), 200)

    def end(self):
        """End all of it."""
        self.programs.end()
        for site in self.sites:
            site.close()
