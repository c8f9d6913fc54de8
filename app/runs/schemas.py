"""What the API answers and takes, as its OpenAPI document tells it; the tests hold the answers to this."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, validate

from app.api.schemas import NetworkSchema
from app.names import Note, Tag
from utils.figures import COSTS
from utils.results import BETTER, RESULT_NAME


def _number(**more: Any) -> fields.Float:
    return fields.Float(required=True, **more)


def _text(**more: Any) -> fields.String:
    return fields.String(required=True, **more)


def _numbers() -> fields.List[Any]:
    return fields.List(fields.Float(), required=True)


class RunSchema(Schema):
    """A run in the list: final figures with 95 % intervals, or `error` when its file cannot be read."""

    name = _text(metadata={"description": "as in cache/NAME.json.pkl"})
    title = _text(
        metadata={"description": "as people call it: of a training its name and number, else plain words"}
    )
    conf_name = fields.String(
        metadata={"description": "of a run called in plain words: what its conf is called"}
    )
    colour = _text(metadata={"description": "of its curve, on a light ground"})
    colour_dark = _text(metadata={"description": "on a dark ground"})
    error = fields.String()
    accuracy, accuracy_low, accuracy_high = fields.Float(), fields.Float(), fields.Float()
    balanced, balanced_low, balanced_high = fields.Float(), fields.Float(), fields.Float()
    loss = fields.Float(metadata={"description": "cross-entropy in nats, mean over repeats"})
    classes = fields.List(
        fields.String(), metadata={"description": "what is told apart; none: a number is foretold"}
    )
    unit = fields.String(metadata={"description": "of that number, its RMSE and its mean absolute error"})
    rmse, rmse_low, rmse_high = fields.Float(), fields.Float(), fields.Float()
    mae, mae_low, mae_high = fields.Float(), fields.Float(), fields.Float()
    r2, r2_low, r2_high = fields.Float(), fields.Float(), fields.Float()
    rounds, repeats, examples = fields.Integer(), fields.Integer(), fields.Integer()
    bytes = fields.Float(metadata={"description": "sent in one repeat, both ways"})
    seconds = fields.Float(metadata={"description": "of one repeat"})
    jensen_shannon = fields.Float(metadata={"description": "degree of non-IID, bits; of classes only"})
    finished, fingerprint = fields.String(), fields.String()
    conf = fields.Dict(keys=fields.String())


class RunsSchema(Schema):
    """All runs by name."""

    runs = fields.List(fields.Nested(RunSchema), required=True)


class MisjudgedSchema(Schema):
    """An example, how often the repeats judged it, how often wrongly, and the mean probability given to the truth."""

    id = _text()
    truth, judged, wrong = (fields.Integer(required=True) for _ in range(3))
    probability = _number()


class SourceSchema(Schema):
    """How a run did on the test examples of one source, with 95 % intervals over scenes: of classes accuracy, log loss
    in nats, and balanced accuracy where each class has enough scenes; of numbers RMSE, mean absolute error and R².
    """

    source = _text()
    examples, scenes = (fields.Integer(required=True) for _ in range(2))
    accuracy, accuracy_low, accuracy_high = fields.Float(), fields.Float(), fields.Float()
    balanced, balanced_low, balanced_high = fields.Float(), fields.Float(), fields.Float()
    log_loss = fields.Float()
    rmse, rmse_low, rmse_high = fields.Float(), fields.Float(), fields.Float()
    mae, mae_low, mae_high = fields.Float(), fields.Float(), fields.Float()
    r2, r2_low, r2_high = fields.Float(), fields.Float(), fields.Float()


class ForetoldSchema(Schema):
    """An example whose number was foretold: the truth, and the mean of what was said."""

    id = _text()
    truth, said = _number(), _number()


class AbsentSchema(Schema):
    """A class of which, in these folds, there was no example to learn from (`training`) or to be judged on (`test`)."""

    where = _text(validate=validate.OneOf(("training", "test")))
    what = _text()
    folds = fields.List(fields.Integer(), required=True)


class ReasonSchema(Schema):
    """Why, and how often."""

    reason = _text()
    count = fields.Integer(required=True)


class UpdatesSchema(Schema):
    """What each client sent in one repeat, the first: a row an update, in the order of the rounds, at most 200,000.

    `norm` is that of the difference to the weights that were sent, `cosine` that of its angle to the mean of the
    round's, `score` what the strategy gave it, each null where there is none or it is not finite; `kept` is false where
    the strategy left the update out.
    """

    fold, seed, rotation = (fields.Integer(required=True) for _ in range(3))
    round = fields.List(fields.Integer(), required=True, metadata={"description": "from 1"})
    client = fields.List(fields.Integer(), required=True, metadata={"description": "from 0"})
    norm, cosine, score = (fields.List(fields.Float(allow_none=True), required=True) for _ in range(3))
    kept = fields.List(fields.Boolean(), required=True)
    attacked = fields.Boolean(required=True, metadata={"description": "whether the run has an attack"})
    hostile = fields.List(fields.Integer(), required=True, metadata={"description": "numbers of the clients"})


class GraphSchema(Schema):
    """Who is beside whom in one repeat where there is no server."""

    edges = fields.List(
        fields.List(fields.Integer()), required=True, metadata={"description": "pairs of numbers of clients"}
    )
    accuracy = fields.List(
        fields.Float(),
        metadata={"description": "of each client's own model on the test examples, where it has one"},
    )


class DetailsSchema(RunSchema):
    """One run."""

    absent = fields.List(fields.Nested(AbsentSchema), required=True)

    owners = fields.List(fields.Dict(keys=fields.String()), required=True)
    clients = fields.List(fields.Dict(keys=fields.String()), required=True)
    by_source = fields.List(fields.Nested(SourceSchema), required=True)
    confusion = fields.List(
        fields.List(fields.Integer()),
        required=True,
        metadata={
            "description": "[true][said], in the order of the classes; empty where numbers are foretold"
        },
    )
    foretold = fields.List(
        fields.Nested(ForetoldSchema),
        required=True,
        metadata={
            "description": "at most 2,000, those farthest off first; empty where classes are told apart"
        },
    )
    misjudged = fields.List(fields.Nested(MisjudgedSchema), required=True)
    misjudged_ever = fields.Integer(
        required=True, metadata={"description": "how many examples were ever misjudged"}
    )
    conf_own = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "keys of the conf that have not their default"},
    )
    citation = _text(metadata={"description": "BibTeX"})
    task = fields.Dict(keys=fields.String(), required=True)
    conf_says = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    failures = fields.Integer(required=True, metadata={"description": "updates that failed"})
    failed_for = fields.List(
        fields.Nested(ReasonSchema),
        required=True,
        metadata={"description": "why: at most ten reasons, the most frequent first"},
    )
    missed_for = fields.List(
        fields.Nested(ReasonSchema),
        required=True,
        metadata={
            "description": "why rounds of virtual time went on without clients that were asked; none failed"
        },
    )
    updates = fields.Nested(UpdatesSchema, metadata={"description": "of runs that recorded them"})
    graph = fields.Nested(GraphSchema, metadata={"description": "of runs whose clients have neighbours"})
    degree = fields.Dict(keys=fields.String(), values=fields.Float(allow_none=True), required=True)
    layers = fields.List(fields.List(fields.Raw()), required=True)
    network = fields.Nested(
        NetworkSchema, allow_none=True, required=True, metadata={"description": "of a described one"}
    )
    parameters = fields.Integer(allow_none=True, required=True)
    versions = fields.Dict(keys=fields.String(), required=True)
    data = fields.Dict(keys=fields.String(), required=True)
    model = fields.Dict(keys=fields.String(), allow_none=True, required=True)
    machine = fields.Dict(keys=fields.String(), allow_none=True, required=True)
    axes = fields.Dict(keys=fields.String(), required=True)


class InversionSchema(Schema):
    """What came of attacks on some updates of a run: of its `own` network or of a `small` convolution net, with a
    protection (`changes` of the conf, `label` what people call it), or why there were none (`failed`, nothing else).

    By update `psnr` in dB of pictures, or the `error` in standard deviations of a column; `guess` is the same of who
    knows nothing. `label_told` is the share of updates whose label was told, null where that cannot be said; `pictures`
    says whether there are some, which researchers get as PNG.
    """

    network = _text(validate=validate.OneOf(("own", "small")))
    protection, label, failed = (_text() for _ in range(3))
    changes = fields.Dict(keys=fields.String(), required=True)
    psnr, error = (fields.List(fields.Float()) for _ in range(2))
    guess, distance = (fields.Float() for _ in range(2))
    label_told = fields.Float(allow_none=True)
    updates, examples, passes, iterations, parameters, exact = (fields.Integer() for _ in range(6))
    pictures = fields.Boolean(required=True)


class IntervalSchema(Schema):
    """A figure with its 95 % interval over scenes."""

    value, low, high = (_number() for _ in range(3))


class MembershipSchema(Schema):
    """How well losses tell training examples from others: area under the curve, share found at 1 % false ones."""

    auc, tpr = (fields.Nested(IntervalSchema, required=True) for _ in range(2))
    members, others, member_scenes, other_scenes = (fields.Integer(required=True) for _ in range(4))


class LeaksReportSchema(Schema):
    """A report: when it was made, in how many seconds, and what the attacks came to."""

    finished = _text()
    seconds = _number()
    rows = fields.List(fields.Nested(InversionSchema), required=True)
    membership = fields.Nested(MembershipSchema, required=True, allow_none=True)


class LeaksSchema(Schema):
    """What updates and model of a run give away; null where nobody has asked, `fault` where the file cannot be read.
    The `caveat` has to stand beside every figure.
    """

    run, caveat, fault = (_text() for _ in range(3))
    report = fields.Nested(LeaksReportSchema, required=True, allow_none=True)


class SeriesSchema(Schema):
    """A series: which way is better, and after each round mean, 10 % and 90 % point over repeats."""

    name, unit = _text(), _text()
    better = _text(validate=validate.OneOf(BETTER))
    mean, p10, p90 = _numbers(), _numbers(), _numbers()


class CurvesSchema(Schema):
    """Every series of a run, and by name of the axis where each round lies on it."""

    costs = fields.Nested(
        Schema.from_dict({name: _numbers() for name in COSTS}, name="CostsSchema"), required=True
    )
    series = fields.List(fields.Nested(SeriesSchema), required=True)


class DifferenceSchema(Schema):
    """Accuracy (or RMSE: `figure`) of `a` minus that of `b`: 95 % interval, p-value alone and Holm-corrected, and what
    may be said.
    """

    a, b = _text(), _text()
    seeds, scenes = (fields.Integer(required=True) for _ in range(2))
    p, p_holm, p_floor = _number(), _number(), _number()
    difference, difference_low, difference_high = _number(), _number(), _number()
    verdict = _text(validate=validate.OneOf(("better", "worse", "none", "untested")))
    figure = _text(validate=validate.OneOf(("accuracy", "rmse")))


class ComparisonSchema(Schema):
    """The comparison, null when the two runs share no example."""

    comparison = fields.Nested(DifferenceSchema, required=True, allow_none=True)


class MarkSchema(Schema):
    """A run of the story, with its accuracy, or its RMSE in `unit` and R²."""

    role, run, title, colour, colour_dark = (_text() for _ in range(5))
    examples = fields.Integer(required=True)
    accuracy, accuracy_low, accuracy_high = fields.Float(), fields.Float(), fields.Float()
    rmse, rmse_low, rmse_high = fields.Float(), fields.Float(), fields.Float()
    r2, r2_low, r2_high = fields.Float(), fields.Float(), fields.Float()
    unit = fields.String()


class NewCameraSchema(Schema):
    """Balanced accuracy on a source left out of training, and on the same examples when it is trained on as well."""

    run, of, title, judged_on = _text(), _text(), _text(), _text()
    trained_on = fields.List(fields.String(), required=True)
    scenes = fields.Integer(required=True)
    alone, alone_low, alone_high = _number(), _number(), _number()
    both, both_low, both_high = _number(), _number(), _number()


class StorySchema(Schema):
    """The shipped runs at a glance, what the Holm-corrected paired tests say of them (some `first`), and what a new
    camera costs.
    """

    marks = fields.List(fields.Nested(MarkSchema), required=True)
    first = fields.List(fields.Nested(DifferenceSchema), required=True)
    facts = fields.List(fields.Nested(DifferenceSchema), required=True)
    elsewhere = fields.List(fields.Nested(NewCameraSchema), required=True)


class ProgressSchema(Schema):
    """A repeat so far: accuracy and loss after each round, or RMSE and R²; the others are empty."""

    acc, loss, rmse, r2 = _numbers(), _numbers(), _numbers(), _numbers()


class TrainingSchema(Schema):
    """A run in training: how people call it, what is planned, and each repeat begun."""

    title = _text()
    rounds, repeats = fields.Integer(required=True), fields.Integer(required=True)
    begun = fields.Dict(keys=fields.String(), values=fields.Nested(ProgressSchema), required=True)


class LiveSchema(Schema):
    """The runs in training, by name."""

    runs = fields.Dict(keys=fields.String(), values=fields.Nested(TrainingSchema), required=True)


class PairSchema(Schema):
    """Two runs to compare."""

    a = _text(validate=validate.Regexp(rf"^{RESULT_NAME}$"))
    b = _text(validate=validate.Regexp(rf"^{RESULT_NAME}$"))


class LabelSchema(Schema):
    """Tags and a note of one's own on a run."""

    tags = fields.List(
        Tag(30),
        required=True,
        validate=validate.Length(max=10),
    )
    note = Note(2000, required=True)


class LabelsSchema(Schema):
    """One's own tags and notes, by run."""

    labels = fields.Dict(keys=fields.String(), values=fields.Nested(LabelSchema), required=True)
