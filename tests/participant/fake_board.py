"""A small board as docs/tasks.md has it, in a thread: one task, one person, and whatever may go wrong on the way."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np

from utils.calls.described import checked_call
from utils.calls.home import fresh
from utils.calls.states import AWAY
from utils.calls.weights import UpdateError, checked_update, written
from utils.nets.build import layout_of

DESCRIBED = {
    "format": {
        "input": {
            "kind": "values",
            "fields": [
                {"key": "width", "name": "Width of it", "hint": "", "unit": "cm", "low": 0, "high": 10},
                {"key": "height", "name": "Height", "hint": "", "unit": "cm", "low": -5, "high": 5},
            ],
        },
        "answer": {"kind": "label", "labels": [{"name": "small", "hint": ""}, {"name": "large", "hint": ""}]},
    },
    "network": "logistic",
    "training": {"lr": 0.1, "momentum": 0.9, "batch_size": 8, "local_epochs": 2},
}
TOKEN = "secret-token-of-a-test"
_PATH = re.compile(r"/api/v1/calls/3(/.*)?")


class FakeBoard:
    """The task and what is known of who takes part. `failures` are tried in turn: (method, ending of the path, what),
    where `what` is "cut" (the line breaks before anything happens), "lost" (it breaks when it has happened), "short"
    (the answer ends too early), or a status with headers and JSON.
    """

    def __init__(self, **described):
        self.described = checked_call(DESCRIBED | described).as_json()
        self.call = checked_call(self.described)
        self.layout = layout_of(self.call.conf)
        self.shapes = dict(zip(self.layout.names, self.layout.shapes, strict=True))
        self.state, self.version, self.consent, self.text = "open", 1, 2, "You may stop at any time.\x1b[2J"
        self.weights = {1: written(self.layout.named(fresh(self.call, 0)))}
        self.parents = {1: None}
        self.me, self.trainings, self.bodies = None, {}, {}
        self.runs = {}
        self.asked, self.failures, self.away, self.then = [], [], "", lambda method, path: None
        board = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self):
                board.handle(self)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.site = f"http://127.0.0.1:{self.server.server_port}"
        self.url = f"{self.site}/tasks/3"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def publish(self, parent=None):
        """Another version, made of the one before."""
        number = max(self.weights) + 1
        self.parents[number] = parent or self.version
        self.version = number
        self.weights[number] = self.weights[1]

    def count(self, method, ending):
        return sum(one == method and path.endswith(ending) for one, path in self.asked)

    def update(self, id):
        from utils.calls.weights import read

        return read(self.bodies[id][0], self.shapes)

    def handle(self, http):
        path, query = urlsplit(http.path).path, parse_qs(urlsplit(http.path).query)
        raw = http.rfile.read(int(http.headers.get("Content-Length") or 0))
        self.asked.append((http.command, path))
        failure = next(
            (one for one in self.failures if one[0] == http.command and path.endswith(one[1])), None
        )
        if failure:
            self.failures.remove(failure)
            if failure[2] == "cut":
                return self._cut(http)
            if isinstance(failure[2], tuple):
                return self._say(http, *failure[2])
        if http.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._say(http, 401, {}, {"error": {"code": 401, "message": "no", "detail": ""}})
        status, answer = self._answer(http.command, path, query, raw)
        self.then(http.command, path)
        if failure and failure[2] == "lost":
            return self._cut(http)
        return self._say(http, status, {}, answer, short=bool(failure))

    def _cut(self, http):
        http.close_connection = True
        http.connection.close()

    def _say(self, http, status, headers, answer, short=False):
        raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        http.send_response(status)
        for name, value in {"Content-Length": len(raw), **headers}.items():
            http.send_header(name, str(value))
        http.end_headers()
        http.wfile.write(raw[: len(raw) // 2] if short else raw)
        if short:
            http.close_connection = True

    def _answer(self, method, path, query, raw):
        if path in self.runs:
            return 200, self.runs[path]
        if not (found := _PATH.fullmatch(path)):
            return _error(404)
        what, id = found[1] or "", (found[1] or "").rpartition("/")[2]
        if (method, what) == ("GET", ""):
            return 200, self._task()
        if (method, what) == ("POST", "/join"):
            if json.loads(raw)["consent"] != self.consent:
                return self._away("consent changed")
            self.me = {"state": "joined", "consent": self.consent}
            return 200, {"me": self._me()}
        if (method, what) == ("POST", "/leave"):
            self.me["state"] = "left"
            for one in self.trainings.values():
                one["state"] = "withdrawn" if one["state"] in ("training", "waiting") else one["state"]
            return 200, {"me": self._me()}
        if (method, what) == ("POST", "/trainings"):
            id = json.loads(raw)["id"]
            if id not in self.trainings:
                if self.away:
                    return self._away(self.away)
                self.trainings[id] = {
                    "id": id, "state": "training", "reason": "", "says": "", "version": self.version,
                    "version_after": None, "expires_in": 21600.0,
                }  # fmt: skip
            return 200, {"training": self.trainings[id]}
        if (method, what) == ("GET", "/trainings"):
            return 200, {"trainings": list(self.trainings.values())}
        if (method, what) == ("GET", "/versions"):
            return 200, {"versions": [{"number": one, "parent": two} for one, two in self.parents.items()]}
        if method == "GET" and (one := re.fullmatch(r"/versions/(\d+)/model.safetensors", what)):
            return 200, self.weights[int(one[1])]
        if id not in self.trainings:
            return _error(404)
        training = self.trainings[id]
        if method == "DELETE":
            training["state"] = "withdrawn"
        elif training["state"] in ("training", "lapsed"):
            self.bodies[id] = (raw, {name: float(value[0]) for name, value in query.items()})
            training.update(self._judged(training, raw))
        elif self.bodies.get(id, (None,))[0] != raw:
            return _error(409)
        return 200, {"training": training}

    def _judged(self, training, raw):
        place, near = self.version, []
        for _ in range(self.call.limits.staleness + 1):
            near.append(place)
            place = self.parents.get(place)
        if training["version"] not in near:
            return {"state": "refused", "reason": "too late"}
        try:
            checked_update(raw, self.shapes, self.call.limits.norm)
        except UpdateError as error:
            return {"state": "refused", "reason": error.state}
        return {"state": "waiting"}

    def _task(self):
        return {
            "id": 3, "name": "Sizes\x1b[31m", "state": self.state, "by": "mia", "about": "", "version": self.version,
            "description": "Tells small from large.", "described": self.described,
            "consent": {"version": self.consent, "text": self.text, "html": ""}, "me": self._me(),
            "progress": {"waiting": 1, "goal": 4},
        }  # fmt: skip

    def _me(self):
        if self.me is None:
            return None
        return {
            **self.me, "pseudonym": "blue heron 12", "trainings": len(self.bodies), "left": None, "worth": None,
        }  # fmt: skip

    def _away(self, why):
        return 409, {**_error(409)[1], "why": why, "retry_after": AWAY[why]}


def _error(code):
    return code, {"error": {"code": code, "message": f"answers {code} in words", "detail": ""}}


def examples(count=40, seed=0):
    """Rows of a table that fits: what is wide is large."""
    rng = np.random.default_rng(seed)
    wide, high = rng.uniform(0, 10, count), rng.uniform(-5, 5, count)
    rows = [f"{w:.4f},{h:.4f},{'large' if w > 5 else 'small'}" for w, h in zip(wide, high, strict=True)]
    return "\n".join(["width,height,label", *rows, ""])
