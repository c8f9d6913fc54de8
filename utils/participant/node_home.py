"""What lies at a node's home: what was accepted, the keys, the ledger, and what its two processes need to meet.

node.json   what was accepted, and which data the node has     ledger.jsonl  what was sent
key         of the node, private (OpenSSH's PEM, P-384)        key.pub       of the node, public (PEM)
token       for the site                                       ca.crt        whom Flower's line trusts
secret      between Flower's processes here                    door          the key of the data process' socket
runs/       what clients remember, a folder a run              paused, left  wishes, as empty files
link/       what Flower's processes write
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from utils.files import ROOT, atomic_write
from utils.participant.kept import default_home
from utils.participant.ledger import Ledger
from utils.participant.records import Wishes, locked, private, read, write
from utils.participant.refusals import WrongError

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
"""What a node may be called."""
DEFAULT_BIN = ROOT / ".venv-flower" / "bin"
"""Where Flower's commands are, unless told otherwise."""
SECRET_BYTES = 32
LONGEST_SOCKET = 100
"""Bytes; the path of a Unix socket may hardly be longer (sun_path)."""
_ABOUT = "node.json"
_FORMAT = 1


@dataclass(frozen=True)
class NodeAbout:
    """A node as it was accepted: at which site, by which name; what it connects to, and with which Flower, whose
    commands are in `bin`; the task (key `type` of a conf) and the data for it: folder, set in it (empty: the task's
    usual one), sources (none: all); what may be told of them: `counts` of examples, how many of its examples a
    model `judges` rightly; and the consent text, with when it was accepted.
    """

    site: str
    name: str
    public: str
    version: str
    bin: str
    type: str
    data: str
    set: str
    sources: list[str] = field(default_factory=list)
    counts: bool = True
    judges: bool = True
    consent: int = 0
    consent_text: str = ""
    accepted: str = ""


class NodeHome(Wishes):
    """The folder of a node."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.ledger = Ledger(self.folder / "ledger.jsonl")
        self.key, self.public_key = self.folder / "key", self.folder / "key.pub"
        self.authority, self.secret, self.door = (self.folder / name for name in ("ca.crt", "secret", "door"))
        self._token = self.folder / "token"

    @property
    def exists(self) -> bool:
        """Whether a node was ever joined from here."""
        return (self.folder / _ABOUT).exists()

    @property
    def about(self) -> NodeAbout:
        """What was accepted. Raises ParticipantError."""
        found = read(self.folder / _ABOUT, NodeAbout, format=_FORMAT)
        if found is None:
            raise WrongError(f"{self.folder}: no node was joined here; node join SITE does it")
        return found

    def keep(self, about: NodeAbout) -> None:
        """Put what was accepted in the place of what was."""
        private(self.folder)
        write(self.folder / _ABOUT, about, format=_FORMAT)

    @property
    def token(self) -> str:
        """The token for the site. Raises WrongError."""
        try:
            return self._token.read_text("ascii").strip()
        except (OSError, ValueError):
            raise WrongError(f"{self._token}: cannot be read; join again") from None

    def keep_token(self, token: str) -> None:
        """Keep the token in a file that nobody else may read."""
        with atomic_write(self._token, 0o600) as file:
            file.write(token.encode("ascii"))

    def keep_keys(self, private_key: str, public_key: str) -> None:
        """Keep a pair of keys in the place of the one before; with both secrets, which nobody outside ever learns."""
        private(self.folder)
        for path, raw, mode in (
            (self.key, private_key.encode(), 0o600), (self.public_key, public_key.encode(), 0o644),
            (self.secret, secrets.token_bytes(SECRET_BYTES), 0o600),
            (self.door, secrets.token_bytes(SECRET_BYTES), 0o600),
        ):  # fmt: skip
            with atomic_write(path, mode) as file:
                file.write(raw)

    @property
    def socket(self) -> Path:
        """Where the data process listens. SKYFED_NODE_SOCKET names another place, for both processes alike."""
        if given := os.environ.get("SKYFED_NODE_SOCKET"):
            return Path(given)
        usual = self.folder / "door.sock"
        if len(os.fsencode(usual)) < LONGEST_SOCKET:
            return usual
        short = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"skyfed-{short}" / "door.sock"

    def open_place(self) -> Path:
        """Make ready where the data process will listen: a folder that is nobody else's, and nothing in the way.

        Returns the socket's path. Raises WrongError where somebody else made the folder.
        """
        path = self.socket
        private(path.parent)
        if path.parent.stat().st_uid != os.geteuid() and "SKYFED_NODE_SOCKET" not in os.environ:
            raise WrongError(f"{path.parent}: belongs to somebody else")
        path.unlink(missing_ok=True)
        return path

    @contextmanager
    def alone(self, what: str, where: Path | None = None) -> Iterator[None]:
        """Be the only process that is this node's `what` ("data", "link"). Raises ParticipantError where another is."""
        private(where or self.folder)
        with locked(
            (where or self.folder) / f"{what}.lock", f"{self.folder.name}: its {what} process runs already"
        ):
            yield


class Nodes:
    """All nodes that were joined from a home folder."""

    def __init__(self, home: Path | None = None) -> None:
        self.folder = (home or default_home()).absolute() / "nodes"

    def at(self, name: str) -> NodeHome:
        """The node of this name, which may not be here yet. Raises WrongError."""
        if not NAME.fullmatch(name):
            raise WrongError(
                f"{name[:60]!r}: a name has 1 to 40 small letters, digits, - and _, and begins with none of the latter"
            )
        return NodeHome(self.folder / name)

    def all(self) -> list[NodeHome]:
        """All of them, by name."""
        return [NodeHome(path.parent) for path in sorted(self.folder.glob(f"*/{_ABOUT}"))]

    def find(self, name: str | None) -> NodeHome:
        """The node of this name; without one, the only one. Raises WrongError."""
        if name:
            if not (found := self.at(name)).exists:
                raise WrongError(f"{self.folder}: no node {name}; node join SITE makes one")
            return found
        nodes = self.all()
        if not nodes:
            raise WrongError(f"{self.folder}: no node yet; node join SITE makes one")
        if len(nodes) > 1:
            raise WrongError(f"which node? one of {', '.join(one.folder.name for one in nodes)}")
        return nodes[0]
