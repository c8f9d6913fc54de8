"""The page of nodes: for their owners, for researchers, for admins."""

from __future__ import annotations

from flask import Blueprint, Flask, render_template
from flask_login import current_user, login_required
from sqlalchemy import func, select

from app.extensions import db
from app.models import Node

blueprint = Blueprint("nodes", __name__, url_prefix="/nodes")


@blueprint.get("")
@login_required
def page() -> str:
    """One's own nodes; for researchers all."""
    return render_template("nodes/nodes.html")


def own_nodes() -> int:
    """How many nodes are the person's who asks."""
    mine = select(func.count(Node.id)).where(Node.user_id == current_user.id)
    return int(db.session.scalar(mine) or 0)


def init_app(app: Flask) -> None:
    """Let pages say whether somebody has nodes."""
    app.jinja_env.globals["own_nodes"] = own_nodes
