"""Real participants: the program in processes of their own, with a home each; not a test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

from tests.board.site import PATIENCE
from tests.conftest import ROOT
from utils.participant.kept import Place

PACE = "0.05"
"""What a second takes of those that the program waits."""


class Person:
    """Somebody with a token, who asks the site at `address`, which may be a proxy's."""

    def __init__(self, home, site, email, address=None, token=None):
        self.home, self.site, self.email = home, site, email
        self.address, self.token = address or site.address, token or site.token(email)
        self.task, self.env = 0, {}

    def command(self, *arguments, module="utils.participant"):
        return [sys.executable, "-m", module, *map(str, arguments)]

    def environment(self):
        own = {"SKYFED_PARTICIPANT": str(self.home), "SKYFED_PARTICIPANT_PACE": PACE, "OMP_NUM_THREADS": "1"}
        return {**os.environ, **own, **self.env}

    def start(self, *arguments, module="utils.participant"):
        """The program, at work."""
        return subprocess.Popen(
            self.command(*arguments, module=module), cwd=ROOT, env=self.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip

    def run(self, *arguments, module="utils.participant"):
        """The program from beginning to end: its exit status and what it said."""
        process = self.start(*arguments, module=module)
        said, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, said

    def join(self, task, *data):
        """Take part in a task; the process must succeed."""
        self.task = task
        consent = self.site.rows("select consent from calls where id = ?", task)[0]["consent"]
        at = f"{self.address}/tasks/{task}"
        status, said = self.run("join", at, "--token", self.token, "--accept", consent, *data)
        assert status == 0, said
        return said

    def train(self, *more, module="utils.participant"):
        """One training, sent unasked, whatever this machine is at."""
        return self.run("train", "--yes", "--anyway", *more, module=module)

    def watch(self):
        return Watching(self.start("train", "--watch", "--anyway"))

    @property
    def kept(self):
        """What lies at home of the task."""
        [found] = Place(self.home).tasks()
        return found

    @property
    def data(self):
        """The folder of the prepared examples."""
        return self.kept.folder / self.kept.about.data

    def sent(self):
        """What the ledger has of updates."""
        return self.kept.ledger.sent()


class Watching:
    """A `train --watch` that is at work, and what it has said so far."""

    def __init__(self, process):
        self.process, self.said = process, []
        threading.Thread(target=lambda: self.said.extend(process.stdout), daemon=True).start()

    def is_alive(self):
        return self.process.poll() is None

    def end(self):
        """Ctrl-C; the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)

    def kill(self):
        self.process.kill()
        self.process.wait(60)
