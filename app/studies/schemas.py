"""What the API tells of studies."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from utils.studies.questions import ANSWERS, PICTURES


def _text(**more: object) -> fields.String:
    return fields.String(required=True, **more)  # type: ignore[arg-type]


def _number(**more: object) -> fields.Float:
    return fields.Float(required=True, **more)  # type: ignore[arg-type]


class CardSchema(Schema):
    """A study in the list: its question, and the measured answer; null: not measured yet."""

    name, title, question = (_text() for _ in range(3))
    number = fields.Integer(required=True)
    answer = _text(allow_none=True)
    results = fields.List(fields.String(), required=True, metadata={"description": "the shipped one first"})


class StudiesSchema(Schema):
    """All studies, by number."""

    studies = fields.List(fields.Nested(CardSchema), required=True)


class ValueSchema(Schema):
    """A value of an axis."""

    name, label = _text(), _text()


class AxisSchema(Schema):
    """What is varied."""

    name, label = _text(), _text()
    values = fields.List(fields.Nested(ValueSchema), required=True)


class CellSchema(Schema):
    """One value of each axis and their conf; cells of one conf are trained once, as that of the key `trained_as`."""

    key, label, trained_as = (_text() for _ in range(3))
    values = fields.List(fields.String(), required=True)
    conf = fields.Dict(keys=fields.String(), required=True)


class FigureValueSchema(Schema):
    """A figure after the last round. With `interval` low and high are a 95 % interval over scenes and seeds, else the
    lowest and highest of a seed. `rounds` is the mean over seeds after each round.
    """

    value, low, high = _number(), _number(), _number()
    interval = fields.Boolean(required=True)
    seeds = fields.Integer(required=True)
    rounds = fields.List(fields.Float(), required=True)


class LeftOutSchema(Schema):
    """Which share of the updates that came from each client the server used (null: none came), and of those of hostile
    clients and of the others together.
    """

    clients = fields.List(fields.Float(allow_none=True), required=True)
    hostile_clients = fields.List(fields.Integer(), required=True)
    hostile, honest = _number(allow_none=True), _number(allow_none=True)


class MeasuredSchema(Schema):
    """A cell that was measured, by name of the figure; or why it `failed`. Bytes and seconds are those of one seed."""

    key, failed = _text(), _text()
    figures = fields.Dict(keys=fields.String(), values=fields.Nested(FigureValueSchema), required=True)
    bytes, seconds = _number(), _number()
    left_out = fields.Nested(LeftOutSchema, required=True, allow_none=True)


class TestedCellsSchema(Schema):
    """Accuracy (or RMSE: `figure`) of the cell `a` minus that of `b`, its 95 % interval, the p-value alone and
    Holm-corrected over all pairs of the study, and what may be said of `a`.
    """

    a, b, told = _text(), _text(), _text()
    verdict = _text(validate=validate.OneOf(("better", "worse", "none", "untested")))
    figure = _text(validate=validate.OneOf(("accuracy", "rmse")))
    difference, difference_low, difference_high = _number(), _number(), _number()
    p, p_holm, p_floor = _number(), _number(), _number()
    seeds, scenes = (fields.Integer(required=True) for _ in range(2))


class SeriesOfStudySchema(Schema):
    """What the figures that are series are counted in, and which way is better."""

    name, unit, better = (_text() for _ in range(3))


class ResultSchema(Schema):
    """What was measured for a study; of a file that cannot be read its name and the `error` alone."""

    name = _text()
    error, finished, answer = fields.String(), fields.String(), fields.String()
    seeds, examples = fields.Integer(), fields.Integer()
    versions = fields.Dict(keys=fields.String(), values=fields.String())
    series = fields.List(fields.Nested(SeriesOfStudySchema))
    sentences = fields.List(fields.String())
    cells = fields.List(fields.Nested(MeasuredSchema))
    tested = fields.List(fields.Nested(TestedCellsSchema))


class StudySchema(CardSchema):
    """A study: what is asked, what is held equal, what would count as an answer; its cells, and what was measured."""

    equal, decided_by = _text(), _text()
    picture = _text(validate=validate.OneOf(PICTURES))
    across = _text()
    answers = _text(validate=validate.OneOf(ANSWERS))
    seeds = fields.Integer(required=True)
    colours = fields.List(
        fields.List(fields.String()),
        required=True,
        metadata={"description": "of lines, in their order: on a light ground, on a dark one"},
    )
    axes = fields.List(fields.Nested(AxisSchema), required=True)
    figures = fields.List(fields.Nested(ValueSchema), required=True)
    cells = fields.List(fields.Nested(CellSchema), required=True)
    results = fields.List(fields.Nested(ResultSchema), required=True)
