"""The page on which a conf is put together."""

from __future__ import annotations

from flask import Blueprint, abort, render_template
from flask_login import current_user, login_required

blueprint = Blueprint("confs", __name__, url_prefix="/confs")


@blueprint.get("/new")
@login_required
def page() -> str:
    """Every key with its range, a preview of what it leads to, the file and the command that trains it."""
    if current_user.role == "user":
        abort(403)
    return render_template("confs/new.html")
