"""What the database keeps of calls: tasks that somebody published, who takes part, what was sent, what became of it.

What learns lies in files (`app.calls.store`): weights of versions, updates while they are kept. Of examples there are
none but test examples that somebody contributed knowingly.
"""

from __future__ import annotations

import datetime

from sqlalchemy import CheckConstraint, Float, ForeignKey, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.extensions import db
from app.models import Moment, User, now


class Category(db.Model):  # type: ignore[name-defined,misc]
    """Under what calls are found; admins make them. `place` orders them."""

    __tablename__ = "categories"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(60), unique=True)
    name_zh: Mapped[str] = mapped_column(String(60), default="")
    place: Mapped[int] = mapped_column(default=0)


class Call(db.Model):  # type: ignore[name-defined,misc]
    """A task that somebody published. `described` is JSON (`utils.calls.described`)."""

    __tablename__ = "calls"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012  # a number names files, so none comes twice

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    category_id: Mapped[int | None] = mapped_column(ForeignKey("categories.id", ondelete="SET NULL"))
    state: Mapped[str] = mapped_column(String(10), default="draft", index=True)
    name: Mapped[str] = mapped_column(String(80))
    description: Mapped[str] = mapped_column(Text, default="")  # Markdown
    described: Mapped[str] = mapped_column(Text)  # of a draft perhaps not yet what a call needs
    cover: Mapped[bytes | None] = mapped_column(
        LargeBinary, deferred=True
    )  # a small JPEG; none: drawn of the name
    consent: Mapped[int] = mapped_column(default=0)  # the present version of the consent text
    version: Mapped[int] = mapped_column(default=0)  # the present version of the model
    shapes: Mapped[str] = mapped_column(Text, default="{}")  # JSON: of the tensors that travel, by name
    folding: Mapped[int | None] = mapped_column()  # the job that folds
    failed: Mapped[str] = mapped_column(String(500), default="")  # why the last fold made no version
    rest: Mapped[datetime.datetime | None] = mapped_column(Moment)  # no fold by itself before
    created: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    published: Mapped[datetime.datetime | None] = mapped_column(Moment)
    user: Mapped[User | None] = relationship()
    category: Mapped[Category | None] = relationship()


class Consent(db.Model):  # type: ignore[name-defined,misc]
    """A version of a call's consent text."""

    __tablename__ = "consents"
    __table_args__ = (UniqueConstraint("call_id", "version"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    call_id: Mapped[int] = mapped_column(ForeignKey("calls.id", ondelete="CASCADE"))
    version: Mapped[int] = mapped_column()
    text: Mapped[str] = mapped_column(Text)
    since: Mapped[datetime.datetime] = mapped_column(Moment, default=now)


class Participation(db.Model):  # type: ignore[name-defined,misc]
    """Somebody in a call. Others see the pseudonym only."""

    __tablename__ = "participations"
    __table_args__ = (UniqueConstraint("user_id", "call_id"), UniqueConstraint("pseudonym", "call_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    call_id: Mapped[int] = mapped_column(ForeignKey("calls.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    pseudonym: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(10), default="joined")
    consent: Mapped[int] = mapped_column()  # the version that was accepted last
    joined: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    call: Mapped[Call] = relationship()
    user: Mapped[User] = relationship()


class Accepted(db.Model):  # type: ignore[name-defined,misc]
    """That a participant accepted a version of the consent text, and when."""

    __tablename__ = "accepted"

    id: Mapped[int] = mapped_column(primary_key=True)
    participation_id: Mapped[int] = mapped_column(
        ForeignKey("participations.id", ondelete="CASCADE"), index=True
    )
    version: Mapped[int] = mapped_column()
    at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)


class Training(db.Model):  # type: ignore[name-defined,misc]
    """One training of a participant and its update. `uuid` is made by who trains, so that nothing counts twice."""

    __tablename__ = "trainings"
    __table_args__ = (UniqueConstraint("participation_id", "uuid"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    call_id: Mapped[int] = mapped_column(ForeignKey("calls.id", ondelete="CASCADE"), index=True)
    participation_id: Mapped[int] = mapped_column(
        ForeignKey("participations.id", ondelete="CASCADE"), index=True
    )
    uuid: Mapped[str] = mapped_column(String(36))
    state: Mapped[str] = mapped_column(String(10), default="training", index=True)
    reason: Mapped[str] = mapped_column(String(40), default="")  # `utils.calls.states.REASONS`
    detail: Mapped[str] = mapped_column(String(300), default="")
    version: Mapped[int] = mapped_column()  # it began from
    version_after: Mapped[int | None] = mapped_column()  # it went into
    samples: Mapped[int] = mapped_column(default=0)
    steps: Mapped[int] = mapped_column(default=0)
    loss: Mapped[float | None] = mapped_column(Float)  # as its sender has it; none: not told
    norm: Mapped[float] = mapped_column(Float, default=0.0)
    clip: Mapped[float] = mapped_column(Float, default=0.0)
    noise: Mapped[float] = mapped_column(Float, default=0.0)
    bytes: Mapped[int] = mapped_column(default=0)
    sha256: Mapped[str] = mapped_column(String(64), default="")
    begun: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    expires: Mapped[datetime.datetime] = mapped_column(Moment)
    sent: Mapped[datetime.datetime | None] = mapped_column(Moment)
    kept: Mapped[bool] = mapped_column(default=False)  # whether the update is still there
    worth: Mapped[str] = mapped_column(
        Text, default=""
    )  # JSON: what it was worth to the version it went into
    participation: Mapped[Participation] = relationship()


class Version(db.Model):  # type: ignore[name-defined,misc]
    """A model of a call. `scores` and `participants` (pseudonyms) are JSON."""

    __tablename__ = "versions"
    __table_args__ = (UniqueConstraint("call_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    call_id: Mapped[int] = mapped_column(ForeignKey("calls.id", ondelete="CASCADE"), index=True)
    number: Mapped[int] = mapped_column()
    parent: Mapped[int | None] = mapped_column()
    at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    scores: Mapped[str] = mapped_column(Text, default="{}")
    participants: Mapped[str] = mapped_column(Text, default="[]")
    updates: Mapped[int] = mapped_column(default=0)
    examples: Mapped[int] = mapped_column(default=0)
    tested: Mapped[int] = mapped_column(default=0)  # test examples it was scored on
    bytes: Mapped[int] = mapped_column(default=0)
    sha256: Mapped[str] = mapped_column(String(64), default="")


class TestExample(db.Model):  # type: ignore[name-defined,misc]
    """An example that versions are scored on: the publisher's, or one that a participant contributed and knew it."""

    __tablename__ = "test_examples"
    __test__ = False
    __table_args__ = (
        UniqueConstraint("call_id", "digest"),
        CheckConstraint("state IN ('waiting', 'accepted', 'refused')", name="state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    call_id: Mapped[int] = mapped_column(ForeignKey("calls.id", ondelete="CASCADE"), index=True)
    participation_id: Mapped[int | None] = mapped_column(
        ForeignKey("participations.id", ondelete="CASCADE"), index=True
    )  # none: the publisher
    state: Mapped[str] = mapped_column(String(10), default="waiting", index=True)
    reason: Mapped[str] = mapped_column(String(200), default="")
    at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    digest: Mapped[str] = mapped_column(String(64))  # SHA-256 of the input
    input: Mapped[bytes] = mapped_column(
        LargeBinary, deferred=True
    )  # as it is stored: 8-bit pixels, or float64
    answer: Mapped[float] = mapped_column(Float)
