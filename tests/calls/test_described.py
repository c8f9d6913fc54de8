"""What a call may be: every key has its range, and what cannot be is one line that names the key."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.calls.demo import demos
from utils.calls.described import checked_call
from utils.conf import ConfError
from utils.nets.build import layout_of

PICTURES = {
    "format": {
        "input": {"kind": "picture", "side": 16, "channels": 3, "colours": "opponent"},
        "answer": {"kind": "label", "labels": ["no", {"name": "yes", "hint": "or so"}]},
    },
    "network": "small_cnn",
    "training": {},
}
FIELDS = [{"key": "a", "low": 0, "high": 1, "unit": "m"}, {"key": "b", "low": -5, "high": 5}]
VALUES = {
    "format": {
        "input": {"kind": "values", "fields": FIELDS},
        "answer": {"kind": "number", "key": "y", "low": 0, "high": 300, "unit": "points"},
    },
    "network": "mlp",
    "training": {"lr": 0.1},
}
BACKBONE = {"features": 128, "sha256": "0" * 64, "side": 16, "colours": "opponent"}


def changed(base, path, value):
    made = copy.deepcopy(base)
    place = made
    *above, last = path.split(".")
    for key in above:
        place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
    place[int(last) if isinstance(place, list) else last] = value
    return made


@pytest.mark.parametrize("base", [PICTURES, VALUES], ids=["pictures", "values"])
def test_a_description_says_all_and_is_read_back_as_it_is(base):
    call = checked_call(base)
    assert checked_call(call.as_json()).as_json() == call.as_json()
    assert call.update_bytes == 4 * layout_of(call.conf).size


def test_the_demos_tasks_are_calls_whose_test_examples_fit():
    for demo in demos():
        of = checked_call(demo.described).format
        assert demo.inputs.shape[1:] == of.stored_shape and len(demo.inputs) == len(demo.answers)


def test_a_backbone_makes_features_of_pictures_and_is_named_by_its_hash():
    call = checked_call(changed(PICTURES, "network", {"backbone": "conf_x"}), lambda name: BACKBONE)
    assert call.format.input_shape == (128,) and call.format.stored_shape == (3, 16, 16)
    assert call.as_json()["network"] == {"backbone": "conf_x", **BACKBONE}
    assert call.update_bytes == 4 * (128 * 2 + 2)
    assert checked_call(call.as_json()).as_json() == call.as_json()  # as a participant reads it


BAD = {
    "unknown": (VALUES, "colour", 1, r'unknown key "colour"'),
    "no fields": (VALUES, "format.input.fields", [], r"format.input.fields: expected a value in \[1, 200\]"),
    "twice": (VALUES, "format.input.fields.1.key", "a", r"format.input.fields: expected each name once"),
    "key": (VALUES, "format.input.fields.1.key", "<b>", r"format.input.fields\[1\].key: expected a name"),
    "range": (VALUES, "format.input.fields.0.high", 0, r"format.input.fields\[0\].high: expected > 0, found 0"),
    "infinite": (VALUES, "format.input.fields.0.high", float("inf"), r"high: expected a value in"),
    "one label": (PICTURES, "format.answer.labels", ["x"], r"format.answer.labels: expected a value in \[2, 100\]"),
    "same labels": (PICTURES, "format.answer.labels", ["x", "x"], r"format.answer.labels: expected each name once"),
    "side": (PICTURES, "format.input.side", 100_000, r"format.input.side: expected a value in \[8, 256\]"),
    "channels": (PICTURES, "format.input.channels", 2, r"format.input.channels: expected 1, 3, found 2"),
    "colours": (PICTURES, "format.input.colours", "cmyk", r"format.input.colours: expected one of rgb, opponent"),
    "rate": (VALUES, "training.lr", 0, r"training.lr: expected a value in"),
    "batch": (VALUES, "training.batch_size", 1.5, r"training.batch_size: expected a whole number"),
    "goal": (VALUES, "aggregation", {"goal": 1, "least": 2}, r"aggregation.goal: expected at least least \(2\)"),
    "krum": (VALUES, "strategy", "krum", r"krum needs k at least 5"),
    "private": (VALUES, "strategy", "dp_fedavg", r"dp_fedavg does not go with task that is published"),
    "huge": (VALUES, "network", {"layers": [{"dense": 10**6}] * 2}, r"network.layers\[0\].dense: expected"),
    "parameters": (VALUES, "network", {"layers": [{"dense": 10**5}] * 3}, r"network: expected at most 20,000,000"),
    "heavy": (VALUES, "network", {"layers": [{"dense": 3000}] * 2}, r"network: expected a network of at most 25,000,0"),
    "deep": (VALUES, "network", {"layers": [{"dense": 2}] * 1000}, r"network.layers"),
    "batch norm": (
        PICTURES, "network", {"layers": [{"conv2d": 4}, {"batch_norm": True}, {"flatten": True}]},
        r"network: expected a network without batch norm",
    ),
    "resnet of grey": (
        changed(PICTURES, "format.input", {"kind": "picture", "side": 16, "channels": 1}), "network",
        {"model_name": "resnet18"}, r"model_name: resnet18 takes pictures of three colours",
    ),
    "resnet with batch norm": (
        PICTURES, "network", {"model_name": "resnet18", "norm": "batch"},
        r"network: expected a network without batch norm",
    ),
    "no such backbone": (
        PICTURES, "network", {"backbone": "../../etc/passwd"},
        r"network.backbone: expected a ResNet whose run has kept its model",
    ),
    "start": (VALUES, "start", {"from": "url"}, r"start.from: expected one of fresh, run"),
    "consent": (VALUES, "consent", "x" * 20_001, r"consent: expected at most 20000 letters"),
    "days": (VALUES, "keep_days", 0, r"keep_days: expected a value in \[1, 3650\]"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_is_one_line_that_names_the_key(case):
    base, path, value, message = BAD[case]
    with pytest.raises(ConfError, match=message) as refused:
        checked_call(changed(base, path, value), lambda name: None)
    assert "\n" not in str(refused.value)


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_PATHS = (
    "format", "format.input", "format.input.kind", "format.input.fields", "format.input.fields.0",
    "format.input.fields.0.low", "format.answer", "format.answer.low", "network", "training", "training.lr",
    "start", "strategy", "lambda", "limits", "limits.norm", "aggregation", "aggregation.minutes", "keep_days",
    "credits", "consent",
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(_PATHS), _ANY)
def test_whatever_json_says_it_is_a_call_or_refused(path, value):
    try:
        checked_call(changed(VALUES, path, value))
    except ConfError as error:
        assert len(str(error).splitlines()) == 1


@pytest.mark.parametrize("value", [None, [], "x", 3, {}])
def test_no_object_is_no_call(value):
    with pytest.raises(ConfError):
        checked_call(value)
