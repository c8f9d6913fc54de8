"""A site, Flower beside it and owners' nodes, each on a machine of its own, all by the programs that people run."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import safetensors.numpy
from flask import Flask

from app.config import production
from app.extensions import db
from app.models import ApiToken, User, new_secret
from tests.conftest import ROOT
from tests.flower_soak.net import Net
from utils.photos.dataset import read_manifest, write_manifest
from utils.results import read_result

BIN = Path(os.environ.get("SKYFED_FLOWER_BIN") or ROOT / ".venv-flower" / "bin")
PYTHON = sys.executable
PATIENCE = 120.0
"""Seconds within which whatever is waited for comes about."""
SITE_PORT, LINE_PORT = 5080, 9443
_NGINX = """{user}daemon off; pid site.pid; error_log stderr warn; worker_processes 1;
events {{}}
http {{
    access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {{
        listen 80; client_max_body_size 64m;
        location / {{
            proxy_pass http://127.0.0.1:{port}; proxy_set_header Host $host; proxy_set_header X-Forwarded-Host $host;
            proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-For $remote_addr;
        }}
    }}
}}
"""


def until(holds, what, patience=PATIENCE, each=0.2):
    """Ask again and again until it holds; what it then is."""
    ends = time.monotonic() + patience
    while time.monotonic() < ends:
        if found := holds():
            return found
        time.sleep(each)
    raise AssertionError(f"{what}: not within {patience:.0f} s")


def program(*arguments, environment=None, patience=600):
    """Run one of ours here, which has to succeed; what it said."""
    done = subprocess.run(
        [PYTHON, *map(str, arguments)], cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=patience,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class World:
    """`data` has a folder of sets for each owner by name and for `server`; `task` is what the owners have data for.

    `given` are more words for `node join`, by owner.
    """

    def __init__(self, folder, task, data, given=None):
        self.folder, self.task, self.data, self.given = folder, task, data, given or {}
        self.owners = sorted(name for name in data if name != "server")
        self.figures = {}
        self.instance, self.cache, self.flower = (
            folder / one for one in ("instance", "cache", "instance/flower")
        )
        self.around = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
        }  # fmt: skip
        self.cache.mkdir()
        self.net = Net(["server", "outside", *self.owners])
        self.site = f"http://{self.net.address('server')}"
        self._key = secrets.token_hex(32)
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self):
        began = time.monotonic()
        self.run_program(
            "server", "-m", "app.flower", "setup", "--public", f"{self.net.address('server')}:{LINE_PORT}",
            "--bin", BIN, "--folder", self.flower,
        )  # fmt: skip
        self.serve_flower()
        self.serve_site()
        self.tokens = {
            role: self._token(f"{role}@example.org", role) for role in ("admin", "researcher", "user")
        }
        self.figures["server"] = time.monotonic() - began
        for name in self.owners:
            self.join(name)
            self.start_node(name)
        until(lambda: self.online() == set(self.owners), "all nodes online")
        self.figures["nodes"] = time.monotonic() - began - self.figures["server"]

    def close(self):
        """End everything."""
        self.net.close()

    # Programs

    def settings(self):
        """Environment of the server's programs."""
        return {
            **self.around, "SKYFED_INSTANCE": str(self.instance), "SKYFED_CACHE": str(self.cache),
            "SKYFED_DATA": str(self.data["server"]), "SKYFED_SECRET_KEY": self._key, "SKYFED_PROXIES": "1",
            "SKYFED_HOSTS": self.net.address("server"), "SKYFED_FLOWER": str(self.flower),
        }  # fmt: skip

    def run_program(self, machine, *arguments, environment=None):
        """Run one of ours on a machine, which has to succeed; what it said."""
        around = environment or (self.settings() if machine == "server" else self.around)
        status, said = self.net.run(machine, [PYTHON, *arguments], around, cwd=ROOT)
        assert status == 0, said
        return said

    def serve_flower(self):
        """Keep Flower running at the server."""
        began = time.time()
        self.flower_process = self.net.start(
            "server", [PYTHON, "-m", "app.flower", "serve"], self.log("flower"), self.settings(), cwd=ROOT
        )
        until(lambda: self._watched() > began, "Flower at the server")

    def _watched(self):
        """When Flower's side last found out who is online."""
        try:
            return json.loads((self.flower / "online.json").read_text())["at"]
        except (OSError, ValueError):
            return 0.0

    def serve_site(self):
        """Serve the site, behind an nginx that the others reach."""
        place = self.folder / "nginx"
        if not place.exists():
            place.mkdir()
            (place / "conf").write_text(
                _NGINX.format(user="user root; " if os.getuid() == 0 else "", port=SITE_PORT)
            )
            nginx = shutil.which("nginx") or "/usr/sbin/nginx"
            self.net.start(
                "server", [nginx, "-p", place, "-c", place / "conf"], self.log("nginx"), self.around
            )
        before = self.said("site").count("SkyFed is at")
        self.site_process = self.net.start(
            "server",
            [PYTHON, "i4wsgi.py", "--port", str(SITE_PORT)],
            self.log("site"),
            self.settings(),
            cwd=ROOT,
        )
        until(lambda: self.said("site").count("SkyFed is at") > before, "the site")

    def home(self, name):
        """The folder of a node."""
        return self.folder / name / "nodes" / name

    def join(self, name):
        """Invite an owner by the site, join from the owner's machine, approve by the site."""
        status, told = self.ask("POST", "/nodes/invites", "admin", {"owner": "user@example.org", "days": 1})
        assert status == 200, told
        said = self.run_program(
            name, "-m", "utils.participant", "node", "join", self.site, "--invite", told["code"], "--name", name,
            "--type", self.task, "--data", self.data[name], "--bin", BIN, "--accept", "1", "--home",
            self.folder / name, *self.given.get(name, ()),
        )  # fmt: skip
        assert "What never leaves it" in said and "waiting" in said, said
        number = self.node(name)["id"]
        status, told = self.ask("POST", f"/nodes/{number}/approve", "admin", {}, patience=120)
        assert status == 200, told

    def start_node(self, name, environment=None):
        """Start the owner's one program."""
        command = [PYTHON, "-m", "utils.participant", "node", "run", name, "--home", self.folder / name]
        return self.net.start(name, command, self.log(name), {**self.around, **(environment or {})}, cwd=ROOT)

    def stop_node(self, name):
        """End the owner's program as Ctrl-C does, and with it all that it started."""
        for process in self.net.processes(name, "utils.participant", "node run") or self.net.processes(
            name, "node link"
        ):
            os.kill(process, signal.SIGINT)
        until(lambda: not self.net.processes(name), "the end of the node", 60)

    def until_back(self, name, since):
        """Wait until a node that was started anew has connected and all know it; it had said `since` letters before."""
        until(lambda: "connected, as number" in self.said(name)[since:], "the node connected", 150)
        connected = time.time()
        until(lambda: self._watched() > connected + 2 and name in self.online(), "the node online", 60)

    def log(self, name):
        """The file with what a program says."""
        return self.folder / f"{name}.log"

    def said(self, name):
        """What a program said so far."""
        path = self.log(name)
        return path.read_text(errors="replace") if path.exists() else ""

    # The site

    def _token(self, email, role):
        secret, kept = new_secret()
        app = Flask("app")
        app.config.from_mapping(production(self.settings()))
        db.init_app(app)
        with app.app_context():
            person = User(email=email, nickname=role, password_hash="", role=role)
            db.session.add(person)
            db.session.flush()
            scopes = "read train participate admin"
            db.session.add(ApiToken(user_id=person.id, name="test", secret_hash=kept, scopes=scopes))
            db.session.commit()
        return secret

    def ask(self, method, path, who, body=None, patience=60):
        """Status and JSON of an answer of the API, asked for from outside by somebody of this role."""
        line = self.net.http("outside", self.net.address("server"), 80, patience)
        headers = {"Authorization": f"Bearer {self.tokens[who]}", "Content-Type": "application/json"}
        try:
            line.request(method, f"/api/v1{path}", None if body is None else json.dumps(body), headers)
            answer = line.getresponse()
            said = answer.read()
        finally:
            line.close()
        return answer.status, json.loads(said) if "json" in answer.headers.get("Content-Type", "") else said

    def nodes(self, who="researcher"):
        """What the site tells of the nodes, by name."""
        status, told = self.ask("GET", "/nodes", who)
        assert status == 200, told
        return {one["name"]: one for one in told["nodes"]}

    def node(self, name):
        """What the site tells of one."""
        return self.nodes()[name]

    def online(self):
        """The names of the nodes that are online, as the site knows it."""
        return {name for name, one in self.nodes().items() if one["online"]}

    # Trainings

    def submit(self, conf, nodes=None):
        """Start a training as the form does; its number."""
        body = {"conf": conf, "name": "A training", "nodes": list(nodes or self.owners)}
        status, told = self.ask("POST", "/jobs", "researcher", body)
        assert status == 200, told
        return told["jobs"][0]["id"]

    def job(self, number):
        """How a training stands."""
        status, told = self.ask("GET", f"/jobs/{number}", "researcher")
        assert status == 200, told
        return told

    def ended(self, number, patience=300):
        """Wait for the end of a training; how it stands then."""
        return until(
            lambda: (told := self.job(number))["state"] not in ("queued", "running") and told,
            f"the end of training {number}", patience, 0.5,
        )  # fmt: skip

    def whole(self, number, patience=300):
        """The result of a training, which has to end as one."""
        told = self.ended(number, patience)
        assert told["state"] == "done", (told["state"], told["reason"], self.log_of(number))
        return self.result(told["run"])

    def log_of(self, number):
        """What the site tells of how a training went."""
        status, told = self.ask("GET", f"/jobs/{number}/log", "researcher")
        return [line["text"] for line in told["lines"]] if status == 200 else told

    def result(self, run):
        """A result and its model."""
        model = safetensors.numpy.load_file(self.cache / f"{run}.json.safetensors")
        return read_result(self.cache / f"{run}.json.pkl"), model

    def rounds(self, since=0.0):
        """What became of messages, as Flower's folder has it."""
        path = self.flower / "rounds.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [_from_0(one) for one in map(json.loads, lines) if one["at"] >= since]

    def ledger(self, name):
        """The lines of an owner's ledger."""
        path = self.home(name) / "ledger.jsonl"
        return [_from_0(json.loads(line)) for line in path.read_text().splitlines()]


def _from_0(line):
    """Rounds as results count them; people are told of them from 1 on."""
    return {**line, "round": line["round"] - 1} if line.get("round") else line


def here(folder, conf, data):
    """The same training on this machine, by one process: result and model."""
    (folder / "conf_here.json").write_text(json.dumps(conf))
    program(
        "i2main.py", "-c", folder / "conf_here.json", "--data", data, "--cache", folder / "here", "--quiet",
        "--workers", "1",
    )  # fmt: skip
    model = safetensors.numpy.load_file(folder / "here" / "conf_here.json.safetensors")
    return read_result(folder / "here" / "conf_here.json.pkl"), model


SKIES = ("east", "north", "south", "west")
"""Whose skies; those of the west are judged at the server."""


def skies(folder, count=120):
    """Drawn skies as if from four places: where all of them are, and by owner the folders of sets."""
    every = folder / "all"
    program("i0down_training_resource.py", "simulate", count, "--set", "skies", "--data", every)
    rows = read_manifest(every / "skies")
    rows = [replace(row, source=SKIES[place % 4]) for place, row in enumerate(rows)]
    write_manifest(every / "skies", rows)
    data = {}
    for name in (*SKIES[:3], "server"):
        data[name] = folder / name
        shutil.copytree(every, data[name], ignore=shutil.ignore_patterns(".work", ".store"))
    write_manifest(data["server"] / "skies", [row for row in rows if row.source == "west"])
    return every, data
