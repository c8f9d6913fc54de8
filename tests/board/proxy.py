"""A line to the site that remembers what goes to it, and that breaks where it is told to; not a test."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

UP, DOWN = "up", "down"


class Proxy:
    """TCP between a port of its own and another. `seen` is all that was sent to the site. `cuts` are tried in turn:
    (direction, count): the next connection that sends an update breaks after so many bytes of it, or of its answer.
    """

    def __init__(self, port):
        self.seen, self.cuts, self.broken = bytearray(), [], 0
        self._to, self._lock = port, threading.Lock()
        self._door = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self._door.close()

    def _serve(self):
        while True:
            try:
                near, _ = self._door.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near):
        try:
            far = socket.create_connection(("127.0.0.1", self._to))
        except OSError:  # the site is away
            near.close()
            return
        line = _Line(near, far)
        threading.Thread(target=self._pump, args=(line, UP), daemon=True).start()
        self._pump(line, DOWN)

    def _pump(self, line, direction):
        near, far = (line.near, line.far) if direction is UP else (line.far, line.near)
        with contextlib.suppress(OSError):
            while piece := near.recv(1 << 14):
                if direction is UP:
                    with self._lock:
                        self.seen += piece
                        if piece.startswith(b"PUT ") and self.cuts:
                            line.cut = self.cuts.pop(0)
                if line.cut and line.cut[0] is direction:
                    most = line.cut[1]
                    line.cut = (direction, most - len(piece))
                    if len(piece) >= most:
                        far.sendall(piece[:most])
                        self.broken += 1
                        line.tear()
                        return
                far.sendall(piece)
            far.shutdown(socket.SHUT_WR)


class _Line:
    def __init__(self, near, far):
        self.near, self.far, self.cut = near, far, None

    def tear(self):
        """Break it at both ends, as when a cable is pulled: no end of the stream, a reset."""
        for end in (self.near, self.far):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RD)
            end.close()
