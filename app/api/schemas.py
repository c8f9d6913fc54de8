"""What every part of the API answers when it refuses, as its OpenAPI document tells it."""

from __future__ import annotations

from marshmallow import Schema, fields


class RefusedSchema(Schema):
    """What was wrong."""

    code = fields.Integer(required=True)
    message = fields.String(required=True)
    detail = fields.String(required=True)


class RefusalSchema(Schema):
    """Why a request was refused."""

    error = fields.Nested(RefusedSchema, required=True)
