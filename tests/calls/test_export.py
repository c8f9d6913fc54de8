"""A version as ONNX answers as the network itself does, from pixels in 0..1 or values in their units; with a backbone
the whole way from the picture.
"""

import hashlib

import numpy as np
import onnxruntime
import pytest

from tests.calls.test_described import PICTURES, VALUES
from tests.conftest import ROOT
from utils.calls.begin import begin, drawn
from utils.calls.described import checked_call
from utils.calls.export import exported
from utils.calls.home import backbone, fresh, in_memory, prepared
from utils.calls.weights import written
from utils.nets.build import layout_of
from utils.nets.stored import ModelError
from utils.photos.call import FORMAT
from utils.results import read_result, result_path

CACHE = ROOT / "cache"
RUN = "conf_f10"


def on_backbone():
    result = read_result(result_path(CACHE, RUN))
    told = {"features": 128, "sha256": result["model"]["sha256"], "side": 64, "colours": "opponent"}
    return checked_call(
        {"format": FORMAT, "network": {"backbone": RUN}, "training": {}}, lambda name: told
    ), result


def _asked(call, raw, inputs):
    session = onnxruntime.InferenceSession(raw)
    given = inputs / 255 if call.format.is_picture else inputs
    return session.run(None, {"examples": given.astype(np.float32)})[0]


@pytest.mark.parametrize("base", [PICTURES, VALUES], ids=["pictures", "values"])
def test_it_answers_as_the_network_does(base, tmp_path):
    call = checked_call(base)
    weights, (inputs, _) = fresh(call, 3), drawn(call, 5, seed=1)
    raw = exported(call, written(layout_of(call.conf).named(weights)), tmp_path, "1")
    np.testing.assert_allclose(
        _asked(call, raw, inputs), in_memory(call, inputs)(weights), rtol=1e-4, atol=1e-4
    )


def test_with_a_backbone_it_goes_the_whole_way_and_features_come_from_the_very_file(tmp_path):
    call, result = on_backbone()
    weights, (inputs, _) = fresh(call, 3), drawn(call, 5, seed=1)
    features = prepared(call, inputs, CACHE)
    assert features.shape == (5, 128)
    raw = exported(call, written(layout_of(call.conf).named(weights)), CACHE, "1")
    np.testing.assert_allclose(
        _asked(call, raw, inputs), in_memory(call, features)(weights), rtol=1e-3, atol=1e-3
    )
    found = begin(call, tmp_path, CACHE)
    assert found["parameters"] == 258 and found["bytes"] < 2000 and found["after"] < found["before"]
    file = result_path(CACHE, RUN).with_suffix(".safetensors").read_bytes()
    assert hashlib.sha256(file).hexdigest() == call.network_json["sha256"]
    assert backbone(result["conf"], file, call) is not None
    with pytest.raises(ModelError, match="not the model that the task was published with"):
        backbone(result["conf"], file + b" ", call)
