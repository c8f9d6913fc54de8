"""Flower on a node's machine, without importing it: its commands, a pair of keys, what its words mean to an owner."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from utils.participant.node_home import NodeHome
from utils.participant.refusals import ParticipantError, WrongError
from utils.supervision import Meaning, Program

LEAST, MOST, PATIENCE = 10.0, 60.0, 7
"""Seconds before Flower's node is started again, and how often that soon: a killed one is refused until its old
heart-beat has run out, and should not wait for much longer.
"""
HEART = 90.0
"""Seconds after which that can be the reason no more (it was 44 to 57)."""
AHEAD, BEHIND = 5, 305
"""Seconds that the clock here may be ahead of the server's, and behind."""
POLL = "0.1"
_SECONDS = 60.0
# With Flower's own library: the rest of this program needs none for keys.
_MAKE = """
from cryptography.hazmat.primitives import serialization as written
from cryptography.hazmat.primitives.asymmetric import ec
key = ec.generate_private_key(ec.SECP384R1())
print(key.private_bytes(
    written.Encoding.PEM, written.PrivateFormat.OpenSSH, written.NoEncryption()).decode())
print(key.public_key().public_bytes(
    written.Encoding.PEM, written.PublicFormat.SubjectPublicKeyInfo).decode())
"""
_KEYS = re.compile(
    r"(-----BEGIN OPENSSH PRIVATE KEY-----.+?-----END OPENSSH PRIVATE KEY-----\n)\s*"
    r"(-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----\n)",
    re.DOTALL,
)


def environment(bin: Path, folder: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What Flower's programs find around them: they start each other by name, so theirs is the first folder of PATH;
    they neither report to anybody nor look for another version; and nothing that SkyFed is told (tokens) is there.
    """
    around = {name: value for name, value in environ.items() if not name.startswith("SKYFED_")}
    return {
        **around, "PATH": f"{bin}{os.pathsep}{environ.get('PATH', os.defpath)}", "FLWR_HOME": str(folder / "flwr"),
        "FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": POLL,
    }  # fmt: skip


def check_version(bin: Path, wanted: str) -> None:
    """Raises WrongError where there is no Flower, or one of another version."""
    told = _ran(bin, [str(bin / "flower-supernode"), "--version"])
    found = re.search(r"\d+\.\d+\.\d+\S*", told)
    if found is None or found[0] != wanted:
        which = found[0] if found else "of no known version"
        raise WrongError(f"{bin}: Flower {which} is there, and the site has {wanted}")


def made_keys(bin: Path) -> tuple[str, str]:
    """A new pair of keys, of the curve P-384: private (OpenSSH's PEM), public (PEM). Raises ParticipantError."""
    told = _ran(bin, [str(bin / "python"), "-I", "-c", _MAKE])
    if not (found := _KEYS.search(told)):
        raise ParticipantError(f"{bin}: no keys could be made there")
    return found[1], found[2]


def programs(home: NodeHome, work: Path, public: str, port: int) -> list[Program]:
    """Flower's two processes of a node, which connects to `public`; `work` is where they write, and where ca.crt is,
    `port` one of the loopback address where they meet.

    Raises ParticipantError.
    """
    bin = Path(home.about.bin)
    around = environment(bin, work)
    secret = ["--superexec-auth-secret-file", str(home.secret)]
    told = f"socket={_toml(home.socket)} door={_toml(home.door)}"
    node = [
        str(bin / "flower-supernode"), "--superlink", public, "--root-certificates",
        str(work / home.authority.name), "--auth-supernode-private-key", str(home.key), "--isolation", "process",
        "--port", str(port), "--node-config", told, *secret,
    ]  # fmt: skip
    superexec = [
        str(bin / "flower-superexec"), "--runtime-api-address", f"127.0.0.1:{port}", "--insecure", *secret,
    ]  # fmt: skip
    return [
        Program("node", node, around, work / "logs" / "node.log", Words(), LEAST, MOST, PATIENCE),
        Program("superexec", superexec, around, work / "logs" / "superexec.log"),
    ]


class Words:
    """What lines of Flower's node mean to the owner; it remembers since when the node is refused."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._refused, self._ignored = clock, -1.0, 0

    def __call__(self, line: str) -> Meaning | None:
        """See `utils.supervision.Program.tells`."""
        if "SuperNode ID:" in line:
            self._refused, self._ignored = -1.0, 0
            return Meaning(f"connected, as number {line.rpartition(':')[2].strip()}", is_fault=False)
        if "[code: 2004]" in line:
            return self._not_taken()
        if "[code: 2001]" in line:
            return Meaning("the server wants nodes with a key, and this one showed none; join again")
        if "403 Forbidden" in line:
            return Meaning(
                "the server's proxy does not let this node's key through: not approved yet, or revoked",
                is_stuck=True,
            )
        if "CERTIFICATE_VERIFY_FAILED" in line:
            return Meaning(
                "the server shows a certificate of another authority, or for another name, than the site told: it was "
                "set up anew, or somebody is in between; nothing was sent"
            )
        if "SuperNode terminated gracefully" in line:  # unasked, as it does where it is answered 401
            return Meaning(
                "the server did not take the node's signature: the clock here is wrong (at most "
                f"{AHEAD} s ahead of the server's, {BEHIND} s behind; timedatectl set-ntp true)"
            )
        if "status while receiving a message. Ignoring" in line:
            self._ignored += 1
            if self._ignored == 3:
                return Meaning(
                    "the server's proxy lets this node's key through no more: revoked?", is_stuck=True
                )
            return None
        if "address already in use" in line.lower():
            return Meaning("its port here is taken; end this and start it again")
        if "Connection refused" in line or "Name or service not known" in line or "timed out" in line.lower():
            return Meaning("the server cannot be reached; it is tried again", is_fault=False)
        return None

    def _not_taken(self) -> Meaning:
        now = self._clock()
        if self._refused < 0:
            self._refused = now
        if now - self._refused < HEART:
            return Meaning(
                "the server still takes the process before for online, which ends within 60 s of a kill; trying again"
            )
        return Meaning(
            "the server does not take this node: another process uses its key, or it is not registered; ask the site"
        )


def _toml(path: Path) -> str:
    """A path as a value of --node-config, where Flower knows no escapes. Raises WrongError."""
    text = str(path)
    if any(one in text for one in "\"'\\") or not text.isprintable():
        raise WrongError(
            f"{text!r}: Flower cannot be told of a path with quotes or such in it; give --home another"
        )
    return f'"{text}"'


def _ran(bin: Path, command: list[str]) -> str:
    what = Path(command[0]).name
    try:
        done = subprocess.run(
            command, env=environment(bin, Path(os.devnull)), stdin=subprocess.DEVNULL, capture_output=True,
            timeout=_SECONDS, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise WrongError(
            f"{bin}: there is no {what}; make flower installs Flower, --bin DIR says where it is"
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ParticipantError(f"{bin}: {what} does not answer ({type(error).__name__})") from None
    if done.returncode:
        why = " ".join(done.stderr.decode(errors="replace").split())[-200:]
        raise ParticipantError(f"{bin}: {what} failed: {why or f'status {done.returncode}'}")
    return done.stdout.decode(errors="replace")
