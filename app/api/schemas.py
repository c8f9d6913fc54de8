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


class LayerSchema(Schema):
    """A layer of a network: where it stands in the conf, its options that have not their default, what it makes of an
    example, and how many numbers it learns.
    """

    place, kind, about = (fields.String(required=True) for _ in range(3))
    options = fields.Dict(keys=fields.String(), required=True)
    shape = fields.List(fields.Integer(), required=True)
    parameters = fields.Integer(required=True)


class NetworkSchema(Schema):
    """What is known of a network without building it; null: not known.

    `layers` are in order, those of a residual before it, the output last. `input` is the shape of an example, `tokens`
    how many different ones there are if it consists of such, `scaled` whether owners agree on a scaling of it first.
    `bytes_of_update` travel each way, a client and round, before links; `bytes_of_training` a client needs at most.
    """

    input = fields.List(fields.Integer(), required=True)
    tokens = fields.Integer(required=True)
    scaled = fields.Boolean()
    layers = fields.List(fields.Nested(LayerSchema), required=True, allow_none=True)
    parameters, bytes_of_update, bytes_of_training = (
        fields.Integer(required=True, allow_none=True) for _ in range(3)
    )


class GoneSchema(Schema):
    """Whether it is gone by now; if not, it goes when its process has ended."""

    gone = fields.Boolean(required=True)
