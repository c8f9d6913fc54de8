"""Test examples of published tasks: the publisher's, and those that participants contribute knowingly. These are the
only examples that ever reach the site; they are decoded apart, and reviewed before they count.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from flask import Flask, current_app
from flask_babel import gettext as _
from sqlalchemy import delete, func, select

from app.api.busy import PATIENCE, come_back
from app.calls.models import Call, Participation, TestExample
from app.calls.service import CallError, described
from app.extensions import db
from utils.apart import Apart, Full, Overrun
from utils.calls.described import checked_call
from utils.calls.format import Format
from utils.calls.packs import as_png
from utils.files import atomic_write

MOST_TEST = 5_000
"""Test examples of a task."""
MOST_OF_ONE = 500
"""Test examples of a participant that are not refused."""


def init_app(app: Flask) -> None:
    """Bind the children that decode what strangers send."""
    app.extensions["examples"] = Apart("utils.calls.examples:apart", 2, cpu_seconds=40, seconds=60)


def look(raw: bytes, what: str, of: Format | None = None) -> dict[str, Any]:
    """What `utils.calls.examples.apart` says. Raises CallError, one line, where the bytes are none of it."""
    try:
        found: dict[str, Any] = current_app.extensions["examples"](
            raw, PATIENCE, what=what, of=of.as_json() if of else {}
        )
    except Full:
        come_back()
    except Overrun:
        raise CallError(_("That takes too much time or memory to read.")) from None
    if "why" in found:
        raise CallError(_("That cannot be used: %(why)s", why=found["why"]))
    return found


def contribute(call: Call, who: Participation | None, given: list[dict[str, Any]]) -> list[TestExample]:
    """Take in test examples of a participant (None: of the publisher, whose count at once). Those that are there
    already are told as they are. Raises CallError, and then takes none.
    """
    of, read = described(call).format, []
    for place, one in enumerate(given, 1):  # all of it before the first change, which others would wait for
        try:
            read.append(_read(of, one))
        except CallError as error:
            raise CallError(_("Example %(number)s: %(why)s", number=place, why=error)) from None
    made = [_kept(call, who, *one) for one in read]
    _check_room(call, who)
    db.session.commit()
    return made


def give(call: Call, of: Format, raw: bytes) -> dict[str, Any]:
    """Take in the test examples of the publisher, a zip or a table; how many, and what could not be used."""
    found = look(raw, "pack", of)
    if call.state == "draft":
        _forget_misfits(call, of)
    kind = np.uint8 if of.is_picture else np.float64
    inputs = np.frombuffer(found["inputs"], kind).reshape(-1, *of.stored_shape)
    for one, answer in zip(inputs, np.frombuffer(found["answers"], np.float64), strict=True):
        _kept(call, None, one.tobytes(), float(answer))
    _check_room(call, None)
    db.session.commit()
    return {"used": found["count"], "unused": found["unused"], "unused_count": found["unused_count"]}


def _read(of: Format, given: dict[str, Any]) -> tuple[bytes, float]:
    """The input as it is stored, and the answer. Raises CallError."""
    answer = float(given["answer"])
    if of.number is None:
        if answer not in range(len(of.labels)):
            told = f"{answer:g}"
            raise CallError(_("there is no label of the number %(number)s", number=told))
    elif not of.number.low <= answer <= of.number.high:
        raise CallError(_("the answer is not in its range"))
    if of.is_picture:
        if "picture" not in given:
            raise CallError(_("there is no picture"))
        try:
            raw = base64.b64decode(given["picture"], validate=True)
        except (binascii.Error, ValueError):
            raise CallError(_("the picture is not base64")) from None
        return look(raw, "example", of)["pixels"], answer
    values = given.get("values", [])
    if len(values) != len(of.fields):
        raise CallError(
            _("expected %(count)s values, found %(found)s", count=len(of.fields), found=len(values))
        )
    for field, value in zip(of.fields, values, strict=True):
        if not field.low <= value <= field.high:
            raise CallError(_("%(field)s is not in its range", field=field.key))
    return np.array(values, np.float64).tobytes(), answer


def _kept(call: Call, who: Participation | None, raw: bytes, answer: float) -> TestExample:
    digest = hashlib.sha256(raw).hexdigest()
    same = (TestExample.call_id == call.id, TestExample.digest == digest)
    there: TestExample | None = db.session.scalar(select(TestExample).where(*same))
    if there is not None:
        return there
    made = TestExample(
        call_id=call.id, participation_id=who.id if who else None, input=raw, answer=answer, digest=digest,
        state="waiting" if who else "accepted",
    )  # fmt: skip
    db.session.add(made)
    db.session.flush()
    return made


def _misfits(call: Call, of: Format) -> list[int]:
    """Test examples that were given when the draft asked for something else."""
    length = int(np.prod(of.stored_shape)) * (1 if of.is_picture else 8)
    low, high = (of.number.low, of.number.high) if of.number else (0, len(of.labels) - 1)
    bad = (func.length(TestExample.input) != length) | ~TestExample.answer.between(low, high)
    if of.number is None:
        bad |= TestExample.answer != func.round(TestExample.answer)
    return list(db.session.scalars(select(TestExample.id).where(TestExample.call_id == call.id, bad)))


def _forget_misfits(call: Call, of: Format) -> None:
    db.session.execute(delete(TestExample).where(TestExample.id.in_(_misfits(call, of))))


def _check_room(call: Call, who: Participation | None) -> None:
    every = select(func.count(TestExample.id)).where(
        TestExample.call_id == call.id, TestExample.state != "refused"
    )
    mine = every.where(TestExample.participation_id == who.id) if who else None
    for wanted, most in ((every, MOST_TEST), (mine, MOST_OF_ONE)):
        if wanted is not None and (db.session.scalar(wanted) or 0) > most:
            db.session.rollback()
            raise CallError(_("At most %(count)s test examples are taken.", count=most))


def written(call: Call, folder: Path) -> str:
    """The file in `folder` into which the accepted test examples were written; empty where there is none."""
    of = checked_call(json.loads(call.described)).format
    if call.state == "draft" and _misfits(call, of):
        raise CallError(_("The test examples were given for another format; give them anew."))
    found = db.session.execute(
        select(TestExample.input, TestExample.answer)
        .where(TestExample.call_id == call.id, TestExample.state == "accepted")
        .order_by(TestExample.id)
    ).all()
    if not found:
        return ""
    kind = np.uint8 if of.is_picture else np.float64
    inputs = np.stack([np.frombuffer(raw, kind).reshape(of.stored_shape) for raw, _answer in found])
    path = folder / "test.npz"
    with atomic_write(path) as file:
        np.savez(file, inputs=inputs, answers=np.array([answer for _raw, answer in found]))
    return str(path.resolve())


def review(one: TestExample, accept: bool, reason: str) -> None:
    """Let a test example count, or not. The scores of versions to come follow it."""
    one.state, one.reason = ("accepted", "") if accept else ("refused", reason)
    db.session.commit()


def take_back(one: TestExample) -> None:
    """Delete a test example."""
    db.session.execute(delete(TestExample).where(TestExample.id == one.id))
    db.session.commit()


def told(call: Call, who: Participation | None) -> dict[str, Any]:
    """Test examples of a participant; without one those of all. What waits comes first, then the latest."""
    wanted = select(TestExample).where(TestExample.call_id == call.id)
    if who is not None:
        wanted = wanted.where(TestExample.participation_id == who.id)
    first = (TestExample.state != "waiting", TestExample.id.desc())
    found = db.session.scalars(wanted.order_by(*first).limit(500)).all()
    names = dict(
        db.session.execute(
            select(Participation.id, Participation.pseudonym).where(Participation.call_id == call.id)
        ).all()
    )
    counts = db.session.execute(
        select(TestExample.state, func.count())
        .where(TestExample.id.in_(wanted.with_only_columns(TestExample.id)))
        .group_by(TestExample.state)
    )
    of = described(call).format
    return {
        "examples": [
            {
                "id": one.id, "state": one.state, "reason": one.reason, "at": one.at.isoformat(),
                "answer": one.answer, "who": names.get(one.participation_id or 0, ""),
                "values": [] if of.is_picture else np.frombuffer(one.input, np.float64).tolist(),
            }
            for one in found
        ],
        "counts": {state: int(count) for state, count in counts},
    }  # fmt: skip


def picture_of(call: Call, number: int, is_publisher: bool, who: Participation | None) -> bytes | None:
    """The picture of a test example as a PNG, for the publisher and for who contributed it."""
    of, one = described(call).format, db.session.get(TestExample, number)
    if one is None or one.call_id != call.id or not of.is_picture:
        return None
    if not (is_publisher or (who is not None and one.participation_id == who.id)):
        return None
    return as_png(np.frombuffer(one.input, np.uint8).reshape(of.stored_shape))
