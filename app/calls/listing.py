"""In which order tasks are shown: new, hot, recommended; each is worked out otherwise, and says how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from flask_babel import gettext as _
from sqlalchemy import func, select

from app.calls.models import Call, Participation, Training, Version
from app.extensions import db
from app.models import User, now

ORDERS = ("recommended", "new", "hot")
HOT_DAYS = 7


def says(order: str, user: User | None) -> str:
    """How the order comes about, in the reader's language."""
    if order == "new":
        return str(_("The latest published first."))
    if order == "hot":
        return str(_("By updates that went into a version in the last %(days)s days.", days=HOT_DAYS))
    if user is None:
        return str(
            _("Log in, and what people with your tasks joined comes first; until then, by participants.")
        )
    return str(
        _("First what people joined who have a task in common with you, then the categories of your tasks.")
    )


def folded_lately() -> dict[int, int]:
    """Updates that went into versions in the last days, by call."""
    since = now() - timedelta(days=HOT_DAYS)
    found = db.session.execute(
        select(Version.call_id, func.sum(Version.updates)).where(Version.at > since).group_by(Version.call_id)
    )
    return {call: int(count or 0) for call, count in found}


def participants() -> dict[int, int]:
    """How many take part, by call."""
    found = db.session.execute(
        select(Participation.call_id, func.count())
        .where(Participation.state == "joined")
        .group_by(Participation.call_id)
    )
    return {call: int(count) for call, count in found}


def ordered(calls: Sequence[Call], order: str, user: User | None) -> list[Call]:
    """The calls in this order; what is not open comes last."""
    latest = sorted(
        calls, key=lambda call: (call.published is not None, call.published, call.id), reverse=True
    )
    if order == "hot":
        hot = folded_lately()
        latest.sort(key=lambda call: -hot.get(call.id, 0))
    elif order == "recommended":
        mine, many = _mine(user) if user else [], participants()
        near, likes = _near(mine, user), _likes(mine)
        latest.sort(
            key=lambda call: (
                call.id in mine, -near[call.id], -likes[call.category_id or 0], -many.get(call.id, 0),
            )
        )  # fmt: skip
    return sorted(latest, key=lambda call: call.state != "open")


def _mine(user: User) -> list[int]:
    taking = (Participation.user_id == user.id, Participation.state == "joined")
    return list(db.session.scalars(select(Participation.call_id).where(*taking)))


def _near(mine: list[int], user: User | None) -> Counter[int]:
    """Of each call, in how many of the calls `mine` its participants are, all of them together but the user."""
    others = (
        select(Participation.user_id, func.count().label("common"))
        .where(
            Participation.call_id.in_(mine),
            Participation.user_id != (user.id if user else 0),
            Participation.state == "joined",
        )
        .group_by(Participation.user_id)
        .subquery()
    )
    found = db.session.execute(
        select(Participation.call_id, func.sum(others.c.common))
        .join(others, others.c.user_id == Participation.user_id)
        .where(Participation.state == "joined")
        .group_by(Participation.call_id)
    )
    return Counter({call: int(count) for call, count in found})


def _likes(mine: list[int]) -> Counter[int]:
    """How many of the calls `mine` are of each category."""
    found = db.session.scalars(
        select(Call.category_id).where(Call.id.in_(mine), Call.category_id.is_not(None))
    )
    return Counter(int(one) for one in found if one)


def sent_of(call: Call) -> int:
    """How many updates a call was ever sent."""
    sent = (Training.call_id == call.id, Training.sent.is_not(None))
    return db.session.scalar(select(func.count(Training.id)).where(*sent)) or 0
