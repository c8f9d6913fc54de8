"""What the part of the API that is about programs answers."""

from __future__ import annotations

from marshmallow import Schema, fields


class SeenSchema(Schema):
    """A feature, and what there was of it in what was learnt from: `low` to `high`, and where these were few, the
    `values`.
    """

    name = fields.String(required=True)
    low, high = (fields.Float(required=True) for _ in range(2))
    values = fields.List(fields.Float(), required=True, allow_none=True)


class DetectorTestedSchema(Schema):
    """What a new program may expect, measured on programs with windows, no libraries, not seen in training: of so
    many `answers` the share `answered` with malware or benign, and of these that was `right`; of benign ones that
    were called malware (`false_alarms`), of malware that was called benign (`missed`); null where there was none.
    `elsewhere`: the recipe was trained without programs as late as these.
    """

    sources = fields.List(fields.String(), required=True)
    elsewhere = fields.Boolean(required=True)
    answers = fields.Integer(required=True)
    answered = fields.Float(required=True)
    right, false_alarms, missed = (fields.Float(required=True, allow_none=True) for _ in range(3))


class WheelsSchema(Schema):
    """How many benign programs in Python's wheels for Windows a model called what."""

    malware, benign, unsure = (fields.Integer(required=True) for _ in range(3))


class DetectorSchema(Schema):
    """A model, and what judging by it needs: its answer is malware from a probability of `high` on, benign up to `low`,
    and else that it cannot tell. `wheels`: what it called benign programs of another source, null where it was not
    asked.
    """

    role, run, title, onnx, sha256 = (fields.String(required=True) for _ in range(5))
    bytes, parameters = (fields.Integer(required=True) for _ in range(2))
    temperature, low, high = (fields.Float(required=True) for _ in range(3))
    tested = fields.List(fields.Nested(DetectorTestedSchema), required=True)
    wheels = fields.Nested(WheelsSchema, required=True, allow_none=True)


class LauncherSchema(Schema):
    """A program known to be benign, by the fields of its header."""

    file, package, version, sha256 = (fields.String(required=True) for _ in range(4))
    bytes = fields.Integer(required=True)
    header = fields.Dict(
        fields.String(), fields.Integer(), required=True, attribute="fields", data_key="fields"
    )


class DetectorsSchema(Schema):
    """The models that judge programs, the 47 features they take in this order, and programs to try them on."""

    features = fields.List(fields.Nested(SeenSchema), required=True)
    models = fields.List(fields.Nested(DetectorSchema), required=True)
    launchers = fields.List(fields.Nested(LauncherSchema), required=True)
