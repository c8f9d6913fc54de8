"""Sets Flower up at the server: certificates, secret, configuration of the command line and of the proxy.

What is there and still right stays as it is, so that it may be run again at any time.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from app.flower import certificates, proxy
from utils.engines.flower_commands import version_of
from utils.engines.flower_home import VERSION, FlowerError, Home, Settings
from utils.files import ROOT, atomic_write

CONNECTION = "skyfed"
DEFAULT_BIN = ROOT / ".venv-flower" / "bin"
DATABASE = "superlink.db"


def set_up(
    home: Home, public: str, names: Sequence[str], port: int, bin: Path, say: Callable[[str], None]
) -> None:
    """Set Flower up: nodes connect to `public` (HOST:PORT), the certificate holds for its host and `names` as well, the
    SuperLink listens on `port` of the loopback address. Raises FlowerError.
    """
    host, outside = proxy.host_and_port(public)
    if port == outside:
        raise FlowerError(f"port {port}: the SuperLink and the proxy need one each")
    wanted = certificates.names_of(host, names)
    found = version_of(str(bin), home)
    if found != VERSION:
        raise FlowerError(f"{bin}: Flower {found} is there, {VERSION} is needed; make flower installs it")
    place = home.folder
    address = f"127.0.0.1:{port}"
    try:
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(0o700)
        (place / "temp").mkdir(exist_ok=True)
        _certify(place, wanted, say)
        secret = place / "secret"  # whoever runs already has the one that is there
        _write(secret, secret.read_bytes() if secret.exists() else secrets.token_bytes(32), say, 0o600)
        toml = (
            f"# Written by python3 -m app.flower setup.\n[superlink]\ndefault = {json.dumps(CONNECTION)}\n\n"
            f"[superlink.{CONNECTION}]\naddress = {json.dumps(address)}\n"
            f"root-certificates = {json.dumps(str(place / 'ca.crt'))}\n"
        )
        _write(place / "flwr" / "config.toml", toml.encode(), say)
        _write(place / proxy.CONF, proxy.configuration(address, public).encode(), say)
        _write(place / proxy.KEYS, proxy.keys(home).encode(), say, 0o600)
        settings = Settings(str(bin.absolute()), address, public, CONNECTION, VERSION)
        about = json.dumps({"format": 1, **asdict(settings)}, indent=1)
        _write(place / "flower.json", f"{about}\n".encode(), say)
    except OSError as error:
        raise FlowerError(f"{error.filename or place}: {error.strerror or error}") from None
    say(f"Flower {VERSION} is set up; nodes will connect to {public}; now: python3 -m app.flower serve")


def _certify(folder: Path, wanted: Sequence[str], say: Callable[[str], None]) -> None:
    now, names = datetime.now(UTC), list(wanted)
    if not ((folder / "ca.key").exists() and (folder / "ca.crt").exists()):
        certificates.make_authority(folder)
        say("made ca.key and ca.crt: the authority that nodes trust")
    elif certificates.read_certificate(folder / "ca.crt").days_left(now) < certificates.SOON:
        raise FlowerError(
            f"{folder / 'ca.crt'}: ends soon, and every node trusts it; move ca.key and ca.crt away and run this again"
        )
    why = ""
    if not ((folder / "server.key").exists() and (folder / "server.crt").exists()):
        why = "there was none"
    elif not certificates.is_vouched_for(folder):
        why = "the one before was of another authority"
    else:
        found = certificates.read_certificate(folder / "server.crt")
        names += sorted(found.names - set(names))  # who used a name before may still use it
        if found.days_left(now) < certificates.SOON:
            why = f"the one before ends on {found.ends:%Y-%m-%d}"
        elif missing := [name for name in wanted if name not in found.names]:
            why = f"{', '.join(missing)} was not in the one before"
    if why:
        certificates.make_server(folder, names)
        say(
            f"made server.key and server.crt for {', '.join(names)}: {why}; serve uses them when it is restarted"
        )
    else:
        say(f"kept the certificates, for {', '.join(names)}")


def _write(path: Path, raw: bytes, say: Callable[[str], None], mode: int = 0o644) -> None:
    if path.exists() and path.read_bytes() == raw:
        path.chmod(mode)
        say(f"kept {path.name}")
        return
    with atomic_write(path, mode) as file:
        file.write(raw)
    say(f"wrote {path.name}")
