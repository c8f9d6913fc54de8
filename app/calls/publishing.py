"""From a draft to a published task: descriptions, tried out apart before anybody sees them; text as safe HTML."""

from __future__ import annotations

import html
import io
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import nh3
from flask import current_app
from flask_babel import gettext as _
from markdown_it import MarkdownIt
from sqlalchemy import func, select

from app.api.busy import come_back
from app.calls import contributed, store
from app.calls.models import Call, Category, Version
from app.calls.service import MAX_CALLS, CallError, hold, set_consent
from app.config import ROOT
from app.extensions import db
from app.models import User, now
from app.runs.service import library
from utils.calls.described import Call as Described
from utils.calls.described import checked_call
from utils.calls.packs import zipped
from utils.conf import Conf, ConfError, make_conf
from utils.nets.steps import Steps, steps_of
from utils.results import ResultError

MAX_DESCRIPTION, MAX_DESCRIBED = 20_000, 200_000
_PATIENCE = 110
_TAGS = {
    "a", "blockquote", "br", "code", "em", "h2", "h3", "h4", "hr", "li", "ol", "p", "pre", "s", "strong", "table",
    "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_trying = threading.BoundedSemaphore(1)


@cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def as_html(text: str) -> str:
    """Markdown as HTML that can do no harm: a first heading is one of a section, links open nothing by themselves."""
    made = _markdown().render(text).replace("<h1>", "<h2>").replace("</h1>", "</h2>")
    return nh3.clean(made, tags=_TAGS, attributes={"a": {"href"}}, url_schemes={"http", "https", "mailto"})


def plain(text: str, most: int = 220) -> str:
    """The beginning of a Markdown text without its marks."""
    told = " ".join(html.unescape(nh3.clean(_markdown().render(text), tags=set())).split())
    return told if len(told) <= most else f"{told[: most - 1].rsplit(' ', 1)[0]}…"


def as_text(described: Any) -> str:
    """A description as it is kept. Raises CallError where it holds what no JSON in UTF-8 has."""
    try:
        made = json.dumps(described, ensure_ascii=False, allow_nan=False)
        made.encode()
    except (ValueError, RecursionError):
        raise CallError(_("The description holds a number or a letter that cannot be kept.")) from None
    return made


def backbone(name: str) -> Mapping[str, Any] | None:
    """What a run's ResNet is as a frozen backbone (`utils.calls.described`); None where it cannot be one."""
    try:
        result = library().result(name)
    except ResultError:
        return None
    conf = _resnet_of(name, result["conf"]) if result else None
    if result is None or conf is None or not result.get("model"):
        return None
    return {
        "features": features_of(conf), "sha256": result["model"]["sha256"], "side": conf.task.keys.image_size,
        "colours": conf.task.keys.colours,
    }  # fmt: skip


def backbone_steps(name: str) -> Steps | None:
    """How a run's ResNet comes to its features: all its steps but the last. None where there is no such run."""
    try:
        result = library().result(name)
    except ResultError:
        return None
    conf = _resnet_of(name, result["conf"]) if result else None
    found = steps_of(conf) if conf else None
    return found[:-1] if found else None


def _resnet_of(name: str, raw: Any) -> Conf | None:
    """The conf of a ResNet that judges pictures of three colours; None for any other."""
    try:
        conf = make_conf(raw, name)
    except ConfError:
        return None
    return conf if conf.type == "weather" and conf.network.name == "resnet" else None


def features_of(conf: Conf) -> int:
    """How many numbers a ResNet makes of a picture before its last layer."""
    wide = 1 if conf.network.keys.model_name in ("resnet18", "resnet34") else 4
    return 8 * int(conf.network.keys.width) * wide


def backbones() -> list[dict[str, Any]]:
    """The runs whose networks may be frozen, by name."""
    named = [
        (run["name"], run["title"])
        for run in library().summaries()
        if not run.get("error") and _resnet_of(run["name"], run["conf"])  # else all results would be read
    ]
    return [{"run": name, "title": title, **found} for name, title in named if (found := backbone(name))]


def tried(
    raw: Any, test: Callable[[Path], object] = lambda folder: None
) -> tuple[Described, dict[str, Any], Path]:
    """A description, checked and tried out on drawn examples: what it is, what was found out, and the folder with its
    first version, which the caller removes. `test` may put test examples there.

    Raises ConfError and CallError; 503 while another one is tried.
    """
    call = checked_call(raw, backbone)
    if not _trying.acquire(blocking=False):
        come_back(5)
    folder = Path(tempfile.mkdtemp(prefix="skyfed-call-"))
    try:
        (folder / "call.json").write_text(as_text(call.as_json()), encoding="utf-8")
        test(folder)
        cache = str(Path(current_app.config["CACHE"]).resolve())
        done = subprocess.run(
            [sys.executable, "-m", "utils.calls.begin", str(folder), "--cache", cache], cwd=ROOT, text=True,
            timeout=_PATIENCE, stdin=subprocess.DEVNULL, capture_output=True,
        )  # fmt: skip
        if done.returncode:
            said = done.stderr.strip().splitlines()[-1:] or ["?"]
            raise CallError(said[0][:300])
        found: dict[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, CallError):
            raise
        raise CallError(_("A training on drawn examples takes too much time or memory.")) from None
    finally:
        _trying.release()
    return call, found, folder


def new_draft(user: User, values: dict[str, Any]) -> Call:
    """A draft of somebody. Raises CallError when there are too many already."""
    alive = (Call.user_id == user.id, Call.state.in_(("draft", "open", "paused")))
    if (db.session.scalar(select(func.count(Call.id)).where(*alive)) or 0) >= MAX_CALLS:
        raise CallError(_("At most %(count)s tasks of yours may be open or drafts.", count=MAX_CALLS))
    call = Call(user_id=user.id, name=values["name"], described="{}", state="draft")
    db.session.add(call)
    db.session.flush()
    edit(call, values)
    return call


def edit(call: Call, values: dict[str, Any]) -> None:
    """Change what is said of a task; how it learns only of a draft. Raises CallError."""
    hold(call)
    category = values.get("category_id")
    if category is not None and db.session.get(Category, category) is None:
        db.session.rollback()
        raise CallError(_("There is no such category."))
    for key in ("name", "description", "category_id"):
        if key in values:
            setattr(call, key, values[key])
    if "described" in values:
        text = as_text(values["described"])
        if len(text) > MAX_DESCRIBED:
            raise CallError(_("That is too large."))
        if call.state == "draft":
            call.described = text
        else:
            _edit_published(call, values["described"])
    db.session.commit()


def _edit_published(call: Call, wanted: Any) -> None:
    """The consent text, and when updates are folded, may change later."""
    before = json.loads(call.described)
    after = checked_call({**before, **(wanted if isinstance(wanted, dict) else {})})
    told = after.as_json()
    different = [key for key in told if key not in ("consent", "aggregation") and told[key] != before[key]]
    if different:
        raise CallError(
            _("%(key)s of a published task cannot change; publish another one.", key=different[0])
        )
    call.described = as_text(after.as_json())
    set_consent(call, after.consent)


def give(call: Call, what: str, raw: bytes) -> dict[str, Any]:
    """Take in test examples, a starter pack or a cover; what could be used. Raises CallError, ConfError."""
    if what == "cover":
        call.cover = contributed.look(raw, "cover")["jpeg"] if raw else None
        db.session.commit()
        return {"used": 1, "unused": [], "unused_count": 0}
    of = checked_call(json.loads(call.described), backbone).format
    if what == "test":
        return contributed.give(call, of, raw)
    found = contributed.look(raw, "pack", of)
    if not zipfile.is_zipfile(io.BytesIO(raw)):
        raw = zipped({"examples.csv": raw})
    store.put(store.starter_of(call.id), raw)
    return {"used": found["count"], "unused": found["unused"], "unused_count": found["unused_count"]}


def publish(call: Call) -> dict[str, Any]:
    """Let a draft be an open task with its first version, or change nothing; what trying it out has found.

    Raises ConfError and CallError.
    """
    if call.state != "draft":
        raise CallError(_("This task is published already."))
    before = call.described
    of, found, folder = tried(json.loads(before), lambda where: contributed.written(call, where))
    try:
        if not of.consent:
            raise CallError(_("Say in the consent text what people agree to."))
        if not call.description.strip():
            raise CallError(_("Say what the task is for."))
        raw = (folder / "1.safetensors").read_bytes()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    hold(call)
    if call.state != "draft" or call.described != before:  # edited, or published, in the meantime
        db.session.rollback()
        raise CallError(_("The draft has changed while it was tried; publish it again."))
    digest = store.put(store.model_of(call.id, 1), raw)
    call.described, call.shapes = as_text(of.as_json()), json.dumps(found["shapes"])
    set_consent(call, of.consent)
    scored = {"scores": json.dumps(found["scores"]), "tested": found["tested"]}
    db.session.add(Version(call_id=call.id, number=1, parent=None, bytes=len(raw), sha256=digest, **scored))
    call.version, call.state, call.published = 1, "open", now()
    db.session.commit()
    return found
