"""Accounts and sessions: what happens when somebody registers, logs in, logs out or sets a new password."""

from __future__ import annotations

import re
import secrets
import time
from datetime import timedelta
from functools import cache

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from flask import Flask, request, session
from flask_babel import gettext as _
from flask_login import current_user, login_user, logout_user
from sqlalchemy import ColumnElement, CursorResult, delete, select, update
from sqlalchemy.exc import IntegrityError

from app.auth import pages
from app.auth.passwords import prepared, spellings
from app.extensions import db, login
from app.models import (
    MAX_SESSIONS,
    AuditEntry,
    Invite,
    LiveSession,
    PasswordReset,
    User,
    hash_secret,
    new_secret,
    now,
)

RESET_LIFETIME = timedelta(hours=24)
MOST_USES, MOST_DAYS = 1000, 365  # of one invitation
_CODE_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # none that is taken for another
_hasher = PasswordHasher()  # argon2id; the library's defaults follow RFC 9106


class InviteError(ValueError):
    """A code by which nobody can register, or nobody any more."""


def set_password(user: User, password: str, keep_tokens: bool = False) -> None:
    """Give `user` a new password and log them out everywhere, programs too unless their tokens are to stay."""
    user.password_hash = _hasher.hash(prepared(password))
    user.sessions.clear()
    user.resets.clear()
    if not keep_tokens:
        user.tokens.clear()


def hold(user: User) -> None:
    """Let nobody else count or change what is the user's until this transaction ends: what is counted now is still
    so when it is written. PostgreSQL locks the row, SQLite the database.
    """
    _lock(User.id == user.id)
    db.session.expire(user)


def _lock(*which: ColumnElement[bool]) -> None:
    same = update(User).where(*which).values(id=User.id)
    db.session.execute(same.execution_options(synchronize_session=False))


def is_last_admin(user: User) -> bool:
    """Whether nobody but `user` looks after the site, which stays so until this transaction ends."""
    _lock(User.role == "admin")
    db.session.expire(user)
    others = select(User.id).where(User.role == "admin", User.disabled.is_(False), User.id != user.id)
    return user.is_admin and not user.disabled and db.session.scalar(others.limit(1)) is None


def register(
    email: str, nickname: str, password: str, role: str = "user", invite: str | None = None
) -> User | None:
    """A new account; None when the e-mail address has one already. Takes the same time either way.

    With `invite` a use of that code is spent. Raises InviteError where it has none left.
    """
    email = email.strip().lower()
    user = User(email=email, nickname=nickname.strip(), role=role)
    user.password_hash = _hasher.hash(prepared(password))
    if invite is not None:
        _spend(invite)
    try:
        if find_user(email) is None:
            db.session.add(user)
            db.session.commit()
            return user
    except IntegrityError:  # somebody else was quicker by a moment
        pass
    db.session.rollback()  # and so the code keeps its use
    return None


def _spend(code: str) -> None:
    """Spend a use of an invitation in one statement, so that no haste gets more out of it than there are."""
    live = (*_is_live(code), Invite.used < Invite.uses)
    spent = db.session.execute(update(Invite).where(*live).values(used=Invite.used + 1))
    if not (isinstance(spent, CursorResult) and spent.rowcount == 1):
        db.session.rollback()
        raise InviteError
    name = db.session.scalar(select(Invite.name).where(*_is_live(code)))
    audit("registered with a code", name or "")


def is_invited(code: str) -> bool:
    """Whether somebody can register with this code."""
    return db.session.scalar(select(Invite.id).where(*_is_live(code), Invite.used < Invite.uses)) is not None


def _is_live(code: str) -> tuple[ColumnElement[bool], ...]:
    return Invite.secret_hash == hash_code(code), Invite.expires > now()


def invite(name: str, uses: int, days: int) -> str:
    """A new code by which `uses` people can register within so many days; the caller commits."""
    code = new_code()
    db.session.add(
        Invite(name=name, secret_hash=hash_code(code), uses=uses, expires=now() + timedelta(days=days))
    )
    return code


def new_code() -> str:
    """A random code that people can read out and type."""
    plain = "".join(secrets.choice(_CODE_LETTERS) for _ in range(16))  # 78 bits
    return "-".join(plain[place : place + 4] for place in range(0, 16, 4))


def hash_code(code: str) -> str:
    """What is kept of a code, however it is typed."""
    return hash_secret(re.sub(r"[\s-]", "", code).upper())


def find_user(email: str) -> User | None:
    """The account of an e-mail address."""
    return db.session.scalar(select(User).where(User.email == email.strip().lower()))


def check_password(user: User | None, password: str) -> bool:
    """Whether `password` is the user's. Takes the same time when there is no such user."""
    known = user.password_hash if user else _nobodys_hash()
    return any(_is_of(known, spelling) for spelling in spellings(password)) and user is not None


def _is_of(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobodys_hash() -> str:
    return _hasher.hash("nobody has this password")


def check_code(user: User, code: str) -> bool:
    """Whether `code` is the user's one-time password of now (RFC 6238); true where none is asked for.

    A code counts once.
    """
    if not user.totp_secret:
        return True
    totp, moment = pyotp.TOTP(user.totp_secret), int(time.time())
    for step in range(moment // 30 - 1, moment // 30 + 2):
        if pyotp.utils.strings_equal(totp.at(step * 30), code.strip()):
            first = (User.id == user.id, User.totp_step < step)
            used = db.session.execute(update(User).where(*first).values(totp_step=step))
            db.session.commit()
            return isinstance(used, CursorResult) and used.rowcount == 1
    return False


def sign_in(email: str, password: str, code: str = "", remember: bool = False) -> User | None:
    """Log somebody in under a new session; None, without a word why, when something is wrong."""
    user = find_user(email)
    if not check_password(user, password) or user is None or user.disabled or not check_code(user, code):
        audit("login failed", email)
        db.session.commit()
        return None
    session.clear()
    secret, secret_hash = new_secret()
    hold(user)
    while len(user.sessions) >= MAX_SESSIONS:
        user.sessions.pop(0)
    agent = request.user_agent.string[:200]
    user.sessions.append(
        LiveSession(
            secret_hash=secret_hash, agent=agent, expires=now() + timedelta(days=7 if remember else 0.5)
        )
    )
    user.signed_in_with = secret
    login_user(user, remember=remember)
    session.permanent = True
    audit("login", user.email)
    db.session.commit()
    return user


def sign_out() -> None:
    """End the session this request came with, on the server too."""
    db.session.execute(
        delete(LiveSession).where(LiveSession.secret_hash == hash_secret(current_user.signed_in_with))
    )
    audit("logout", current_user.email)
    db.session.commit()
    forget()


def forget() -> None:
    """Make the browser forget the session it came with."""
    logout_user()
    remembered = session.get("_remember")
    session.clear()
    if remembered:  # Flask-Login's note to itself that the remember cookie has to go
        session["_remember"] = remembered


def start_reset(user: User) -> str:
    """The secret of a new one-time link by which `user` may set a password; older links die."""
    secret, secret_hash = new_secret()
    user.resets.clear()
    user.resets.append(PasswordReset(secret_hash=secret_hash, expires=now() + RESET_LIFETIME))
    return secret


def find_reset(secret: str) -> PasswordReset | None:
    """The live reset behind a link."""
    found = db.session.scalar(select(PasswordReset).where(PasswordReset.secret_hash == hash_secret(secret)))
    return found if found is not None and found.expires > now() else None


def audit(action: str, target: str = "") -> None:
    """Note what is being done, by whom and from where; the caller commits."""
    actor = current_user.email if current_user and current_user.is_authenticated else ""
    db.session.add(
        AuditEntry(actor=actor, action=action, target=target[:300], address=request.remote_addr or "")
    )


def init_app(app: Flask) -> None:
    """Teach Flask-Login to find the user behind a session's secret."""
    login.init_app(app)
    pages.init_app(app)
    login.login_view = "auth.log_in"
    login.login_message, login.login_message_category = "Please log in first.", "warning"
    login.localize_callback = _
    login.session_protection = None  # sessions live on the server; an address may change under way

    @app.context_processor
    def role_names() -> dict[str, object]:
        return {"role_names": {"user": _("user"), "researcher": _("researcher"), "admin": _("admin")}}

    @login.user_loader
    def load_user(secret: str) -> User | None:
        found = db.session.scalar(select(LiveSession).where(LiveSession.secret_hash == hash_secret(secret)))
        if found is None or found.expires < now() or found.user.disabled:
            return None
        user: User = found.user
        user.signed_in_with = secret
        return user
