"""What lies at home: of each task what was accepted, the prepared examples, what is trained and not sent yet, and the
ledger; of each site the token. Files are written whole, so that a process may be killed at any moment.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from utils.files import DRAFTS, atomic_write
from utils.participant.board import Address, address_of
from utils.participant.ledger import Ledger
from utils.participant.records import Wishes, locked, private, read, write
from utils.participant.refusals import WrongError

_ABOUT, _PENDING, _LEDGER, _WORK = "task.json", "training.json", "ledger.jsonl", "work"
_LOCK = "lock"


def default_home() -> Path:
    """Where all of it lies unless told otherwise."""
    return Path(os.environ.get("SKYFED_PARTICIPANT") or Path.home() / ".skyfed")


@dataclass(frozen=True)
class About:
    """A task as it was accepted: its description, the version of its consent text and that text, when, under which
    name; and the folder of the prepared examples.
    """

    site: str
    number: int
    name: str
    described: dict[str, Any]
    consent: int
    consent_text: str
    accepted: str
    pseudonym: str
    data: str
    examples: int

    @property
    def address(self) -> Address:
        """Where the task is."""
        return Address(self.site, self.number)


@dataclass(frozen=True)
class Pending:
    """A training that the site knows by `id`, and, once it is `trained`, its update, which lies here until the site has
    it for certain.
    """

    id: str
    trained: bool = False
    version: int = 0
    samples: int = 0
    steps: int = 0
    loss: float = 0.0
    norm: float = 0.0
    clip: float = 0.0
    noise: float = 0.0
    bytes: int = 0
    sha256: str = ""


class Place:
    """The home folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def tasks(self) -> list[Kept]:
        """All tasks, by name of their folders."""
        return [Kept(path.parent) for path in sorted((self.folder / "tasks").glob(f"*/{_ABOUT}"))]

    def at(self, address: Address) -> Kept:
        """The task with this address, which may not be here yet. Raises ParticipantError."""
        called = re.sub(r"[^A-Za-z0-9.-]+", "_", address.site.partition("://")[2])
        kept = Kept(self.folder / "tasks" / f"{called}_{address.number}")
        if kept.exists and kept.about.address != address:
            raise WrongError(f"{kept.folder}: belongs to {kept.about.site}; give --home another folder")
        return kept

    def find(self, which: str | None) -> Kept:
        """The task of this number, address or folder; without one, the only one. Raises WrongError."""
        tasks = self.tasks()
        if which and "://" in which:
            address = address_of(which)
            tasks = [one for one in tasks if one.about.address == address]
        elif which:
            tasks = [one for one in tasks if which in (one.folder.name, str(one.about.number))]
        if len(tasks) == 1:
            return tasks[0]
        if not tasks:
            raise WrongError(
                f"{self.folder}: no {'such task' if which else 'task yet'}; join one with join URL"
            )
        raise WrongError(f"which task? one of {', '.join(one.folder.name for one in tasks)}")

    def token(self, site: str) -> str:
        """The token kept for a site; empty where there is none."""
        path = self._token(site)
        return path.read_text("ascii", "replace").strip() if path.exists() else ""

    def keep_token(self, site: str, token: str) -> None:
        """Keep a token in a file that nobody else may read."""
        path = self._token(site)
        private(path.parent)
        with atomic_write(path, 0o600) as file:
            file.write(token.encode("ascii"))

    def _token(self, site: str) -> Path:
        return self.folder / "tokens" / quote(site, safe="")  # of two sites never the same


class Kept(Wishes):
    """The folder of a task."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = Ledger(folder / _LEDGER)

    @property
    def exists(self) -> bool:
        """Whether the task was ever joined from here."""
        return (self.folder / _ABOUT).exists()

    @property
    def about(self) -> About:
        """What was accepted. Raises ParticipantError."""
        found = read(self.folder / _ABOUT, About)
        if found is None:
            raise WrongError(f"{self.folder}: no task was joined here")
        return found

    def keep(self, about: About) -> None:
        """Put what was accepted in the place of what was; examples that it does not name are forgotten."""
        private(self.folder)
        write(self.folder / _ABOUT, about)
        for path in self.folder.glob("data-*"):
            if path.name != about.data:
                shutil.rmtree(path)

    @property
    def pending(self) -> Pending | None:
        """The training that is not done with, if there is one."""
        return read(self.folder / _PENDING, Pending)

    def await_(self, pending: Pending, update: bytes | None = None) -> None:
        """Put this training in the place of what it was, with its update: first that, then what is known of it."""
        if update is not None:
            with atomic_write(self.update_of(pending)) as file:
                file.write(update)
        write(self.folder / _PENDING, pending)

    def update_of(self, pending: Pending) -> Path:
        """Where its update lies."""
        return self.folder / f"{pending.id}.safetensors"

    def done(self) -> None:
        """There is nothing pending any more."""
        (self.folder / _PENDING).unlink(missing_ok=True)
        for path in self.folder.glob("*.safetensors"):
            path.unlink()

    @property
    def work(self) -> Path:
        """An empty folder to work in."""
        path = self.folder / _WORK
        if path.exists():
            shutil.rmtree(path)
        private(path)
        return path

    def clear_work(self) -> None:
        """Let go of what the last training, or a killed one, left in it."""
        shutil.rmtree(self.folder / _WORK, ignore_errors=True)
        for path in self.folder.glob(DRAFTS):
            path.unlink(missing_ok=True)

    def new_data(self) -> Path:
        """A folder for examples, which stay if `keep` is told of it."""
        path = self.folder / f"data-{uuid4().hex}"
        private(path)
        return path

    def forget(self) -> None:
        """Delete prepared examples and what was trained on them; the ledger stays."""
        self.done()
        self.clear_work()
        self.keep(dataclasses.replace(self.about, data="", examples=0))

    @contextmanager
    def locked(self, patience: float = 0.5) -> Iterator[None]:
        """Be the only process at this task. Raises ParticipantError where another is."""
        private(self.folder)
        with locked(self.folder / _LOCK, f"{self.folder.name}: another process works on this task", patience):
            yield
