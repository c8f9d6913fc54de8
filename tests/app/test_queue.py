"""Trainings are carried out, whatever dies: one contract, over the embedded supervisor and over RQ and Redis."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import select

from app import create_app
from app.auth import service as people
from app.config import demo
from app.extensions import db, limiter
from app.jobs import runner, service, supervisor
from app.models import Job
from tests.app.conftest import Browser
from tests.conftest import ROOT, TINY
from tests.test_resume import _outcome
from utils.results import read_result

REDIS = shutil.which("redis-server")
CONF = {**TINY, "global_epochs": 25, "local_epochs": 5}
LOST_AFTER = 5


def _children(pid):
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


class Embedded:
    """The supervisor that the site starts, alone."""

    def __init__(self, env):
        self.env = env
        self.processes = []

    def start(self):
        self.processes = [self._start("--demo")]

    def _start(self, *arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "app.jobs", *arguments], cwd=ROOT, env=self.env, stdin=subprocess.PIPE
        )

    def kill_one(self):
        """kill -9 of whatever supervises, and a new one, as the site would start it."""
        self.stop()
        self.start()

    def stop(self):
        for process in self.processes:
            process.kill()
            process.communicate()


class Rq(Embedded):
    """A supervisor that hands out tickets, a Redis that forgets everything when it dies, two workers."""

    def __init__(self, env):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        super().__init__({**env, "REDIS_URL": f"redis://127.0.0.1:{self.port}"})
        self.redis = None
        self.turn = 0

    def start(self):
        self._start_redis()
        self.processes = [
            self._start("--demo"),
            self._start("--demo", "worker"),
            self._start("--demo", "worker"),
        ]

    def _start_redis(self):
        settings = f"--port {self.port} --bind 127.0.0.1 --appendonly no"
        self.redis = subprocess.Popen([REDIS, *settings.split(), "--save", ""], stdout=subprocess.DEVNULL)
        for _ in range(100):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.05)
        raise AssertionError("no Redis")

    def kill_one(self):
        """In turn: Redis, then both workers, then the supervisor."""
        self.turn += 1
        if self.turn % 3 == 1:
            self.redis.kill()
            self.redis.wait()
            time.sleep(1)
            self._start_redis()
        else:
            mine = range(1, 3) if self.turn % 3 == 2 else range(1)
            for place in mine:
                self.processes[place].kill()
                self.processes[place].communicate()
                self.processes[place] = self._start("--demo", *(["worker"] if place else []))

    def stop(self):
        horses = [pid for worker in self.processes[1:] for pid in _children(worker.pid)]
        super().stop()
        for pid in horses:  # a worker's child outlives it, and would go on to the end of its training
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if self.redis:
            self.redis.kill()
            self.redis.wait()


class Site(Embedded):
    """The whole demo site."""

    def __init__(self, env):
        super().__init__(env)
        self.turn = 0

    def start(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "i4wsgi.py", "--demo", "--port", str(port)]
        self.processes = [
            subprocess.Popen(command, cwd=ROOT, env=self.env, stdout=subprocess.PIPE, text=True)
        ]
        assert "SkyFed is at" in self.processes[0].stdout.readline()

    def kill_one(self):
        """In turn: the server's main process, of which a new one is started, and its worker, which it replaces."""
        self.turn += 1
        if self.turn % 2:
            self.stop()
            self.start()
        else:
            os.kill(_children(self.processes[0].pid)[0], signal.SIGKILL)


class Lab:
    """A site's folders, its API as a researcher sees it, and the processes that carry out what is asked."""

    def __init__(self, folder, env, processes):
        self.cache, self.instance, self.processes = folder / "cache", folder / "instance", processes
        self.site = create_app({**demo(env), "TESTING": True, "RATELIMIT_ENABLED": False})
        self.browser = Browser(self.site)
        self.headers = {}

    def log_in(self, role="researcher"):
        assert self.browser.log_in(f"{role}@example.org").status_code == 302
        self.headers = {"X-CSRFToken": self.browser.token()}

    def ask(self, method, path, status=200, **body):
        answer = self.browser.client.open(
            f"/api/v1/jobs{path}", method=method, headers=self.headers, **({"json": body} if body else {})
        )
        assert answer.status_code == status, answer.get_data(as_text=True)
        return answer.json

    def submit(self, conf=CONF, **more):
        return self.ask("POST", "", **{"conf": conf, "name": "twin", "folds": 2, **more})["jobs"]

    def wait(self, number, what, seconds=240):
        """Until the training's state is `what` or `what(training)` holds; returns it."""
        end = time.monotonic() + seconds
        while True:
            job = self.ask("GET", f"/{number}")
            if what(job) if callable(what) else job["state"] == what:
                return job
            assert time.monotonic() < end, job
            time.sleep(0.2)

    def rounds(self, number):
        return sum(len(curve["acc"]) for curve in self.ask("GET", f"/{number}")["curves"].values())

    def log(self, number):
        return [line["text"] for line in self.ask("GET", f"/{number}/log")["lines"]]

    def trainers(self):
        """Process ids of all i2main.py that write into this cache."""
        found = []
        for pid in filter(str.isdecimal, os.listdir("/proc")):
            with suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes()
                if b"i2main.py" in line and str(self.cache).encode() in line:
                    found.append(int(pid))
        return found


@pytest.fixture(params=[Embedded, Rq], ids=["embedded", "rq"])
def lab(request, tmp_path, migrated, data):
    if request.param is Rq and REDIS is None:
        pytest.skip("no Redis on this machine")
    (tmp_path / "instance").mkdir()
    shutil.copy(migrated, tmp_path / "instance" / "demo.db")
    settings = {"SKYFED_INSTANCE": str(tmp_path / "instance"), "SKYFED_CACHE": str(tmp_path / "cache"),
                "SKYFED_DATA": str(data), "SKYFED_LOST_AFTER": str(LOST_AFTER)}  # fmt: skip
    processes = request.param({**os.environ, "OMP_NUM_THREADS": "1", **settings})
    made = Lab(tmp_path, settings, processes)
    made.log_in()
    processes.start()
    yield made
    processes.stop()
    limiter.enabled = True
    end = time.monotonic() + 20
    while made.trainers():
        assert time.monotonic() < end, "a training outlives the process that started it"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, data):
    """The outcome of `twin-1` trained from the command line."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "twin-1.json").write_text(json.dumps(CONF))
    subprocess.run(
        [sys.executable, "i2main.py", "-c", folder / "twin-1.json", "--data", data, "--folds", "2", "--out", folder,
         "--workers", "1", "--quiet"], cwd=ROOT, check=True,
    )  # fmt: skip
    return _outcome(folder, "twin-1")


@pytest.mark.parametrize("lab", [Embedded, Rq, Site], ids=["embedded", "rq", "site"], indirect=True)
def test_killed_at_random_moments_it_ends_as_if_nothing_had_happened(lab, undisturbed):
    dice = random.Random(5)
    [job] = lab.submit()
    for kill in ("trainer", "one", "trainer", "one", "one"):
        more = lab.rounds(job["id"]) + 1
        lab.wait(job["id"], lambda job, more=more: job["state"] == "done" or lab.rounds(job["id"]) >= more)
        time.sleep(dice.uniform(0, 1))
        if kill == "one":
            lab.processes.kill_one()
        else:
            for pid in lab.trainers():
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
    done = lab.wait(job["id"], "done")
    assert done["run"] == "twin-1" and done["reason"] == "" and done["seconds"] > 0
    assert _outcome(lab.cache, "twin-1") == undisturbed
    rounds = [text for text in lab.log(job["id"]) if " of 25: " in text]
    assert len(rounds) == len({text.partition(":")[0] for text in rounds}) <= 50, "a round was done twice"
    assert len([text for text in lab.log(job["id"]) if "goes on after round" in text]) >= 2
    assert not list(lab.cache.glob(".unfinished/*/*"))


def test_pause_resume_stop_and_delete(lab, undisturbed):
    [job] = lab.submit()
    number = job["id"]
    lab.wait(number, lambda job: lab.rounds(number) > 1)
    lab.ask("POST", f"/{number}/pause")
    paused = lab.wait(number, "paused")
    assert lab.rounds(number) > 1 and not lab.trainers() and paused["reason"] == ""
    assert lab.ask("POST", f"/{number}/pause", 409)["error"]["message"].endswith("paused.")
    lab.ask("POST", f"/{number}/resume")
    lab.wait(number, lambda job: job["state"] == "running" and job["examples_done"])
    again = lab.ask("POST", f"/{number}/repeat")
    assert again["id"] != number and again["run"] == f"twin-{again['id']}"
    lab.wait(number, "done")
    assert _outcome(lab.cache, "twin-1") == undisturbed
    lab.wait(again["id"], lambda job: lab.rounds(job["id"]) > 0)
    lab.ask("POST", f"/{again['id']}/stop")
    lab.wait(again["id"], "stopped")
    assert list(lab.cache.glob(f".unfinished/{again['run']}/*.npz"))
    lab.ask("POST", f"/{again['id']}/resume")
    lab.wait(again["id"], lambda job: lab.rounds(job["id"]) > 0 and job["state"] == "running")
    assert lab.ask("DELETE", f"/{again['id']}") == {"gone": False}
    end = time.monotonic() + 60
    while lab.browser.get(f"/api/v1/jobs/{again['id']}").status_code != 404:
        assert time.monotonic() < end
        time.sleep(0.2)
    assert lab.ask("DELETE", f"/{number}") == {"gone": True}
    left = [str(path) for folder in (lab.cache, lab.instance / "jobs") for path in folder.rglob("*")
            if path.is_file() and path.suffix != ".lock"]  # fmt: skip
    assert left == []


def test_what_cannot_work_says_why(lab, data, monkeypatch):
    with monkeypatch.context() as patch:  # as where the set was another one when they were queued
        patch.setattr(service, "_hours", lambda job: 0.0)
        [nowhere] = lab.submit({**CONF, "data": "nowhere"})
        [greedy] = lab.submit({**CONF, "no_models": 50, "k": 50})
    failed = lab.wait(nowhere["id"], "failed")
    assert failed["reason"].startswith("data/nowhere") and failed["ended"]
    assert lab.log(nowhere["id"])[-1].endswith(failed["reason"].removeprefix("data"))
    assert "cannot fall to 50 owners" in lab.wait(greedy["id"], "failed")["reason"]
    blocked = lab.cache / ".unfinished"
    shutil.rmtree(blocked, ignore_errors=True)
    blocked.write_text("")  # as unwritable as a full disk
    [stuck] = lab.submit()
    assert lab.wait(stuck["id"], "failed")["reason"]
    blocked.unlink()
    lab.ask("POST", f"/{stuck['id']}/resume")
    lab.wait(stuck["id"], lambda job: lab.rounds(stuck["id"]) > 0)


def _queue_twenty(site):
    """Four trainings each of five people; their owners in the order in which it is their turn."""
    conf = {**CONF, "global_epochs": 1, "local_epochs": 1}
    with site.app_context():
        everybody = [
            people.register(f"{n}@example.org", n, "a long enough password", "researcher") for n in "abcde"
        ]
        for (
            user
        ) in everybody:  # each puts all of theirs in at once, so that first come, first served were unfair
            for _ in range(4):
                service.submit(user, conf, name=user.nickname, note="", folds=1, seeds=1, sweep={})
        expected = [job.user_id for job in service.queue()]
    assert expected == [user for _ in range(4) for user in expected[:5]]
    return expected


def _all_took_turns_in_two_places(site, expected):
    with site.app_context():
        jobs = db.session.scalars(select(Job).order_by(Job.started)).all()
        turns = [job.user_id for job in jobs]
        spans = [(job.started, job.ended) for job in jobs]
    for turn in range(4):
        assert sorted(turns[5 * turn : 5 * turn + 5]) == sorted(expected[:5]), (
            "somebody had two turns in one round"
        )
    assert max(sum(begun <= moment < ended for begun, ended in spans) for moment, _ in spans) == 2


@pytest.mark.long
@pytest.mark.parametrize("lab", [Embedded], ids=["embedded"], indirect=True)
def test_twenty_trainings_of_five_people_in_two_places(lab):
    expected = _queue_twenty(lab.site)
    lab.log_in("admin")
    end = time.monotonic() + 400
    while True:
        jobs = lab.ask("GET", "")["jobs"]
        assert sum(job["state"] == "running" for job in jobs) <= 2
        if all(job["state"] == "done" for job in jobs):
            break
        assert time.monotonic() < end, jobs
        time.sleep(0.3)
    _all_took_turns_in_two_places(lab.site, expected)
    for job in jobs:
        assert read_result(lab.cache / f"{job['run']}.json.pkl")["name"] == job["run"]


def test_twenty_that_only_seem_to_train_take_the_same_turns(site, monkeypatch):
    nothing = [sys.executable, "-S", "-c", "import time; time.sleep(0.3)"]
    monkeypatch.setitem(runner.COMMANDS, "training", lambda *_: nothing)
    monkeypatch.setattr(runner, "_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(supervisor, "_LOOK_SECONDS", 0.05)
    expected, stopping = _queue_twenty(site), threading.Event()
    supervising = threading.Thread(target=supervisor.supervise, args=(site, stopping))
    supervising.start()
    try:
        with site.app_context():
            end = time.monotonic() + 60
            while left := [job.state for job in db.session.scalars(select(Job)) if job.state != "done"]:
                assert time.monotonic() < end and left.count("running") <= 2, left
                db.session.rollback()
                time.sleep(0.1)
    finally:
        stopping.set()
        supervising.join()
    _all_took_turns_in_two_places(site, expected)
