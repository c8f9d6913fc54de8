"""The certificates of the nodes' server: an authority of its own, and what it vouches for; made by openssl."""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

from utils.engines.flower_commands import ran
from utils.engines.flower_home import FlowerError
from utils.files import atomic_write

YEARS_OF_AUTHORITY, DAYS_OF_SERVER = 10, 730
SOON = 30
"""Days before its end in which a certificate is told of, and renewed by setup."""
_HERE = ("localhost", "127.0.0.1", "::1")
_AUTHORITY = """[req]
distinguished_name = name
prompt = no
x509_extensions = authority
[name]
CN = SkyFed nodes
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""
_SERVER = """[req]
distinguished_name = name
prompt = no
[name]
CN = SkyFed nodes' server
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {names}
"""


@dataclass(frozen=True)
class Certificate:
    """What a certificate says: for which names and addresses, and from when to when it holds."""

    names: frozenset[str]
    begins: datetime
    ends: datetime

    def days_left(self, now: datetime) -> float:
        """How many days it still holds."""
        return (self.ends - now).total_seconds() / 86_400


def names_of(host: str, more: Sequence[str]) -> list[str]:
    """All names and addresses that the server has. Raises FlowerError for what is neither."""
    names = []
    for given in (host, *more, *_HERE):
        name = _plain(given)
        if not re.fullmatch(r"(?=.{1,253}$)[a-z0-9*]([a-z0-9.-]*[a-z0-9])?|[0-9a-f:.]+", name):
            raise FlowerError(f"{given[:100]!r}: neither a name nor an address")
        if name not in names:
            names.append(name)
    return names


def make_authority(folder: Path) -> None:
    """Make ca.key and ca.crt. Raises FlowerError."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        conf = Path(place) / "conf"
        conf.write_text(_AUTHORITY)
        _openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-sha256", "-days",
            str(365 * YEARS_OF_AUTHORITY), "-config", str(conf), "-keyout", f"{place}/ca.key",
            "-out", f"{place}/ca.crt",
        )  # fmt: skip
        _put(Path(place), folder, "ca.key", 0o600)
        _put(Path(place), folder, "ca.crt", 0o644)


def make_server(folder: Path, names: Sequence[str]) -> None:
    """Make server.key and server.crt for these names, vouched for by the authority there. Raises FlowerError."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        conf, asks = Path(place) / "conf", Path(place) / "asks"
        conf.write_text(_SERVER.format(names=", ".join(map(_alternative, names))))
        _openssl(
            "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-sha256",
            "-config", str(conf), "-keyout", f"{place}/server.key", "-out", str(asks),
        )  # fmt: skip
        _openssl(
            "x509", "-req", "-in", str(asks), "-CA", str(folder / "ca.crt"), "-CAkey", str(folder / "ca.key"),
            "-set_serial", f"0x{secrets.token_hex(16)}", "-sha256", "-days", str(DAYS_OF_SERVER), "-extfile", str(conf),
            "-extensions", "server", "-out", f"{place}/server.crt",
        )  # fmt: skip
        _put(Path(place), folder, "server.key", 0o600)
        _put(Path(place), folder, "server.crt", 0o644)


def read_certificate(path: Path) -> Certificate:
    """What the certificate in a file says. Raises FlowerError."""
    told = _openssl(
        "x509",
        "-in",
        str(path),
        "-noout",
        "-startdate",
        "-enddate",
        "-ext",
        "subjectAltName",
        "-dateopt",
        "iso_8601",
    )
    dates = re.findall(r"not(?:Before|After)=(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)Z", told)
    if len(dates) != 2:
        raise FlowerError(f"{path}: a certificate that cannot be read")
    begins, ends = (datetime.fromisoformat(date).replace(tzinfo=UTC) for date in dates)
    names = re.findall(r"(?:DNS|IP Address):([^\s,]+)", told)
    return Certificate(frozenset(map(_plain, names)), begins, ends)


def is_vouched_for(folder: Path) -> bool:
    """Whether the server's certificate is one of the authority's there."""
    try:
        _openssl("verify", "-no_check_time", "-CAfile", str(folder / "ca.crt"), str(folder / "server.crt"))
    except FlowerError:
        return False
    return True


def _openssl(*words: str) -> str:
    return ran(["openssl", *words], {**os.environ, "LC_ALL": "C"}, f"openssl {words[0]}")


def _put(place: Path, folder: Path, name: str, mode: int) -> None:
    with atomic_write(folder / name, mode) as file:
        file.write((place / name).read_bytes())


def _plain(name: str) -> str:
    """A name in small letters, an address as it is usually written."""
    bare = name.strip().removeprefix("[").removesuffix("]").lower()
    try:
        return str(ip_address(bare))
    except ValueError:
        return bare.removesuffix(".")


def _alternative(name: str) -> str:
    try:
        return f"IP:{ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"
