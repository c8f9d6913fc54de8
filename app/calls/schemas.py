"""What the API takes and tells of published tasks."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from app.api.schemas import RefusalSchema
from app.calls.listing import ORDERS
from app.calls.publishing import MAX_DESCRIPTION
from app.names import Name, Note
from utils.calls import states

CALL_STATES = tuple(dict.fromkeys([*(state for state, _ in states.CALL), *states.CALL.values()]))
TRAINING_STATES = tuple(dict.fromkeys([*(state for state, _ in states.TRAINING), *states.TRAINING.values()]))
UUID = r"\A[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z"


def _text(**more: object) -> fields.String:
    return fields.String(required=True, **more)  # type: ignore[arg-type]


def _count(**more: object) -> fields.Integer:
    return fields.Integer(required=True, **more)  # type: ignore[arg-type]


class ListingSchema(Schema):
    """Which tasks, in which order."""

    category = fields.Integer(load_default=0, validate=validate.Range(0, 2**31 - 1))
    search = fields.String(load_default="", validate=validate.Length(max=100))
    order = fields.String(load_default="recommended", validate=validate.OneOf(ORDERS))


class CategoryNameSchema(Schema):
    """A category, in the reader's language."""

    id = _count()
    name = _text()


class CategorySchema(CategoryNameSchema):
    """A category, and how many tasks of it are shown to all."""

    count = _count()


class CategoriesSchema(Schema):
    """All of them, in their order."""

    categories = fields.List(fields.Nested(CategorySchema), required=True)


class ScoreSchema(Schema):
    """A figure of a version on the test examples."""

    name = _text()
    value = fields.Float(required=True)


class ShapeSchema(Schema):
    """What an example is, in a word each."""

    input, answer = _text(), _text()


class CallCardSchema(Schema):
    """A task at a glance. `by` is its publisher's nickname, empty where the account is gone; `mine` says how one takes
    part.
    """

    id = _count()
    name, by, about, cover, mine = (_text() for _ in range(5))
    state = fields.String(required=True, validate=validate.OneOf(CALL_STATES))
    category = fields.Nested(CategoryNameSchema, required=True, allow_none=True)
    format = fields.Nested(ShapeSchema, required=True, allow_none=True)
    version, versions, participants, folded_lately = (_count() for _ in range(4))
    score = fields.Nested(ScoreSchema, required=True, allow_none=True)
    published = _text(allow_none=True)


class CallsSchema(Schema):
    """Tasks in an order, and how that comes about."""

    calls = fields.List(fields.Nested(CallCardSchema), required=True)
    order, says = _text(), _text()
    categories = fields.List(fields.Nested(CategorySchema), required=True)


class WorthSchema(Schema):
    """The sum of Shapley values over folds with its standard error (0: exact), and its share as credits, if the task
    gives any.
    """

    shapley, error = (fields.Float(required=True) for _ in range(2))
    credits = fields.Float(required=True, allow_none=True)


class MeSchema(Schema):
    """How one takes part; `left` trainings are still allowed (null: as many as one likes)."""

    state = fields.String(required=True, validate=validate.OneOf(("joined", "left")))
    pseudonym, consented, joined = (_text() for _ in range(3))
    consent, trainings = _count(), _count()
    consent_current = fields.Boolean(required=True)
    left = _count(allow_none=True)
    worth = fields.Nested(WorthSchema, required=True, allow_none=True)


class ConsentSchema(Schema):
    """The present consent text, as it was written and as HTML."""

    version = _count()
    text, html, since = (_text() for _ in range(3))


class CallProgressSchema(Schema):
    """Updates that wait, and when they are folded; `due_in` seconds (null: when others have sent enough)."""

    waiting, goal, least = (_count() for _ in range(3))
    mode, failed = _text(), _text()
    minutes = fields.Float(required=True)
    due_in = fields.Float(required=True, allow_none=True)
    folding = fields.Boolean(required=True)


class UpdateSchema(Schema):
    """What travels in a training, each way."""

    bytes = _count()
    shapes = fields.Dict(keys=fields.String(), values=fields.List(fields.Integer()), required=True)


class StarterSchema(Schema):
    """A pack of examples to try a task with."""

    bytes = _count()


class TestSchema(Schema):
    """Test examples: those that count, and those that wait for the publisher's word."""

    accepted, waiting = _count(), _count()


class VersionScoreSchema(ScoreSchema):
    """The figure of one version."""

    version = _count()


class CallDetailsSchema(CallCardSchema):
    """A task. `described` is all of it as data; `describing` says in whose words drafts may be incomplete."""

    description, html = _text(), _text()
    described = fields.Dict(keys=fields.String(), required=True)
    consent = fields.Nested(ConsentSchema, required=True, allow_none=True)
    update = fields.Nested(UpdateSchema, required=True, allow_none=True)
    progress = fields.Nested(CallProgressSchema, required=True, allow_none=True)
    starter = fields.Nested(StarterSchema, required=True, allow_none=True)
    test = fields.Nested(TestSchema, required=True)
    scores = fields.List(fields.Nested(VersionScoreSchema), required=True)
    may_edit = fields.Boolean(required=True)
    me = fields.Nested(MeSchema, required=True, allow_none=True)
    sent = _count()


class FrozenSchema(Schema):
    """The frozen network under the layer that is learnt: the run whose model it is, and how it comes to features."""

    run, sha256 = _text(), _text()
    steps = fields.List(fields.Dict(), required=True)


class StepsSchema(Schema):
    """How a task's network reckons, step by step (`utils.nets.steps`); null where no browser can."""

    steps = fields.List(fields.Dict(), required=True, allow_none=True)
    backbone = fields.Nested(FrozenSchema, required=True, allow_none=True)


class JoinSchema(Schema):
    """The version of the consent text that one has read and accepts."""

    consent = fields.Integer(required=True, strict=True, validate=validate.Range(1, 2**31 - 1))


class MeAnswerSchema(Schema):
    """How one takes part now."""

    me = fields.Nested(MeSchema, required=True)


class NotNowSchema(RefusalSchema):
    """Why there is no training now (`why`, see docs/tasks.md), and after how many seconds to ask again; 0: not by
    itself.
    """

    why = _text(validate=validate.OneOf(states.AWAY))
    retry_after = _count()


class BeginSchema(Schema):
    """The number of a training, made by who trains (a UUID), so that to ask twice is to ask once."""

    id = fields.String(required=True, validate=validate.Regexp(UUID))


class OwnWorthSchema(Schema):
    """What an update was worth to its version, and what looked wrong with it."""

    shapley, error, leave_one_out = (fields.Float() for _ in range(3))
    flag = fields.String()
    kept = fields.Boolean()


class CallTrainingSchema(Schema):
    """A training and its update. `version` it began from, `version_after` it went into; `says` why it is as it is."""

    id, says, reason, begun = (_text() for _ in range(4))
    state = fields.String(required=True, validate=validate.OneOf(TRAINING_STATES))
    version = _count()
    version_after = _count(allow_none=True)
    samples, bytes = _count(), _count()
    norm, clip, noise = (fields.Float(required=True) for _ in range(3))
    sent = _text(allow_none=True)
    expires_in = fields.Float(required=True, allow_none=True)
    kept = fields.Boolean(required=True)
    worth = fields.Nested(OwnWorthSchema, required=True, allow_none=True)
    who = fields.String()


class TrainingAnswerSchema(Schema):
    """One training."""

    training = fields.Nested(CallTrainingSchema, required=True)


class TrainingsSchema(Schema):
    """Trainings, the latest first."""

    trainings = fields.List(fields.Nested(CallTrainingSchema), required=True)


class SentSchema(Schema):
    """What comes with an update: of how many examples, in how many steps, with what mean loss (which noise would not
    cover, so it may be left out); clip and noise, if its sender has used these.
    """

    samples = fields.Integer(required=True, validate=validate.Range(1, 10**9))
    steps = fields.Integer(required=True, validate=validate.Range(1, 10**9))
    loss = fields.Float(
        load_default=None, allow_none=True, allow_nan=False, validate=validate.Range(-1e9, 1e9)
    )
    clip = fields.Float(load_default=0.0, allow_nan=False, validate=validate.Range(0, 1e9))
    noise = fields.Float(load_default=0.0, allow_nan=False, validate=validate.Range(0, 1e9))


class CallShareSchema(Schema):
    """What a participant gave: updates that are in a version, and what these were worth."""

    who, state = _text(), _text()
    folded = _count()
    worth = fields.Nested(WorthSchema, required=True, allow_none=True)


class SharesSchema(Schema):
    """Those of all participants, the largest first."""

    shares = fields.List(fields.Nested(CallShareSchema), required=True)


class VersionSchema(Schema):
    """A version: from which it was made, of how many updates and examples, by whom (pseudonyms), and its scores on
    `tested` test examples.
    """

    number, updates, examples, tested, bytes = (_count() for _ in range(5))
    parent = _count(allow_none=True)
    at, sha256 = _text(), _text()
    scores = fields.Dict(keys=fields.String(), values=fields.Float(), required=True)
    participants = fields.List(fields.String(), required=True)
    current = fields.Boolean(required=True)


class VersionsSchema(Schema):
    """All versions, the first first."""

    versions = fields.List(fields.Nested(VersionSchema), required=True)


class DraftSchema(Schema):
    """A new draft, or changes of a task."""

    name = Name(80, required=True)
    description = Note(MAX_DESCRIPTION, load_default="")
    category_id = fields.Integer(allow_none=True, validate=validate.Range(1, 2**31 - 1))
    described = fields.Dict(keys=fields.String(), load_default=dict)


class ChangeSchema(Schema):
    """What is to change of a task."""

    name = Name(80)
    description = Note(MAX_DESCRIPTION)
    category_id = fields.Integer(allow_none=True, validate=validate.Range(1, 2**31 - 1))
    described = fields.Dict(keys=fields.String())


class TriedSchema(Schema):
    """What a try on drawn examples found: numbers that are learnt, bytes of an update, seconds and megabytes of a
    training, its norm, and a figure before and after. `described` is the description with all that it left out.
    """

    parameters, bytes, examples = (_count() for _ in range(3))
    seconds, megabytes, before, after, norm = (fields.Float(required=True) for _ in range(5))
    figure = _text()
    described = fields.Dict(keys=fields.String(), required=True)


class BackboneSchema(Schema):
    """A run whose network may be frozen."""

    run, title, sha256, colours = (_text() for _ in range(4))
    features, side = _count(), _count()


class ChoicesSchema(Schema):
    """What a description may name: networks, backbones, strategies, categories."""

    networks = fields.List(fields.Dict(keys=fields.String()), required=True)
    backbones = fields.List(fields.Nested(BackboneSchema), required=True)
    strategies = fields.List(fields.Dict(keys=fields.String()), required=True)
    categories = fields.List(fields.Nested(CategorySchema), required=True)
    usual = fields.Dict(keys=fields.String(), required=True)


class ExampleSchema(Schema):
    """A test example: the `values` of its fields, or a `picture` (base64 of a picture file); and its `answer`, the
    number of a label or the number in its unit.
    """

    values = fields.List(fields.Float(allow_nan=False), validate=validate.Length(1, 200))
    picture = fields.String(validate=validate.Length(1, 4_000_000))
    answer = fields.Float(required=True, allow_nan=False)


class ContributeSchema(Schema):
    """Test examples that leave the device: `consent` says that whoever sends them knows."""

    consent = fields.Boolean(required=True, validate=validate.Equal(True))
    examples = fields.List(fields.Nested(ExampleSchema), required=True, validate=validate.Length(1, 200))


class ReviewSchema(Schema):
    """Why a test example is refused."""

    reason = Note(200, load_default="")


class ContributedSchema(Schema):
    """A test example: what became of it."""

    id = _count()
    state, reason, at, who = (_text() for _ in range(4))
    answer = fields.Float(required=True)
    values = fields.List(fields.Float(), required=True)


class ContributionsSchema(Schema):
    """Test examples, one's own or, for the publisher, all; counts by state."""

    examples = fields.List(fields.Nested(ContributedSchema), required=True)
    counts = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)


class GivenSchema(Schema):
    """How many examples of a file are used, and what could not be: files or rows, each with its reason."""

    used, unused_count = _count(), _count()
    unused = fields.List(fields.List(fields.String()), required=True)
