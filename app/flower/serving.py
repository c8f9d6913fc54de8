"""Keeps Flower running at the server: the SuperLink on the loopback address, its SuperExec, the proxy; and writes down
which nodes are online.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from app.flower import database, proxy
from app.flower.registry import GONE
from app.flower.setup import DATABASE
from utils.engines.flower_commands import asked, environment
from utils.engines.flower_home import FlowerError, Home, Settings
from utils.supervision import Kept, Meaning, Program

EACH = 10.0
"""Seconds between two looks at who is online."""
BOOT = 3.0
"""Seconds that a SuperLink takes to answer (it was 1.2 to 1.7)."""
POLL = "0.1"
"""Seconds between two looks of the SuperExec for something to do."""
_DIFFERENT = re.compile(
    r"Can't locate revision|DATABASE_SCHEMA_MISMATCH|database schema does not match", re.IGNORECASE
)
_BUSY = re.compile(r"address already in use", re.IGNORECASE)
_REFUSED = re.compile(r"(\S+) 403 (\S+) (\S+)")


def serve(home: Home, say: Callable[[str], None]) -> None:
    """Keep Flower running until this process is interrupted. Raises FlowerError where it cannot begin."""
    settings = home.read()
    if wrong := database.fault(home.folder / DATABASE, Path(settings.bin)):
        raise FlowerError(wrong)
    lock = FileLock(home.folder / "serve.lock")
    try:
        lock.acquire(timeout=0.5)
    except Timeout:
        raise FlowerError(f"{home.folder}: Flower is kept running there already") from None
    except OSError as error:
        raise FlowerError(f"{home.folder}: {error.strerror or error}") from None
    kept = Kept(programs(home, settings), say)
    try:
        proxy.allow(home)
        kept.start()
        watch, seconds = OnlineWatch(home, say), min(EACH, BOOT)
        while True:
            time.sleep(seconds)  # no lock: an interrupt in the midst of one would leave it locked
            watch.look()
            seconds = EACH
    finally:
        kept.end()
        home.write_online(time.time(), {})
        lock.release()


def programs(home: Home, settings: Settings) -> list[Program]:
    """What is kept running. Raises FlowerError where there is no nginx."""
    folder, bin = home.folder, Path(settings.bin)
    around = {**environment(home, settings.bin), "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": POLL}
    host, port = proxy.host_and_port(settings.address)
    secret, ca = str(folder / "secret"), str(folder / "ca.crt")
    superlink = [
        str(bin / "flower-superlink"), "--host", host, "--port", str(port), "--ssl-ca-certfile", ca,
        "--ssl-certfile", str(folder / "server.crt"), "--ssl-keyfile", str(folder / "server.key"),
        "--enable-supernode-auth", "--isolation", "process", "--superexec-auth-secret-file", secret,
        "--database", str(folder / DATABASE), "--disable-runtime-dependency-installation",
    ]  # fmt: skip
    superexec = [
        str(bin / "flower-superexec"), "--runtime-api-address", settings.address, "--root-certificates", ca,
        "--superexec-auth-secret-file", secret,
    ]  # fmt: skip
    logs = folder / "logs"
    return [
        Program("superlink", superlink, around, logs / "superlink.log", _of_superlink),
        Program("superexec", superexec, around, logs / "superexec.log"),
        Program("proxy", proxy.command(home), dict(os.environ), logs / "proxy.log", _of_proxy),
    ]


class OnlineWatch:
    """Looks who is online, writes it down, and says what has changed in whether that can be found out."""

    def __init__(self, home: Home, say: Callable[[str], None]) -> None:
        self._home, self._say, self._fault, self._online = home, say, "", frozenset[str]()

    def look(self) -> None:
        """Look once."""
        try:
            told = asked(self._home, ["supernode", "list"], "the nodes cannot be listed")
            nodes = online_of(told, time.time())
            self._home.write_online(time.time(), nodes)
            names = {node.node_id: node.name for node in self._home.joined()}
        except (FlowerError, OSError) as error:
            if str(error) != self._fault:
                self._say(f"online: {error}")
            self._fault = str(error)
            return
        now = frozenset(node for node, since in nodes.items() if since is not None)
        if self._fault or now != self._online:
            self._say(f"online: {', '.join(names.get(node, node) for node in sorted(now)) or 'no node'}")
        self._fault, self._online = "", now


def online_of(told: dict[str, Any], now: float) -> dict[str, float | None]:
    """Of each node by its number since when it is online (None: it is not), from Flower's list. Raises FlowerError."""
    try:
        return {
            str(node["node-id"]): now - float(node["online-elapsed"]) if node["status"] == "online" else None
            for node in told["nodes"]
            if node["status"] not in GONE
        }
    except (KeyError, TypeError, ValueError):
        raise FlowerError("the nodes cannot be listed: Flower's list is not as expected") from None


def _of_superlink(line: str) -> Meaning | None:
    if _DIFFERENT.search(line):
        return Meaning("its database is of another version of Flower; python3 -m app.flower doctor says more")
    if _BUSY.search(line):
        return Meaning("its port is taken; another SuperLink runs, or choose one with setup --port")
    return None


def _of_proxy(line: str) -> Meaning | None:
    if found := _REFUSED.fullmatch(line):
        return Meaning(f"refused {found[1]} {found[2]} {found[3]}", is_fault=True)
    if "[emerg]" in line:
        return Meaning(line.partition("[emerg]")[2].partition(": ")[2] or line)
    if "[error]" in line and "SSL" in line:
        return Meaning(
            f"the SuperLink's certificate is not the one expected ({line.partition('[error]')[2][:200].strip()})"
        )
    return None
