"""The queue of trainings, of sets to be drawn, of studies, of attacks on runs and of folds of published tasks: a row of
the database each. Every change of state is made here, in one short transaction.

    queued -> running -> done | failed | paused | stopped | queued (its process was lost, or it has made room for
    others; it goes on by itself)
    queued, paused -> stopped; paused, stopped, failed -> queued; held -> queued, by an admin's word

What a running one's owner wants is noted as a wish; the process that carries it out (`app.jobs.runner`) grants it. That
process holds a claim; who has lost it may change nothing any more. i2main.py itself never works twice on one run.
"""

from __future__ import annotations

import json
import math
import re
import secrets
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

from filelock import FileLock
from flask import current_app
from flask_babel import gettext as _
from sqlalchemy import ColumnElement, CursorResult, func, select, update

from app.extensions import db
from app.jobs.outlook import check_judged, outcome
from app.jobs.sets import is_set
from app.models import Job, RunLabel, User, now
from app.nodes.service import check_choice
from app.runs.service import library
from utils import checkpoints
from utils.conf import Conf, all_keys, make_conf, parse_conf
from utils.leaks.report import leaks_path
from utils.report import LOG, STATUS
from utils.results import ResultError, rename_result, result_path, total
from utils.studies.questions import Question, read_question, studies_folder

STATES = ("held", "queued", "running", "paused", "stopped", "done", "failed")
MAX_LOSSES = 5  # a process lost so often in a row is not started again by itself
MAX_WAITING = 100  # trainings of one person that are not at their end
OWN_PLACE = "fold"  # the kind that does not wait for trainings: others wait for it, and it takes moments
MAX_LINES, _MAX_LOG_BYTES = 2000, 20_000_000
_USUAL_SPEED = (
    50.0  # examples per second, where none of the kind has been trained yet: a ResNet-18 on one core
)
_BEGINNING = datetime.min.replace(tzinfo=now().tzinfo)


class JobError(ValueError):
    """What cannot be done with a training as it is; the text is one line."""


def folder_of(job_id: int) -> Path:
    """Where conf, status and log of a training lie."""
    return jobs_folder() / str(job_id)


def jobs_folder() -> Path:
    """Where those of all trainings lie; the demo has a database, and so a folder, of its own."""
    return Path(current_app.config["INSTANCE"]) / ("demo-jobs" if current_app.config["DEMO"] else "jobs")


def submit(
    user: User,
    conf: dict[str, Any],
    *,
    name: str,
    note: str,
    folds: int,
    seeds: int,
    sweep: dict[str, list[Any]],
    nodes: Sequence[str] = (),
) -> list[Job]:
    """Queue a training of `conf`, or one for every combination of the values that `sweep` lists for its keys: on this
    machine, or on `nodes`, one a client.

    Raises ConfError when one of the confs cannot be, DataError or PartitionError when it cannot be carried out on this
    machine, NodeError when not on these nodes, JobError when the user has too much of something; then none is queued.
    """
    with _one_at_a_time():  # so that nobody's haste passes the limit
        return _submit(user, conf, name, note, folds, seeds, sweep, nodes)


def _submit(
    user: User,
    conf: dict[str, Any],
    name: str,
    note: str,
    folds: int,
    seeds: int,
    sweep: dict[str, list[Any]],
    nodes: Sequence[str],
) -> list[Job]:
    _check_room(user, math.prod(map(len, sweep.values())))
    made = []
    for values in product(*sweep.values()):
        variant = dict(zip(sweep, values, strict=True))
        whole = parse_conf(json.dumps({**conf, **variant}).encode(), "conf").as_json()
        suffix = "".join(f" {key} {_short(value)}" for key, value in variant.items())[:50]
        told = f"{name[: 60 - len(suffix)]}{suffix}"
        one = Job(
            name=told, note=note, conf=json.dumps(whole), folds=folds, seeds=seeds, nodes=",".join(nodes)
        )
        if nodes:  # how long it takes, nobody knows who has not their examples
            checked = make_conf(whole, "conf")
            check_choice(nodes, checked)
            check_judged(checked, folds)
        else:
            _hold_a_giant(one, _hours(one), user)  # which finds out, too, whether it could be trained at all
        made.append(one)
    return _queued(user, made)


def draw(user: User, count: int, name: str) -> Job:
    """Queue the drawing of a set called `name` of `count` skies. Raises JobError when anything is called so."""
    with _one_at_a_time():
        _check_room(user, 1)
        unfinished = db.session.scalars(select(Job).where(Job.kind == "drawing", Job.state != "done")).all()
        if any(json.loads(one.conf)["set"] == name for one in unfinished):
            raise JobError(_("The drawing of a set called %(name)s has begun; see it through.", name=name))
        if (Path(current_app.config["DATA"]) / name).exists():
            raise JobError(_("There is a set called %(name)s already; choose another name.", name=name))
        asked = json.dumps({"set": name, "count": count})
        return _queued(user, [Job(kind="drawing", name=name, conf=asked)])[0]


def ask(user: User, question: Question, title: str) -> Job:
    """Queue a run of a whole study. Raises what `submit` does."""
    with _one_at_a_time():
        _check_room(user, 1)
        conf = json.dumps({"study": question.name})
        one = Job(kind="study", name=title[:60], conf=conf, folds=1, seeds=question.seeds)
        _hold_a_giant(one, _hours_of_study(question), user)
        return _queued(user, [one])[0]


def attack(user: User, run: str, title: str) -> Job:
    """Queue attacks on the updates and the model of a run. Raises JobError when that is waiting already."""
    with _one_at_a_time():
        _check_room(user, 1)
        at_work = Job.state.in_(("queued", "running", "paused"))
        asked = json.dumps({"run": run})
        waiting = select(Job.id).where(Job.kind == "leaks", Job.conf == asked, at_work)
        if db.session.scalar(waiting) is not None:
            raise JobError(_("That has been asked of this run already; see it through."))
        return _queued(user, [Job(kind="leaks", name=title[:60], conf=asked)])[0]


def _hold_a_giant(one: Job, hours: float, user: User) -> None:
    if hours > current_app.config["GIANT_HOURS"] and not user.is_admin:
        one.state, one.reason = "held", f"would take about {hours:.0f} hours; an admin has to allow that"


def _queued(user: User, made: list[Job]) -> list[Job]:
    user.jobs.extend(made)
    db.session.flush()
    cache = Path(current_app.config["CACHE"])
    for job in made:
        if job.kind == "leaks":  # makes no run, its report is that of another
            continue
        if job.kind == "study":
            job.run = _free_study(job)
            continue
        slug = re.sub(r"[^A-Za-z0-9_-]+", "_", job.name).strip("_-") or "run"
        job.run = f"{slug}-{job.id}"
        while result_path(cache, job.run).exists() or checkpoints.folder_of(cache, job.run).exists():
            job.run = f"{slug}-{job.id}-{secrets.token_hex(2)}"  # another database counts from 1 too
    db.session.commit()
    return made


def _free_study(job: Job) -> str:
    """What the study's result will be called: its name, and a number that no other has."""
    folder, number = _cache_of(job), job.id + 1
    while True:
        name = f"{json.loads(job.conf)['study']}@{number}"
        taken = db.session.scalar(select(Job.id).where(Job.kind == "study", Job.run == name))
        there = result_path(folder, name).exists() or checkpoints.folder_of(folder, name).exists()
        if taken is None and not there:
            return name
        number += 1


def _cache_of(job: Job) -> Path:
    """Where its result and its checkpoints lie."""
    cache = Path(current_app.config["CACHE"])
    return cache / "studies" if job.kind == "study" else cache


def _check_room(user: User, more: int) -> None:
    db.session.refresh(user)
    at_end = ("done", "failed", "stopped")
    waiting = select(func.count(Job.id)).where(Job.user_id == user.id, Job.state.not_in(at_end))
    count = (db.session.scalar(waiting) or 0) + more
    if count > MAX_WAITING:
        raise JobError(
            _("%(count)s of your trainings would wait; at most %(most)s may.", count=count, most=MAX_WAITING)
        )
    if usage(user) > current_app.config["QUOTA"]:
        megabytes = round(current_app.config["QUOTA"] / 1e6)
        raise JobError(_("Your trainings take more than %(count)s MB; delete some first.", count=megabytes))


def _hours(job: Job) -> float:
    """About how long it would take. Raises DataError and PartitionError where it cannot be trained here."""
    conf = make_conf(json.loads(job.conf), "conf")
    examples = outcome(conf, job.folds)["examples"]
    repeats = (1 if conf.train_on else job.folds) * job.seeds * conf.rotations
    speed = (measured_speed(conf) or (_USUAL_SPEED, 0))[0]
    return float(examples * repeats / speed / 3600)


def _hours_of_study(question: Question) -> float:
    """About how long all of its cells would take, judged by the first of each set. Raises as `_hours` does."""
    known: dict[Any, float] = {}  # hours of a whole pass of all clients, by what is trained on
    hours = 0.0
    for _cell, conf in question.confs():
        passes = conf.k / conf.no_models * conf.local_epochs * conf.global_epochs
        of = (conf.type, conf.data, conf.task)
        if of not in known:
            known[of] = _hours(Job(conf=json.dumps(conf.as_json()), folds=1, seeds=question.seeds)) / passes
        hours += known[of] * passes
    return hours


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def repeat(job: Job, user: User) -> Job:
    """Queue the same once more, for `user`. Raises what `submit`, `draw`, `ask` and `attack` do."""
    asked = json.loads(job.conf)
    if job.kind == OWN_PLACE:
        raise JobError(_("A task folds its updates by itself, or when its page is told to."))
    if job.kind == "drawing":
        return draw(user, asked["count"], asked["set"])
    if job.kind == "study":
        return ask(user, read_question(studies_folder(), asked["study"]), job.name)
    if job.kind == "leaks":
        return attack(user, asked["run"], job.name)
    return submit(
        user, asked, name=job.name, note=job.note, folds=job.folds, seeds=job.seeds, sweep={}, nodes=nodes_of(job)
    )[0]  # fmt: skip


def nodes_of(job: Job) -> list[str]:
    """The nodes it is trained on; none: this machine."""
    return job.nodes.split(",") if job.nodes else []


def pause(job: Job) -> None:
    """Halt it; the checkpoint stays, and so does its place in the list of what is still to be done."""
    _halt(job, "pause", "paused", ("queued",))


def stop(job: Job) -> None:
    """End it; the checkpoint stays, so that it can be resumed after all."""
    _halt(job, "stop", "stopped", ("queued", "paused"))


def _halt(job: Job, wish: str, state: str, at_once: tuple[str, ...]) -> None:
    if _change(job.id, at_once, state=state, reason="", ended=now()):
        return
    if not _change(job.id, ("running",), Job.wish != "delete", wish=wish):  # nothing takes a delete back
        raise JobError(_("That cannot be done to a training that is %(state)s.", state=_(job.state)))


def resume(job: Job, is_admin: bool = False) -> None:
    """Put a paused, stopped or failed one back into the queue; it goes on from its last whole round.

    One that is held goes there by an admin's word only.
    """
    fresh = {"wish": "", "reason": "", "losses": 0, "queued": now(), "ended": None}
    states = ("paused", "stopped", "failed", *(("held",) if is_admin else ()))
    with _one_at_a_time():
        _check_room(job.user, job.state in ("stopped", "failed"))
        resumed = _change(job.id, states, state="queued", **fresh)
    if not resumed:
        raise JobError(_("That cannot be done to a training that is %(state)s.", state=_(job.state)))


def delete(job: Job) -> None:
    """Delete it with all its files: at once, or when its process has ended."""
    if not _change(job.id, ("running",), wish="delete"):
        remove(job)


def remove(job: Job) -> None:
    """Delete one that nobody is carrying out, with its files."""
    forget_files([job])
    db.session.delete(job)
    db.session.commit()


def forget_files(jobs: Iterable[Job], but_results: bool = False) -> None:
    """Delete checkpoints and logs, and results and models too unless they are to stay."""
    for job in jobs:
        for path in files(job, but_results):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def leave(jobs: Iterable[Job], anonymously: bool) -> None:
    """Delete the files of somebody who leaves; finished runs stay `anonymously`, under names that say nothing."""
    for job in jobs:
        if anonymously:
            forget_files([job], but_results=True)
            fresh = f"run-{secrets.token_hex(4)}"
            if job.kind in ("study", "leaks", OWN_PLACE):  # whose names say nothing of anybody
                continue
            if rename_result(Path(current_app.config["CACHE"]), job.run, fresh):
                db.session.execute(update(RunLabel).where(RunLabel.run == job.run).values(run=fresh))
        else:
            forget_files([job])


def forget_deleted(job: Job) -> None:
    """Delete what is left of a training whose row went while its process was at work."""
    if db.session.scalar(select(Job.id).where(Job.id == job.id)) is None:
        forget_files([job])


def files(job: Job, but_results: bool = False) -> list[Path]:
    """Its files and folders, there or not: result, model and card, what it was found to give away, checkpoints and
    their lock, status and log; of a drawing, what is begun of the set, which once it is whole belongs to nobody. The
    report of attacks is the run's, and what a fold has made the task's.
    """
    if job.kind in ("leaks", OWN_PLACE):
        return [folder_of(job.id)]
    if job.kind == "drawing":
        name = json.loads(job.conf)["set"]
        begun = job.state != "done" and not is_set(name)
        return [folder_of(job.id), *([Path(current_app.config["DATA"]) / name] if begun else [])]
    result = result_path(_cache_of(job), job.run)
    unfinished = checkpoints.folder_of(_cache_of(job), job.run)
    made = [result.with_suffix(suffix) for suffix in (".pkl", ".safetensors", ".md")]
    return [
        *([] if but_results else made),
        *([leaks_path(_cache_of(job), job.run)] if job.kind == "training" else []), unfinished,
        unfinished.with_name(f"{unfinished.name}.lock"), folder_of(job.id),
    ]  # fmt: skip


def _costs(conf: Mapping[str, Any]) -> dict[str, Any]:
    """What of a conf says how long an example takes."""
    costly = [one.name for one in all_keys() if one.field.metadata.get("cost") and one.name in conf]
    return {key: conf[key] for key in ("type", *costly) if key in conf}


def speed_elsewhere(conf: Conf) -> tuple[float, str] | None:
    """Examples per second in a run of the same net, wherever it was trained, and what it is called; of several, the
    one whose conf has most in common.
    """
    whole = conf.as_json()
    runs = [
        run
        for run in library().summaries()
        if not run.get("error") and run["seconds"] > 0 and _costs(run["conf"]) == _costs(whole)
    ]
    for run in sorted(runs, key=lambda run: -sum(run["conf"].get(key) == whole[key] for key in whole)):
        with suppress(ResultError):
            repeats = (library().result(run["name"]) or {}).get("repeats", [])
            examples = sum(total(repeat, "examples") for repeat in repeats) / max(1, len(repeats))
            return examples / run["seconds"], run["title"]
    return None


def measured_speed(conf: Conf) -> tuple[float, int] | None:
    """Examples per second that a training of the same net made on this machine, and its number; None if none did.

    The latest that was measured for half a minute, else the one that was measured longest.
    """
    wanted, best, longest = _costs(conf.as_json()), None, 0.0
    recent = db.session.scalars(
        select(Job)
        .where(Job.kind == "training", Job.nodes == "", Job.started.is_not(None))
        .order_by(Job.id.desc())
        .limit(200)
    )
    for job in recent:
        if _costs(json.loads(job.conf)) == wanted:
            status = status_of(job.id) or {}
            seconds = min(30.0, float(status.get("seconds_measured", 0)))
            if seconds > longest and status.get("examples_per_second", 0) > 0:
                best, longest = (float(status["examples_per_second"]), job.id), seconds
    return best


def status_of(number: int) -> dict[str, Any] | None:
    """What its process last reported (utils.report); None before it has."""
    try:
        status = json.loads((folder_of(number) / STATUS).read_bytes())
    except (OSError, ValueError):
        return None
    return status if isinstance(status, dict) else None


def log_of(number: int, after: int) -> list[dict[str, Any]]:
    """Lines of its log behind the first `after` ones, at most the latest MAX_LINES; `line` counts from 1."""
    try:
        with (folder_of(number) / LOG).open("rb") as file:
            raw = list(enumerate(file.read(_MAX_LOG_BYTES).split(b"\n")[:-1], 1))
    except OSError:
        return []
    found = []
    for line, text in raw[after:][-MAX_LINES:]:
        with suppress(ValueError):
            told = json.loads(text)
            found.append({"line": line, "at": told["at"], "level": told["level"], "text": told["text"]})
    return found


def usage(user: User) -> int:
    """Bytes that the files of the user's trainings take."""
    total = 0
    for job in user.jobs:
        for path in files(job):
            for file in path.rglob("*") if path.is_dir() else [path]:
                with suppress(OSError):
                    total += file.stat().st_size
    return total


def order(waiting: Iterable[Job], turns: dict[int, datetime]) -> list[Job]:
    """Queued ones in the order in which they get a place, given when each person had the latest start.

    Priority first; among equals it is the turn of the person whose latest start lies longest ago, and of that
    person's trainings the one that has waited longest.
    """
    left, turns, ordered = list(waiting), dict(turns), []
    while left:
        first = min(
            left, key=lambda job: (-job.priority, turns.get(job.user_id, _BEGINNING), job.queued, job.id)
        )
        left.remove(first)
        ordered.append(first)
        turns[first.user_id] = now() + timedelta(seconds=len(ordered))
    return ordered


def queue() -> list[Job]:
    """All queued ones, in that order; those of people who may not train any more wait until they may."""
    turns = db.session.execute(
        select(Job.user_id, func.max(Job.started)).where(Job.started.is_not(None)).group_by(Job.user_id)
    ).all()
    may = (User.disabled.is_(False), User.role != "user")
    waiting = db.session.scalars(select(Job).join(User).where(Job.state == "queued", *may)).all()
    return order(waiting, {user: started for user, started in turns if started})


def startable(folds: bool = False) -> list[Job]:
    """The queued ones that need not wait for another of the same person, in order: trainings and the like, or folds,
    which wait for nobody's trainings.
    """
    db.session.rollback()  # so that what others did meanwhile is seen
    counts = db.session.execute(
        select(Job.user_id, func.count())
        .where(Job.state == "running", (Job.kind == OWN_PLACE) == folds)
        .group_by(Job.user_id)
    ).all()
    running = {user: int(count) for user, count in counts}
    found = []
    for job in queue():
        if (job.kind == OWN_PLACE) != folds:
            continue
        if running.get(job.user_id, 0) < current_app.config["PER_USER"] and not _is_busy(job):
            found.append(job)
            running[job.user_id] = running.get(job.user_id, 0) + 1
    return found


def claim_next(folds: bool = False) -> tuple[int, str] | None:
    """Claim the training (the fold) whose turn it is: its number and the claim; None when none may start now."""
    with _one_at_a_time():  # so that nobody gets more places than one person may have
        for job in startable(folds):
            held = {
                "wish": "",
                "claim": secrets.token_hex(16),
                "started": now(),
                "beat": now(),
                "ended": None,
            }
            if job.kind != OWN_PLACE and usage(job.user) > current_app.config["QUOTA"]:
                full = f"the trainings of {job.user.nickname} take more than {current_app.config['QUOTA'] / 1e6:.0f} MB"
                _change(job.id, ("queued",), state="failed", reason=full, ended=now())
            elif _change(number := job.id, ("queued",), state="running", **held):
                return number, str(held["claim"])
    return None


def _one_at_a_time() -> FileLock:
    jobs_folder().mkdir(parents=True, exist_ok=True)
    return FileLock(jobs_folder() / "claim.lock")


def beat(number: int, claim: str) -> str | None:
    """Say that the training's process lives; its owner's wish, None when the claim is lost or the training is gone.

    "make room" is the wish of those who wait, once it has had its time. Of somebody who may not train any more, the
    wish is taken to be a pause.
    """
    held = (Job.id == number, Job.claim == claim, Job.state == "running")
    db.session.execute(update(Job).where(*held).values(beat=now()))
    found = db.session.execute(select(Job.wish, User.disabled, User.role).join(User).where(*held)).first()
    db.session.commit()
    if found is None:
        return None
    wish, disabled, role = found
    if not wish and (disabled or role == "user"):
        _change(number, ("running",), Job.claim == claim, Job.wish == "", wish="pause")
        return "pause"
    return str(wish) or ("make room" if _makes_room(number) else "")


def _had_its_time(job: Job) -> bool:
    started = job.started or now()
    return now() - started >= timedelta(hours=current_app.config["MAX_HOURS"])


def _makes_room(number: int) -> bool:
    """Whether a training has had its time, and got on in it, and somebody else waits for a place."""
    job = db.session.get(Job, number)
    if job is None or job.kind == OWN_PLACE or not _had_its_time(job) or not _got_on(job):
        return False
    at_work = (Job.state == "running", Job.kind != OWN_PLACE)
    running = db.session.scalar(select(func.count()).where(*at_work)) or 0
    others = (one for one in startable() if one.user_id != job.user_id and one.priority >= job.priority)
    return running >= current_app.config["SLOTS"] and next(others, None) is not None


def settle(number: int, claim: str, status: int, said: str) -> None:
    """Note how its process ended: exit status (negative: the signal that killed it) and the last it said."""
    while True:
        db.session.rollback()
        job = db.session.scalar(
            select(Job).where(Job.id == number, Job.claim == claim, Job.state == "running")
        )
        if job is None:
            return
        wish, spent = job.wish, max(0.0, (now() - (job.started or now())).total_seconds())
        ended: dict[str, Any] = {
            "claim": "", "wish": "", "ended": now(), "reason": "", "seconds": job.seconds + spent,
        }  # fmt: skip
        if status == 0 and wish != "delete":
            names = (status_of(number) or {}).get("runs") or [job.run]
            ended |= {"state": "done", "losses": 0, "run": str(names[0])}
        elif wish:
            ended |= {"state": "paused" if wish == "pause" else "stopped"}
        elif (
            status == 130
        ):  # told to stop by nobody who has an account: the machine goes down, or others wait
            ended |= {"state": "queued", "ended": None}
            if _had_its_time(job):
                ended |= {"queued": now(), "started": now()}  # so that its owner's turn comes after theirs
        elif status < 0:
            ended |= _lost(job, f"its process was killed (signal {-status})")
        else:
            ended |= {"state": "failed", "reason": said[:500] or f"exit status {status}"}
        if _change(number, ("running",), Job.claim == claim, Job.wish == wish, **ended):
            if wish == "delete":
                remove(job)
            return


def requeue_lost(since: datetime, known: Collection[int] = ()) -> list[int]:
    """Put those back into the queue whose process was last heard of before `since`, but for the `known` ones.

    Returns their numbers.
    """
    silent = (Job.state == "running", Job.beat < since, Job.id.not_in(known))
    lost = db.session.scalars(select(Job).where(*silent)).all()
    found = []
    for job in lost:
        number, claim, wish = job.id, job.claim, job.wish
        after = (
            {"state": "paused" if wish == "pause" else "stopped", "ended": now()} if wish else {"ended": None}
        )
        after |= {} if wish else _lost(job, "its process was lost")
        if _change(number, ("running",), Job.claim == claim, Job.wish == wish, claim="", wish="", **after):
            found.append(number)
            if wish == "delete":
                remove(job)
    db.session.commit()
    return found


def _lost(job: Job, how: str) -> dict[str, Any]:
    losses = 1 if _got_on(job) else job.losses + 1
    if losses >= MAX_LOSSES:
        reason = f"{how}, {losses} times in a row; resuming goes on from the last whole round"
        return {"state": "failed", "losses": losses, "reason": reason}
    reason = f"{how}; goes on from the last whole round"
    return {"state": "queued", "ended": None, "losses": losses, "reason": reason}


def _got_on(job: Job) -> bool:
    """Whether it has ended a round since its latest start."""
    if job.kind in ("leaks", OWN_PLACE):
        return False
    folder = checkpoints.folder_of(_cache_of(job), job.run)
    begun = (job.started or now()).timestamp()
    with suppress(OSError):
        return any(path.stat().st_mtime > begun for path in folder.rglob("*.npz"))
    return False


def _is_busy(job: Job) -> bool:
    """Whether a process, left over perhaps, still works on the run."""
    if job.kind in ("leaks", OWN_PLACE):
        return False
    try:
        return checkpoints.is_busy(_cache_of(job), job.run)
    except OSError:  # a full disk, say: whoever tries to train will say it
        return False


def _change(number: int, states: tuple[str, ...], /, *also: ColumnElement[bool], **values: Any) -> bool:
    """Set `values` if the training is in one of `states`, and all of `also` holds, by now; whether it was so."""
    changed = db.session.execute(
        update(Job).where(Job.id == number, Job.state.in_(states), *also).values(**values)
    )
    db.session.commit()
    return isinstance(changed, CursorResult) and changed.rowcount == 1
