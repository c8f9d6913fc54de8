"""Trainings and studies over HTTP: queue, watch, pause, stop, resume, repeat, delete."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

from flask import abort, current_app, g, request
from flask_login import current_user
from flask_smorest import Blueprint
from marshmallow import ValidationError
from sqlalchemy import or_, select

from app.api.answers import answers
from app.api.needs import needs
from app.api.refusals import in_ones_language
from app.api.schemas import GoneSchema
from app.auth.service import audit
from app.extensions import db, limiter
from app.jobs import reasons, service
from app.jobs.schemas import (
    ACTIONS,
    AfterSchema,
    DrawSchema,
    EditSchema,
    JobDetailsSchema,
    JobSchema,
    JobsSchema,
    LogSchema,
    MadeSchema,
    SetsSchema,
    SubmitSchema,
)
from app.jobs.sets import sets as known_sets
from app.jobs.supervisor import is_alive
from app.models import Job
from app.nodes.service import NodeError
from app.runs.names import language
from app.runs.service import library, live
from app.security import first_message
from utils.conf import ConfError, read_json
from utils.data.examples import DataError
from utils.partition.schemes import PartitionError
from utils.results import ResultError
from utils.studies.questions import QuestionError, question_names, read_question, studies_folder

blueprint = Blueprint("jobs_api", __name__, url_prefix="/api/v1", description="Trainings")
_LISTED = 200
_CANNOT_BE = (ConfError, DataError, PartitionError, QuestionError, service.JobError, NodeError)
_MAKES = {
    "drawing": "set",
    "leaks": "run",
    "fold": "call",
}  # what a job's conf calls that which it makes, or makes a report on
_NUMBER = "<int(max=2147483647):number>"


@blueprint.get("/jobs")
@needs("read", "researcher")
@answers(JobsSchema, 401, 403)
def jobs() -> dict[str, Any]:
    """Trainings that are not at their end, one's own, and the latest of others; and what the machine has to do."""
    alive = Job.state.in_(("queued", "running", "paused"))
    recent = select(Job.id).order_by(Job.id.desc()).limit(_LISTED)
    shown = or_(alive, Job.id.in_(recent), Job.user_id == current_user.id)
    found = db.session.scalars(select(Job).where(shown).order_by(Job.id.desc())).all()
    return {"jobs": [_told(job, positions()) for job in found], "machine": _machine()}


@blueprint.post("/jobs")
@needs("train", "researcher")
@limiter.limit("60 per minute")
@blueprint.doc(requestBody={"required": True, "content": {"application/json": {"schema": SubmitSchema}}})
@answers(MadeSchema, 401, 403, 415, 422, 429)
def submit() -> dict[str, Any]:
    """Queue a training, or one for every combination of the values of a sweep. Refused, with the reason, as i2main.py
    does: a conf that cannot be, that the sets on this machine do not suffice for, or for which nodes are not there.
    """
    if not request.is_json:
        abort(415)
    try:
        asked = SubmitSchema().load(read_json(request.get_data(), "request"))
        made = service.submit(current_user, asked.pop("conf"), **asked)
    except ValidationError as error:
        _refuse(first_message(error.messages))
    except _CANNOT_BE as error:
        _refuse(_reason(error))
    for job in made:
        audit("training queued", f"{job.id} {job.name}")
    db.session.commit()
    return {"jobs": [_told(job, positions()) for job in made]}


@blueprint.get("/sets")
@needs("read", "researcher")
@answers(SetsSchema, 401, 403)
def sets() -> dict[str, Any]:
    """The sets of examples on this machine, which trainings can name."""
    return {"sets": known_sets()}


@blueprint.post("/sets")
@needs("train", "researcher")
@limiter.limit("60 per minute")
@blueprint.arguments(DrawSchema)
@answers(MadeSchema, 401, 403, 409, 415, 422, 429)
def draw(asked: dict[str, Any]) -> dict[str, Any]:
    """Queue the drawing of a set of skies by the simulator."""
    try:
        one = service.draw(current_user, asked["count"], asked["name"])
    except service.JobError as error:
        g.message = g.detail = str(error)
        abort(409)
    audit("drawing queued", f"{one.id} {one.name}")
    db.session.commit()
    return {"jobs": [_told(one, positions())]}


@blueprint.post("/studies/<name>/jobs")
@needs("train", "researcher")
@limiter.limit("60 per minute")
@answers(MadeSchema, 401, 403, 404, 409, 422, 429)
def run_study(name: str) -> dict[str, Any]:
    """Queue a run of a whole study, every cell with its seeds; its result stands beside the shipped one."""
    folder = studies_folder()
    if name not in question_names(folder):
        abort(404)
    try:
        question = read_question(folder, name)
        one = service.ask(current_user, question, question.title[language()])
    except service.JobError as error:
        g.message = g.detail = str(error)
        abort(409)
    except _CANNOT_BE as error:
        _refuse(_reason(error))
    audit("study queued", f"{one.id} {one.name}")
    db.session.commit()
    return {"jobs": [_told(one, positions())]}


@blueprint.post("/runs/<name>/leaks/jobs")
@needs("train", "researcher")
@limiter.limit("60 per minute")
@answers(MadeSchema, 401, 403, 404, 409, 429)
def attack(name: str) -> dict[str, Any]:
    """Queue attacks on the run's updates and model; the report takes the place of an earlier one."""
    try:
        result = library().result(name)
    except ResultError:
        result = None
    if result is None or not result.get("model"):
        abort(404)
    try:
        one = service.attack(current_user, name, library().title(name))
    except service.JobError as error:
        g.message = g.detail = str(error)
        abort(409)
    audit("attacks on a run queued", f"{one.id} {name}")
    db.session.commit()
    return {"jobs": [_told(one, positions())]}


@blueprint.get(f"/jobs/{_NUMBER}")
@needs("read", "researcher")
@answers(JobDetailsSchema, 401, 403, 404)
def job(number: int) -> dict[str, Any]:
    """One of one's own trainings (for admins: any) as it stands, with the curves so far."""
    one = _own(number)
    conf = json.loads(one.conf)
    status = service.status_of(number) or {}
    at_work = [
        {
            "repeat": name.removeprefix(f"{one.run} "), "round": repeat["round"], "rounds": repeat["rounds"],
            "clients": [{"client": int(client), **what} for client, what in repeat["clients"].items()],
        }
        for name, repeat in status.get("repeats", {}).items() if one.state == "running" and not repeat["done"]
    ]  # fmt: skip
    if one.kind != "training":
        return {
            **_told(one, positions()), "conf": conf, "at_work": at_work, "curves": {}, "rounds": 0, "repeats": 0,
        }  # fmt: skip
    folds = 1 if conf.get("train_on") else one.folds
    unfinished = live().unfinished().get(one.run, {})
    return {
        **_told(one, positions()), "conf": conf, "at_work": at_work, "curves": unfinished.get("begun", {}),
        "rounds": conf["global_epochs"], "repeats": folds * one.seeds * conf["rotations"],
    }  # fmt: skip


@blueprint.get(f"/jobs/{_NUMBER}/log")
@needs("read", "researcher")
@blueprint.arguments(AfterSchema, location="query")
@answers(LogSchema, 401, 403, 404, 422)
def log(asked: dict[str, Any], number: int) -> dict[str, Any]:
    """What happened in the training so far."""
    lines = service.log_of(_own(number).id, asked["after"])
    return {"lines": [{**line, "text": _without_paths(line["text"])} for line in lines]}


@blueprint.put(f"/jobs/{_NUMBER}")
@needs("train", "researcher")
@blueprint.arguments(EditSchema)
@answers(JobSchema, 401, 403, 404, 422)
def edit(asked: dict[str, Any], number: int) -> dict[str, Any]:
    """Change name or note of a training; admins its priority too."""
    one = _own(number)
    if "priority" in asked and not current_user.is_admin:
        abort(403)
    if asked.get("priority", one.priority) != one.priority:
        audit("training's priority", f"{one.id} {asked['priority']}")
    for key, value in asked.items():
        setattr(one, key, value)
    db.session.commit()
    return _told(one, positions())


@blueprint.post(f"/jobs/{_NUMBER}/<any({', '.join(ACTIONS)}):action>")
@needs("train", "researcher")
@limiter.limit("120 per minute")
@answers(JobSchema, 401, 403, 404, 409, 422, 429)
def act(number: int, action: str) -> dict[str, Any]:
    """Pause, stop or resume a training; or repeat it, which answers the new one."""
    one = _own(number)
    try:
        if action == "repeat":
            one = service.repeat(one, current_user)
        else:
            resume = partial(service.resume, is_admin=bool(current_user.is_admin))
            act_on: dict[str, Callable[[Job], None]] = {
                "pause": service.pause,
                "stop": service.stop,
                "resume": resume,
            }
            act_on[action](one)
    except _CANNOT_BE as error:
        g.message = g.detail = _reason(error)
        abort(409)
    audit(f"training: {action}", f"{one.id} {one.name}")
    db.session.commit()
    return _told(one, positions())


@blueprint.delete(f"/jobs/{_NUMBER}")
@needs("train", "researcher")
@answers(GoneSchema, 401, 403, 404)
def delete(number: int) -> dict[str, Any]:
    """Delete a training with its checkpoints, log, result and model; one that runs ends first."""
    one = _own(number)
    audit("training deleted", f"{one.id} {one.name}")
    service.delete(one)
    db.session.commit()
    return {"gone": db.session.scalar(select(Job.id).where(Job.id == number)) is None}


def positions() -> dict[int, int]:
    """The place of each queued training in the queue, from 1; computed once a request."""
    if "positions" not in g:
        g.positions = {one.id: place for place, one in enumerate(service.queue(), 1)}
    known: dict[int, int] = g.positions
    return known


def _own(number: int) -> Job:
    one = db.session.get(Job, number)
    if one is None or (one.user_id != current_user.id and not current_user.is_admin):
        abort(404)
    return one


def _told(one: Job, places: dict[int, int]) -> dict[str, Any]:
    status = (service.status_of(one.id) if one.state not in ("queued", "done") else None) or {}
    mine = one.user_id == current_user.id
    return {
        "run": str(json.loads(one.conf)[_MAKES[one.kind]]) if one.kind in _MAKES else one.run,
        "id": one.id, "kind": one.kind, "name": one.name, "note": one.note if mine or current_user.is_admin else "",
        "who": one.user.nickname, "mine": mine, "state": one.state, "wish": one.wish,
        "reason": reasons.in_ones_language(_without_paths(one.reason)), "folds": one.folds, "seeds": one.seeds,
        "nodes": service.nodes_of(one), "priority": one.priority, "position": places.get(one.id),
        "created": one.created.isoformat(), "started": one.started and one.started.isoformat(),
        "ended": one.ended and one.ended.isoformat(), "seconds": one.seconds,
        **{key: status.get(key) for key in ("examples", "examples_done", "examples_per_second", "seconds_left")},
    }  # fmt: skip


def _reason(error: Exception) -> str:
    return _without_paths(in_ones_language(error))


def _without_paths(text: str) -> str:
    where = (("CACHE", "cache"), ("DATA", "data"), ("FLOWER", "flower"), ("INSTANCE", "instance"))
    for folder, name in where:
        for path in (os.path.realpath(current_app.config[folder]), current_app.config[folder]):
            text = text.replace(str(path), name)
    return text


def _machine() -> dict[str, Any]:
    config, free = current_app.config, 0
    with suppress(OSError):
        free = shutil.disk_usage(config["CACHE"]).free
    return {
        "alive": is_alive(service.jobs_folder()), "slots": config["SLOTS"], "per_user": config["PER_USER"],
        "cores": os.cpu_count() or 1, "load_average": os.getloadavg()[0], "free_megabytes": free // 10**6,
        "used_megabytes": service.usage(current_user) / 1e6, "quota_megabytes": config["QUOTA"] / 1e6,
    }  # fmt: skip


def _refuse(message: str) -> NoReturn:
    g.message = g.detail = message
    abort(422)
