"""Everything that passes a machine's cable, and what of it is TCP's payload; not a test."""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter, defaultdict

_ALL = 3  # ETH_P_ALL
_FORCED = 33  # SO_RCVBUFFORCE
_PACKET, _STATISTICS = 263, 6  # SOL_PACKET, PACKET_STATISTICS


class Capture:
    """Listens at the switch's end of the cable from when it is made until `stop`."""

    def __init__(self, net, name):
        with net.inside("switch"):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
            self._socket.setsockopt(socket.SOL_SOCKET, _FORCED, 2**28)
            self._socket.bind((net.port(name), 0))
        self._socket.settimeout(0.2)
        self._here = socket.inet_aton(net.address(name))
        self.frames, self.raw = 0, []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        while not self._over.is_set():
            try:
                self.raw.append(self._socket.recv(2**17))
            except TimeoutError:
                continue

    def stop(self):
        """Listen no longer; nothing may have been missed."""
        self._over.set()
        self._thread.join()
        seen, missed = struct.unpack("II", self._socket.getsockopt(_PACKET, _STATISTICS, 8))
        self._socket.close()
        assert not missed, f"{missed} of {seen} frames were missed"
        return self

    def streams(self):
        """Of each connection and way (is it upwards, port of the server, port of this machine, a number) the payload in
        order, each byte once.
        """
        pieces, starts, number = defaultdict(dict), {}, Counter()
        for frame in self.raw:
            if frame[12:14] != b"\x08\x00" or frame[23] != 6:
                continue
            head = 4 * (frame[14] & 15)
            packet = frame[14 : 14 + struct.unpack("!H", frame[16:18])[0]]
            source, target, sequence = struct.unpack("!HHI", packet[head : head + 8])
            up = packet[12:16] == self._here
            key = (up, target, source) if up else (up, source, target)
            payload = packet[head + 4 * (packet[head + 12] >> 4) :]
            if packet[head + 13] & 2:  # SYN: a new stream, maybe of ports that were another's
                number[key] += starts.get(key) != sequence + 1
                starts[key] = sequence + 1
            elif payload:
                at, of = (sequence - starts.setdefault(key, sequence)) % 2**32, (*key, number[key])
                if len(payload) > len(pieces[of].get(at, b"")):
                    pieces[of][at] = payload
        return {key: _joined(found) for key, found in pieces.items()}


def _joined(pieces):
    whole, end = [], 0
    for at in sorted(pieces):
        if at + len(pieces[at]) > end:
            whole.append(pieces[at][max(0, end - at) :])
            end = at + len(pieces[at])
    return b"".join(whole)
