"""Runs over HTTP: results, curves and comparisons, what is in training, and one's own labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import abort, current_app, g, request, send_file
from flask_babel import gettext as _
from flask_login import current_user
from flask_smorest import Blueprint
from sqlalchemy import select
from werkzeug.wrappers import Response

from app.api.answers import answers
from app.api.documents import as_json, document
from app.api.needs import needs
from app.auth.service import hold
from app.extensions import db, limiter
from app.models import RunLabel
from app.runs.files import ModelFiles
from app.runs.leaks import picture, report_of, told
from app.runs.library import curves, details, fact
from app.runs.live import Live, stream
from app.runs.names import language
from app.runs.schemas import (
    ComparisonSchema,
    CurvesSchema,
    DetailsSchema,
    LabelSchema,
    LabelsSchema,
    LeaksSchema,
    LiveSchema,
    PairSchema,
    RunsSchema,
    StorySchema,
)  # fmt: skip
from app.runs.service import library
from app.runs.speakers import speakers
from utils.figures import curves_table
from utils.results import ResultError, result_path
from utils.studies import left_out_of

_BYTES = "application/octet-stream"

blueprint = Blueprint("api", __name__, url_prefix="/api/v1", description="Runs, curves and comparisons")


def found(name: str) -> dict[str, Any]:
    try:
        result = library().result(name)
    except ResultError as error:
        g.detail = str(error).replace(str(library().folder), "cache")
        abort(422)
    if result is None:
        abort(404)
    return result


def _told(name: str, how: Callable[..., dict[str, Any]], **beside: str) -> bytes:
    """What `how` says of a run as JSON, made anew only when its file has changed; see `Library.told`."""
    found(name)
    return library().told(name, how, **beside)


@blueprint.get("/runs")
@answers(RunsSchema)
def runs() -> Response:
    """All results in cache/, unreadable ones included."""
    return document(library().listing())


@blueprint.get("/runs/<name>")
@answers(DetailsSchema, 404, 422)
def run(name: str) -> Response:
    """One run: conf, partition, clients, confusion matrix, layers, versions."""
    return document(_told(name, details, left_out=left_out_of(name)))


@blueprint.get("/runs/<name>/curves")
@answers(CurvesSchema, 404, 422)
def run_curves(name: str) -> Response:
    """Every series of a run after each round, mean and band over its repeats, and what each round cost."""
    return document(_told(name, curves))


@blueprint.get("/runs/<name>/curves.csv")
@answers("text/csv", 404, 422)
def run_csv(name: str) -> Response:
    """The same as a table."""
    text = curves_table({name: found(name)}).to_csv(index=False, float_format="%.6g")
    response = current_app.response_class(text, mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


@blueprint.get("/runs/<name>/model.safetensors")
@answers(_BYTES, 404, 422)
def run_model(name: str) -> Response:
    """The run's model in half precision, where it was kept."""
    found(name)
    path = result_path(library().folder, name).with_suffix(".safetensors")
    if not path.is_file():
        abort(404)
    return send_file(path.resolve(), "application/octet-stream", as_attachment=True, download_name=path.name)


@blueprint.get("/runs/<name>/model.onnx")
@answers(_BYTES, 401, 404, 422, 503)
def run_onnx(name: str) -> Response:
    """The model of a run as ONNX: its task's input to `logits` (n, classes), or to `number` (n, 1).

    It is converted when somebody asks who is logged in; those that answer visitors, a handful, when anybody does.
    """
    models: ModelFiles = current_app.extensions["models"]
    result = found(name)
    asked = (room.names().values() for room in speakers(current_app))
    known = current_user.is_authenticated or any(name in names for names in asked)
    made = models.onnx(name, result, may_make=known)
    if made is None and result.get("model") and not known:
        g.message = _("Log in to have this model converted.")
        abort(401)
    if made is None:
        abort(404)
    return send_file(
        made.resolve(), "application/octet-stream", as_attachment=True, download_name=f"{name}.onnx"
    )


@blueprint.get("/runs/<name>/leaks")
@answers(LeaksSchema, 404, 422)
def run_leaks(name: str) -> Response:
    """What attacks on the run's updates and model came to, where a researcher has had them made."""
    found(name)
    return document(as_json(told(library().folder, name, _trained(name))).encode())


@blueprint.get("/runs/<name>/leaks/<int:row>.png")
@needs("read", "researcher")
@answers("image/png", 401, 403, 404, 422)
def run_leaks_picture(name: str, row: int) -> Response:
    """The pictures of a row of that report, above as they were, below as they were found; for researchers,
    and of examples alone that are published under a licence.
    """
    found(name)
    try:
        report = report_of(library().folder, name, _trained(name))
    except ResultError:
        abort(404)
    made = picture(report["rows"][row]) if report and row < len(report["rows"]) else None
    if made is None:
        abort(404)
    return current_app.response_class(made, mimetype="image/png")


def _trained(name: str) -> str:
    """When a run was trained, as its result says."""
    return str((library().result(name) or {}).get("finished", ""))


@blueprint.get("/comparison")
@limiter.limit("60 per minute")  # each new pair costs the server a moment
@blueprint.arguments(PairSchema, location="query")
@answers(ComparisonSchema, 404, 422, 429)
def comparison(pair: dict[str, str]) -> dict[str, Any]:
    """Accuracy (or RMSE) of run `a` minus run `b` on the same examples and seeds, with interval and p-value of this one
    test.
    """
    for name in (pair["a"], pair["b"]):
        found(name)
    said = library().pair(pair["a"], pair["b"])
    return {"comparison": fact(said, pair["a"], pair["b"]) if said else None}


@blueprint.get("/story")
@answers(StorySchema)
def story() -> Response:
    """The shipped runs at a glance, and what the Holm-corrected paired tests say of them."""
    return document(as_json(library().story()).encode())


@blueprint.get("/live")
@answers(LiveSchema)
def live() -> Response:
    """Runs in training, with accuracy and loss of each repeat after each round so far."""
    return document(as_json({"runs": current_app.extensions["live"].snapshot()}).encode())


@blueprint.get("/live/events")
@answers("text/event-stream", 204)
def live_events() -> Response:
    """The same as server-sent events; with Last-Event-ID only what is new since."""
    watched: Live = current_app.extensions["live"]
    if not watched.places.acquire(blocking=False):
        return current_app.response_class(status=204)  # which tells an EventSource not to try again
    events = stream(watched, request.headers.get("Last-Event-ID", ""), language())
    response = current_app.response_class(events, mimetype="text/event-stream")
    response.call_on_close(watched.places.release)  # also when nobody ever reads a line
    response.headers["X-Accel-Buffering"] = "no"  # nginx passes events on as they come
    return response


@blueprint.get("/labels")
@needs("read")
@answers(LabelsSchema, 401, 403)
def labels() -> dict[str, Any]:
    """One's own tags and notes, by run."""
    return {"labels": {one.run: {"tags": one.tags.split(), "note": one.note} for one in current_user.labels}}


@blueprint.put("/labels/<name>")
@needs("label")
@blueprint.arguments(LabelSchema)
@answers(LabelSchema, 401, 403, 404, 422)
def label(given: dict[str, Any], name: str) -> dict[str, Any]:
    """Set one's own tags and note on a run; none of either removes them."""
    if not any(one["name"] == name for one in library().summaries()):
        abort(404)
    hold(current_user)
    own = db.session.scalar(select(RunLabel).where(RunLabel.user_id == current_user.id, RunLabel.run == name))
    tags = " ".join(sorted(set(given["tags"])))
    if own is None and (tags or given["note"]):
        current_user.labels.append(RunLabel(run=name, tags=tags, note=given["note"]))
    elif own is not None and (tags or given["note"]):
        own.tags, own.note = tags, given["note"]
    elif own is not None:
        current_user.labels.remove(own)
    db.session.commit()
    return {"tags": tags.split(), "note": given["note"]}
