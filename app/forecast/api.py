"""POST /api/v1/forecast for programs and the page; one's own history of forecasts."""

from __future__ import annotations

import io
import os
from dataclasses import asdict
from typing import Any

from flask import Flask, abort, g, send_file
from flask_babel import gettext as _
from flask_login import current_user
from flask_smorest import Blueprint
from sqlalchemy import func, select
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import ServiceUnavailable, TooManyRequests
from werkzeug.wrappers import Response

from app.api.answers import answers
from app.api.busy import place
from app.api.needs import needs
from app.auth.service import hold
from app.config import count
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
from app.forecast.service import Forecasters
from app.forecast.uploads import (
    MAX_PHOTOS,
    fault,
    forecasters,
    look,
    name_of,
    refuse,
    square_in,
    takes_photos,
    uploaded,
)  # fmt: skip
from app.models import Forecast
from app.runs.service import library
from app.runs.speakers import speakers
from utils.forecast.pixels import Pixels
from utils.forecast.predictor import Predictor
from utils.forecast.sky_check import shipped
from utils.photos.cleaning import Refused

blueprint = Blueprint("forecast_api", __name__, url_prefix="/api/v1", description="Forecasts from photos")
blueprints = (blueprint, photos_of_runs.blueprint)
MAX_KEPT = 200


@blueprint.get("/forecast/models")
@answers(ModelsSchema)
def models() -> dict[str, Any]:
    """The models that answer, and what it takes to judge on one's own device."""
    found = []
    for role, (name, predictor) in forecasters().all().items():
        how = predictor.calibration
        found.append({
            "role": role, "run": name, "title": library().title(name),
            "image_size": predictor.conf.task.keys.judged_side,
            "temperature": how.temperature, "cloudy_to": how.low, "sunny_from": how.high,
            "onnx": f"/api/v1/runs/{name}/model.onnx", "sha256": predictor.model["sha256"],
            "bytes": predictor.model["bytes"], "parameters": predictor.parameters,
            "tested": [asdict(one) for one in predictor.trust],
        })  # fmt: skip
    check = shipped()
    sky = {name: getattr(check, name).tolist() for name in ("mean", "spread", "precision")}
    return {"models": found, "sky": {**sky, "threshold": check.threshold}}


@blueprint.post("/forecast")
@limiter.limit("300 per minute")  # what costs is counted by photos; see uploads.look
@blueprint.arguments(AskSchema, location="query")
@takes_photos(blueprint, MAX_PHOTOS)
@answers(ForecastsSchema, 404, 413, 415, 422, 429)
def forecast(asked: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Judge up to ten photos (`photo`). They are judged in memory and dropped.

    A single photo that cannot be judged gives its own status; of several, each has its forecast or its error.
    """
    photos = uploaded()
    names = forecasters().names()
    predictor = _predictor(names, asked["model"])
    entries = [_entry(photo, predictor, names, asked) for photo in photos]
    faults = [entry["error"] for entry in entries if "error" in entry]
    if len(faults) == len(entries):
        refuse(faults[0]["code"], faults[0]["message"])
    return {"forecasts": entries}, 200


@blueprint.get("/forecasts")
@needs("read")
@answers(HistorySchema, 401, 403)
def history() -> dict[str, Any]:
    """One's own kept forecasts."""
    return {"forecasts": [_kept(one) for one in reversed(current_user.forecasts)]}


@blueprint.post("/forecasts")
@needs("keep")
@limiter.limit("300 per minute")  # what costs is counted by photos; see uploads.look
@blueprint.arguments(AskSchema, location="query")
@takes_photos(blueprint, 1)
@answers(KeptSchema, 401, 403, 404, 413, 415, 422, 429)
def keep(asked: dict[str, Any]) -> dict[str, Any]:
    """Judge one photo and keep it in one's own history, turned as it was judged, smaller and without its metadata."""
    photos = uploaded()
    if len(photos) != 1:
        refuse(400, _("Send one photo."))
    _check_room()
    predictor = _predictor(forecasters().names(), asked["model"])
    try:
        seen = look(photos[0], keep=True, turn=asked["turn"])
        with place(forecasters().places, waiting=True):
            said = predictor.judge(square_in(seen))
    except Refused as reason:
        refuse(*fault(reason))
    one = Forecast(
        file=name_of(photos[0]), photo=seen["small"], answer=said.answer, probability=said.probability,
        run=predictor.name, model=predictor.model["sha256"],
    )  # fmt: skip
    hold(current_user)
    _check_room()  # once more, as others may have come meanwhile
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


def _predictor(names: dict[str, str], role: str) -> Predictor:
    predictor = forecasters().predictor(names[role]) if role in names else None
    if predictor is None:
        refuse(404, _("There is no trained model to ask yet."))
    return predictor


def _entry(
    photo: FileStorage, predictor: Predictor, names: dict[str, str], asked: dict[str, Any]
) -> dict[str, Any]:
    entry: dict[str, Any] = {"file": name_of(photo)}
    try:
        seen = look(photo, place=asked["place"], turn=asked["turn"])
        square, night = square_in(seen), seen.get("night")
        with place(forecasters().places, waiting=True):
            entry["forecast"] = _said(asked["model"], predictor, square, night)
            if asked["compare"]:
                others = ((role, forecasters().predictor(name)) for role, name in names.items())
                entry["others"] = [_said(role, one, square, night) for role, one in others if one is not None]
            if asked["explain"]:
                entry["heat"] = [[round(float(v), 3) for v in row] for row in predictor.heat(square)]
    except Refused as reason:
        code, message = fault(reason)
    except (ServiceUnavailable, TooManyRequests) as error:
        code, message = error.code, g.pop("message")
    else:
        return entry
    return {"file": entry["file"], "error": {"code": code, "message": message}}


def _said(role: str, predictor: Predictor, square: Pixels, night: bool | None) -> dict[str, Any]:
    return {**predictor.judge(square, night).as_json(), "role": role, "run": predictor.name}


def _kept(one: Forecast) -> dict[str, Any]:
    return {
        "id": one.id, "at": one.at.isoformat(timespec="seconds"), "file": one.file, "answer": one.answer,
        "run": one.run, "title": library().title(one.run), "probability": one.probability,
        "correction": one.correction,
    }  # fmt: skip


def _own(number: int) -> Forecast:
    one: Forecast | None = db.session.get(Forecast, number)
    if one is None or one.user_id != current_user.id:
        abort(404)
    return one


def _check_room() -> None:
    kept = select(func.count(Forecast.id)).where(Forecast.user_id == current_user.id)
    if (db.session.scalar(kept) or 0) >= MAX_KEPT:
        refuse(422, _("Your history holds %(count)s forecasts, the most there can be.", count=MAX_KEPT))


def init_app(app: Flask) -> None:
    """Bind the photos of this machine, and the models, and let photos come."""
    photos_of_runs.init_app(app)
    app.config.setdefault(
        "PHOTOS", count(os.environ, "SKYFED_PHOTOS", 120, "photos a visitor may send in a minute")
    )
    app.config.setdefault(
        "MEGAPIXELS", count(os.environ, "SKYFED_MEGAPIXELS", 3000, "megapixels of them that are decoded")
    )
    app.extensions["forecasters"] = Forecasters(app.extensions["library"])
    speakers(app).append(app.extensions["forecasters"])
    app.config["UPLOADS"] |= {f"{blueprint.name}.{view.__name__}" for view in (forecast, keep)}
