"""Deep blue is sunny and plain grey is cloudy: the model that is asked first, on skies as plain as they get."""

import numpy as np
import onnxruntime
import pytest

from tests.conftest import ROOT
from tests.forecast.plain_skies import plain_skies
from utils.forecast.pixels import SIDE, square_of
from utils.forecast.predictor import Predictor
from utils.nets.stored import as_onnx, load_model
from utils.studies import first

DEFAULT = first().by_role(first().models[0]).run


@pytest.fixture(scope="module")
def skies():
    return [(kind, label, square_of(picture)) for kind, label, picture in plain_skies()]


@pytest.fixture(scope="module")
def predictor():
    return Predictor.load(ROOT / "cache", DEFAULT)


def test_the_model_that_is_asked_first_knows_plain_skies(skies, predictor):
    assert len(skies) == 60
    said = [(kind, label, predictor.judge(square)) for kind, label, square in skies]
    wrong = [kind for kind, label, one in said if (one.probability > 0.5) != (label == "sunny")]
    sure_and_wrong = [(kind, one) for kind, label, one in said if {one.answer, label} == {"sunny", "cloudy"}]
    refused = [(kind, one) for kind, _, one in said if one.answer not in ("sunny", "cloudy", "unsure")]
    assert len(wrong) <= 3, wrong
    assert not sure_and_wrong, sure_and_wrong
    assert len(refused) <= 2, refused


def test_it_says_the_same_of_them_as_onnx(skies, predictor):
    """What the browser runs. Its pixels are tests/forecast/fixture.py's business, and the sky check's too."""
    _, conf, net = load_model(ROOT / "cache", DEFAULT)
    session = onnxruntime.InferenceSession(as_onnx(net, conf, DEFAULT))
    assert conf.task.keys.judged_side == SIDE
    (logits,) = session.run(None, {"pixels": np.stack([square for *_, square in skies])})
    for (kind, _, square), (cloudy, sunny) in zip(skies, logits, strict=True):
        expected = predictor.judge(square).probability
        assert predictor.calibration.probability(float(sunny - cloudy)) == pytest.approx(
            expected, abs=1e-3
        ), kind
