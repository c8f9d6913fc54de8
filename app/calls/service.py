"""Calls: join, train, send, leave. Every change of state is made here, in one short transaction, and only where
`utils.calls.states` allows it; nothing waits for anybody.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn

from flask_babel import gettext as _
from sqlalchemy import ColumnElement, CursorResult, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from app.calls import store
from app.calls.models import Accepted, Call, Consent, Participation, TestExample, Training, Version
from app.calls.pseudonyms import pseudonym
from app.extensions import db
from app.models import User, now
from utils.calls import states
from utils.calls.described import Call as Described
from utils.calls.described import checked_call
from utils.calls.weights import Shapes, UpdateError, checked_update, longest

TRAINING_HOURS = 6
"""How long a training that was begun counts against the limit before it has sent anything."""
MAX_CALLS = 50
"""Of one publisher that are neither finished nor cancelled."""
_SENT = ("waiting", "accepted", "folded")


class NotNowError(Exception):
    """There is no training now; `why` is one of `states.AWAY`, `seconds` when to ask again (0: not by itself)."""

    def __init__(self, why: str, seconds: int | None = None) -> None:
        super().__init__(why)
        self.why, self.seconds = why, states.AWAY[why] if seconds is None else seconds


class CallError(ValueError):
    """What cannot be done with a call as it is; the text is one line in the reader's language."""


def described(call: Call) -> Described:
    """What a published call is."""
    return checked_call(json.loads(call.described))


def shapes_of(call: Call) -> Shapes:
    """The tensors that travel, by name."""
    found: Shapes = json.loads(call.shapes)
    return found


def change(call: Call, event: str) -> None:
    """Pause, resume, finish or cancel a call. Raises CallError where that cannot be."""
    if event == "resume" and call.user_id is None:
        raise CallError(_("Its publisher's account is gone; nobody could look after it."))
    moved = False
    for state in states.before(states.CALL, event):
        values = {"state": states.CALL[state, event]}
        moved = moved or _moved(update(Call).where(Call.id == call.id, Call.state == state).values(**values))
    db.session.commit()
    if not moved:
        raise CallError(_("That cannot be done to a task that is %(state)s.", state=_(call.state)))


def hold(one: Call | Participation) -> None:
    """Let nobody else change or count what belongs to a call, or a participation, until this transaction ends."""
    kind = type(one)
    same = update(kind).where(kind.id == one.id).values(id=kind.id)
    db.session.execute(same.execution_options(synchronize_session=False))
    db.session.expire(one)


def set_consent(call: Call, text: str) -> None:
    """Let the call ask for consent to `text`; where that is another text, everybody is asked again."""
    last = db.session.scalar(
        select(Consent).where(Consent.call_id == call.id, Consent.version == call.consent)
    )
    if last is None or last.text != text:
        call.consent += 1
        db.session.add(Consent(call_id=call.id, version=call.consent, text=text))


def consent_of(call: Call) -> Consent | None:
    """The present consent text."""
    return db.session.scalar(
        select(Consent).where(Consent.call_id == call.id, Consent.version == call.consent)
    )


def participation(call: Call, user: User) -> Participation | None:
    """How somebody takes part, or once did."""
    found = (Participation.call_id == call.id, Participation.user_id == user.id)
    return db.session.scalar(select(Participation).where(*found))


def join(call: Call, user: User, consent: int) -> Participation:
    """Take part, having accepted a version of the consent text. Raises NotNowError."""
    if call.state not in ("open", "paused"):
        raise NotNowError("closed")
    if consent != call.consent:
        raise NotNowError("consent changed")
    found = participation(call, user)
    if found is None:
        found = _new(call, user, consent)
    state = states.after(states.PARTICIPATION, found.state, "join")
    assert state is not None  # who is known has joined or left
    if found.state != state or found.consent != consent:
        found.state, found.consent = state, consent
        db.session.add(Accepted(participation_id=found.id, version=consent))
    db.session.commit()
    return found


def _new(call: Call, user: User, consent: int) -> Participation:
    while True:
        found = Participation(call_id=call.id, user_id=user.id, pseudonym=pseudonym(), consent=consent)
        db.session.add(found)
        try:
            db.session.flush()
        except IntegrityError:  # called like another, or the same person joined elsewhere at this moment
            db.session.rollback()
            if there := participation(call, user):
                return there
        else:
            db.session.add(Accepted(participation_id=found.id, version=consent))
            return found


def leave(who: Participation) -> None:
    """Take no further part: updates that wait are withdrawn, contributed examples that nobody has accepted deleted."""
    who.state = states.after(states.PARTICIPATION, who.state, "leave") or who.state
    open_ones = select(Training).where(
        Training.participation_id == who.id,
        Training.state.in_(states.before(states.TRAINING, "withdraw")),
    )
    for one in db.session.scalars(open_ones).all():
        with suppress(CallError):  # a fold took it at this moment
            withdraw(one)
    db.session.execute(
        delete(TestExample).where(TestExample.participation_id == who.id, TestExample.state == "waiting")
    )
    db.session.commit()


def begin(call: Call, who: Participation | None, uuid: str) -> Training:
    """A training that may begin, from the present version; the same `uuid` gets the same one. Raises NotNowError."""
    if who is None or who.state != "joined":
        raise NotNowError("not joined")
    hold(who)
    same = (Training.participation_id == who.id, Training.uuid == uuid)
    known: Training | None = db.session.scalar(select(Training).where(*same))
    if known is not None:
        db.session.commit()
        return known
    _check_may(call, who)
    made = Training(
        call_id=call.id, participation_id=who.id, uuid=uuid, version=call.version,
        expires=now() + timedelta(hours=TRAINING_HOURS),
    )  # fmt: skip
    db.session.add(made)
    db.session.commit()
    return made


def _check_may(call: Call, who: Participation) -> None:
    """Raises NotNowError, having let go of the participation, where it may not train."""
    limits = described(call).limits
    why = ""
    if call.state != "open":
        why = "paused" if call.state == "paused" else "closed"
    elif who.consent != call.consent:
        why = "consent changed"
    elif limits.trainings and counted(who) >= limits.trainings:
        why = "over the limit"
    elif limits.per_version and counted(who, Training.version == call.version) >= limits.per_version:
        why = "wait for the next version"
    if why:
        db.session.commit()
        raise NotNowError(why)


def counted(who: Participation, *also: ColumnElement[bool]) -> int:
    """How many trainings of a participant count against the limit: those sent, and those that may still be."""
    alive = (Training.state == "training") & (Training.expires > now())
    counts = or_(Training.state.in_(_SENT), alive)
    return (
        db.session.scalar(
            select(func.count(Training.id)).where(Training.participation_id == who.id, counts, *also)
        )
        or 0
    )


@dataclass(frozen=True)
class Sent:
    """What comes with an update, as its sender has it."""

    samples: int
    steps: int
    loss: float | None
    clip: float
    noise: float


def submit(call: Call, who: Participation, one: Training, raw: bytes, sent: Sent) -> None:
    """Take in the update of a training, or refuse it with a reason; the same body again changes nothing.

    Raises CallError where another body was sent for it already, or it was withdrawn.
    """
    digest = hashlib.sha256(raw).hexdigest()
    if one.state not in states.before(states.TRAINING, "submit"):
        if one.sha256 != digest:
            raise CallError(_("This training has ended; begin another one."))
        return
    looked = _looked(call, raw)  # before others have to wait
    hold(who)
    db.session.refresh(one)
    db.session.refresh(call)  # to send a body takes a while
    if one.state not in states.before(states.TRAINING, "submit"):  # sent twice at once
        db.session.commit()
        return submit(call, who, one, raw, sent)
    values: dict[str, Any] = {
        "samples": sent.samples, "steps": sent.steps, "loss": sent.loss, "clip": sent.clip, "noise": sent.noise,
        "bytes": len(raw), "sha256": digest, "sent": now(),
    }  # fmt: skip
    try:
        _check_may_send(call, who, one, sent)
        if isinstance(looked, UpdateError):
            raise looked
        values["norm"] = looked
    except UpdateError as error:
        values |= {"reason": error.state, "detail": str(error)[:300]}
    if "reason" not in values:
        store.put(store.update_of(call.id, one.id), raw)
        values["kept"] = True
    _move(one, "refuse" if "reason" in values else "submit", **values)


def _looked(call: Call, raw: bytes) -> float | UpdateError:
    """The norm of a body, or why it is no update of the call."""
    try:
        return checked_update(raw, shapes_of(call), described(call).limits.norm)
    except UpdateError as error:
        return error


def _check_may_send(call: Call, who: Participation, one: Training, sent: Sent) -> None:
    """Raises UpdateError where a training may send no update now, whatever is in it."""
    limits = described(call).limits
    if call.state not in ("open", "paused") or who.state != "joined":
        raise UpdateError("closed", states.REASONS["closed"])
    if one.state == "lapsed" or one.expires <= now():  # its place may have gone to another
        of_same = (Training.version == one.version, Training.id != one.id)
        others = counted(who, Training.id != one.id), counted(who, *of_same)
        if any(
            most and has >= most
            for has, most in zip(others, (limits.trainings, limits.per_version), strict=True)
        ):
            raise UpdateError("over the limit", states.REASONS["over the limit"])
    if not is_recent(call, one.version, limits.staleness):
        raise UpdateError("too late", f"made from version {one.version}, the latest is {call.version}")
    if sent.samples < limits.examples:
        raise UpdateError(
            "too few examples", f"{sent.samples} examples, at least {limits.examples} are asked for"
        )


def is_recent(call: Call, version: int, staleness: int) -> bool:
    """Whether `version` is the present one, or one of its latest so many forebears."""
    parents = dict(
        db.session.execute(select(Version.number, Version.parent).where(Version.call_id == call.id)).all()
    )
    place: int | None = call.version
    for _step in range(staleness + 1):
        if place == version:
            return True
        place = parents.get(place) if place is not None else None
    return False


def withdraw(one: Training) -> None:
    """Take an update back. Raises CallError where it is in a fold or a version already."""
    if one.state == "withdrawn":
        return
    if states.after(states.TRAINING, one.state, "withdraw") is None:
        raise CallError(_("That cannot be taken back any more: it is %(state)s.", state=_(one.state)))
    _move(one, "withdraw", kept=False)
    store.update_of(one.call_id, one.id).unlink(missing_ok=True)


def refuse(one: Training, reason: str) -> None:
    """Refuse an update that waits."""
    _move(one, "refuse", reason=reason, kept=False)
    store.update_of(one.call_id, one.id).unlink(missing_ok=True)


def lapse() -> None:
    """End trainings of whom nothing was heard in their time; what they send later may still be taken."""
    over = (Training.state == "training", Training.expires < now())
    db.session.execute(update(Training).where(*over).values(state="lapsed"))
    db.session.commit()


def forget_updates() -> None:
    """Delete updates that were kept as long as their call's consent says; those that still wait are refused."""
    calls = db.session.scalars(select(Call).where(Call.state != "draft")).all()
    for call in calls:
        until = now() - timedelta(days=described(call).keep_days)
        old = (
            Training.call_id == call.id, Training.kept.is_(True), Training.sent < until, Training.state != "accepted",
        )  # fmt: skip
        for one in db.session.scalars(select(Training).where(*old)).all():
            if one.state != "waiting":
                _forget([one])
                continue
            with suppress(CallError):  # a fold took it at this moment
                refuse(one, "too late")
    db.session.commit()


def _forget(trainings: Iterable[Training]) -> None:
    for one in trainings:
        store.update_of(one.call_id, one.id).unlink(missing_ok=True)
        one.kept = False


def forget_person(user: User) -> None:
    """Delete what calls keep of somebody who goes: participations, updates, examples. Calls that the person published
    end; what is in their models stays, as nobody can take it out. The caller commits.
    """
    mine = db.session.scalars(select(Participation).where(Participation.user_id == user.id)).all()
    for who in mine:
        _forget(db.session.scalars(select(Training).where(Training.participation_id == who.id)).all())
        for kind in (Training, TestExample, Accepted):
            db.session.execute(delete(kind).where(kind.participation_id == who.id))
        db.session.delete(who)
    for call in db.session.scalars(select(Call).where(Call.user_id == user.id)).all():
        if call.state == "draft":
            remove(call)
            continue
        call.user_id = None
        call.state = "cancelled" if call.state == "cancelled" else "finished"
    db.session.flush()


def remove(call: Call) -> None:
    """Delete a call with all that belongs to it. The caller commits."""
    of_it = select(Participation.id).where(Participation.call_id == call.id)
    db.session.execute(delete(Accepted).where(Accepted.participation_id.in_(of_it)))
    for kind in (TestExample, Training, Version, Participation, Consent):
        db.session.execute(delete(kind).where(kind.call_id == call.id))
    db.session.delete(call)
    store.forget(call.id)


def longest_update(call: Call) -> int:
    """How many bytes an update has at most."""
    return longest(shapes_of(call))


def _move(one: Training, event: str, **values: Any) -> None:
    """Let an event happen to a training, if it is still in a state in which it can. Raises CallError."""
    before = states.before(states.TRAINING, event)
    number = one.id
    after = {states.TRAINING[state, event] for state in before}.pop()
    moved = _moved(
        update(Training)
        .where(Training.id == number, Training.state.in_(before))
        .values(state=after, **values)
    )
    db.session.commit()
    db.session.refresh(one)
    if not moved:
        _ended()


def _ended() -> NoReturn:
    raise CallError(_("This training has ended; begin another one."))


def _moved(statement: Any) -> bool:
    done = db.session.execute(statement)
    return isinstance(done, CursorResult) and done.rowcount > 0
