"""What the API takes and tells of trainings."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from app.jobs.service import STATES
from app.jobs.sets import NAME
from app.names import Name, Note
from app.nodes.service import NAME as NODE
from utils.report import LEVELS

ACTIONS = ("pause", "stop", "resume", "repeat")


def _text(**more: object) -> fields.String:
    return fields.String(required=True, **more)  # type: ignore[arg-type]


class SubmitSchema(Schema):
    """A training to queue: a conf as in its file, and how it is repeated. `sweep` lists values for keys of the conf;
    every combination of them is a training. `nodes` are names of nodes to train on, one a client; none: this machine.
    """

    conf = fields.Dict(keys=fields.String(), required=True)
    name = Name(60, required=True)
    note = Note(2000, load_default="")
    folds = fields.Integer(load_default=1, strict=True, validate=validate.Range(1, 5))
    seeds = fields.Integer(load_default=1, strict=True, validate=validate.Range(1, 100))
    sweep = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.Raw(), validate=validate.Length(1, 100)),
        load_default=dict,
    )
    nodes = fields.List(
        fields.String(validate=validate.Regexp(rf"\A{NODE}\Z")),
        validate=validate.Length(max=200),
        load_default=list,
    )


class DrawSchema(Schema):
    """A set of skies for the simulator to draw: how many, and what the set is called."""

    count = fields.Integer(required=True, strict=True, validate=validate.Range(20, 2000))
    name = fields.String(required=True, validate=validate.Regexp(rf"\A{NAME.pattern}\Z"))


class DisagreementSchema(Schema):
    """The share of examples, seed by seed, that just one of the runs `a` and `b` tells rightly; `own` if they are of
    the set itself.
    """

    share = fields.Float(required=True)
    a, b = _text(), _text()
    own = fields.Boolean(required=True)


class SetSchema(Schema):
    """A set of examples on this machine: its task, what is in it by class and by source, how many scenes."""

    name, type = _text(), _text()
    brought = fields.Boolean(
        required=True,
        metadata={"description": "by a package: it is on every machine, and its task has no other"},
    )
    examples, scenes = (fields.Integer(required=True) for _ in range(2))
    classes, sources = (
        fields.Dict(keys=fields.String(), values=fields.Integer(), required=True) for _ in range(2)
    )
    disagreement = fields.Nested(DisagreementSchema, required=True, allow_none=True)


class SetsSchema(Schema):
    """All sets, by name."""

    sets = fields.List(fields.Nested(SetSchema), required=True)


class EditSchema(Schema):
    """What may be changed of a training: what one calls it and, for admins, which goes first (more: earlier)."""

    name = Name(60)
    note = Note(2000)
    priority = fields.Integer(strict=True, validate=validate.Range(-9, 9))


class JobSchema(Schema):
    """A training. `position` counts the queue from 1; `wish` is what it was told to do and has not yet done.

    `kind` is "training", "study" (every cell of one), "leaks" (attacks on a run), "fold" (of updates of a published
    task), or "drawing" of a set of skies, which are then its examples; `run` is what it makes: a result, that of a
    study, a set, a report on the run called so, or a version of the task of this number.
    `examples`, `examples_done` (every pass counted), `examples_per_second` and `seconds_left` are null before its
    first word. `nodes` are those it is trained on, in the order of its clients; none: this machine.
    """

    id = fields.Integer(required=True)
    kind, name, note, who, wish, reason, run, created = (_text() for _ in range(8))
    mine = fields.Boolean(required=True)
    nodes = fields.List(fields.String(), required=True)
    state = fields.String(required=True, validate=validate.OneOf(STATES))
    folds, seeds, priority = (fields.Integer(required=True) for _ in range(3))
    position = fields.Integer(required=True, allow_none=True)
    started, ended = (_text(allow_none=True) for _ in range(2))
    seconds = fields.Float(required=True)
    examples, examples_done = (fields.Integer(required=True, allow_none=True) for _ in range(2))
    examples_per_second, seconds_left = (fields.Float(required=True, allow_none=True) for _ in range(2))


class MachineSchema(Schema):
    """Where trainings run: whether anybody carries them out, places, load of the last minute, cores, free space."""

    alive = fields.Boolean(required=True)
    slots, per_user, cores, free_megabytes = (fields.Integer(required=True) for _ in range(4))
    load_average, used_megabytes, quota_megabytes = (fields.Float(required=True) for _ in range(3))


class JobsSchema(Schema):
    """Everybody's trainings, the latest first."""

    jobs = fields.List(fields.Nested(JobSchema), required=True)
    machine = fields.Nested(MachineSchema, required=True)


class MadeSchema(Schema):
    """The trainings that were queued."""

    jobs = fields.List(fields.Nested(JobSchema), required=True)


class WorkSchema(Schema):
    """One client in the present round of a repeat, and whose examples it holds (A, B, ...): waiting, training, done or
    failed (with the reason).
    """

    client = fields.Integer(required=True)
    owners, state = _text(), _text()
    examples = fields.Integer()
    seconds = fields.Float()
    reason = fields.String()


class RepeatSchema(Schema):
    """A repeat at work: rounds done, and its clients in the present one."""

    repeat = _text()
    round, rounds = (fields.Integer(required=True) for _ in range(2))
    clients = fields.List(fields.Nested(WorkSchema), required=True)


class CurveSchema(Schema):
    """Accuracy and loss after each round."""

    acc, loss = (fields.List(fields.Float(), required=True) for _ in range(2))


class JobDetailsSchema(JobSchema):
    """A training with its conf, repeats at work, and the curve of each repeat begun, by its name; of a drawing, the
    conf says `set` and `count`, of attacks `run`.
    """

    conf = fields.Dict(keys=fields.String(), required=True)
    at_work = fields.List(fields.Nested(RepeatSchema), required=True)
    curves = fields.Dict(keys=fields.String(), values=fields.Nested(CurveSchema), required=True)
    rounds, repeats = (fields.Integer(required=True) for _ in range(2))


class AfterSchema(Schema):
    """Lines of the log that one has already."""

    after = fields.Integer(load_default=0, validate=validate.Range(0, 10**7))


class LineSchema(Schema):
    """A line of the log; `at` in UTC."""

    line = fields.Integer(required=True)
    at, text = _text(), _text()
    level = fields.String(required=True, validate=validate.OneOf(LEVELS))


class LogSchema(Schema):
    """What happened, in order."""

    lines = fields.List(fields.Nested(LineSchema), required=True)
