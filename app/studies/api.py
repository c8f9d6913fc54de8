"""Studies over HTTP: what they ask, and what was measured. `app.jobs.api` queues one."""

from __future__ import annotations

from flask import abort
from flask_smorest import Blueprint
from werkzeug.wrappers import Response

from app.api.answers import answers
from app.api.documents import as_json, document
from app.runs.names import language
from app.studies.schemas import StudiesSchema, StudySchema
from app.studies.service import listed, studies, told

blueprint = Blueprint("studies_api", __name__, url_prefix="/api/v1", description="Studies and their answers")


@blueprint.get("/studies")
@answers(StudiesSchema, 503)
def all_studies() -> Response:
    """Every study, with its measured answer."""
    known = studies()
    found = [listed(one, known.results(one), language()) for one in known.questions()]
    return document(as_json({"studies": found}).encode())


@blueprint.get("/studies/<name>")
@answers(StudySchema, 404, 503)
def study(name: str) -> Response:
    """One study: its cells with their confs, every result with intervals, paired tests and sentences."""
    question = studies().question(name)
    if question is None:
        abort(404)
    return document(as_json(told(question, studies().results(question), language())).encode())
