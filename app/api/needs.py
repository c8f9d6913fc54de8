"""Who asks, and what they need to be for it: sessions, bearer tokens with scopes, roles."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import abort, current_app, g, request
from flask_login import current_user
from sqlalchemy import select

from app.api.busy import hold
from app.extensions import csrf, db
from app.models import ROLES, ApiToken, hash_secret, now

MAX_UPLOAD_BYTES = 64_000_000


def needs(scope: str, role: str = "user") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Only for people who are logged in and at least `role`, and for tokens of theirs that carry `scope` (one of its
    words).
    """

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def guarded(*arguments: Any, **named: Any) -> Any:
            if not current_user.is_authenticated:
                abort(401)
            token = g.get("token")
            if token is not None and not set(scope.split()) & set(token.scopes.split()):
                abort(403)
            if ROLES.index(current_user.role) < ROLES.index(role):
                abort(403)
            return view(*arguments, **named)

        return guarded

    return decorate


def authenticate() -> None:
    """A bearer token speaks for its owner; without one, a change needs the page's CSRF token. Before every request.

    Nobody in particular has nothing that a forged request could abuse, so programs need no token to ask the API.
    """
    if request.endpoint in current_app.config["UPLOADS"]:
        hold(current_app.extensions["uploads"])  # before the request is read, which fills memory
        request.max_content_length = MAX_UPLOAD_BYTES
    if request.endpoint in current_app.config["BODIES"] and request.mimetype == "application/octet-stream":
        request.max_content_length = (
            MAX_UPLOAD_BYTES  # to look for a token reads none of it; the view has its own
        )
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and request.endpoint in current_app.config["OWN_TOKENS"]:
        g.bearer = secret.strip()  # no account's; the view knows whose
    elif kind.lower() == "bearer":
        token = db.session.scalar(select(ApiToken).where(ApiToken.secret_hash == hash_secret(secret.strip())))
        if token is None or token.is_over or token.user.disabled or not request.path.startswith("/api/"):
            abort(401)
        g.token, g._login_user = token, token.user
        if token.last_used is None or (now() - token.last_used).total_seconds() > 60:
            token.last_used = now()
            db.session.commit()
    elif current_user.is_authenticated or not request.path.startswith("/api/"):
        csrf.protect()
