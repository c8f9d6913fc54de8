"""POST /api/v1/forecast for programs and the page; one's own history of forecasts."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, NoReturn

from flask import Flask, abort, current_app, g, request, send_file
from flask_babel import gettext as _
from flask_login import current_user
from flask_smorest import Blueprint
from sqlalchemy import func, select
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response

from app.api.answers import answers
from app.api.needs import needs
from app.extensions import db, limiter
from app.forecast import photos as photos_of_runs
from app.forecast.schemas import (
    AskSchema,
    CorrectionSchema,
    ForecastsSchema,
    HistorySchema,
    KeptSchema,
    ModelsSchema,
)
from app.forecast.service import Forecasters, is_night, to_keep
from app.models import Forecast
from utils.forecast.pixels import Pixels, square_of, turned
from utils.forecast.predictor import Predictor, read_photo
from utils.forecast.sky_check import shipped
from utils.photos.cleaning import Refused, decode

blueprint = Blueprint("forecast_api", __name__, url_prefix="/api/v1", description="Forecasts from photos")
blueprints = (blueprint, photos_of_runs.blueprint)
MAX_PHOTOS, MAX_PHOTO_BYTES, MAX_KEPT = 10, 25_000_000, 200
_CODES = {"empty file": 400, "too large": 413, "not a picture": 415}  # others 422


def forecasters() -> Forecasters:
    """The models of this site."""
    return current_app.extensions["forecasters"]  # type: ignore[no-any-return]


def takes_photos(most: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Tell the OpenAPI document of the upload."""
    photo = {
        "type": "array",
        "maxItems": most,
        "minItems": 1,
        "items": {"type": "string", "format": "binary"},
    }
    schema = {"type": "object", "properties": {"photo": photo}, "required": ["photo"]}
    body = {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    described: Callable[[Callable[..., Any]], Callable[..., Any]] = blueprint.doc(requestBody=body)
    return described


@blueprint.get("/forecast/models")
@answers(ModelsSchema)
def models() -> dict[str, Any]:
    """The models that answer, and what it takes to judge on one's own device."""
    found = []
    for role, name in forecasters().names().items():
        if (predictor := forecasters().predictor(name)) is not None:
            how = predictor.calibration
            found.append({
                "role": role, "run": name, "image_size": predictor.conf.task.keys.judged_side,
                "temperature": how.temperature, "cloudy_to": how.cloudy_to, "sunny_from": how.sunny_from,
                "onnx": f"/api/v1/runs/{name}/model.onnx", "sha256": predictor.model["sha256"],
                "bytes": predictor.model["bytes"], "parameters": predictor.parameters,
                "tested": [asdict(one) for one in predictor.trust],
            })  # fmt: skip
    check = shipped()
    sky = {name: getattr(check, name).tolist() for name in ("mean", "spread", "precision")}
    return {"models": found, "sky": {**sky, "threshold": check.threshold}}


@blueprint.post("/forecast")
@limiter.limit("60 per minute")
@blueprint.arguments(AskSchema, location="query")
@takes_photos(MAX_PHOTOS)
@answers(ForecastsSchema, 404, 413, 415, 422, 429)
def forecast(asked: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Judge up to ten photos (`photo`). They are judged in memory and dropped.

    A single photo that cannot be judged gives its own status; of several, each has its forecast or its error.
    """
    photos = _uploaded()
    names = forecasters().names()
    predictor = _predictor(names, asked["model"])
    entries = [_entry(photo, predictor, names, asked) for photo in photos]
    faults = [entry["error"] for entry in entries if "error" in entry]
    if len(faults) == len(entries):
        g.detail, g.message = faults[0]["message"], faults[0]["message"]
        abort(faults[0]["code"])
    return {"forecasts": entries}, 200


@blueprint.get("/forecasts")
@needs("read")
@answers(HistorySchema, 401, 403)
def history() -> dict[str, Any]:
    """One's own kept forecasts."""
    return {"forecasts": [_kept(one) for one in reversed(current_user.forecasts)]}


@blueprint.post("/forecasts")
@needs("keep")
@limiter.limit("60 per minute")
@blueprint.arguments(AskSchema, location="query")
@takes_photos(1)
@answers(KeptSchema, 401, 403, 404, 413, 415, 422, 429)
def keep(asked: dict[str, Any]) -> dict[str, Any]:
    """Judge one photo and keep it in one's own history, turned as it was judged, smaller and without its metadata."""
    photos = _uploaded()
    if len(photos) != 1:
        _refuse(400, _("Send one photo."))
    if _count(current_user.id) >= MAX_KEPT:
        _refuse(422, _("Your history holds %(count)s forecasts, the most there can be.", count=MAX_KEPT))
    predictor = _predictor(forecasters().names(), asked["model"])
    try:
        with forecasters().places:
            image = decode(_read(photos[0]), at_least=640)
            said = predictor.judge(turned(square_of(image), asked["turn"]))
            small = to_keep(image, asked["turn"])
    except Refused as reason:
        code, message = _fault(reason)
        _refuse(code, message)
    one = Forecast(
        file=_name(photos[0]), photo=small, answer=said.answer, probability=said.probability, run=predictor.name,
        model=predictor.model["sha256"],
    )  # fmt: skip
    current_user.forecasts.append(one)
    db.session.commit()
    return _kept(one)


@blueprint.get("/forecasts/<int(max=2147483647):number>/photo")
@needs("read")
@answers("image/jpeg", 401, 403, 404)
def kept_photo(number: int) -> Response:
    """The picture of one of one's own forecasts."""
    return send_file(io.BytesIO(_own(number).photo), "image/jpeg")


@blueprint.put("/forecasts/<int(max=2147483647):number>")
@needs("keep")
@blueprint.arguments(CorrectionSchema)
@answers(KeptSchema, 401, 403, 404, 422)
def correct(given: dict[str, str], number: int) -> dict[str, Any]:
    """Say what the sky really was."""
    one = _own(number)
    one.correction = given["correction"]
    db.session.commit()
    return _kept(one)


@blueprint.delete("/forecasts/<int(max=2147483647):number>")
@needs("keep")
@answers(HistorySchema, 401, 403, 404)
def forget(number: int) -> dict[str, Any]:
    """Delete one of one's own forecasts, with its picture; answers with what is left."""
    current_user.forecasts.remove(_own(number))
    db.session.commit()
    return {"forecasts": [_kept(one) for one in reversed(current_user.forecasts)]}


def _uploaded() -> list[FileStorage]:
    if request.mimetype != "multipart/form-data":
        _refuse(
            415, _("Send the photo as a form with the field %(name)s (multipart/form-data).", name="photo")
        )
    photos = request.files.getlist("photo")
    if not photos:
        _refuse(400, _("There is no photo in the request (field %(name)s).", name="photo"))
    if len(photos) > MAX_PHOTOS:
        _refuse(413, _("Send at most %(count)s photos at a time.", count=MAX_PHOTOS))
    return photos


def _predictor(names: dict[str, str], role: str) -> Predictor:
    predictor = forecasters().predictor(names[role]) if role in names else None
    if predictor is None:
        _refuse(404, _("There is no trained model to ask yet."))
    return predictor


def _entry(
    photo: FileStorage, predictor: Predictor, names: dict[str, str], asked: dict[str, Any]
) -> dict[str, Any]:
    entry: dict[str, Any] = {"file": _name(photo)}
    try:
        with forecasters().places:
            raw = _read(photo)
            square = turned(read_photo(raw), asked["turn"])
            night = is_night(raw) if asked["place"] else None
            entry["forecast"] = _said(asked["model"], predictor, square, night)
            if asked["compare"]:
                others = ((role, forecasters().predictor(name)) for role, name in names.items())
                entry["others"] = [_said(role, one, square, night) for role, one in others if one is not None]
            if asked["explain"]:
                entry["heat"] = [[round(float(v), 3) for v in row] for row in predictor.heat(square)]
    except Refused as reason:
        code, message = _fault(reason)
        return {"file": entry["file"], "error": {"code": code, "message": message}}
    return entry


def _said(role: str, predictor: Predictor, square: Pixels, night: bool | None) -> dict[str, Any]:
    return {**predictor.judge(square, night).as_json(), "role": role, "run": predictor.name}


def _read(photo: FileStorage) -> bytes:
    raw = photo.stream.read(MAX_PHOTO_BYTES + 1)
    if len(raw) > MAX_PHOTO_BYTES:
        raise Refused("too large")
    return raw


def _fault(refused: Refused) -> tuple[int, str]:
    texts = {
        "empty file": _("This file is empty."),
        "too large": _("This photo is too large: at most 25 MB and 100 million pixels."),
        "too small": _("This photo is too small: at least 64 pixels a side."),
        "not a picture": _(
            "This is not a picture in a format known here (JPEG, HEIC, PNG, WebP, TIFF, BMP, GIF)."
        ),
        "animated": _("This picture moves; send a still one."),
        "damaged": _("This picture is damaged and cannot be read."),
        "not a photo": _("This is a picture, but not a photo."),
    }
    return _CODES.get(refused.reason, 422), texts.get(refused.reason, _("This photo cannot be read."))


def _refuse(code: int, message: str) -> NoReturn:
    g.message = message
    abort(code)


def _name(photo: FileStorage) -> str:
    return "".join(letter for letter in (photo.filename or "") if letter.isprintable())[-100:]


def _kept(one: Forecast) -> dict[str, Any]:
    return {
        "id": one.id, "at": one.at.isoformat(timespec="seconds"), "file": one.file, "answer": one.answer,
        "run": one.run, "probability": one.probability, "correction": one.correction,
    }  # fmt: skip


def _own(number: int) -> Forecast:
    one: Forecast | None = db.session.get(Forecast, number)
    if one is None or one.user_id != current_user.id:
        abort(404)
    return one


def _count(user: int) -> int:
    return db.session.scalar(select(func.count(Forecast.id)).where(Forecast.user_id == user)) or 0


def init_app(app: Flask) -> None:
    """Bind the photos of this machine, and the models, and let photos come."""
    photos_of_runs.init_app(app)
    app.extensions["forecasters"] = Forecasters(app.extensions["library"])
    app.config["UPLOADS"] |= {f"{blueprint.name}.{view.__name__}" for view in (forecast, keep)}
