"""A task on a frozen backbone: pictures go through the network of a run here, and what is learnt is a layer on that."""

import hashlib

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from tests.conftest import TINY
from tests.participant.fake_board import TOKEN, FakeBoard
from utils.calls import home as calls_home
from utils.conf import make_conf
from utils.nets.build import build, layout_of
from utils.nets.layout import read_weights

RUN = "conf_tiny"


@pytest.fixture
def frozen(tmp_path):
    """A board whose task has a backbone, and a folder of pictures."""
    conf = make_conf(TINY, "test")
    weights = read_weights(build(conf, 0))
    raw = safetensors.numpy.save(
        {name: part.astype(np.float16).copy() for name, part in layout_of(conf).named(weights).items()}
    )
    network = {
        "backbone": RUN, "features": 32, "sha256": hashlib.sha256(raw).hexdigest(), "side": 32, "colours": "rgb"
    }  # fmt: skip
    of = {
        "input": {"kind": "picture", "side": 32, "channels": 3, "colours": "rgb"},
        "answer": {"kind": "label", "labels": ["cloudy", "sunny"]},
    }
    made = FakeBoard(format=of, network=network)
    made.runs = {f"/api/v1/runs/{RUN}": {"conf": TINY}, f"/api/v1/runs/{RUN}/model.safetensors": raw}
    rng = np.random.default_rng(0)
    for number in range(10):
        folder = tmp_path / "photos" / ("cloudy", "sunny")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (80, 90, 3), np.uint8)).save(folder / f"{number}.png")
    yield made
    made.close()


def _join(run, board, photos):
    return run("join", board.url, "--token", TOKEN, "--accept", "2", "--pictures", photos)


def test_features_are_made_once_and_only_the_layer_is_sent(run, frozen, tmp_path, home):
    status, out, errors = _join(run, frozen, tmp_path / "photos")
    assert (status, errors) == (0, "") and "frozen network of run conf_tiny" in out
    for _ in range(2):
        assert run("train", "--yes")[0] == 0
    model = f"/api/v1/runs/{RUN}/model.safetensors"
    assert [path for _, path in frozen.asked].count(model) == 1
    (id, *_) = frozen.bodies
    assert {name: part.shape for name, part in frozen.update(id).items()} == {
        "output.weight": (2, 32), "output.bias": (2,)
    }  # fmt: skip
    (data,) = home.glob("tasks/*/data-*")
    conf_net = calls_home.backbone(TINY, frozen.runs[model], frozen.call)
    pictures = np.load(data / "inputs.npy")
    assert np.array_equal(
        np.load(data / "features.npy"), calls_home.features(conf_net, pictures, frozen.call.format)
    )


@pytest.mark.parametrize("lie", ["another model", "no model", "another conf", "no conf"])
def test_a_backbone_that_is_another_is_not_used(run, frozen, tmp_path, lie):
    _join(run, frozen, tmp_path / "photos")
    where = f"/api/v1/runs/{RUN}"
    if lie == "another model":
        frozen.runs[f"{where}/model.safetensors"] = frozen.runs[f"{where}/model.safetensors"][:-2] + b"xy"
    elif lie == "no model":
        frozen.runs[f"{where}/model.safetensors"] = b"x"
    else:
        frozen.runs[where] = {"conf": {**TINY, "width": 8} if lie == "another conf" else {"x": 1}}
    status, _, errors = run("train", "--yes")
    assert status == 1 and errors.count("\n") == 1 and "backbone conf_tiny cannot be used" in errors
    assert not frozen.bodies
