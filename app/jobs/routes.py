"""The pages of trainings: the queue, and one training while it goes on."""

from __future__ import annotations

from flask import Blueprint, abort, render_template
from flask_login import current_user, login_required

from app.auth.pages import for_researchers
from app.extensions import db
from app.models import Job

blueprint = Blueprint("jobs", __name__, url_prefix="/jobs")


@blueprint.before_request
@login_required
def guard() -> None:
    """Nobody else may start trainings."""
    for_researchers()


@blueprint.get("")
def jobs() -> str:
    """Everybody's trainings in their order, and what the machine has to do."""
    return render_template("jobs/jobs.html")


@blueprint.get("/<int(max=2147483647):number>")
def job(number: int) -> str:
    """One of one's own trainings: curve, clients, log."""
    one = db.session.get(Job, number)
    if one is None or (one.user_id != current_user.id and not current_user.is_admin):
        abort(404)
    return render_template("jobs/job.html", job=one)
