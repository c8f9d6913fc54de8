"""Accounts and sessions: what happens when somebody registers, logs in, logs out or sets a new password."""

from __future__ import annotations

import time
from datetime import timedelta
from functools import cache

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from flask import Flask, request, session
from flask_babel import gettext as _
from flask_login import current_user, login_user, logout_user
from sqlalchemy import delete, func, select

from app.auth import pages
from app.extensions import db, login
from app.models import (
    MAX_SESSIONS,
    AuditEntry,
    LiveSession,
    PasswordReset,
    User,
    hash_secret,
    new_secret,
    now,
)

RESET_LIFETIME = timedelta(hours=24)
_hasher = PasswordHasher()  # argon2id; the library's defaults follow RFC 9106


def set_password(user: User, password: str) -> None:
    """Give `user` a new password and log them out everywhere."""
    user.password_hash = _hasher.hash(password)
    user.sessions.clear()
    user.resets.clear()


def register(email: str, nickname: str, password: str, role: str = "user") -> User | None:
    """A new account; None when the e-mail address has one already. Takes the same time either way."""
    email = email.strip().lower()
    password_hash = _hasher.hash(password)
    if find_user(email) is not None:
        return None
    user = User(email=email, nickname=nickname.strip(), password_hash=password_hash, role=role)
    db.session.add(user)
    db.session.commit()
    return user


def find_user(email: str) -> User | None:
    """The account of an e-mail address."""
    return db.session.scalar(select(User).where(User.email == email.strip().lower()))


def check_password(user: User | None, password: str) -> bool:
    """Whether `password` is the user's. Takes the same time when there is no such user."""
    try:
        right = _hasher.verify(user.password_hash if user else _nobodys_hash(), password)
    except (VerificationError, InvalidHashError):
        return False
    return right and user is not None


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
        if step > user.totp_step and pyotp.utils.strings_equal(totp.at(step * 30), code.strip()):
            user.totp_step = step
            db.session.commit()
            return True
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


def count_admins() -> int:
    """How many accounts could still look after the site."""
    return (
        db.session.scalar(select(func.count(User.id)).where(User.role == "admin", User.disabled.is_(False)))
        or 0
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
