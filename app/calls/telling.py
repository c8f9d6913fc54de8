"""What people and programs are told of published tasks, as plain JSON in the reader's language."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import abort, current_app, g
from flask_babel import get_locale
from flask_babel import gettext as _
from flask_login import current_user
from markupsafe import escape
from sqlalchemy import func, or_, select

from app.api.busy import PATIENCE, come_back
from app.calls import folding, listing, publishing, service, store
from app.calls.models import Accepted, Call, Category, Participation, TestExample, Training, Version
from app.config import ROOT
from app.extensions import db
from app.language import messages
from app.models import User, now
from utils import parts
from utils.calls import states
from utils.calls.described import USUAL
from utils.nets.outline import template, templates
from utils.nets.steps import steps_of

_LISTED = 500
_converting = threading.Lock()


def may_edit(call: Call) -> bool:
    """Whether who asks is its publisher, or an admin."""
    if not current_user.is_authenticated or current_user.role == "user":
        return False
    return bool(current_user.is_admin or call.user_id == current_user.id)


def _reader() -> User | None:
    return current_user if current_user.is_authenticated else None


def category_name(one: Category) -> str:
    """In the reader's language."""
    return one.name_zh if str(get_locale()) == "zh" and one.name_zh else one.name


def categories() -> list[dict[str, Any]]:
    """All, in their order, with how many published tasks each has."""
    shown = Call.state.in_(("open", "paused", "finished"))
    counts: dict[int | None, int] = {
        category: int(count)
        for category, count in db.session.execute(
            select(Call.category_id, func.count()).where(shown).group_by(Call.category_id)
        )
    }
    found = db.session.scalars(select(Category).order_by(Category.place, Category.name)).all()
    return [{"id": one.id, "name": category_name(one), "count": counts.get(one.id, 0)} for one in found]


def listed(category: int, search: str, order: str) -> dict[str, Any]:
    """Published tasks, and the reader's drafts, in an order."""
    reader = _reader()
    seen = Call.state.in_(("open", "paused", "finished"))
    mine = Call.user_id == reader.id if reader else Call.id < 0
    wanted = select(Call).where(or_(seen, mine)).order_by(Call.id.desc()).limit(_LISTED)
    if category:
        wanted = wanted.where(Call.category_id == category)
    for word in search.split():
        like = f"%{word.replace('/', '//').replace('%', '/%').replace('_', '/_')}%"
        wanted = wanted.where(
            or_(Call.name.ilike(like, escape="/"), Call.description.ilike(like, escape="/"))
        )
    found = listing.ordered(list(db.session.scalars(wanted)), order, reader)
    lately, many = listing.folded_lately(), listing.participants()
    return {
        "calls": [card(one, lately.get(one.id, 0), many.get(one.id, 0)) for one in found],
        "order": order, "says": listing.says(order, reader), "categories": categories(),
    }  # fmt: skip


def card(call: Call, lately: int, participants: int) -> dict[str, Any]:
    """A task at a glance."""
    raw, reader = json.loads(call.described), _reader()
    who = service.participation(call, reader) if reader else None
    shape = raw.get("format")
    known = isinstance(shape, dict) and call.state != "draft"
    category = call.category
    return {
        "id": call.id, "name": call.name, "state": call.state, "by": call.user.nickname if call.user else "",
        "category": {"id": category.id, "name": category_name(category)} if category else None,
        "about": publishing.plain(call.description), "cover": f"/api/v1/calls/{call.id}/cover",
        "format": {"input": shape["input"]["kind"], "answer": shape["answer"]["kind"]} if known else None,
        "version": call.version, "versions": _count(Version, call), "participants": participants,
        "folded_lately": lately, "score": _score(_version(call)),
        "published": call.published.isoformat() if call.published else None, "mine": who.state if who else "",
    }  # fmt: skip


def _count(kind: type[Version | TestExample], call: Call, *also: Any) -> int:
    return (
        db.session.scalar(select(func.count()).select_from(kind).where(kind.call_id == call.id, *also)) or 0
    )


def _version(call: Call) -> Version | None:
    at = (Version.call_id == call.id, Version.number == call.version)
    return db.session.scalar(select(Version).where(*at))


def _score(version: Version | None) -> dict[str, Any] | None:
    found = json.loads(version.scores) if version else {}
    name = next((one for one in ("accuracy", "rmse") if one in found), None)
    return {"name": name, "value": found[name]} if name else None


def details(call: Call) -> dict[str, Any]:
    """A task as its page shows it."""
    reader = _reader()
    who = service.participation(call, reader) if reader else None
    published, consent = call.state != "draft", service.consent_of(call)
    history = db.session.scalars(
        select(Version).where(Version.call_id == call.id).order_by(Version.number)
    ).all()
    scored = [(one.number, _score(one)) for one in history]
    starter = store.starter_of(call.id)
    return {
        **card(call, listing.folded_lately().get(call.id, 0), listing.participants().get(call.id, 0)),
        "description": call.description, "html": publishing.as_html(call.description),
        "described": json.loads(call.described),
        "consent": {
            "version": consent.version, "text": consent.text, "html": publishing.as_html(consent.text),
            "since": consent.since.isoformat(),
        } if consent else None,
        "update": {
            "bytes": history[0].bytes if history else 0, "shapes": json.loads(call.shapes),
        } if published else None,
        "progress": _progress(call) if published else None,
        "starter": {"bytes": starter.stat().st_size} if starter.is_file() else None,
        "test": {
            state: _count(TestExample, call, TestExample.state == state) for state in ("accepted", "waiting")
        },
        "scores": [{"version": number, **score} for number, score in scored if score],
        "may_edit": may_edit(call), "me": me(call, who) if who else None, "sent": listing.sent_of(call),
    }  # fmt: skip


def _progress(call: Call) -> dict[str, Any]:
    rule = service.described(call).aggregation
    return {
        "waiting": len(folding.waiting(call)), "goal": rule.goal, "least": rule.least, "mode": rule.mode,
        "minutes": rule.minutes, "failed": call.failed, "due_in": folding.due_in(call),
        "folding": call.folding is not None,
    }  # fmt: skip


def me(call: Call, who: Participation) -> dict[str, Any]:
    """How somebody takes part."""
    limits, sent = service.described(call).limits, service.counted(who)
    of_it = Accepted.participation_id == who.id
    accepted = db.session.scalars(
        select(Accepted.at).where(of_it).order_by(Accepted.id.desc()).limit(1)
    ).first()
    worth: dict[str, float | None] | None = None
    if found := folding.worth_of(who):
        shares = service.described(call).credits
        worth = {**found, "credits": round(100 * found["shapley"], 2) if shares else None}
    return {
        "state": who.state, "pseudonym": who.pseudonym, "consent": who.consent,
        "consented": (accepted or who.joined).isoformat(), "joined": who.joined.isoformat(),
        "consent_current": who.consent == call.consent, "trainings": sent,
        "left": max(0, limits.trainings - sent) if limits.trainings else None, "worth": worth,
    }  # fmt: skip


def trainings(call: Call) -> list[dict[str, Any]]:
    """The reader's own; of the publisher's task those of all, the latest first."""
    wanted = select(Training).where(Training.call_id == call.id).order_by(Training.id.desc()).limit(_LISTED)
    if may_edit(call):
        return [{**training(one), "who": one.participation.pseudonym} for one in db.session.scalars(wanted)]
    who = service.participation(call, current_user)
    return (
        [training(one) for one in db.session.scalars(wanted.where(Training.participation_id == who.id))]
        if who
        else []
    )


def shares(call: Call) -> list[dict[str, Any]]:
    """What each participant gave and was worth, for the publisher: the most first."""
    taking = db.session.scalars(select(Participation).where(Participation.call_id == call.id)).all()
    found = []
    for who in taking:
        told = me(call, who)
        folded = select(func.count(Training.id)).where(
            Training.participation_id == who.id, Training.state == "folded"
        )
        found.append(
            {
                "who": who.pseudonym,
                "state": who.state,
                "folded": db.session.scalar(folded) or 0,
                "worth": told["worth"],
            }
        )
    return sorted(found, key=lambda one: -(one["worth"]["shapley"] if one["worth"] else 0.0))


def training(one: Training) -> dict[str, Any]:
    """A training and what became of its update."""
    alive = one.state == "training"
    return {
        "id": one.uuid, "state": one.state, "reason": one.reason, "says": says(one), "version": one.version,
        "version_after": one.version_after, "samples": one.samples, "bytes": one.bytes, "norm": one.norm,
        "clip": one.clip, "noise": one.noise, "begun": one.begun.isoformat(),
        "sent": one.sent.isoformat() if one.sent else None, "kept": one.kept,
        "expires_in": max(0.0, (one.expires - now()).total_seconds()) if alive else None,
        "worth": json.loads(one.worth) if one.worth else None,
    }  # fmt: skip


def says(one: Training) -> str:
    """The state of a training in a sentence."""
    told: dict[str, Callable[[], str]] = {
        "training": lambda: _("Being trained where the examples are."),
        "lapsed": lambda: _("Nothing was heard of it in time; what is sent may still be taken."),
        "waiting": lambda: _("Received and sound; it waits for the next version."),
        "accepted": lambda: _("It is being folded into a version."),
        "folded": lambda: _("It is in version %(number)s.", number=one.version_after),
        "withdrawn": lambda: _("Taken back; the update is deleted."),
        "refused": lambda: _("Refused: %(why)s.", why=_known(states.REASONS.get(one.reason, one.reason))),
    }
    detail = f" ({one.detail})" if one.state == "refused" and one.detail else ""
    return str(told[one.state]()) + detail


def why_not(why: str) -> str:
    """Why there is no training now."""
    return str({
        "not joined": lambda: _("Join this task first."),
        "consent changed": lambda: _("The consent text has changed; read it and accept it first."),
        "paused": lambda: _("The publisher has paused this task."),
        "closed": lambda: _("This task takes no updates any more."),
        "over the limit": lambda: _("You have sent as many trainings as this task allows."),
        "wait for the next version": lambda: _("You have trained this version; wait for the next one."),
        "too busy": lambda: _("There is much to do here at this moment. Please try again in a few seconds."),
    }[why]())  # fmt: skip


def _known(text: str) -> str:
    return messages(str(get_locale() or "en")).get(text, text)


def versions(call: Call) -> list[dict[str, Any]]:
    """All versions, the first first."""
    found = db.session.scalars(select(Version).where(Version.call_id == call.id).order_by(Version.number))
    return [
        {
            "number": one.number, "parent": one.parent, "at": one.at.isoformat(), "scores": json.loads(one.scores),
            "updates": one.updates, "examples": one.examples, "tested": one.tested, "bytes": one.bytes,
            "participants": json.loads(one.participants), "current": one.number == call.version,
            "sha256": one.sha256,
        }
        for one in found
    ]  # fmt: skip


def choices() -> dict[str, Any]:
    """What a description may name."""
    zh = str(get_locale()) == "zh"
    networks = []
    for name in templates():
        about = template(name).get("about", "")
        both = about if isinstance(about, list) else [about]
        networks.append({"name": name, "about": both[-1 if zh else 0]})
    strategies = [
        {"name": name, "about": parts.load("strategy", name).ABOUT[1 if zh else 0]}
        for name in parts.usable("strategy")
        if not getattr(parts.load("strategy", name), "FROM_NONE", False)
        and not parts.missing("strategy", name)
    ]
    return {
        "networks": networks, "backbones": publishing.backbones(), "strategies": strategies,
        "categories": categories(), "usual": USUAL,
    }  # fmt: skip


def steps(call: Call) -> dict[str, Any]:
    """How the network of a task reckons, and its backbone; `steps` are null where they are not to be told."""
    described = service.described(call)
    found = None
    if name := described.backbone:
        pinned, below = described.network_json["sha256"], publishing.backbone_steps(name)
        if (
            below and (publishing.backbone(name) or {}).get("sha256") == pinned
        ):  # the run may have been trained anew
            found = {"run": name, "sha256": pinned, "steps": below}
    made = None if name and found is None else steps_of(described.conf)
    return {"steps": made, "backbone": found}


def onnx_of(version: Version) -> Path | None:
    """The version as ONNX, made once, when somebody asks who is logged in; None where it cannot be made."""
    made = store.versions_of(version.call_id) / f"{version.number}.onnx"
    if made.is_file():
        return made
    if not current_user.is_authenticated:
        g.message = _("Log in to have this model converted.")
        abort(401)
    if not _converting.acquire(timeout=PATIENCE):
        come_back(5)
    try:
        call = db.session.get(Call, version.call_id)
        assert call is not None
        asked = made.with_name(f".{version.number}.json")
        store.put(asked, call.described.encode())
        arguments = [str(asked), str(store.model_of(call.id, version.number)), "-o", str(made)]
        arguments += ["--cache", str(Path(current_app.config["CACHE"]).resolve())]
        subprocess.run(
            [sys.executable, "-m", "utils.calls.export", *arguments], cwd=ROOT, check=True, timeout=120,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        asked.unlink(missing_ok=True)
    except (OSError, subprocess.SubprocessError):
        return None
    finally:
        _converting.release()
    return made


def drawn_cover(call: Call) -> bytes:
    """A picture drawn of the name alone: the same name, the same picture."""
    digest = hashlib.sha256(call.name.encode()).digest()
    hue = digest[0] * 360 // 256
    discs = "".join(
        f'<circle cx="{digest[3 * at + 1] * 640 // 255}" cy="{digest[3 * at + 2] * 320 // 255}" '
        f'r="{40 + digest[3 * at + 3] // 2}" fill="hsl({(hue + 25 * at) % 360} 70% 75%)" fill-opacity=".35"/>'
        for at in range(6)
    )
    first = escape(call.name.strip()[:1].upper() or "?")
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 320" role="img">'
        f'<rect width="640" height="320" fill="hsl({hue} 45% 42%)"/>{discs}'
        f'<text x="44" y="276" font-family="sans-serif" font-size="150" font-weight="700" fill="#fff">{first}</text>'
        "</svg>"
    ).encode()
