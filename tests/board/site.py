"""The real site as processes of their own, its people, and what its database says; not a test."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

from argon2 import PasswordHasher
from flask import Flask

from app.auth.service import prepared
from app.config import demo
from app.extensions import db
from app.models import ApiToken, User, new_secret
from tests.conftest import ROOT

PATIENCE = 120.0
"""Seconds within which whatever is waited for comes about, on a slow machine too."""
PASSWORD = "test"  # noqa: S105  # of people whom tests make
PUBLISHER = "greatabel1@126.com"
SMALL = {
    "format": {
        "input": {
            "kind": "values",
            "fields": [{"key": key, "low": -1, "high": 1} for key in ("a", "b", "c")],
        },
        "answer": {"kind": "label", "labels": ["no", "yes"]},
    },
    "network": {"layers": [{"dense": 8, "activation": "relu"}]},
    "training": {"lr": 0.1, "batch_size": 8, "local_epochs": 4},
    "limits": {"examples": 2, "per_version": 0, "trainings": 1000},
    "aggregation": {"goal": 2, "least": 2, "minutes": 60},
    "consent": "What is computed: a **change** of the model.",
}  # fmt: skip


def until(holds, what, patience=PATIENCE, each=0.1):
    """Ask again and again until it holds; what it then is."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if found := holds():
            return found
        time.sleep(each)
    raise AssertionError(f"{what}: not within {patience:.0f} s")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def below(pid):
    """The processes that this one started, and those that they started."""
    parents = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found, left = [], [pid]
    while left:
        children = [child for child, parent in parents.items() if parent == left[-1]]
        left.pop()
        found += children
        left += children
    return found


def _called(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def kill(pids):
    """SIGKILL for each that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Site:
    """A demo site in the folder `instance`, at one port however often it is started."""

    def __init__(self, instance, cache):
        self.instance, self.cache, self.port, self.process = instance, cache, free_port(), None
        self.address = f"http://127.0.0.1:{self.port}"
        self.app = Flask("app")
        self.app.config.from_mapping(demo({"SKYFED_INSTANCE": str(instance)}))
        db.init_app(self.app)

    def start(self):
        folders = {"SKYFED_INSTANCE": self.instance, "SKYFED_CACHE": self.cache, "SKYFED_DATA": self.cache}
        self.process = subprocess.Popen(
            [sys.executable, "i4wsgi.py", "--demo", "--port", str(self.port)], cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1", **{key: str(one) for key, one in folders.items()}},
        )  # fmt: skip
        said = []
        for line in self.process.stdout:
            said.append(line)
            if "SkyFed is at" in line:
                break
        else:
            raise AssertionError("".join(said))
        threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True).start()
        return self

    def _read(self, stream):
        for _ in stream:
            pass

    def stop(self):
        self.process.terminate()
        self.process.wait(60)

    def server(self):
        """The process that answers requests."""
        return until(
            lambda: next((pid for pid in below(self.process.pid) if "i4wsgi.py" in _called(pid)), 0),
            "a worker",
        )

    def supervisors(self):
        """The processes that look after jobs, and not those that carry them out."""
        return [pid for pid in below(self.process.pid) if "app.jobs" in _called(pid)]

    def kill(self):
        """SIGKILL for the server and its supervisor at once; who folds ends by itself."""
        mine = [self.process.pid, *below(self.process.pid)]
        kill(pid for pid in mine if "utils.calls" not in _called(pid))
        self.process.wait(60)
        until(lambda: not any(_called(pid) for pid in mine), "the end of the killed site")

    def rows(self, statement, *values):
        """What the database says, as dicts."""
        with contextlib.closing(
            sqlite3.connect(f"file:{self.instance / 'demo.db'}?mode=ro", uri=True)
        ) as base:
            base.row_factory = sqlite3.Row
            return [dict(row) for row in base.execute(statement, values)]

    def number(self, name):
        """The number of the task called so."""
        return self.rows("select id from calls where name = ?", name)[0]["id"]

    def versions(self, task):
        found = self.rows("select * from versions where call_id = ? order by number", task)
        return [{**one, "scores": json.loads(one["scores"])} for one in found]

    def trainings(self, task):
        return self.rows("select * from trainings where call_id = ? order by id", task)

    def waiting(self, task):
        return sum(one["state"] == "waiting" for one in self.trainings(task))

    def account(self, email):
        """Have an account of this person."""
        with self.app.app_context():
            self._person(email).password_hash = PasswordHasher().hash(prepared(PASSWORD))
            db.session.commit()

    def _person(self, email):
        person = db.session.scalar(db.select(User).where(User.email == email))
        if person is None:
            person = User(email=email, nickname=email.partition("@")[0], password_hash="", role="user")
            db.session.add(person)
            db.session.flush()
        return person

    def token(self, email, scopes="read participate"):
        """A token of this person, who is made where there is none."""
        secret, kept = new_secret()
        with self.app.app_context():
            person = self._person(email)
            db.session.add(ApiToken(user_id=person.id, name="test", secret_hash=kept, scopes=scopes))
            db.session.commit()
        return secret

    def ask(self, method, path, token, body=None, patience=60):
        """Status and JSON of an answer of the API."""
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=patience)
        try:
            line.request(method, f"/api/v1{path}", raw, headers)
            answer = line.getresponse()
            said = answer.read()
        finally:
            line.close()
        is_json = "json" in answer.headers.get("Content-Type", "")
        return answer.status, json.loads(said) if is_json else said

    def publish(self, name, described=SMALL, **changes):
        """Publish a task; its number."""
        token = self.token(PUBLISHER, "read train participate")
        draft = {"name": name, "description": "For a test", "described": {**described, **changes}}
        status, made = self.ask("POST", "/calls", token, draft)
        assert status == 200, made
        status, told = self.ask("POST", f"/calls/{made['id']}/publish", token, patience=PATIENCE)
        assert status == 200, told
        return made["id"]

    def home(self, patience=30):
        """The page that everybody sees first."""
        at = f"{self.address}/home"
        with urllib.request.urlopen(at, timeout=patience) as answer:  # noqa: S310  # of ours
            return answer.read()

    def memory(self):
        """Bytes of memory that the server has, and has had at most."""
        said = Path(f"/proc/{self.server()}/status").read_text()
        return [1024 * int(re.search(rf"{name}:\s+(\d+)", said)[1]) for name in ("VmRSS", "VmHWM")]
