"""Whom all owners have: guest and hosts compare identities before they train, and say nothing of the others' rows.

`hashes` is weak: an HMAC-SHA-256 with a salt that all owners share hides nothing from whoever has the salt, who can try
every identity there is (names and dates of birth, phone numbers). `psi` is private set intersection by Diffie and
Hellman's exchange (OpenMined's PSI, https://github.com/OpenMined/PSI): the guest learns which of its people a host has
too, and of the host's others no more than how many; the host learns how many people the guest has. Either way the guest
then tells each host whom all have, as they must train on the same rows.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from utils.federated import RunError
from utils.vertical import Wire

ROOT = Path(__file__).resolve().parent.parent.parent
PYTHON = ROOT / ".venv-psi" / "bin" / "python"


def common(
    guest: Sequence[str], hosts: Sequence[Sequence[str]], match: str, salt: bytes, wire: Wire
) -> list[str]:
    """The identities that all owners have, sorted, found as `match` says: `hashes` or `psi`.

    Nothing travels, and nothing is left out, where there is no host. Raises RunError where that cannot be.
    """
    known = set(guest)
    for host in hosts:
        known &= set(_by_hashes(guest, host, salt, wire) if match == "hashes" else _by_psi(guest, host, wire))
    for _ in hosts:
        names = sorted(hashed(one, salt) if match == "hashes" else one.encode() for one in known)
        wire.to_host(b"".join(names))
    return sorted(known)


def hashed(identity: str, salt: bytes) -> bytes:
    """What stands for an identity: 32 bytes, HMAC-SHA-256 by the salt that owners share."""
    return hmac.new(salt, identity.encode(), hashlib.sha256).digest()


def _by_hashes(guest: Sequence[str], host: Sequence[str], salt: bytes, wire: Wire) -> list[str]:
    sent = wire.to_guest(b"".join(sorted(hashed(one, salt) for one in host)))
    theirs = {sent[at : at + 32] for at in range(0, len(sent), 32)}
    return [one for one in guest if hashed(one, salt) in theirs]


def _by_psi(guest: Sequence[str], host: Sequence[str], wire: Wire) -> list[str]:
    """The guest asks, the host answers with its own set under its key and the guest's under both. Each has a process of
    its own, which alone knows its key.
    """
    if not PYTHON.exists():
        raise RunError(
            "rounds: match psi needs OpenMined's PSI, which is not installed; make psi installs it"
        )
    try:
        with _process("guest") as asking, _process("host") as answering:
            request = wire.to_host(_bytes(_said(asking, list(guest))))
            told = _said(answering, [list(host), len(guest), _text(request)])
            found = _said(asking, [_text(wire.to_guest(_bytes(one))) for one in told])
    except (OSError, ValueError):
        raise RunError(f"rounds: match psi: {PYTHON} gave no answer; make psi installs it anew") from None
    return [guest[number] for number in found]


def _process(role: str) -> subprocess.Popen[str]:
    file = Path(__file__).with_name("psi.py")
    return subprocess.Popen(
        [PYTHON, "-I", file, role],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _said(process: subprocess.Popen[str], what: Any) -> Any:
    """What a process answers, one line of JSON each way."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(what) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def _text(message: bytes) -> str:
    return base64.b64encode(message).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
