"""A client that sends too much, or never ends, fills no memory, and nobody else waits for it."""

import contextlib
import json
import socket
import threading
import time
import uuid

import numpy as np
import pytest

from tests.board.site import SMALL, until
from tests.board.tables import small
from utils.calls.weights import longest, written

CLIENTS = 20
PLACES = 8  # for updates at a time, of the 24 requests that a site answers at a time
PATIENT = 60  # no test fails for a slow machine; what the page took is printed
LARGE = {
    **SMALL,
    "network": {"layers": [{"dense": 2400, "activation": "relu"}, {"dense": 2400, "activation": "relu"}]},
}


@pytest.fixture(scope="module")
def large(new_site):
    """A site with a task whose updates are about as long as any may be."""
    site = new_site()
    site.task = site.publish("large", LARGE)
    [row] = site.rows("select shapes from calls where id = ?", site.task)
    site.home()
    site.at_first, _ = site.memory()
    site.shapes = json.loads(row["shapes"])
    return site


@pytest.fixture
def trainings(large, person):
    """Makes the paths and headers of as many trainings that were begun."""
    one = person("hostile", large)
    one.join(large.task, "--table", small(one.home.parent / "mine.csv", 1))

    def make(count):
        names = [str(uuid.uuid4()) for _ in range(count)]
        at = f"/calls/{large.task}/trainings"
        for name in names:
            assert large.ask("POST", at, one.token, {"id": name})[0] == 200
        heads = [
            f"PUT /api/v1{at}/{name}?samples=20&steps=3&loss=0.5 HTTP/1.1\r\nHost: 127.0.0.1:{large.port}\r\n"
            f"Authorization: Bearer {one.token}\r\nContent-Type: application/octet-stream\r\n" for name in names
        ]  # fmt: skip
        return [head.encode() for head in heads]

    return make


class Clients:
    """Sends each of these from a thread of its own: what is sent, and then `more` until the site hangs up."""

    def __init__(self, port, starts, more=lambda: b"", pause=0.0):
        self.answers, self.over = [], threading.Event()
        self._port, self._more, self._pause = port, more, pause
        self.threads = [threading.Thread(target=self._send, args=(start,), daemon=True) for start in starts]
        for thread in self.threads:
            thread.start()

    def _send(self, start):
        with socket.create_connection(("127.0.0.1", self._port), timeout=120) as line:
            with contextlib.suppress(OSError):
                line.sendall(start)
                while not self.over.is_set() and (piece := self._more()):
                    line.sendall(piece)
                    time.sleep(self._pause)
            with contextlib.suppress(OSError, IndexError, ValueError):
                if not self.over.is_set():
                    self.answers.append(int(line.recv(1000).split(b" ")[1]))

    def at_work(self):
        return any(thread.is_alive() for thread in self.threads)

    def wait(self):
        """Until all have heard."""
        for thread in self.threads:
            thread.join(180)

    def end(self):
        """Hang up."""
        self.over.set()
        self.wait()


def _watched(site, clients, seconds=120.0):
    """Ask for the first page until the clients are done, or so long; how long each answer took."""
    took, end = [], time.monotonic() + seconds
    while not took or (clients.at_work() and time.monotonic() < end):
        started = time.monotonic()
        assert b"<html" in site.home(PATIENT)
        took.append(time.monotonic() - started)
        time.sleep(0.05)
    return took


def _said(what, site, before, took, clients):
    after, highest = site.memory()
    print(
        f"{what}: {before / 1e6:.0f} MB before, at most {highest / 1e6:.0f}, {after / 1e6:.0f} after; "
        f"the page took at most {max(took):.2f} s of {len(took)}; answers {sorted(clients.answers)}"
    )
    return highest


def test_many_large_updates_at_once(large, trainings):
    body = written({name: np.ones(shape, np.float32) for name, shape in large.shapes.items()})
    assert 20_000_000 < len(body) <= longest(large.shapes)
    for _wave in range(3):
        heads = trainings(CLIENTS)
        large.home()
        before, _ = large.memory()
        clients = Clients(
            large.port, [head + b"Content-Length: %d\r\n\r\n" % len(body) + body for head in heads]
        )
        took = _watched(large, clients)
        clients.wait()
        highest = _said(f"updates of {len(body) / 1e6:.1f} MB", large, before, took, clients)
        assert set(clients.answers) <= {200, 503} and 200 in clients.answers
        assert highest < large.at_first + PLACES * 5 * len(body)
    states = {one["state"] for one in large.trainings(large.task)}
    assert states <= {"refused", "training"}  # a norm far too large, so nothing of it is kept
    assert not list((large.instance / "demo-calls").rglob("updates/*"))


@pytest.mark.parametrize(
    ("how", "answer"),
    [
        (b"Transfer-Encoding: chunked\r\n\r\n", 411),
        (b"Content-Length: 1000000000000\r\n\r\n", 413),
        (b"Content-Length: -1\r\n\r\n", 400),
    ],
    ids=["chunked", "a terabyte", "less than nothing"],
)
def test_what_does_not_end_is_not_begun(large, trainings, how, answer):
    heads, piece = trainings(CLIENTS), bytes(1 << 16)
    more = b"%x\r\n%s\r\n" % (len(piece), piece) if b"chunked" in how else piece
    before, highest = large.memory()
    clients = Clients(large.port, [head + how for head in heads], lambda: more)
    took = _watched(large, clients)
    assert not clients.at_work(), "the site goes on reading"
    now = _said(answer, large, before, took, clients)
    assert set(clients.answers) <= {answer}  # a reset may come before the answer is read
    assert now < highest + 50_000_000


def test_updates_that_hardly_get_on_keep_nobody_from_the_pages(large, trainings):
    """Only some of them are read at all; whoever else sends an update is told to come back."""
    most, heads = longest(large.shapes), trainings(CLIENTS)
    before, highest = large.memory()
    starts = [head + b"Content-Length: %d\r\n\r\n" % most for head in heads]
    clients = Clients(large.port, starts, lambda: bytes(1000), pause=0.2)
    until(lambda: len(clients.answers) >= CLIENTS - PLACES, f"refusals: {clients.answers}")
    took = _watched(large, clients, 5)
    now = _said("slow", large, before, took, clients)
    assert set(clients.answers) == {503}
    assert now < highest + 50_000_000
    clients.end()
    # The places are free again for who means well.
    body = written({name: np.ones(shape, np.float32) for name, shape in large.shapes.items()})
    [head] = trainings(1)

    def taken():
        again = Clients(large.port, [head + b"Content-Length: %d\r\n\r\n" % len(body) + body])
        again.wait()
        return again.answers == [200]

    until(taken, "a place", each=1)
