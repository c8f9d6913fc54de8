"""What the API tells of confs: every key as `utils.conf` declares it, and what a conf would lead to."""

from __future__ import annotations

from marshmallow import Schema, fields


class KeySchema(Schema):
    """A key: its type (text, number, whole, switch or lists), default, choices or range, and what it is for."""

    key, doc, kind = (fields.String(required=True) for _ in range(3))
    required = fields.Boolean(required=True)
    default = fields.Raw(allow_none=True)
    choices = fields.List(fields.String())
    low, high, multiple = fields.Float(), fields.Float(), fields.Integer()
    above_low, below_high = fields.Boolean(), fields.Boolean()


class ConfsSchema(Schema):
    """All keys in the order of a conf file, and the shipped confs by name."""

    keys = fields.List(fields.Nested(KeySchema), required=True)
    confs = fields.Dict(keys=fields.String(), values=fields.Dict(keys=fields.String()), required=True)


class ShareSchema(Schema):
    """An owner's training photos."""

    name = fields.String(required=True)
    photos, cloudy, sunny = (fields.Integer(required=True) for _ in range(3))


class PreviewSchema(Schema):
    """The conf with every key; how its training photos fall in fold 0 with the first seed, and what a repeat takes.

    `owners`, `degree`, `steps` (one after the other) and `photos_seen` are null where the set is not on this machine
    or cannot be shared out so; `reason` then says which. `photos_per_second` is what the latest training of the same
    net made here, its number in `measured_by`; null where none did.
    """

    conf = fields.Dict(keys=fields.String(), required=True)
    owners = fields.List(fields.Nested(ShareSchema), required=True, allow_none=True)
    degree = fields.Dict(keys=fields.String(), values=fields.Float(), required=True, allow_none=True)
    steps, photos_seen = (fields.Integer(required=True, allow_none=True) for _ in range(2))
    photos_per_second = fields.Float(required=True, allow_none=True)
    measured_by = fields.Integer(required=True, allow_none=True)
    reason = fields.String(required=True)
