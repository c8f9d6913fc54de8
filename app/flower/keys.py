"""Public keys of nodes in their three forms: PEM at the site, a line of OpenSSH for Flower's command line, a header on
the wire. Elliptic curve P-384 only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from utils.engines.flower_home import FlowerError

_BEGIN, _END = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"
_OF_P384 = bytes.fromhex("3076301006072a8648ce3d020106052b81040022036200")
"""What stands before the point in every such key's DER (RFC 5480)."""
_P = 2**384 - 2**128 - 2**96 + 2**32 - 1
_B = int(
    "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef", 16
)
"""The curve (FIPS 186-4): y² = x³ - 3x + _B modulo _P."""


def checked_key(pem: str) -> str:
    """A public key in PEM, written as everybody writes it. Raises FlowerError."""
    text = "".join(pem.split("\n")).replace("\r", "").strip() if len(pem) < 2000 else ""
    if not (text.startswith(_BEGIN) and text.endswith(_END)):
        raise FlowerError("the public key is not in PEM (BEGIN PUBLIC KEY)")
    try:
        raw = base64.b64decode(text[len(_BEGIN) : -len(_END)], validate=True)
    except (binascii.Error, ValueError):
        raise FlowerError("the public key is not in PEM: it is no base64") from None
    point = raw[len(_OF_P384) :]
    if not raw.startswith(_OF_P384) or len(point) != 97 or point[0] != 4 or not _is_on_curve(point[1:]):
        raise FlowerError("the public key is none of the elliptic curve P-384")
    coded = base64.b64encode(raw).decode()
    lines = [coded[at : at + 64] for at in range(0, len(coded), 64)]
    return "\n".join([_BEGIN, *lines, _END, ""])


def header_of(pem: str) -> str:
    """What a node with this key sends in its header flwr-public-key."""
    return base64.b64encode(checked_key(pem).encode()).decode()


def fingerprint(pem: str) -> str:
    """SHA-256 of the key in DER, as `openssl pkey -pubin -in key.pub -outform der | sha256sum` says it."""
    text = checked_key(pem).splitlines()
    return hashlib.sha256(base64.b64decode("".join(text[1:-1]))).hexdigest()


def openssh_of(pem: str) -> str:
    """The same key as OpenSSH writes it (RFC 5656), in one line."""
    text = checked_key(pem).splitlines()
    point = base64.b64decode("".join(text[1:-1]))[len(_OF_P384) :]
    parts = (b"ecdsa-sha2-nistp384", b"nistp384", point)
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return f"ecdsa-sha2-nistp384 {base64.b64encode(blob).decode()}\n"


def _is_on_curve(point: bytes) -> bool:
    x, y = int.from_bytes(point[:48], "big"), int.from_bytes(point[48:], "big")
    return x < _P and y < _P and (y * y - (x * x * x - 3 * x + _B)) % _P == 0
