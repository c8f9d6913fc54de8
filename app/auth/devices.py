"""Devices that have logged in before: a signed cookie names their accounts. It opens nothing; it only says that wrong
passwords from elsewhere are not this device's.
"""

from __future__ import annotations

import secrets

from flask import current_app, request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.wrappers import Response

from app.models import User

_YEAR, _MOST_ACCOUNTS = 365 * 86400, 40  # a computer of a class room has many


def known(user: User | None) -> str:
    """The number of this device if the user has logged in here before, else empty."""
    device, accounts = _read()
    return device if user is not None and _mark(user) in accounts else ""


def remember(user: User, response: Response) -> None:
    """Let the answer to a log-in tell the device to say so from now on."""
    device, accounts = _read()
    accounts = [_mark(user), *(one for one in accounts if one != _mark(user))][:_MOST_ACCOUNTS]
    config = current_app.config
    response.set_cookie(
        config["DEVICE_COOKIE_NAME"], _signed().dumps([device or secrets.token_hex(8), accounts]), max_age=_YEAR,
        secure=config["SESSION_COOKIE_SECURE"], httponly=True, samesite="Lax",
    )  # fmt: skip


def _mark(user: User) -> str:
    return f"{user.id}-{int(user.created.timestamp())}"  # numbers of deleted accounts come again


def _read() -> tuple[str, list[str]]:
    try:
        device, accounts = _signed().loads(
            request.cookies.get(current_app.config["DEVICE_COOKIE_NAME"], ""), max_age=_YEAR
        )
    except BadSignature:
        return "", []
    return device, accounts


def _signed() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_app.config["SECRET_KEY"], salt="device")
