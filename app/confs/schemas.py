"""What the API tells of confs: every key as `utils.conf` declares it, and what a conf would lead to."""

from __future__ import annotations

from marshmallow import Schema, fields

from app.api.schemas import NetworkSchema, RefusalSchema


class PartSchema(Schema):
    """A part that a key may name: what it is, and its keys. `install` is the command to be run here before it can
    be used; empty where it can.
    """

    name, about, install = (fields.String(required=True) for _ in range(3))
    keys = fields.List(fields.Nested(lambda: KeySchema()), required=True)


class KeySchema(Schema):
    """A key: its type, default, choices or range, and what it is for.

    `kind` is text, number, whole, switch, lists, part (a name, or an object of `name` and keys) or parts (a list of
    these); `of` says which network, task or part it belongs to, and is empty for keys that every conf has.
    """

    key, doc, kind, of = (fields.String(required=True) for _ in range(4))
    required = fields.Boolean(required=True)
    default = fields.Raw(allow_none=True)
    choices = fields.List(fields.String())
    parts = fields.List(fields.Nested(PartSchema))
    low, high, multiple = fields.Float(), fields.Float(), fields.Integer()
    above_low, below_high = fields.Boolean(), fields.Boolean()


class TemplateSchema(Schema):
    """A network that confs may name: what it is in the reader's language, and its description as in its file and as
    confs are told, with every option.
    """

    name, about = (fields.String(required=True) for _ in range(2))
    description, whole = (fields.Dict(keys=fields.String(), required=True) for _ in range(2))


class ConfsSchema(Schema):
    """All keys in the order of a conf file, the shipped confs by name, the family of networks of each task, what each
    task has for keys that a conf does not name, and the networks that can be named.
    """

    keys = fields.List(fields.Nested(KeySchema), required=True)
    tasks = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    brought = fields.Dict(keys=fields.String(), values=fields.Dict(keys=fields.String()), required=True)
    networks = fields.List(fields.Nested(TemplateSchema), required=True)
    confs = fields.Dict(keys=fields.String(), values=fields.Dict(keys=fields.String()), required=True)


class ShareSchema(Schema):
    """An owner's training examples, in all and of each class."""

    name = fields.String(required=True)
    examples = fields.Integer(required=True)
    counts = fields.List(fields.Integer(), required=True)


class MissingSchema(Schema):
    """A class of which there would be no example to learn from (`training`) or to be judged on (`test`)."""

    where, what = fields.String(required=True), fields.String(required=True)


class MisfitSchema(RefusalSchema):
    """Why a conf was refused; `network` are the layers that fit, where it was for one that does not."""

    network = fields.Nested(NetworkSchema)


class PreviewSchema(Schema):
    """The conf with every key; its network; how its training examples fall in fold 0 with the first seed, and what a
    repeat takes.

    `absent`, `owners`, `degree`, `steps` (one after the other), `examples` (trained on, every pass counted) and
    `scenes` (that each fold judges) are null where the set is not on this machine or cannot be shared out so; `reason`
    then says which. `examples_per_second` is what the latest training of the same net made here, its number in
    `measured_by`; where none did, what a run of the same net made elsewhere, its name in `likened_to`; else null.
    """

    conf = fields.Dict(keys=fields.String(), required=True)
    classes = fields.List(fields.String(), required=True)
    unit = fields.String(required=True, allow_none=True)
    owners = fields.List(fields.Nested(ShareSchema), required=True, allow_none=True)
    degree = fields.Dict(keys=fields.String(), values=fields.Float(), required=True, allow_none=True)
    absent = fields.List(fields.Nested(MissingSchema), required=True, allow_none=True)
    steps, examples = (fields.Integer(required=True, allow_none=True) for _ in range(2))
    examples_per_second = fields.Float(required=True, allow_none=True)
    measured_by = fields.Integer(required=True, allow_none=True)
    likened_to = fields.String(required=True, allow_none=True)
    scenes = fields.List(fields.Integer(), required=True, allow_none=True)
    network = fields.Nested(NetworkSchema, required=True)
    reason = fields.String(required=True)
