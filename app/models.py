"""What the site's database keeps: people, their live sessions and tokens, what they wrote, and what was done."""

from __future__ import annotations

import datetime
import hashlib
import secrets

from flask_login import UserMixin
from sqlalchemy import (
    CheckConstraint,
    DateTime,
    Float,
    ForeignKey,
    LargeBinary,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.extensions import db

ROLES = ("user", "researcher", "admin")
SCOPES = ("read", "label", "keep", "train", "participate")
MAX_SESSIONS = 10


def now() -> datetime.datetime:
    """The present moment, with its time zone."""
    return datetime.datetime.now(datetime.UTC)


def new_secret() -> tuple[str, str]:
    """A random secret to hand out, and the hash of it that is kept."""
    secret = secrets.token_urlsafe(32)
    return secret, hash_secret(secret)


def hash_secret(secret: str) -> str:
    """SHA-256 of a random secret; enough for 256 random bits, passwords get argon2."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Moment(TypeDecorator[datetime.datetime]):
    """A moment in UTC. SQLite forgets time zones, so it is put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(
        self, value: datetime.datetime | None, dialect: Dialect
    ) -> datetime.datetime | None:
        """See `TypeDecorator`."""
        return value.replace(tzinfo=datetime.UTC) if value and value.tzinfo is None else value


class User(UserMixin, db.Model):  # type: ignore[name-defined,misc]
    """A person with an account."""

    __tablename__ = "users"
    __table_args__ = (CheckConstraint("role IN ('user', 'researcher', 'admin')", name="role"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)  # always lower case
    nickname: Mapped[str] = mapped_column(String(40))
    password_hash: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(20), default="user")
    language: Mapped[str] = mapped_column(String(10), default="")  # empty: the browser's
    theme: Mapped[str] = mapped_column(String(10), default="auto")
    disabled: Mapped[bool] = mapped_column(default=False)
    totp_secret: Mapped[str] = mapped_column(String(64), default="")  # empty: switched off
    totp_step: Mapped[int] = mapped_column(default=0)  # the last one used; none counts twice
    created: Mapped[datetime.datetime] = mapped_column(Moment, default=now)

    sessions: Mapped[list[LiveSession]] = relationship(
        cascade="all, delete-orphan", order_by="LiveSession.created", back_populates="user"
    )
    tokens: Mapped[list[ApiToken]] = relationship(
        cascade="all, delete-orphan", order_by="ApiToken.created", back_populates="user"
    )
    labels: Mapped[list[RunLabel]] = relationship(cascade="all, delete-orphan", order_by="RunLabel.run")
    forecasts: Mapped[list[Forecast]] = relationship(cascade="all, delete-orphan", order_by="Forecast.id")
    jobs: Mapped[list[Job]] = relationship(
        cascade="all, delete-orphan", order_by="Job.id", back_populates="user"
    )
    resets: Mapped[list[PasswordReset]] = relationship(cascade="all, delete-orphan", back_populates="user")

    signed_in_with: str = ""  # secret of the session this request came with; never in the database

    def get_id(self) -> str:
        """What the cookie holds: the secret of a live session, not the user's number."""
        return self.signed_in_with

    @property
    def is_active(self) -> bool:
        """Whether the account may be used."""
        return not self.disabled

    @property
    def is_admin(self) -> bool:
        """Whether the person looks after people, roles and runs."""
        return self.role == "admin"


class LiveSession(db.Model):  # type: ignore[name-defined,misc]
    """A place where a person is logged in. Deleting the row logs out, whatever cookie the browser still has."""

    __tablename__ = "sessions"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    expires: Mapped[datetime.datetime] = mapped_column(Moment)
    agent: Mapped[str] = mapped_column(String(200), default="")
    user: Mapped[User] = relationship(back_populates="sessions")


class ApiToken(db.Model):  # type: ignore[name-defined,misc]
    """A personal token for programs; shown once, kept as a hash."""

    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(60))
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[str] = mapped_column(String(100))  # words of SCOPES
    created: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    last_used: Mapped[datetime.datetime | None] = mapped_column(Moment)
    expires: Mapped[datetime.datetime | None] = mapped_column(Moment)  # none: never
    user: Mapped[User] = relationship(back_populates="tokens")

    @property
    def is_over(self) -> bool:
        """Whether it has expired."""
        return self.expires is not None and self.expires < now()


class PasswordReset(db.Model):  # type: ignore[name-defined,misc]
    """A one-time link by which a person sets a new password; an admin makes it."""

    __tablename__ = "password_resets"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    expires: Mapped[datetime.datetime] = mapped_column(Moment)
    user: Mapped[User] = relationship(back_populates="resets")


class Invite(db.Model):  # type: ignore[name-defined,misc]
    """A code by which a class, say, registers; shown once, kept as a hash."""

    __tablename__ = "invites"
    __table_args__ = (CheckConstraint("used <= uses", name="used"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(60))
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    uses: Mapped[int] = mapped_column()  # how many may register
    used: Mapped[int] = mapped_column(default=0)
    created: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    expires: Mapped[datetime.datetime] = mapped_column(Moment)


class RunLabel(db.Model):  # type: ignore[name-defined,misc]
    """Tags and a note that a person gave a run; nobody else sees them."""

    __tablename__ = "run_labels"
    __table_args__ = (UniqueConstraint("user_id", "run"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    run: Mapped[str] = mapped_column(String(100))
    tags: Mapped[str] = mapped_column(String(200), default="")  # words, sorted
    note: Mapped[str] = mapped_column(String(2000), default="")


class Forecast(db.Model):  # type: ignore[name-defined,misc]
    """A forecast that a person kept: the photo, made smaller and without metadata, and what the person says of it."""

    __tablename__ = "forecasts"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    file: Mapped[str] = mapped_column(String(100), default="")
    photo: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)  # a small JPEG
    answer: Mapped[str] = mapped_column(String(10))
    probability: Mapped[float] = mapped_column(Float)  # of sunny
    run: Mapped[str] = mapped_column(String(100))
    model: Mapped[str] = mapped_column(String(64), index=True)  # SHA-256
    correction: Mapped[str] = mapped_column(String(10), default="")


class Job(db.Model):  # type: ignore[name-defined,misc]
    """What somebody asked for, from the queue to its end; `app.jobs.service` says how states change."""

    __tablename__ = "jobs"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012  # a number names files, so none comes twice

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(20), default="training")  # `app.jobs.runner` knows them
    name: Mapped[str] = mapped_column(String(60))
    note: Mapped[str] = mapped_column(String(2000), default="")
    conf: Mapped[str] = mapped_column(Text)  # JSON, every key
    nodes: Mapped[str] = mapped_column(Text, default="")  # names with commas between; empty: on this machine
    folds: Mapped[int] = mapped_column(default=1)
    seeds: Mapped[int] = mapped_column(default=1)
    priority: Mapped[int] = mapped_column(default=0)  # more goes first; set by admins
    state: Mapped[str] = mapped_column(String(10), default="queued", index=True)
    wish: Mapped[str] = mapped_column(String(10), default="")  # what its owner wants of it while it runs
    reason: Mapped[str] = mapped_column(String(500), default="")  # why it failed, or waits again
    run: Mapped[str] = mapped_column(String(100), default="")  # name of the result it makes
    claim: Mapped[str] = mapped_column(String(32), default="")  # which process carries it out
    losses: Mapped[int] = mapped_column(default=0)  # how often that process was lost
    seconds: Mapped[float] = mapped_column(Float, default=0.0)  # spent in training so far
    created: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    queued: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    started: Mapped[datetime.datetime | None] = mapped_column(Moment)  # the latest start
    beat: Mapped[datetime.datetime | None] = mapped_column(Moment)  # when its process was last known to live
    ended: Mapped[datetime.datetime | None] = mapped_column(Moment)
    user: Mapped[User] = relationship(back_populates="jobs")


class Node(db.Model):  # type: ignore[name-defined,misc]
    """An owner's own machine that trains in step with others; `app.nodes.service` says how states change."""

    __tablename__ = "nodes"
    __table_args__ = (CheckConstraint("state IN ('waiting', 'joined', 'revoked', 'left')", name="state"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)  # its owner's choice
    public_key: Mapped[str] = mapped_column(String(300), unique=True)  # PEM, of EC P-384
    node_id: Mapped[str] = mapped_column(String(40), default="")  # Flower's number; empty: it knows it not
    secret_hash: Mapped[str] = mapped_column(
        String(64), unique=True
    )  # of the token it speaks to the site with
    state: Mapped[str] = mapped_column(String(10), default="waiting", index=True)
    tells: Mapped[str] = mapped_column(String(200), default="{}")  # JSON: what its owner lets it tell
    version: Mapped[str] = mapped_column(String(40), default="")  # of Flower there
    about: Mapped[str] = mapped_column(String(200), default="")
    consent: Mapped[int] = mapped_column()  # the version that was accepted
    created: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    changed: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    user: Mapped[User | None] = relationship()


class NodeInvite(db.Model):  # type: ignore[name-defined,misc]
    """A code by which one node asks to join; shown once, kept as a hash."""

    __tablename__ = "node_invites"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    made: Mapped[int | None] = mapped_column(
        ForeignKey("nodes.id", ondelete="CASCADE")
    )  # the node that used it
    created: Mapped[datetime.datetime] = mapped_column(Moment, default=now)
    expires: Mapped[datetime.datetime] = mapped_column(Moment)
    user: Mapped[User] = relationship()


class AuditEntry(db.Model):  # type: ignore[name-defined,misc]
    """Who did what: log-ins and what admins did. Entries outlive the accounts they are about."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime.datetime] = mapped_column(Moment, default=now, index=True)
    actor: Mapped[str] = mapped_column(String(300))
    action: Mapped[str] = mapped_column(String(40))
    target: Mapped[str] = mapped_column(String(300), default="")
    address: Mapped[str] = mapped_column(String(64), default="")
