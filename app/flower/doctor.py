"""Says in words what is wrong with Flower at the server, and what to do about it."""

from __future__ import annotations

import socket
import ssl
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path

from app.flower import certificates, database, proxy
from app.flower.setup import DATABASE
from utils.engines.flower_commands import version_of
from utils.engines.flower_home import STALE, FlowerError, Home, Settings

AHEAD, BEHIND = 5, 305
"""Seconds that a node's clock may be ahead of the server's, and behind; otherwise the SuperLink refuses it (401)."""
_PRIVATE = ("ca.key", "server.key", "secret", "keys.map")
_PATIENCE = 10.0


def examine(home: Home, site: str | None, say: Callable[[str], None]) -> int:
    """Say what is wrong, a line for each; returns the exit status: 0 where nothing is, 1 where something is."""
    wrong = 0
    for fault in faults(home, site, say):
        wrong += 1
        say(f"WRONG: {fault}")
    say(f"{wrong} {'thing is' if wrong == 1 else 'things are'} wrong" if wrong else "nothing is wrong")
    return 1 if wrong else 0


def faults(home: Home, site: str | None = None, say: Callable[[str], None] = lambda _: None) -> Iterator[str]:
    """All that is wrong, in words; what is only to be known is said."""
    try:
        settings = home.read()
    except FlowerError as error:
        yield str(error)
        return
    for examined in (_of_files, _of_flower, _of_certificates, _of_superlink, _of_proxy, _of_nodes):
        try:
            yield from examined(home, settings)
        except FlowerError as error:
            yield str(error)
    yield from _of_clock(home, site, say)


def _of_files(home: Home, settings: Settings) -> Iterator[str]:
    for name in (*_PRIVATE, "ca.crt", "server.crt", "nginx.conf", "flwr/config.toml"):
        path = home.folder / name
        if not path.exists():
            yield f"{path}: is not there; run setup again"
        elif name in _PRIVATE and stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield f"{path}: others may read it; chmod 600, and if others did, move it away and run setup again"
    if proxy.nginx() is None:
        yield "there is no nginx on this machine; install it (apt-get install nginx-light)"
    path = home.folder / proxy.KEYS
    with suppress(OSError):
        if path.exists() and path.read_text() != proxy.keys(home):
            yield f"{path}: is not the list of nodes that joined; python3 -m app.flower allow writes it"


def _of_flower(home: Home, settings: Settings) -> Iterator[str]:
    try:
        found = version_of(settings.bin, home)
    except FlowerError as error:
        yield f"{error}; make flower installs it"
        return
    if found != settings.version:
        yield f"{settings.bin}: Flower {found} is there, and {settings.version} was set up; nodes have the latter"
    if fault := database.fault(home.folder / DATABASE, Path(settings.bin)):
        yield fault


def _of_certificates(home: Home, settings: Settings) -> Iterator[str]:
    now = datetime.now(UTC)
    for name, what in (("ca.crt", "the authority's"), ("server.crt", "the server's")):
        if not (home.folder / name).exists():
            continue
        found = certificates.read_certificate(home.folder / name)
        left = found.days_left(now)
        if left < certificates.SOON:
            how = f"ends in {left:.0f} days" if left > 0 else "has ended"
            yield f"{name}: {what} certificate {how}, on {found.ends:%Y-%m-%d}; run setup again, then restart serve"
        if found.begins > now:
            yield f"{name}: {what} certificate begins in the future: this machine's clock went back"
        if name == "server.crt":
            host, _ = proxy.host_and_port(settings.public)
            missing = [one for one in certificates.names_of(host, []) if one not in found.names]
            if missing:
                yield f"server.crt: does not hold for {', '.join(missing)}; run setup again, then restart serve"
    if (home.folder / "ca.crt").exists() and not certificates.is_vouched_for(home.folder):
        yield "server.crt: is not of the authority in ca.crt, which nodes trust; run setup again, then restart serve"


def _of_superlink(home: Home, settings: Settings) -> Iterator[str]:
    host, port = proxy.host_and_port(settings.address)
    for found in sorted(_listening(port)):
        if not ip_address(found).is_loopback:
            yield (
                f"port {port} of the SuperLink is open at {found}, not at the loopback address only: whoever reaches "
                "it may start code on all nodes; end what listens there, serve starts it rightly"
            )
    why = _handshake(home, host, port, "localhost")
    if why:
        yield f"the SuperLink at {settings.address} {why}"


def _of_proxy(home: Home, settings: Settings) -> Iterator[str]:
    host, port = proxy.host_and_port(settings.public)
    here = "::1" if ":" in host else "127.0.0.1"
    if why := _handshake(home, here, port, host):
        yield f"the proxy at port {port} {why}"
        return
    for path in ("/", "/v1/control/list-runs", "/v1/runtime/acquire-task", "/v1/fleet/activate-node"):
        status = _status(home, here, port, host, path)
        if status != 403:
            what = "a stranger without a key" if path.startswith("/v1/fleet/") else "anybody"
            yield f"the proxy answers {status or 'nothing'} to {what} at {path}, where 403 is due; run setup again"


def _of_nodes(home: Home, settings: Settings) -> Iterator[str]:
    path = home.folder / "online.json"
    if path.exists():
        ago = time.time() - path.stat().st_mtime
        if ago < -AHEAD:
            yield "online.json was written in the future: this machine's clock went back"
        elif ago > STALE:
            yield f"who is online was last written down {ago:.0f} s ago, not each 10 s: serve does not run"
        online = home.online()
        for node in home.joined():
            if online and node.node_id not in online:
                yield f"{node.name}: the SuperLink does not know this node (is its database new?); it has to join again"
    elif home.joined():
        yield "who is online was never written down: serve does not run"


def _of_clock(home: Home, site: str | None, say: Callable[[str], None]) -> Iterator[str]:
    if site and (date := _date_of(site)) is not None:
        off = time.time() - date
        if abs(off) > AHEAD - 1:
            yield (
                f"this machine's clock is {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} that of {site}; set "
                "both by the network (timedatectl set-ntp true)"
            )
    elif site:
        say(f"NOTE: {site} does not tell its time")
    with suppress(OSError, subprocess.SubprocessError):
        told = subprocess.run(
            ["timedatectl", "show", "-p", "NTPSynchronized", "--value"],
            capture_output=True,
            timeout=5,
            check=False,
        )
        if told.stdout.strip() == b"no":
            say("NOTE: this machine's clock is not set by the network (timedatectl set-ntp true)")
    say(
        f"the clock here says {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC; date -u on a node has to say the same: a node "
        f"more than {AHEAD} s ahead, or more than {BEHIND} s behind, is refused with 401"
    )


def _handshake(home: Home, address: str, port: int, name: str) -> str:
    """Why a node could not speak to what listens there; empty where it could."""
    try:
        with (
            socket.create_connection((address, port), timeout=_PATIENCE) as raw,
            _context(home).wrap_socket(raw, server_hostname=name),
        ):
            return ""
    except ssl.SSLCertVerificationError as error:
        return f"shows a certificate that nodes do not take ({error.verify_message}); restart serve, or run setup again"
    except ssl.SSLError as error:
        return f"does not speak TLS ({error.reason or 'no answer to the greeting'}); something else listens there"
    except ConnectionRefusedError:
        return "is not running; start serve"
    except OSError as error:
        return f"cannot be reached ({error.strerror or error})"


def _status(home: Home, address: str, port: int, name: str, path: str) -> int:
    """With what it answers a stranger; 0 where it does not."""
    asks = f"POST {path} HTTP/1.1\r\nHost: {name}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
    try:
        with (
            socket.create_connection((address, port), timeout=_PATIENCE) as raw,
            _context(home).wrap_socket(raw, server_hostname=name) as line,
        ):
            line.sendall(asks)
            return int(line.recv(64).split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _context(home: Home) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(home.folder / "ca.crt"))
    except (OSError, ssl.SSLError):
        raise FlowerError(
            f"{home.folder / 'ca.crt'}: no certificate that can be used; run setup again"
        ) from None


def _listening(port: int, root: Path = Path("/proc/net")) -> set[str]:
    """The addresses at which somebody listens on this port, as Linux tells of them."""
    found = set()
    for name in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (root / name).read_text().splitlines()[1:]:
                local, state = line.split()[1], line.split()[3]
                address, _, at = local.partition(":")
                if state == "0A" and int(at, 16) == port:
                    words = [bytes.fromhex(address[i : i + 8])[::-1] for i in range(0, len(address), 8)]
                    whole = ip_address(b"".join(words))
                    found.add(str(getattr(whole, "ipv4_mapped", None) or whole))
    return found


def _date_of(site: str) -> float | None:
    """What the site's clock says, in unix seconds."""
    import requests

    with suppress(requests.RequestException, TypeError, ValueError, OverflowError):
        answer = requests.head(site, timeout=_PATIENCE, allow_redirects=False)
        return parsedate_to_datetime(answer.headers["Date"]).timestamp()
    return None
