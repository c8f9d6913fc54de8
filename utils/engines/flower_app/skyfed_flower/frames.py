"""Messages through a local socket: a head of plain JSON, and buffers of bytes with names. Nothing in them is ever run.

A frame is `SKY1`, the length of the head (uint32, little-endian), the head, and the buffers one after the other; the
head says under `buffers` how they are called and how long they are.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MAGIC = b"SKY1"
MAX_HEAD = 2**20
MAX_BUFFERS = 2**31
"""Bytes that a head, and all buffers of a frame together, may have."""
MAX_NAMES = 64
_GREETING = 10.0  # seconds for who has just come to say who it is
_HELD = 128  # letters of a buffer's name
Head = dict[str, Any]
Frame = tuple[Head, dict[str, bytearray]]


class FrameError(OSError):
    """What came is no frame, or comes from somebody else; the text is one line."""


def send(to: socket.socket, head: Head, buffers: Mapping[str, Any] | None = None) -> int:
    """Send a frame; returns its length in bytes. Raises OSError where nobody takes it, ValueError if too long."""
    views = {name: memoryview(buffer).cast("B") for name, buffer in (buffers or {}).items()}
    listed = [[name, view.nbytes] for name, view in views.items()]
    text = json.dumps({**head, "buffers": listed}, allow_nan=False, separators=(",", ":")).encode()
    if len(text) > MAX_HEAD or sum(view.nbytes for view in views.values()) > MAX_BUFFERS:
        raise ValueError("a frame that is too long")
    to.sendall(MAGIC + struct.pack("<I", len(text)) + text)
    for view in filter(len, views.values()):
        to.sendall(view)
    return 8 + len(text) + sum(view.nbytes for view in views.values())


def receive(of: socket.socket) -> Frame:
    """The next frame. Raises EOFError at the end, FrameError where what comes is none, OSError where nothing comes."""
    start = _exactly(of, 8, at_end=True)
    if start[:4] != MAGIC:
        raise FrameError("no frame of this version")
    length = struct.unpack("<I", start[4:])[0]
    if length > MAX_HEAD:
        raise FrameError("a head that is too long")
    try:
        head = json.loads(bytes(_exactly(of, length)), parse_constant=_no_number)
        listed = head.pop("buffers")
        names, sizes = [name for name, _ in listed], [size for _, size in listed]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise FrameError("a head that cannot be read") from None
    if not (
        len(set(map(str, names))) == len(names) <= MAX_NAMES
        and all(isinstance(name, str) and len(name) <= _HELD for name in names)
        and all(type(size) is int and size >= 0 for size in sizes)
        and sum(sizes) <= MAX_BUFFERS
    ):
        raise FrameError("buffers that cannot be")
    return head, {name: _exactly(of, size) for name, size in zip(names, sizes, strict=True)}


def greet(peer: socket.socket, key: bytes, *, called: bool) -> None:
    """Make sure that both ends have the key, which does not travel; `called` is whoever was connected to.

    Raises FrameError where the other has not, OSError where it says nothing.
    """
    before = peer.gettimeout()
    peer.settimeout(_GREETING)
    mine = secrets.token_bytes(32)
    peer.sendall(mine)
    theirs = bytes(_exactly(peer, 32))
    ours, wanted = (b"called", b"caller") if called else (b"caller", b"called")
    peer.sendall(_proof(key, ours + mine + theirs))
    if not hmac.compare_digest(bytes(_exactly(peer, 32)), _proof(key, wanted + theirs + mine)):
        raise FrameError("the other end does not have the key")
    peer.settimeout(before)


def connected(path: str, key: str, timeout: float | None = None) -> socket.socket:
    """A connection to the socket at `path`, by the key in the file `key`. Raises OSError."""
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        peer.settimeout(_GREETING)
        peer.connect(path)
        greet(peer, Path(key).read_bytes(), called=False)
        peer.settimeout(timeout)
    except BaseException:
        peer.close()
        raise
    return peer


def _proof(key: bytes, of: bytes) -> bytes:
    return hmac.new(key, of, hashlib.sha256).digest()


def _exactly(of: socket.socket, length: int, at_end: bool = False) -> bytearray:
    found = bytearray(length)
    view = memoryview(found)
    while view:
        count = of.recv_into(view)
        if not count:
            raise EOFError if at_end and len(view) == length else FrameError("a frame that is cut off")
        view = view[count:]
    return found


def _no_number(name: str) -> None:
    raise ValueError(name)
