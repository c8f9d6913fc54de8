"""Slow work has places, and nobody waits long for one: who finds none is told to come back (503).

No kind of slow work holds more than a third of the server's threads, those that wait included, so that the pages stay
quick beside all of it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn, Protocol

from flask import Flask, g
from flask_babel import gettext as _
from werkzeug.exceptions import ServiceUnavailable

PATIENCE = 1.0
"""Seconds that a request may wait for others."""


class Lock(Protocol):
    """A lock or a semaphore of `threading`."""

    def acquire(self, blocking: bool = ..., timeout: float = ...) -> bool:
        """See `threading`."""

    def release(self) -> None:
        """See `threading`."""


def third(app: Flask) -> threading.BoundedSemaphore:
    """Places for one kind of slow work; nobody waits for one of these, as waiting holds a thread too."""
    return threading.BoundedSemaphore(max(1, app.config["THREADS"] // 3))


def come_back(seconds: int = 2) -> NoReturn:
    """Answer 503: there is too much to do; try again after so many seconds."""
    g.message = _("There is much to do here at this moment. Please try again in a few seconds.")
    raise ServiceUnavailable(retry_after=seconds)


def wait_for(lock: Lock) -> None:
    """Acquire `lock`; 503 where it cannot be had soon."""
    if not lock.acquire(timeout=PATIENCE):
        come_back()


def _enter(lock: Lock) -> None:
    if not lock.acquire(blocking=False):
        come_back()


@contextmanager
def place(lock: Lock, waiting: bool = False) -> Iterator[None]:
    """Hold `lock` within the block; 503 where it cannot be had at once or, with `waiting`, soon."""
    (wait_for if waiting else _enter)(lock)
    try:
        yield
    finally:
        lock.release()


def hold(lock: Lock) -> None:
    """Hold `lock` until this request is over; 503 where it cannot be had at once."""
    _enter(lock)
    g.setdefault("held", []).append(lock)


def init_app(app: Flask) -> None:
    """Give back what a request held, however it ended."""

    @app.teardown_appcontext
    def give_back(_: BaseException | None) -> None:
        for lock in g.pop("held", []):
            lock.release()
