"""How often somebody may be wrong. What went wrong is counted, never what went well; after too much of it there is a
wait between tries that doubles each time. Nobody is shut out, and no thread waits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from flask import Flask, abort, after_this_request, current_app, g
from flask_babel import gettext as _
from flask_login import current_user
from limits.errors import StorageError
from limits.storage import MemoryStorage, Storage, storage_from_string
from werkzeug.wrappers import Response

from app.auth import devices
from app.extensions import limiter, network
from app.models import User, hash_secret

DAY, HOUR = 86400, 3600
Counted = Mapping[str, int]
"""What a try counts for, with how many failures of each are free."""
T = TypeVar("T")


class Tries:
    """Failures by key, where the limits of requests lie too; in this process while Redis is away."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._shared = storage_from_string(config["RATELIMIT_STORAGE_URI"], wrap_exceptions=True)
        self._own = MemoryStorage()
        self._first, self._most = max(1, config["WAIT"]), max(1, config["WAIT_MOST"])

    def begin(self, counted: Counted, seconds: int = DAY) -> int:
        """Count a try as a failure beforehand, so that many at once are as many; forgotten so many seconds after the
        first. Answers 0, or the seconds to wait if it may not be now; then it is not counted.
        """
        return self._kept(lambda store: self._begin(store, counted, seconds))

    def right(self, counted: Counted) -> None:
        """The try was no failure: it does not count, and nobody waits on its account."""
        self._kept(lambda store: self._right(store, counted))

    def _begin(self, store: Storage, counted: Counted, seconds: int) -> int:
        waits = {}
        for key, free in counted.items():
            if (over := store.incr(f"wrong {key}", seconds) - 1 - free) >= 0:
                waits[f"wait {key}"] = min(self._most, self._first * 2 ** min(over, 30))
        ends = [store.get_expiry(key) for key in waits if store.get(key)]
        left = max(1, math.ceil(max(ends) - time.time())) if ends else 0
        if not ends and any(store.incr(key, wait) > 1 for key, wait in waits.items()):
            left = 1  # somebody was quicker by a moment
        if left:
            for key in counted:
                store.incr(f"wrong {key}", seconds, -1)
        return left

    def _right(self, store: Storage, counted: Counted) -> None:
        for key in counted:
            store.incr(f"wrong {key}", DAY, -1)
            store.clear(f"wait {key}")

    def _kept(self, do: Callable[[Storage], T]) -> T:
        try:
            return do(self._shared)  # type: ignore[arg-type]
        except StorageError:
            return do(self._own)


def init_app(app: Flask) -> None:
    """Bind the counts to the site."""
    app.extensions["tries"] = Tries(app.config)


def tries() -> Tries:
    """The counts of this site."""
    return current_app.extensions["tries"]  # type: ignore[no-any-return]


def to_log_in(email: str, user: User | None) -> Counted:
    """What logging in counts for. A device that has done so before counts for itself: no stranger holds it up."""
    config, account = current_app.config, email.strip().lower()[:254]
    if device := devices.known(user):
        return {f"{account} on {device}": config["TRIES"]}
    return {
        f"{account} from {network()}": config["TRIES"],
        **to_guess(),
        f"account {account}": config["TRIES_ACCOUNT"],
    }


def to_guess() -> Counted:
    """What a secret that may be guessed counts for, where no account is named."""
    return {f"address {network()}": current_app.config["TRIES_ADDRESS"]}


def to_confirm() -> Counted:
    """What the password of somebody who is logged in counts for: the session."""
    return {f"session {hash_secret(current_user.signed_in_with)}": current_app.config["TRIES"]}


def to_register() -> Counted:
    """What an account that is made counts for."""
    return {f"accounts {network()}": current_app.config["REGISTRATIONS"]}


def seconds_to_wait(counted: Counted, seconds: int = DAY) -> int:
    """Begin a try (see `Tries.begin`); what there is to wait the answer then says in its header Retry-After."""
    left = tries().begin(counted, seconds) if limiter.enabled else 0
    if left:

        @after_this_request
        def says_when(response: Response) -> Response:
            response.headers["Retry-After"] = str(left)
            return response

    return left


def sentence(seconds: int) -> str:
    """What is said to whoever has to wait."""
    return str(_("Too many tries. Please wait %(count)s seconds.", count=seconds))


def begin(counted: Counted, seconds: int = DAY) -> None:
    """Begin a try, or answer 429."""
    if left := seconds_to_wait(counted, seconds):
        g.message = sentence(left)
        abort(429)


def right(counted: Counted) -> None:
    """The try was no failure (see `Tries.right`)."""
    tries().right(counted)
