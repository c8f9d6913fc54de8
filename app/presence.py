"""Whether the site runs: a lock that all its servers share, and that whoever changes everything wants alone."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import Timeout
from flask import Flask

from app.jobs.service import jobs_folder
from app.jobs.supervisor import lock_of


class AtWorkError(RuntimeError):
    """Somebody else is at it; the text is one line."""


@contextmanager
def serving(app: Flask) -> Iterator[None]:
    """Say that the site runs, as long as this process or a child forked from it lives. Raises AtWorkError."""
    with _locked(app, fcntl.LOCK_SH, "a backup is being restored; wait until it is"):
        yield


@contextmanager
def alone(app: Flask) -> Iterator[None]:
    """Keep the site and its trainings from running. Raises AtWorkError while they do."""
    with _locked(app, fcntl.LOCK_EX, "the site is running; stop it first"), app.app_context():
        jobs_folder().mkdir(parents=True, exist_ok=True)
        try:
            with lock_of(jobs_folder()).acquire(blocking=False):
                yield
        except Timeout:
            raise AtWorkError("trainings are being carried out; stop the site first") from None


@contextmanager
def _locked(app: Flask, how: int, otherwise: str) -> Iterator[None]:
    app.config["INSTANCE"].mkdir(parents=True, exist_ok=True, mode=0o700)
    with (app.config["INSTANCE"] / ("demo.lock" if app.config["DEMO"] else "site.lock")).open("w") as file:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AtWorkError(otherwise) from None
        yield
