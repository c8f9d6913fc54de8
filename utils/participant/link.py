"""What a participant asks of whoever runs a task, and what comes back, however that travels: over the board's HTTP
(`utils.participant.board`) today. Nothing that comes back is trusted: texts are made plain, numbers are checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from utils.participant.refusals import LinkError
from utils.participant.waiting import bounded

MAX_TEXT = 50_000
MAX_NUMBER = 1e300
"""What is larger, a whole number too, is none that anybody reckons with."""


@dataclass(frozen=True)
class Task:
    """A task as it stands now: `described` is not checked yet; `me` is what the site knows of who asks."""

    name: str
    by: str
    about: str
    state: str
    version: int
    described: dict[str, Any]
    consent: int
    consent_text: str
    me: Me | None
    progress: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Me:
    """A participant in the eyes of the site: `left` trainings may still be sent (None: as many as one likes)."""

    state: str
    pseudonym: str
    consent: int
    trainings: int
    left: int | None
    worth: str


@dataclass(frozen=True)
class Training:
    """A training as the site has it; see `utils.calls.states`."""

    id: str
    state: str
    reason: str
    says: str
    version: int
    version_after: int | None
    expires_in: float | None = None


class Link(Protocol):
    """A way to the site. What fails is a LinkError, a DeniedError or a RefusedError; all may be asked again."""

    def task(self) -> Task:
        """The task as it stands now."""

    def join(self, consent: int) -> Me:
        """Take part, by accepting this version of the consent text."""

    def leave(self) -> None:
        """Take part no longer; what waits is withdrawn."""

    def begin(self, id: str) -> Training:
        """Announce a training; with the same id again, it is the same one."""

    def weights(self, version: int, most: int) -> bytes:
        """A version's model, of at most so many bytes."""

    def backbone(self, run: str) -> tuple[dict[str, Any], bytes]:
        """Conf and model of the run whose network is the frozen backbone."""

    def send(self, id: str, body: bytes, about: Mapping[str, float]) -> Training:
        """Send an update; the very same again changes nothing."""

    def trainings(self) -> list[Training]:
        """One's own. DeniedError where the token does not say whose."""

    def parents(self) -> dict[int, int | None]:
        """From which version each was made."""

    def withdraw(self, id: str) -> Training:
        """Take a training back."""


def plain(text: Any, most: int = 500) -> str:
    """A stranger's text as a terminal may show it: no control characters, none that turn writing around."""
    shown = str(text)[:most] if isinstance(text, str) else ""
    return "".join(one if one == "\n" or one.isprintable() else " " for one in shown)


def line(text: Any, most: int = 300) -> str:
    """The same in one line."""
    return " ".join(plain(text, most).split())


def task_of(told: Any) -> Task:
    """A task from the site's JSON. Raises LinkError."""
    given = _object(told, "task")
    consent = _object(given.get("consent"), "consent")
    return Task(
        line(given.get("name")), line(given.get("by")), plain(given.get("description") or given.get("about"), MAX_TEXT),
        line(given.get("state"), 20), _whole(given.get("version"), "version"),
        _object(given.get("described"), "described"),
        _whole(consent.get("version"), "consent.version"), plain(consent.get("text"), MAX_TEXT),
        me_of(given["me"]) if given.get("me") is not None else None,
        progress if isinstance(progress := given.get("progress"), dict) else {},
    )  # fmt: skip


def me_of(told: Any) -> Me:
    """A participant from the site's JSON. Raises LinkError."""
    given = _object(told, "me")
    left, worth = given.get("left"), given.get("worth")
    parts = worth.items() if isinstance(worth, dict) else ()
    return Me(
        line(given.get("state"), 20), line(given.get("pseudonym"), 60), _whole(given.get("consent") or 0, "me.consent"),
        _whole(given.get("trainings") or 0, "me.trainings"), None if left is None else _whole(left, "me.left"),
        ", ".join(f"{line(name, 30)} {value:.4g}" for name, value in parts if _is_number(value)),
    )  # fmt: skip


def training_of(told: Any) -> Training:
    """A training from the site's JSON. Raises LinkError."""
    given = _object(told, "training")
    after, left = given.get("version_after"), given.get("expires_in")
    return Training(
        line(given.get("id"), 60), line(given.get("state"), 20), line(given.get("reason"), 40), line(given.get("says")),
        _whole(given.get("version"), "version"), None if after is None else _whole(after, "version_after"),
        bounded(left) if isinstance(left, int | float) and _is_number(left) else None,
    )  # fmt: skip


def trainings_of(told: Any) -> list[Training]:
    """Trainings from the site's JSON. Raises LinkError."""
    if not isinstance(told, list):
        raise LinkError("the site's answer cannot be used: trainings: expected a list")
    return [training_of(one) for one in told]


def parents_of(told: Any) -> dict[int, int | None]:
    """From which version each was made, from the site's JSON. Raises LinkError."""
    if not isinstance(told, list):
        raise LinkError("the site's answer cannot be used: versions: expected a list")
    found: dict[int, int | None] = {}
    for one in told:
        parent = _object(one, "version").get("parent")
        found[_whole(one.get("number"), "number")] = None if parent is None else _whole(parent, "parent")
    return found


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise LinkError(f"the site's answer cannot be used: {name}: expected an object")
    return value


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise LinkError(f"the site's answer cannot be used: {name}: expected a whole number")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -MAX_NUMBER < value < MAX_NUMBER
