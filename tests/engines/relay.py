"""Stands for Flower in tests of the engine: what `flwr run` would start, in a thread of the test's own."""

import json
import threading
import time
from contextlib import suppress

import numpy as np

from utils.engines import wire
from utils.engines.flower import Flower
from utils.engines.flower_app.skyfed_flower import frames
from utils.engines.flower_home import Home, JoinedNode, Settings
from utils.federated.update import Answer, Question, Reply

NAMES = ("east", "north", "south")


def home_of(folder, names=NAMES, online=True):
    """A server's folder with these nodes."""
    home = Home(folder)
    home.write(Settings("/nowhere/bin", "127.0.0.1:1", "nodes.example.org:9443"))
    home.write_joined([JoinedNode(name, str(7 + at), "", "") for at, name in enumerate(names)])
    home.write_online(time.time(), {str(7 + at): 1.0 if online else None for at in range(len(names))})
    return home


def plain(head, buffers):
    """What a node would say that changes every weight by one."""
    order = wire.order_of(head, buffers)
    if order.job is None:
        return wire.said(head, wire.Described(((2, 3), (1, 0)), True, "f" * 64, "1"))
    client = order.job.client
    if isinstance(order.job, Question):
        return wire.said(head, Answer(client, b"answer"))
    weights = np.frombuffer(buffers[order.job.reads[0]], np.float32) + np.float32(1)
    metrics = {"steps": 2.0, "seconds": 0.1, "loss": 0.5}
    return wire.said(head, Reply(client, weights.tobytes(), 5, metrics))


class Relay:
    """Flower, as far as the engine sees it. `answer(node, head, buffers)` gives what a node says; None: nothing ever;
    an EOFError ends the run of Flower; a text is a failure that Flower tells of.
    """

    def __init__(self, monkeypatch, answer=lambda node, head, buffers: plain(head, buffers)):
        self.answer, self.commands, self.handed = answer, [], []
        self._runs = 0
        monkeypatch.setattr(Flower, "_flwr", lambda engine, *said: self._command(*said))

    def _command(self, verb, *said):
        self.commands.append(verb)
        if verb != "run":
            return {}
        self._runs += 1
        where = dict(part.split("=") for part in said[said.index("--run-config") + 1].split())
        socket, key = (json.loads(where[name]) for name in ("socket", "key"))
        threading.Thread(target=self._serve, args=(socket, key), daemon=True).start()
        return {"run-id": str(100 + self._runs)}

    def _serve(self, socket, key):
        with suppress(OSError, EOFError), frames.connected(socket, key) as peer:
            lock = threading.Lock()
            while True:
                head, buffers = frames.receive(peer)
                self.handed.append((head["node"], head["head"]))
                threading.Thread(target=self._one, args=(peer, lock, head, buffers), daemon=True).start()

    def _one(self, peer, lock, head, buffers):
        with suppress(OSError):
            try:
                said = self.answer(head["node"], head["head"], buffers)
            except EOFError:
                return peer.shutdown(2)
            with lock:
                if isinstance(said, str):
                    frames.send(peer, {"number": head["number"], "failure": said})
                elif said is not None:
                    frames.send(peer, {"number": head["number"], "head": said[0]}, said[1])
