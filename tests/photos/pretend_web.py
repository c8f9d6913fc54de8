"""A local server that answers as Wikimedia Commons and Mendeley Data do, and misbehaves when told to."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True)
class Answer:
    """One answer; `cut` breaks it off after so many bytes, `drip` sends a byte at a time that many seconds apart."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    drip: float = 0.0
    hang_up: bool = False


@dataclass
class Request:
    """What was asked, and when."""

    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    at: float


class PretendWeb:
    """Files by path, a Commons category, and a queue of faults that come before any true answer."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.etags: dict[str, str] = {}
        self.redirects: dict[str, str] = {}
        self.ranges = True
        self.faults: list[tuple[str, Answer]] = []
        self.pages: list[dict[str, Any]] = []
        self.page_size = 3
        self.asked: list[Request] = []
        self.address = ""

    def count(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(request.path == path for request in self.asked)

    def fail(self, path: str, *answers: Answer) -> None:
        """Give these answers first to whoever asks for `path`."""
        self.faults += [(path, answer) for answer in answers]

    def add_photo(self, name: str, data: bytes, **about: str) -> None:
        """A file of the Commons category, with its extmetadata values."""
        number = len(self.pages) + 1
        path = f"/thumb/{number}.jpg"
        self.files[path] = data
        values = {"License": "cc-by-sa-4.0", "LicenseShortName": "CC BY-SA 4.0", "Artist": "somebody"} | about
        self.pages.append(
            {
                "pageid": number,
                "ns": 6,
                "title": f"File:{name}",
                "imagerepository": "local",
                "imageinfo": [
                    {
                        "thumburl": self.address + path,
                        "url": f"{self.address}/original/{number}.jpg",
                        "descriptionurl": f"{self.address}/wiki/File:{number}.jpg",
                        "mime": values.pop("mime", "image/jpeg"),
                        "sha1": f"{number:040x}",
                        "extmetadata": {
                            key: {"value": value, "source": "commons-desc-page"}
                            for key, value in values.items()
                        },
                    }
                ],
            }
        )

    def answer(self, request: Request) -> Answer:
        """What the server says."""
        for index, (path, fault) in enumerate(self.faults):
            if path == request.path:
                del self.faults[index]
                return fault
        if request.path == "/w/api.php":
            return Answer(body=json.dumps(self._commons(request.query)).encode())
        if request.path in self.redirects:
            return Answer(302, headers={"Location": self.address + self.redirects[request.path]})
        if request.path not in self.files:
            return Answer(404, b"<html>no such thing</html>")
        data = self.files[request.path]
        etag = self.etags.get(request.path, "")
        headers = {"ETag": etag} if etag else {}
        wanted = request.headers.get("Range", "")
        if wanted and self.ranges and request.headers.get("If-Range", etag) == etag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                return Answer(416)
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            return Answer(206, data[start:], headers)
        return Answer(200, data, headers)

    def _commons(self, query: dict[str, str]) -> dict[str, Any]:
        """Three titles at a time; the details of the last of them come in a second answer, as the API may do."""
        if query.get("gcmtitle", query.get("gsrsearch")) not in ("Category:Sky", "blue sky"):
            return {"batchcomplete": True}
        carry = "gcmcontinue" if query["generator"] == "categorymembers" else "gsroffset"
        start = int(query.get(carry, "0"))
        end = min(start + self.page_size, len(self.pages))
        batch = self.pages[start:end]
        bare = [{key: page[key] for key in ("pageid", "ns", "title")} for page in batch]
        if "iicontinue" not in query and len(batch) > 1:
            return {
                "continue": {"iicontinue": "x|1", carry: str(start), "continue": "||"},
                "query": {"pages": [*batch[:-1], bare[-1]]},
            }
        answer: dict[str, Any] = {"batchcomplete": True, "query": {"pages": [*bare[:-1], *batch[-1:]]}}
        if end < len(self.pages):
            answer["continue"] = {carry: str(end), "continue": f"{carry}||"}
        return answer


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"

    def do_GET(self) -> None:  # noqa: N802 - the name http.server asks for
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        request = Request(unquote(parts.path), query, dict(self.headers), time.monotonic())
        self.server.web.asked.append(request)
        answer = self.server.web.answer(request)
        if answer.hang_up:
            self.connection.close()
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        body = answer.body if answer.cut is None else answer.body[: answer.cut]
        try:
            for at in range(0, len(body), 1 if answer.drip else max(1, len(body))):
                self.wfile.write(body[at : at + 1] if answer.drip else body)
                time.sleep(answer.drip)
        except OSError:
            return
        if answer.cut is not None:
            self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing; the tests look at what was asked."""


class _Server(ThreadingHTTPServer):
    web: PretendWeb
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news here."""


@contextmanager
def serve() -> Iterator[PretendWeb]:
    """A running server on a free port of this machine."""
    web = PretendWeb()
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.web = web
        web.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield web
        finally:
            server.shutdown()
            thread.join()
