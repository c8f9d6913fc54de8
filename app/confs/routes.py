"""The page on which a conf is put together."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask_login import login_required

from app.auth.pages import for_researchers

blueprint = Blueprint("confs", __name__, url_prefix="/confs")


@blueprint.get("/new")
@login_required
def page() -> str:
    """Every key with its range, a preview of what it leads to, the file and the command that trains it."""
    for_researchers()
    return render_template("confs/new.html")
