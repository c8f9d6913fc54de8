"""Nodes at the SuperLink: whose key it knows may connect."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from app.flower.keys import checked_key, openssh_of
from utils.engines.flower_commands import asked
from utils.engines.flower_home import FlowerError, Home
from utils.files import atomic_write

GONE = ("deleted", "unregistered")
"""States of a node that was unregistered, in Flower's list."""
_KNOWN = "registered.json"
"""Which key has which number: the SuperLink does not tell, and takes no key twice."""


def register(home: Home, public_key: str) -> str:
    """Make a key known to the SuperLink; its number there, which stays. Once more with the same key changes nothing.

    Raises FlowerError.
    """
    key = checked_key(public_key)
    with _alone(home):
        known = _known(home)
        if key in known and known[key] in _there(home):
            return known[key]
        with tempfile.TemporaryDirectory(dir=home.folder) as folder:
            path = Path(folder) / "node.pub"
            path.write_text(openssh_of(key))
            try:
                told = asked(home, ["supernode", "register", str(path)], "the node cannot be registered")
            except FlowerError as error:
                if "already in use" not in str(error):
                    raise
                raise FlowerError(
                    "the node cannot be registered: its key was registered and revoked before, and Flower takes no key "
                    "twice; it has to join again with a new key"
                ) from None
        number = str(told.get("node-id", ""))
        if not re.fullmatch(r"[0-9]{1,20}", number):
            raise FlowerError("the node cannot be registered: Flower gives it no number")
        _keep(home, known | {key: number})
    return number


def unregister(home: Home, node_id: str) -> None:
    """Make the SuperLink refuse a node from now on. One that it does not know any more is no fault.

    Raises FlowerError.
    """
    if not re.fullmatch(r"[0-9]{1,20}", node_id):
        raise FlowerError(f"{node_id[:40]!r} is no node's number")
    with _alone(home):
        known = _known(home)
        what = "the node cannot be unregistered"
        try:
            asked(home, ["supernode", "unregister", node_id], what)
        except FlowerError as error:
            if not re.search(r"not found|unregistered|deleted", str(error).removeprefix(what), re.IGNORECASE):
                raise
        _keep(home, {key: number for key, number in known.items() if number != node_id})


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Nobody else changes what is known meanwhile. Raises FlowerError."""
    home.read()
    try:
        with FileLock(home.folder / "registered.lock", timeout=120):
            yield
    except Timeout:
        raise FlowerError("Flower is busy with other nodes; try again") from None


def _there(home: Home) -> set[str]:
    """The numbers that the SuperLink knows; not those of before, where its database is a new one."""
    told = asked(home, ["supernode", "list"], "the nodes cannot be listed").get("nodes")
    nodes = [node for node in told if isinstance(node, dict)] if isinstance(told, list) else []
    return {str(node.get("node-id")) for node in nodes if node.get("status") not in GONE}


def _known(home: Home) -> dict[str, str]:
    try:
        found = json.loads((home.folder / _KNOWN).read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        raise FlowerError(f"{home.folder / _KNOWN}: not as it was written") from None
    return dict(found)


def _keep(home: Home, known: dict[str, str]) -> None:
    with atomic_write(home.folder / _KNOWN) as file:
        file.write(json.dumps(known, indent=1).encode())
