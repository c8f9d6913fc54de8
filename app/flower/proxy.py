"""The proxy in front of the SuperLink, a small nginx of its own: what it is told, and which keys it lets through."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from ipaddress import ip_address
from pathlib import Path

from app.flower.keys import header_of
from utils.engines.flower_home import FlowerError, Home
from utils.files import atomic_write

KEYS, CONF, PID = "keys.map", "nginx.conf", "nginx.pid"
_TEMPLATE = Path(__file__).with_name("nginx.conf")


def nginx() -> str | None:
    """Where nginx is, if there is one."""
    return shutil.which("nginx") or shutil.which("/usr/sbin/nginx")


def command(home: Home) -> list[str]:
    """What starts the proxy. Raises FlowerError."""
    if not (program := nginx()):
        raise FlowerError("there is no nginx on this machine; install it (apt-get install nginx-light)")
    return [program, "-p", str(home.folder), "-c", str(home.folder / CONF)]


def host_and_port(public: str) -> tuple[str, int]:
    """Of HOST:PORT, where an IPv6 address stands in brackets. Raises FlowerError."""
    host, _, port = public.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise FlowerError(f"{public[:100]!r}: expected HOST:PORT, as nodes.example.org:9443")
    return host.removeprefix("[").removesuffix("]"), int(port)


def configuration(superlink: str, public: str) -> str:
    """What nginx.conf says: where the SuperLink is (host:port), and what nodes connect to (host:port)."""
    host, port = host_and_port(public)
    here = "[::1]:" if ":" in host else "127.0.0.1:"
    places = [here] if _is_here_only(host) else ["", *(["[::]:"] if _has_ipv6() else [])]
    listen = "\n".join(f"        listen {place}{port} ssl;" for place in places)
    # Only where root starts it: else its workers, who are nobody, could not enter the folder.
    user = "\nuser root;" if os.getuid() == 0 else ""
    text = _TEMPLATE.read_text()
    for name, value in (("USER", user), ("SUPERLINK", superlink), ("LISTEN", listen)):
        text = text.replace(f"@{name}@", value)
    return text


def keys(home: Home) -> str:
    """What keys.map says: the keys of the nodes that joined. Raises FlowerError."""
    lines = []
    for node in home.joined():
        try:
            lines.append(f'"{header_of(node.public_key)}" 1;\n')
        except FlowerError as error:
            raise FlowerError(f"node {node.name}: {error}") from None
    return "".join(lines)


def allow(home: Home) -> None:
    """Let through the nodes that joined, and nobody else, from now on; where the proxy does not run, from its start.

    Raises FlowerError.
    """
    wanted, path = keys(home).encode(), home.folder / KEYS
    try:
        if not path.exists() or path.read_bytes() != wanted:
            with atomic_write(path, 0o600) as file:
                file.write(wanted)
    except OSError as error:
        raise FlowerError(f"{path}: {error.strerror or error}") from None
    # Also where nothing changed here: the one before may have been killed between the two.
    if process := running(home):
        try:
            os.kill(process, signal.SIGHUP)
        except OSError as error:
            raise FlowerError(f"the proxy cannot be told of its list of nodes: {error.strerror}") from None


def running(home: Home) -> int | None:
    """The process of this folder's proxy, if it runs."""
    try:
        process = int((home.folder / PID).read_text())
        line = Path(f"/proc/{process}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    # A killed nginx leaves its number behind, which may be somebody else's today.
    return process if b"nginx" in line and str(home.folder / CONF).encode() in line else None


def _is_here_only(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
