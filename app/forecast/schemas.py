"""What the forecast's part of the API takes and answers."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from app.forecast.service import ROLES


class SayingSchema(Schema):
    """What one model says: answer, calibrated probability of sunny, how unlike skies (above 1: none), mean light."""

    answer = fields.String(
        required=True, validate=validate.OneOf(("sunny", "cloudy", "unsure", "night", "no colour", "no sky"))
    )
    probability, strangeness, light = (fields.Float(required=True) for _ in range(3))
    role, run = fields.String(required=True), fields.String(required=True)


class FaultSchema(Schema):
    """Why a photo was not judged."""

    code = fields.Integer(required=True)
    message = fields.String(required=True)


class JudgedSchema(Schema):
    """A photo's forecast or its error; `others` on `compare`, `heat` (7 x 7, -1..1, from the top) on `explain`."""

    file = fields.String(required=True)
    error = fields.Nested(FaultSchema)
    forecast = fields.Nested(SayingSchema)
    others = fields.List(fields.Nested(SayingSchema))
    heat = fields.List(fields.List(fields.Float()))


class ForecastsSchema(Schema):
    """One entry per photo, in the order they came."""

    forecasts = fields.List(fields.Nested(JudgedSchema), required=True)


class TestedSchema(Schema):
    """What a new photo may expect, measured on photos not seen in training: of so many `answers` the share `answered`
    with sunny or cloudy, and the share of these that was `right` (null where none was given). `elsewhere`: photos of
    `sources` that the recipe was trained without.
    """

    sources = fields.List(fields.String(), required=True)
    elsewhere = fields.Boolean(required=True)
    answers = fields.Integer(required=True)
    answered = fields.Float(required=True)
    right = fields.Float(required=True, allow_none=True)


class ModelSchema(Schema):
    """A model that answers, and what judging on one's own device needs; `image_size`: side of what it is given."""

    role, run, title, onnx, sha256 = (fields.String(required=True) for _ in range(5))
    image_size, bytes, parameters = (fields.Integer(required=True) for _ in range(3))
    temperature, cloudy_to, sunny_from = (fields.Float(required=True) for _ in range(3))
    tested = fields.List(fields.Nested(TestedSchema), required=True)


class SkyCheckSchema(Schema):
    """The sky check: `distance = z . precision . z` with z the standardised statistics; a sky up to `threshold`."""

    mean, spread = (fields.List(fields.Float(), required=True) for _ in range(2))
    precision = fields.List(fields.List(fields.Float()), required=True)
    threshold = fields.Float(required=True)


class ModelsSchema(Schema):
    """The models that answer, and the sky check they share."""

    models = fields.List(fields.Nested(ModelSchema), required=True)
    sky = fields.Nested(SkyCheckSchema, required=True)


class AskSchema(Schema):
    """How to judge: by which model, turned clockwise by so many degrees, with the others beside it, with a heat map,
    with time and place of the photo.
    """

    model = fields.String(load_default="federated", validate=validate.OneOf(tuple(ROLES)))
    turn = fields.Integer(load_default=0, validate=validate.OneOf((0, 90, 180, 270)))
    compare, explain, place = (fields.Boolean(load_default=False) for _ in range(3))


class KeptSchema(Schema):
    """A forecast in one's own history; `correction` is what the sky really was, if one said so."""

    id = fields.Integer(required=True)
    at, file, answer, run, title = (fields.String(required=True) for _ in range(5))
    probability = fields.Float(required=True)
    correction = fields.String(required=True, validate=validate.OneOf(("", "sunny", "cloudy", "neither")))


class HistorySchema(Schema):
    """One's own history, newest first."""

    forecasts = fields.List(fields.Nested(KeptSchema), required=True)


class CorrectionSchema(Schema):
    """What the sky really was; empty takes a correction back."""

    correction = fields.String(required=True, validate=validate.OneOf(("", "sunny", "cloudy", "neither")))
