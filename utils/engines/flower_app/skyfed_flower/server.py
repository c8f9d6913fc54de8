"""Beside the SuperLink: what the process of a run asks for goes to its nodes, and what they say goes back.

A thread a message: Flower delivers each at most once, and what waits for one that is lost must not keep the others.
How long is waited is the run's to say; here everything ends when the run's end of the socket does.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

from flwr.app import Context, Message
from flwr.serverapp import Grid, ServerApp

from . import frames
from .records import opened, packed

if TYPE_CHECKING:
    import socket

app = ServerApp()
POLL = 0.2  # seconds between two looks for an answer


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Serve one run until it ends."""
    with frames.connected(str(context.run_config["socket"]), str(context.run_config["key"])) as peer:
        Relay(grid, peer).serve()


class Relay:
    """Between a run's process and Flower's grid."""

    def __init__(self, grid: Grid, peer: socket.socket) -> None:
        self._grid, self._peer = grid, peer
        self._lock, self._over = threading.Lock(), threading.Event()

    def serve(self) -> None:
        """Until the other end is closed."""
        try:
            while True:
                head, buffers = frames.receive(self._peer)
                threading.Thread(target=self._carry, args=(head, buffers), daemon=True).start()
        except (EOFError, OSError):
            self._over.set()

    def _carry(self, head: frames.Head, buffers: dict[str, bytearray]) -> None:
        number, ends = head["number"], time.monotonic() + float(head["within"])
        try:
            message = Message(
                packed(head["head"], buffers), head["node"], head["kind"], ttl=float(head["within"])
            )
            del buffers
            (sent,) = self._grid.push_messages([message])
            del message
            while not self._over.is_set() and time.monotonic() < ends + 5:
                for reply in self._grid.pull_messages([sent]):
                    if reply.has_error():
                        said = f"Flower: {reply.error.reason or 'no reason'} (code {reply.error.code})"
                        self._say({"number": number, "failure": " ".join(said.split())[:300]})
                    else:
                        told, back = opened(reply.content)
                        self._say({"number": number, "head": told}, back)
                    return
                time.sleep(POLL)
        except Exception as error:
            text = " ".join(str(error).split())[:200]
            self._say({"number": number, "failure": f"Flower: {type(error).__name__}: {text}"})

    def _say(self, head: frames.Head, buffers: dict[str, Any] | None = None) -> None:
        try:
            with self._lock:
                frames.send(self._peer, head, buffers)
        except OSError:
            self._over.set()
            os.write(2, b"the run's end of the socket is closed\n")
