"""Has queued trainings carried out: in places of its own, or by RQ workers where REDIS_URL names a Redis.

The database is the only truth. What lies in Redis are tickets, each "there is something to do"; which training it is,
the worker that takes one asks the database. So a Redis that forgets everything costs nothing but new tickets.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from app.calls import folding
from app.calls import service as calls
from app.calls.demo import seed
from app.config import ROOT, demo, production
from app.extensions import db
from app.jobs import runner, service
from app.models import now

_LOOK_SECONDS = 0.5
_TEND_SECONDS = 60.0
QUEUE = "skyfed-trainings"
_ALIVE = "supervisor.lock"
T = TypeVar("T")


def bare_app(is_demo: bool) -> Flask:
    """The site's settings and database, without its pages. Raises ConfigError."""
    app = Flask("app")
    app.config.from_mapping(demo() if is_demo else production())
    db.init_app(app)
    return app


def lock_of(folder: Path) -> FileLock:
    """What the supervisor of the trainings in `folder` holds as long as it lives."""
    return FileLock(folder / _ALIVE)


def is_alive(folder: Path) -> bool:
    """Whether a supervisor looks after the trainings in `folder`."""
    try:
        with lock_of(folder).acquire(blocking=False):
            return False
    except Timeout:
        return True
    except OSError:
        return False


def supervise(app: Flask, stopping: threading.Event, board: bool = False) -> None:
    """Have queued trainings carried out until `stopping` is set. Only one supervisor of an instance is at work; with
    `board` it puts the demo's tasks on the board first, beside the trainings.
    """
    with app.app_context():
        service.jobs_folder().mkdir(parents=True, exist_ok=True)
        lock = lock_of(service.jobs_folder())
        while not stopping.is_set():
            with suppress(Timeout):
                lock.acquire(timeout=_LOOK_SECONDS)
                break
        else:
            return
        with lock:
            if not app.config["REDIS_URL"]:  # whatever the database calls running here has lost its process
                _tried(lambda: service.requeue_lost(now()))
            folds = threading.Thread(target=_fold, args=(app, stopping, board))
            folds.start()
            (_hand_out_tickets if app.config["REDIS_URL"] else _carry_out)(app, stopping)
            folds.join()


def _fold(app: Flask, stopping: threading.Event, board: bool) -> None:
    """Look after published tasks in a thread and a place of its own, so that no training makes them wait."""
    tended = 0.0
    with app.app_context():
        if board:
            _tried(seed)
        while not stopping.wait(_LOOK_SECONDS):
            try:
                if claimed := _tried(lambda: service.claim_next(folds=True)):
                    runner.carry_out(app, *claimed, stopping)
                _tried(folding.tend)
                if time.monotonic() - tended > _TEND_SECONDS:
                    tended = time.monotonic()
                    _tried(calls.lapse)
                    _tried(calls.forget_updates)
            except Exception:  # a fault of ours in one task, which is to stop no other
                logging.getLogger(__name__).exception("published tasks could not be looked after")
                db.session.rollback()
                stopping.wait(_TEND_SECONDS)


def _carry_out(app: Flask, stopping: threading.Event) -> None:
    """In threads of this process, one a place."""
    busy: dict[int, threading.Thread] = {}
    while not stopping.wait(_LOOK_SECONDS):
        busy = {number: thread for number, thread in busy.items() if thread.is_alive()}
        while len(busy) < app.config["SLOTS"] and (claimed := _tried(service.claim_next)):
            busy[claimed[0]] = threading.Thread(target=runner.carry_out, args=(app, *claimed, stopping))
            busy[claimed[0]].start()
        _give_up_lost(app, busy)  # a laptop that slept has an old heart-beat, but its threads are there
    for thread in busy.values():
        thread.join()


def _hand_out_tickets(app: Flask, stopping: threading.Event) -> None:
    from redis import Redis
    from redis.exceptions import RedisError
    from rq import Queue

    queue = Queue(QUEUE, connection=Redis.from_url(app.config["REDIS_URL"]))
    while not stopping.wait(_LOOK_SECONDS):
        _give_up_lost(app)
        startable = _tried(service.startable) or []
        with suppress(RedisError):
            for _ in range(len(startable) - queue.count):
                queue.enqueue(take_ticket, app.config["DEMO"], job_timeout=-1, result_ttl=0, failure_ttl=3600)


def take_ticket(is_demo: bool) -> None:
    """What an RQ worker does: carry out the training whose turn it is, if any."""
    app = bare_app(is_demo)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    with app.app_context():
        claimed = service.claim_next()
    if claimed:
        runner.carry_out(app, *claimed, stopping)


def work(app: Flask) -> None:
    """Be an RQ worker until told to stop."""
    from redis import Redis
    from rq import Queue, Worker

    connection = Redis.from_url(app.config["REDIS_URL"])
    Worker([Queue(QUEUE, connection=connection)], connection=connection).work()


def _give_up_lost(app: Flask, known: Collection[int] = ()) -> None:
    _tried(lambda: service.requeue_lost(now() - timedelta(seconds=app.config["LOST_AFTER"]), known))


def _tried(what: Callable[[], T]) -> T | None:
    """What it returns, None while the database is away."""
    try:
        return what()
    except (SQLAlchemyError, OSError):
        with suppress(SQLAlchemyError):
            db.session.rollback()
        return None


def keep_alive(is_demo: bool) -> None:
    """Have a supervisor process as long as this one lives, a new one when it dies. Never returns; for a thread."""
    while True:
        started = time.monotonic()
        arguments = [sys.executable, "-m", "app.jobs", *(["--demo", "--board"] if is_demo else [])]
        with suppress(OSError):  # no room for one more process at this moment
            subprocess.Popen(arguments, cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True).wait()
        time.sleep(max(0.0, 5.0 - (time.monotonic() - started)))
