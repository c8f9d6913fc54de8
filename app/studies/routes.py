"""The pages of studies: all of them as cards, and one with everything that was measured."""

from __future__ import annotations

from flask import Blueprint, abort, render_template

from app.runs.names import language
from app.studies.pictures import HEIGHT, WIDTH, small
from app.studies.service import listed, studies, told

blueprint = Blueprint("studies", __name__, url_prefix="/studies")


@blueprint.get("")
def index() -> str:
    """A card for each: its picture, its question, its measured answer."""
    known, cards = studies(), []
    for question in known.questions():
        results = known.results(question)
        first = next((one.told for one in results if one.told and one.told.found), None)
        cards.append(
            {**listed(question, results, language()), "picture": small(first) if first else None,
             "figure": question.figures[0].label[language()]}
        )  # fmt: skip
    return render_template("studies/studies.html", cards=cards, width=WIDTH, height=HEIGHT)


@blueprint.get("/<name>")
def study(name: str) -> str:
    """One study; its table works without JavaScript."""
    question = studies().question(name)
    if question is None:
        abort(404)
    return render_template(
        "studies/study.html", study=told(question, studies().results(question), language())
    )
