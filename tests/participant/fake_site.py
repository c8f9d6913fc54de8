"""A small site as a node sees it, in a thread: terms, one invite, how the node stands."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
TOKEN, INVITE = "token-of-the-node", "-an-invite"


class FakeSite:
    """`failures` are answered in turn instead: (ending of the path, status, JSON)."""

    def __init__(self):
        self.consent, self.text, self.version, self.public = (
            1,
            "You may stop at any time.",
            "1.42.0",
            "127.0.0.1:9443",
        )
        self.state, self.ca, self.rounds, self.approves = "waiting", CA, [], 0
        self.asked, self.joins, self.failures, self.ahead = [], [], [], 0.0
        site = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self):
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, answer = site.answer(self.command, self.path, self.headers, raw)
                raw = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = handle_any  # noqa: N815

            def log_message(self, *_):
                pass

            def date_time_string(self, timestamp=None):
                import time

                return super().date_time_string(time.time() - site.ahead)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def count(self, ending):
        return sum(path.endswith(ending) for _, path in self.asked)

    def answer(self, method, path, headers, raw):
        self.asked.append((method, path))
        failure = next((one for one in self.failures if path.endswith(one[0])), None)
        if failure:
            self.failures.remove(failure)
            return failure[1:]
        what = path.removeprefix("/api/v1/nodes/")
        if (method, what) == ("GET", "terms"):
            consent = {"version": self.consent, "text": self.text}
            return 200, {"consent": consent, "public": self.public, "version": self.version}
        if (method, what) == ("POST", "join"):
            asks = json.loads(raw)
            if asks["invite"] != INVITE:
                return 404, {"error": {"code": 404, "message": "no such invite"}}
            self.joins.append(asks)
            return 200, {"token": TOKEN, "state": self.state}
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {"error": {"code": 401, "message": "no"}}
        if (method, what) == ("GET", "me"):
            if self.approves:
                self.approves -= 1
                self.state = "waiting" if self.approves else "joined"
            is_joined = self.state == "joined"
            return 200, {
                "name": "school", "state": self.state, "node_id": "77" if is_joined else None,
                "public": self.public if is_joined else None, "ca": self.ca if is_joined else None,
                "consent": self.consent, "rounds": self.rounds,
            }  # fmt: skip
        if (method, what) == ("POST", "me/leave"):
            self.state = "left"
            return 200, {}
        return 404, {"error": {"code": 404, "message": "not found"}}
