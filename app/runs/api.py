"""The JSON API under /api/v1: what programs and the front end ask; described at /api/v1/openapi.json."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from flask import Flask, abort, current_app, g, request, send_file
from flask_login import current_user
from flask_smorest import Api, Blueprint
from marshmallow import Schema
from sqlalchemy import select
from werkzeug.wrappers import Response

from app.extensions import csrf, db, limiter
from app.models import ROLES, ApiToken, RunLabel, hash_secret, now
from app.runs.files import ModelFiles, PhotoFiles
from app.runs.library import Library, curves, details, fact
from app.runs.live import Live, stream
from app.runs.schemas import (
    ComparisonSchema,
    CurvesSchema,
    DetailsSchema,
    LabelSchema,
    LabelsSchema,
    LiveSchema,
    PairSchema,
    PhotosSchema,
    RefusalSchema,
    RunsSchema,
    StorySchema,
)  # fmt: skip
from utils.figures import curves_table
from utils.results import ResultError, result_path

_BYTES = "application/octet-stream"
UPLOADS = ("forecast_api.forecast", "forecast_api.keep")
MAX_UPLOAD_BYTES = 64_000_000

blueprint = Blueprint("api", __name__, url_prefix="/api/v1", description="Runs, curves and comparisons")


def library() -> Library:
    """The results of this site."""
    return current_app.extensions["library"]  # type: ignore[no-any-return]


def needs(scope: str, role: str = "user") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Only for people who are logged in and at least `role`, and for tokens of theirs that carry `scope`."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def guarded(*arguments: Any, **named: Any) -> Any:
            if not current_user.is_authenticated:
                abort(401)
            token = g.get("token")
            if token is not None and scope not in token.scopes.split():
                abort(403)
            if ROLES.index(current_user.role) < ROLES.index(role):
                abort(403)
            return view(*arguments, **named)

        return guarded

    return decorate


def answers(what: type[Schema] | str, *refusals: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Tell the OpenAPI document what a success looks like, JSON or another type, and which refusals there are."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        if isinstance(what, str):
            schema = {"type": "string", "format": "binary"}
            view = blueprint.alt_response(200, schema=schema, content_type=what, success=True)(view)
        else:
            view = blueprint.alt_response(200, schema=what, success=True)(view)
        for code in (400, *refusals):
            if code == 204:
                view = blueprint.alt_response(
                    204, description="No place for one more; ask /live now and then"
                )(view)
            else:
                view = blueprint.alt_response(code, schema=RefusalSchema)(view)
        return view

    return decorate


def _found(name: str) -> dict[str, Any]:
    try:
        result = library().result(name)
    except ResultError as error:
        g.detail = str(error).replace(str(library().folder), "cache")
        abort(422)
    if result is None:
        abort(404)
    return result


def _told(name: str, how: Callable[[str, dict[str, Any]], dict[str, Any]]) -> bytes:
    """What `how` says of a run as JSON, made anew only when its file has changed."""
    _found(name)
    return library().told(name, how)


def _with_etag(body: bytes) -> Response:
    response = current_app.response_class(body, mimetype="application/json")
    response.set_etag(hashlib.sha256(body).hexdigest()[:32])
    response.cache_control.no_cache = True
    response.cache_control.private = True
    return response.make_conditional(request)


@blueprint.get("/runs")
@answers(RunsSchema)
def runs() -> Response:
    """All results in cache/, unreadable ones included."""
    return _with_etag(library().listing())


@blueprint.get("/runs/<name>")
@answers(DetailsSchema, 404, 422)
def run(name: str) -> Response:
    """One run: conf, partition, clients, confusion matrix, layers, versions."""
    return _with_etag(_told(name, details))


@blueprint.get("/runs/<name>/curves")
@answers(CurvesSchema, 404, 422)
def run_curves(name: str) -> Response:
    """Accuracy and loss of a run after each round, with bands over its repeats, on every axis."""
    return _with_etag(_told(name, curves))


@blueprint.get("/runs/<name>/curves.csv")
@answers("text/csv", 404, 422)
def run_csv(name: str) -> Response:
    """The same as a table."""
    text = curves_table({name: _found(name)}).to_csv(index=False, float_format="%.6g")
    response = current_app.response_class(text, mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


@blueprint.get("/runs/<name>/model.safetensors")
@answers(_BYTES, 404, 422)
def run_model(name: str) -> Response:
    """The run's model in half precision, where it was kept."""
    _found(name)
    path = result_path(library().folder, name).with_suffix(".safetensors")
    if not path.is_file():
        abort(404)
    return send_file(path.resolve(), "application/octet-stream", as_attachment=True, download_name=path.name)


@blueprint.get("/runs/<name>/model.onnx")
@limiter.limit("30 per minute")  # the first of a model costs the server some seconds
@answers(_BYTES, 404, 422, 429)
def run_onnx(name: str) -> Response:
    """The model of a run as ONNX: `pixels` (n, 3, s, s), RGB in 0..1, to `logits` (n, 2), cloudy then sunny."""
    made: Path | None = current_app.extensions["models"].onnx(name, _found(name))
    if made is None:
        abort(404)
    return send_file(
        made.resolve(), "application/octet-stream", as_attachment=True, download_name=f"{name}.onnx"
    )


@blueprint.get("/runs/<name>/photos")
@needs("read", "researcher")
@answers(PhotosSchema, 401, 403, 404, 422)
def run_photos(name: str) -> dict[str, Any]:
    """SHA-256s of the photos the run was tested on that are on this machine; for researchers, photos are private."""
    return {"photos": sorted(_photos(name))}


@blueprint.get("/runs/<name>/photos/<sha256>")
@needs("read", "researcher")
@answers("image/png", 401, 403, 404, 422)
def run_photo(name: str, sha256: str) -> Response:
    """One of these photos, cleaned, as it was judged before it was made smaller."""
    photo = _photos(name).get(sha256)
    if photo is None or not photo.is_file():
        abort(404)
    return send_file(photo.resolve(), "image/png")


def _photos(name: str) -> dict[str, Path]:
    result = _found(name)
    here: dict[str, Path] = current_app.extensions["photos"].of(str(result["data"].get("set", "")))
    tested = {photo for repeat in result["repeats"] for photo in repeat["test"]["hash"]}
    return {sha256: here[sha256] for sha256 in tested & set(here)}


@blueprint.get("/comparison")
@limiter.limit("60 per minute")  # each new pair costs the server a moment
@blueprint.arguments(PairSchema, location="query")
@answers(ComparisonSchema, 404, 422, 429)
def comparison(pair: dict[str, str]) -> dict[str, Any]:
    """Accuracy of run `a` minus run `b` on the same photos and seeds, with interval and p-value of this one test."""
    for name in (pair["a"], pair["b"]):
        _found(name)
    found = library().pair(pair["a"], pair["b"])
    return {"comparison": fact(found, pair["a"], pair["b"]) if found else None}


@blueprint.get("/story")
@answers(StorySchema)
def story() -> Response:
    """The shipped runs at a glance, and what the Holm-corrected paired tests say of them."""
    return _with_etag(json.dumps(library().story()).encode())


@blueprint.get("/live")
@answers(LiveSchema)
def live() -> Response:
    """Runs in training, with accuracy and loss of each repeat after each round so far."""
    return _with_etag(json.dumps({"runs": current_app.extensions["live"].snapshot()}).encode())


@blueprint.get("/live/events")
@answers("text/event-stream", 204)
def live_events() -> Response:
    """The same as server-sent events; with Last-Event-ID only what is new since."""
    watched: Live = current_app.extensions["live"]
    if not watched.places.acquire(blocking=False):
        return current_app.response_class(status=204)  # which tells an EventSource not to try again
    events = stream(watched, request.headers.get("Last-Event-ID", ""))
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


def _authenticate() -> None:
    """A bearer token speaks for its owner; without one, a change needs the page's CSRF token.

    Nobody in particular has nothing that a forged request could abuse, so programs need no token to ask the API.
    """
    if request.endpoint in UPLOADS:
        request.max_content_length = MAX_UPLOAD_BYTES
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        token = db.session.scalar(select(ApiToken).where(ApiToken.secret_hash == hash_secret(secret.strip())))
        if token is None or token.user.disabled or not request.path.startswith("/api/"):
            abort(401)
        g.token, g._login_user = token, token.user
        if token.last_used is None or (now() - token.last_used).total_seconds() > 60:
            token.last_used = now()
            db.session.commit()
    elif current_user.is_authenticated or not request.path.startswith("/api/"):
        csrf.protect()


def init_app(app: Flask) -> None:
    """Bind the API and the results it tells of."""
    app.config.update(
        API_TITLE="SkyFed", API_VERSION="v1", OPENAPI_VERSION="3.0.3", OPENAPI_URL_PREFIX="/api/v1",
        OPENAPI_JSON_PATH="openapi.json",
    )  # fmt: skip
    app.extensions["library"] = Library(app.config["CACHE"])
    app.extensions["models"] = ModelFiles(app.config["CACHE"], app.config["INSTANCE"] / "onnx")
    app.extensions["photos"] = PhotoFiles(app.config["PHOTOS"])
    app.extensions["live"] = Live(app.config["CACHE"], streams=app.config["STREAMS"])
    app.config["WTF_CSRF_CHECK_DEFAULT"] = False
    app.config["UPLOADS"] = UPLOADS
    app.before_request(_authenticate)
    api = Api(app)
    api.spec.components.security_scheme("token", {"type": "http", "scheme": "bearer"})
    api.register_blueprint(blueprint)
    from app.confs import api as confs  # these build on this module
    from app.forecast import api as forecast
    from app.jobs import api as jobs

    forecast.init_app(app)
    api.register_blueprint(forecast.blueprint)
    api.register_blueprint(confs.blueprint)
    api.register_blueprint(jobs.blueprint)
