"""The pages of published tasks: the board, one task, the form of who publishes."""

from __future__ import annotations

from flask import Blueprint, abort, render_template
from flask_login import login_required

from app.auth.pages import for_researchers
from app.calls import telling
from app.calls.models import Call
from app.extensions import db

blueprint = Blueprint("calls", __name__, url_prefix="/tasks")


@blueprint.get("")
def board() -> str:
    """All published tasks."""
    return render_template("calls/board.html")


@blueprint.get("/<int(max=2147483647):number>")
def task(number: int) -> str:
    """One task."""
    return render_template("calls/task.html", call=_seen(number))


@blueprint.get("/<int(max=2147483647):number>/train")
def train(number: int) -> str:
    """Take part in this browser: examples that stay in it, and trainings in a worker of the page."""
    found = _seen(number)
    if found.state == "draft":
        abort(404)
    return render_template("calls/train.html", call=found)


@blueprint.get("/new")
@login_required
def new() -> str:
    """Begin a task."""
    for_researchers()
    return render_template("calls/publish.html", call=None)


@blueprint.get("/<int(max=2147483647):number>/edit")
@login_required
def edit(number: int) -> str:
    """Go on with a draft, or change what may change of a task."""
    for_researchers()
    found = _seen(number)
    if not telling.may_edit(found):
        abort(403)
    return render_template("calls/publish.html", call=found)


def _seen(number: int) -> Call:
    found = db.session.get(Call, number)
    if found is None or (found.state == "draft" and not telling.may_edit(found)):
        abort(404)
    return found
