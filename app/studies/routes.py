"""The pages of studies: all of them as cards, and one with everything that was measured."""

from __future__ import annotations

from flask import Blueprint, abort, render_template

from app.runs.names import language
from app.studies.cards import card
from app.studies.service import studies, told

blueprint = Blueprint("studies", __name__, url_prefix="/studies")


@blueprint.get("")
def index() -> str:
    """A card for each: its picture, its question, its measured answer."""
    cards = [card(question, language()) for question in studies().questions()]
    return render_template("studies/studies.html", cards=cards)


@blueprint.get("/<name>")
def study(name: str) -> str:
    """One study; its table works without JavaScript."""
    question = studies().question(name)
    if question is None:
        abort(404)
    return render_template(
        "studies/study.html", study=told(question, studies().results(question), language())
    )
