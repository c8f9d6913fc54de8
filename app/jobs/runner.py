"""Carries out one job, of a kind that COMMANDS knows, as a child process at low priority, watched until it ends.

A child, `i2main.py` for a training or a study, `i0down_training_resource.py` for a drawing, `utils.leaks` for attacks
on a run and `utils.calls.fold` for a fold, stops by itself when this process ends, however it ends (`--tied`). It goes
on where a former one left off, but for attacks and folds, which begin anew, so nothing is lost and nothing done twice.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from app.calls.folding import asked_of
from app.config import ROOT
from app.extensions import db
from app.jobs import service
from app.models import Job
from utils.files import atomic_write
from utils.report import STATUS, write_log

NICE = 10
_LOOK_SECONDS, _BEAT_SECONDS = 0.25, 1.0
_PATIENCE = 30.0  # seconds a child may take to write its checkpoint
_ERRORS = "errors.txt"


def carry_out(app: Flask, number: int, claim: str, stopping: Event) -> None:
    """Carry out the claimed job `number`; when `stopping` is set it halts and goes back into the queue."""
    with app.app_context():
        job = db.session.get(Job, number)
        if job is None:
            return
        if job.kind not in COMMANDS:
            known = ", ".join(sorted(COMMANDS))
            service.settle(number, claim, 1, f"kind: expected one of {known}, found {job.kind}")
            return
        folder = service.folder_of(number)
        try:
            child = _start(app, job, folder)
        except OSError as error:
            service.settle(number, claim, 1, f"{error.filename or 'start'}: {error.strerror}")
            return
        db.session.expunge(job)
        db.session.rollback()
        status = _watch(child, number, claim, stopping)
        said = _last_line(folder / _ERRORS) if status not in (0, 130) else ""
        with suppress(OSError):
            if said:
                write_log(folder, "error", said)
            elif status < 0:
                write_log(folder, "error", f"its process was killed (signal {-status})")
            elif status == 130:
                write_log(folder, "info", "halted; what had begun will be done again")
        _persistently(lambda: service.settle(number, claim, status, said))
        _persistently(lambda: service.forget_deleted(job))


def _training(app: Flask, job: Job, folder: Path) -> list[object]:
    conf = folder / f"{job.run}.json"
    with atomic_write(conf) as file:
        file.write(job.conf.encode())
    what = ["-c", conf.resolve(), "--folds", job.folds, "--seeds", job.seeds]
    if job.nodes:
        what += ["--engine", "flower", "--nodes", job.nodes, "--flower", Path(app.config["FLOWER"]).resolve()]
    return _by_i2main(app, what, folder)


def _study(app: Flask, job: Job, folder: Path) -> list[object]:
    return _by_i2main(app, ["--study", job.run, "--seeds", job.seeds], folder)


def _by_i2main(app: Flask, what: list[object], folder: Path) -> list[object]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = max(1, cores // max(1, app.config["SLOTS"]))
    cache, data = Path(app.config["CACHE"]).resolve(), Path(app.config["DATA"]).resolve()
    return [
        sys.executable, ROOT / "i2main.py", *what, "--workers", workers, "--cache", cache, "--data", data, "--resume",
        "--quiet", "--tied", "--report", folder.resolve(),
    ]  # fmt: skip


def _drawing(app: Flask, job: Job, folder: Path) -> list[object]:
    asked, data = json.loads(job.conf), Path(app.config["DATA"]).resolve()
    return [
        sys.executable, ROOT / "i0down_training_resource.py", "simulate", asked["count"], "--set", asked["set"],
        "--data", data, "--tied", "--report", folder.resolve(),
    ]  # fmt: skip


def _leaks(app: Flask, job: Job, folder: Path) -> list[object]:
    cache, data = Path(app.config["CACHE"]).resolve(), Path(app.config["DATA"]).resolve()
    return [
        sys.executable, "-m", "utils.leaks", json.loads(job.conf)["run"], "--cache", cache, "--data", data,
        "--seconds", app.config["LEAKS_SECONDS"], "--quiet", "--tied", "--report", folder.resolve(),
    ]  # fmt: skip


def _fold(app: Flask, job: Job, folder: Path) -> list[object]:
    return [sys.executable, "-m", "utils.calls.fold", asked_of(job).resolve(), "--tied"]


COMMANDS: dict[str, Callable[[Flask, Job, Path], list[object]]] = {
    "training": _training,
    "drawing": _drawing,
    "study": _study,
    "leaks": _leaks,
    "fold": _fold,
}  # by kind of job


def _start(app: Flask, job: Job, folder: Path) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    arguments = COMMANDS[job.kind](app, job, folder)
    (folder / STATUS).unlink(missing_ok=True)  # what a former process said is not said of this one
    with (folder / _ERRORS).open("wb") as errors:
        child = subprocess.Popen(
            list(map(str, arguments)), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors,
            start_new_session=True,  # a Ctrl-C at the site reaches it through this process only
        )  # fmt: skip
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, child.pid, NICE)
    with suppress(OSError):  # should memory run out, Linux ends the training, not the site
        Path(f"/proc/{child.pid}/oom_score_adj").write_text("800")
    return child


def _watch(child: subprocess.Popen[bytes], number: int, claim: str, stopping: Event) -> int:
    """Wait for the child's end, granting its owner's wishes; returns its exit status."""
    told_at, beaten_at = 0.0, 0.0
    while True:
        with suppress(subprocess.TimeoutExpired):
            return child.wait(_LOOK_SECONDS)
        moment = time.monotonic()
        wish: str | None = ""
        if moment - beaten_at >= _BEAT_SECONDS:
            beaten_at = moment
            try:
                wish = service.beat(number, claim)
            except SQLAlchemyError:  # the database is away; the training need not care
                db.session.rollback()
        if told_at and moment - told_at > _PATIENCE:
            child.kill()
        elif not told_at and (wish is None or wish or stopping.is_set()):
            told_at = moment
            child.terminate()


def _persistently(settle: object) -> None:
    """Try for a while: the database may be away. If it stays away, the missing heart-beat tells the rest."""
    for pause in (0.1, 0.3, 1, 3, 10, 0):
        try:
            settle()  # type: ignore[operator]
            return
        except SQLAlchemyError:
            db.session.rollback()
            time.sleep(pause)


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace")[-5000:].split("\n")
    except OSError:
        return ""
    return next((line.strip()[:500] for line in reversed(lines) if line.strip()), "")
