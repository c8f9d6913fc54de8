"""Folds: when updates become a version, as a job of the queue (`utils.calls.fold` does it), and what comes of it.

`tend` is called again and again by whoever supervises the queue; each step of it is done once, however often it is
called and wherever the machine stopped. A version is whole or not there.
"""

from __future__ import annotations

import json
import logging
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from flask import current_app
from flask_babel import gettext as _
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from app.calls import contributed, store
from app.calls.models import Call, Participation, TestExample, Training, Version
from app.calls.service import CallError, described, is_recent, longest_update, refuse
from app.extensions import db
from app.models import Job, now
from utils.calls.fold import ASKED, MADE, MODEL, STATE, TOLD
from utils.conf import ConfError

MOST_UPDATES = 200
"""In one fold; the others wait for the next."""
MOST_BYTES = 1_000_000_000
"""Of the updates of one fold, which lie in memory together."""
WORTH_SECONDS = 20
REST = timedelta(minutes=10)
"""Until a fold that failed is tried again by itself."""


def tend() -> None:
    """Adopt what folds have made, and begin those that are due."""
    for number in db.session.scalars(select(Call.id).where(Call.folding.is_not(None))).all():
        _adopt(number)
    for number in db.session.scalars(
        select(Call.id).where(Call.state == "open", Call.folding.is_(None))
    ).all():
        call = db.session.get(Call, number)
        try:
            if call is not None and is_due(call):
                fold(call)
        except (CallError, ConfError) as error:  # of one task, which stops no other
            logging.getLogger(__name__).error("task %s is not folded: %s", number, error)
    db.session.rollback()


def waiting(call: Call) -> list[Training]:
    """Updates that wait, the first sent first."""
    found = (Training.call_id == call.id, Training.state == "waiting")
    return list(db.session.scalars(select(Training).where(*found).order_by(Training.sent, Training.id)))


def is_due(call: Call) -> bool:
    """Whether updates are folded now by themselves."""
    return due_in(call) == 0


def due_in(call: Call) -> float | None:
    """Seconds until updates that wait are folded by themselves; None where that depends on others."""
    rule = described(call).aggregation
    sent = [one.sent for one in waiting(call) if one.sent]
    if rule.mode != "automatic" or len(sent) < rule.least or call.state != "open":
        return None
    rest = (call.rest - now()).total_seconds() if call.rest else 0.0
    left = 0.0 if len(sent) >= rule.goal else rule.minutes * 60 - (now() - sent[0]).total_seconds()
    return max(0.0, rest, left)


def fold(call: Call) -> bool:
    """Queue a fold of what waits, by itself or because the publisher says so; False where another is under way.

    Raises CallError where too few updates wait.
    """
    if call.user_id is None:
        return False
    if call.state == "cancelled":
        raise CallError(_("That cannot be done to a task that is %(state)s.", state=_(call.state)))
    rule, limits = described(call).aggregation, described(call).limits
    chosen = []
    for one in waiting(call):
        if not store.update_of(call.id, one.id).is_file():  # a backup was put back
            refuse(one, "lost")
        elif is_recent(call, one.version, limits.staleness):
            chosen.append(one.id)
        else:
            refuse(one, "too late")
    chosen = chosen[: max(rule.least, min(MOST_UPDATES, MOST_BYTES // longest_update(call)))]
    if len(chosen) < rule.least:
        text = _(
            "%(count)s updates wait; at least %(least)s are folded together.",
            count=len(chosen),
            least=rule.least,
        )
        raise CallError(text)
    asked = {"call": call.id, "parent": call.version, "trainings": chosen}
    job = Job(user_id=call.user_id, kind="fold", name=call.name[:60], conf=json.dumps(asked))
    db.session.add(job)
    db.session.flush()
    free = (Call.id == call.id, Call.folding.is_(None), Call.version == call.version)
    begun = db.session.execute(update(Call).where(*free).values(folding=job.id, failed=""))
    taken = db.session.execute(
        update(Training).where(Training.id.in_(chosen), Training.state == "waiting").values(state="accepted")
    )
    if not (begun.rowcount == 1 and taken.rowcount == len(chosen)):  # type: ignore[attr-defined]
        db.session.rollback()
        return False
    db.session.commit()
    return True


def asked_of(job: Job) -> Path:
    """The folder with what is to be folded, for `utils.calls.fold`. Raises OSError."""
    asked = json.loads(job.conf)
    folder = store.fold_of(asked["call"], job.id)
    call = db.session.get(Call, asked["call"])
    if call is None:
        raise OSError(2, "no such task", str(asked["call"]))
    found = {
        one.id: one for one in db.session.scalars(select(Training).where(Training.id.in_(asked["trainings"])))
    }
    rule, counted = described(call).aggregation, described(call).limits.counted
    chosen = [found[number] for number in asked["trainings"] if number in found]
    if len(chosen) < rule.least:  # somebody's account has gone meanwhile
        raise OSError(61, "too few updates are left", str(call.id))
    question: dict[str, Any] = {
        "call": json.loads(call.described), "versions": str(store.versions_of(call.id).resolve()),
        "parent": asked["parent"], "cache": str(Path(current_app.config["CACHE"]).resolve()), "seconds": WORTH_SECONDS,
        "updates": [
            {"training": one.id, "file": str(store.update_of(call.id, one.id).resolve()),
             "samples": min(one.samples, counted), "steps": one.steps}
            for one in chosen
        ],
        "test": contributed.written(call, folder),
    }  # fmt: skip
    store.put(folder / ASKED, json.dumps(question).encode())
    return folder


def _adopt(number: int) -> None:
    """Make a version of what a fold has made, or let its updates wait again."""
    call = db.session.get(Call, number)
    if call is None or call.folding is None:
        return
    job = db.session.get(Job, call.folding)
    if job is not None and job.state not in ("done", "failed", "stopped"):
        return
    if job is None or job.state != "done":
        _return(call, job.reason if job is not None and job.state == "failed" else "")
        return
    folder = store.fold_of(call.id, job.id)
    asked, made = json.loads(job.conf), folder / MADE
    try:
        told = json.loads((made / TOLD).read_bytes())
        # Not what the job names: of whom an account had gone by then there was none.
        folded = json.loads((folder / ASKED).read_bytes())["updates"]
        order = {one["training"]: place for place, one in enumerate(folded)}
        raw, memory = (made / MODEL).read_bytes(), (made / STATE).read_bytes()
    except (OSError, ValueError, KeyError):
        _return(call, "what was made has gone")
        return
    chosen = list(
        db.session.scalars(select(Training).where(Training.id.in_(order), Training.state == "accepted"))
    )
    version = _free(call)
    digest = store.put(store.model_of(call.id, version), raw)
    store.put(store.versions_of(call.id) / f"{version}.npz", memory)
    of_test = (TestExample.call_id == call.id, TestExample.state == "accepted")
    names = [one.participation.pseudonym for one in chosen]
    db.session.add(
        Version(
            call_id=call.id, number=version, parent=asked["parent"], scores=json.dumps(told["scores"]),
            participants=json.dumps(sorted(set(names))), updates=len(folded), bytes=len(raw), sha256=digest,
            examples=sum(one["samples"] for one in folded),
            tested=len(db.session.scalars(select(TestExample.id).where(*of_test)).all()) if told["scores"] else 0,
        )
    )  # fmt: skip
    for one in chosen:
        one.state, one.version_after = "folded", version
        one.worth = json.dumps(_worth(told, order[one.id]))
    call.version, call.folding, call.failed, call.rest = version, None, "", None
    try:
        db.session.commit()
    except IntegrityError:  # another process adopted it at this moment
        db.session.rollback()
        return
    shutil.rmtree(store.fold_of(call.id, job.id), ignore_errors=True)


def _worth(told: dict[str, Any], place: int) -> dict[str, Any]:
    """What an update was worth, and what the strategy made of it."""
    found: dict[str, Any] = {}
    if worth := told["worth"]:
        found = {
            "shapley": worth["shapley"][place], "error": worth["errors"][place],
            "leave_one_out": worth["leave_one_out"][place], "flag": worth["flags"][place],
        }  # fmt: skip
    for verdict in told["verdicts"]:
        if verdict["place"] == place:
            found |= {"kept": verdict["kept"]}
    return found


def _free(call: Call) -> int:
    """The number after the highest."""
    numbers = db.session.scalars(select(Version.number).where(Version.call_id == call.id)).all()
    return max(numbers, default=0) + 1


def _return(call: Call, why: str) -> None:
    """Let the updates of a fold that made nothing wait for the next."""
    job = db.session.get(Job, call.folding) if call.folding else None
    chosen = json.loads(job.conf)["trainings"] if job is not None else []
    back = Training.id.in_(chosen) if chosen else (Training.call_id == call.id)
    db.session.execute(update(Training).where(back, Training.state == "accepted").values(state="waiting"))
    if call.folding:
        shutil.rmtree(store.fold_of(call.id, call.folding), ignore_errors=True)
    call.folding, call.failed, call.rest = None, why[:500], now() + REST
    db.session.commit()


def restore(call: Call, number: int) -> None:
    """Go back, or on, to a version that there is. Raises CallError where a fold is under way or there is no such."""
    known = select(Version.id).where(Version.call_id == call.id, Version.number == number)
    if db.session.scalar(known) is None or not store.model_of(call.id, number).is_file():
        raise CallError(_("There is no such version."))
    free = (Call.id == call.id, Call.folding.is_(None))
    moved = db.session.execute(update(Call).where(*free).values(version=number))
    db.session.commit()
    if not moved.rowcount:  # type: ignore[attr-defined]
        raise CallError(_("Updates are being folded; try again when that is done."))


def worth_of(who: Participation) -> dict[str, float] | None:
    """The sum of a participant's Shapley values over all folds, and its standard error; None where none is known."""
    found = db.session.scalars(
        select(Training.worth).where(Training.participation_id == who.id, Training.state == "folded")
    ).all()
    values = [one for one in map(json.loads, filter(None, found)) if "shapley" in one]
    if not values:
        return None
    return {
        "shapley": sum(one["shapley"] for one in values),
        "error": float(np.sqrt(sum(one["error"] ** 2 for one in values))),
    }
