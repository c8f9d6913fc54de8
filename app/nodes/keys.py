"""The public key by which Flower knows a node: its form, and a short name for it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

_PEM = re.compile(r"\s*-----BEGIN PUBLIC KEY-----\s([A-Za-z0-9+/=\s]{1,400})-----END PUBLIC KEY-----\s*")
_PREFIX = bytes.fromhex("3076301006072a8648ce3d020106052b8104002203620004")
"""Of a SubjectPublicKeyInfo (RFC 5480): ecPublicKey on secp384r1, and a point that is not compressed."""
_P = 2**384 - 2**128 - 2**96 + 2**32 - 1
_B = 0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF
"""The curve y² = x³ - 3x + B modulo P (SEC 2, section 2.5.1)."""


def same_form(pem: str) -> str | None:
    """The public key of a point on P-384 as everybody writes its PEM; None where `pem` is no such key."""
    found = _PEM.fullmatch(pem)
    try:
        der = base64.b64decode("".join(found[1].split()), validate=True) if found else b""
    except binascii.Error:
        return None
    if len(der) != 120 or not der.startswith(_PREFIX):
        return None
    x, y = int.from_bytes(der[24:72]), int.from_bytes(der[72:])
    if max(x, y) >= _P or (y * y - x * x * x + 3 * x - _B) % _P:
        return None
    text = base64.b64encode(der).decode()
    lines = [text[place : place + 64] for place in range(0, len(text), 64)]
    return "\n".join(("-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""))


def fingerprint(pem: str) -> str:
    """SHA-256 of the key in DER, as `openssl pkey -pubin -in key.pub -outform der | sha256sum` says it."""
    found = _PEM.fullmatch(pem)
    return hashlib.sha256(base64.b64decode(found[1]) if found else b"").hexdigest()
