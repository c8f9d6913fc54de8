"""Models read back from cache/, and the same networks as ONNX."""

import shutil

import numpy as np
import onnxruntime
import pytest
import torch

from tests.conftest import ROOT
from utils.nets.stored import ModelError, as_onnx, load_model, main
from utils.photos.transforms import for_judging, views
from utils.results import ResultError


@pytest.fixture
def cache(tmp_path):
    for suffix in ("pkl", "safetensors"):
        shutil.copy(ROOT / "cache" / f"conf_f10.json.{suffix}", tmp_path)
    return tmp_path


def test_a_model_as_onnx_answers_as_the_network_does(cache):
    _, conf, net = load_model(cache, "conf_f10")
    side = conf.task.keys.judged_side
    photos = np.random.default_rng(0).integers(0, 256, (5, 3, side, side), dtype=np.uint8)
    with torch.inference_mode():
        inputs = for_judging(photos, side, conf.task.keys.colours)
        expected = (
            torch.stack([net(v) for v in views(inputs, conf.task.keys.image_size, conf.task.keys.judging)])
            .mean(0)
            .numpy()
        )
    session = onnxruntime.InferenceSession(as_onnx(net, conf, "conf_f10"))
    for count in (1, 5):
        pixels = photos[:count].astype(np.float32) / 255
        assert np.abs(session.run(None, {"pixels": pixels})[0] - expected[:count]).max() < 1e-4
    assert np.ptp(expected) > 0.01  # not the same for everything
    told = session.get_modelmeta().custom_metadata_map
    assert told["classes"] == '["cloudy", "sunny"]' and told["run"] == "conf_f10"


def test_the_command_writes_it_whole_and_the_same_every_time(cache, tmp_path):
    for name in ("a.onnx", "b.onnx"):
        assert main(["conf_f10", "--cache", str(cache), "-o", str(tmp_path / name)]) == 0
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_a_model_that_cannot_be_used_is_one_line(cache, capsys, tmp_path):
    model = cache / "conf_f10.json.safetensors"
    raw = model.read_bytes()
    model.write_bytes(raw[:-2] + b"!!")
    with pytest.raises(ModelError, match="not the file that its result speaks of"):
        load_model(cache, "conf_f10")
    model.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(cache, "conf_f10")
    with pytest.raises(ResultError, match="cannot be read"):
        load_model(cache, "conf_none")
    for name, reason in (("../evil", "not the name"), ("conf_f10", "cannot be read")):
        assert main([name, "--cache", str(cache), "-o", str(tmp_path / "x.onnx")]) == 2
        said = capsys.readouterr().err
        assert reason in said and said.count("\n") == 1
    assert not (tmp_path / "x.onnx").exists()
