"""The networks: torchvision's own at width 64, narrow relatives elsewhere, two-way head always."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from utils.conf import ConfError
from utils.nets.build import build
from utils.nets.layout import Layout, read_weights, write_weights
from utils.nets.networks.resnet import MODELS
from utils.nets.outline import known_of
from utils.nets.vision import torchvision_models


def test_width_64_is_torchvisions_own_resnet18_with_two_classes(tiny):
    ours = build(tiny(width=64, norm="batch"), seed=1)
    torch.manual_seed(1)
    theirs = torchvision_models().resnet18(num_classes=2)
    assert [(n, p.shape) for n, p in ours.named_parameters()] == [
        (n, p.shape) for n, p in theirs.named_parameters()
    ]
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_width_16_has_the_seven_hundred_thousand_parameters_a_phone_can_train(tiny):
    net = build(tiny(width=16), seed=0)
    assert sum(p.numel() for p in net.parameters()) == 702_354
    assert not list(net.buffers())


@pytest.mark.parametrize("name", MODELS)
def test_every_model_answers_two_logits(tiny, name):
    net = build(tiny(model_name=name, width=8 if "resnext" not in name else 64), seed=0).eval()
    with torch.inference_mode():
        assert net(torch.zeros(1, 3, 32, 32)).shape == (1, 2)


@pytest.mark.parametrize("name", MODELS)
def test_its_numbers_are_known_without_torch(tiny, name):
    for width, norm in ((16, "group"), (28, "batch"), (64, "batch")):
        conf = tiny(model_name=name, width=width, norm=norm)
        with torch.device("meta"):
            net = build(conf, seed=0)
        told = known_of(conf)
        assert told["parameters"] == sum(p.numel() for p in net.parameters())
        assert told["bytes_of_update"] == 4 * Layout.of(net).size
        assert told["layers"] is told["bytes_of_training"] is None and told["input"] == [3, 32, 32]


@pytest.mark.parametrize("width", range(4, 256, 28))
def test_group_norm_fits_every_width(tiny, width):
    with torch.device("meta"):
        build(tiny(width=width), seed=0)


def test_narrow_layers_are_initialised_like_the_others(tiny):
    net = build(tiny(width=16, norm="batch"), seed=0)
    stem = net.conv1.weight.std().item()
    expected = (2 / (16 * 7 * 7)) ** 0.5  # He et al. 2015, fan-out
    assert stem == pytest.approx(expected, rel=0.1)
    assert torch.equal(net.bn1.weight, torch.ones(16))


def test_the_seed_decides_and_the_global_generator_is_left_alone(tiny):
    torch.manual_seed(42)
    expected = torch.rand(1)
    torch.manual_seed(42)
    first, second, other = (read_weights(build(tiny(), seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert np.array_equal(first, second) and not np.array_equal(first, other)


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_weights_go_through_the_vector_and_back(tiny, norm):
    conf = tiny(norm=norm)
    net, other = build(conf, 1).train(), build(conf, 2)
    net(torch.randn(4, 3, 32, 32))
    vector = read_weights(net)
    layout = Layout.of(net)
    assert vector.shape == (layout.size,) and vector.dtype == np.float32
    write_weights(other, vector)
    assert np.array_equal(read_weights(other), vector)
    named = layout.named(vector)
    assert all(
        np.array_equal(named[name], tensor.detach().numpy()) for name, tensor in net.named_parameters()
    )
    assert ("bn1.running_mean" in named) == (norm == "batch")
    assert not any("num_batches" in name for name in named)
    assert np.array_equal(layout.flat(named), vector)


def test_a_vector_that_does_not_fit_is_refused(tiny):
    layout = Layout.of(build(tiny(), 0))
    with pytest.raises(ValueError, match="expected a vector of"):
        layout.named(np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="expected"):
        layout.flat({"fc.bias": np.zeros(2, np.float32)})


def test_pretrained_weights_that_cannot_be_had_are_one_line(tiny, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("Name or service not known\nmore")

    monkeypatch.setattr(torchvision_models(), "get_model", refuse)
    with pytest.raises(ConfError) as error:
        build(tiny(width=64, norm="batch", pretrained=True), 0)
    assert "pretrained" in str(error.value) and "\n" not in str(error.value)


def test_operators_that_are_there_are_not_declared_again():
    code = (
        "import torch\n"
        "library = torch.library.Library('torchvision', 'DEF')\n"
        "for name in ('nms', 'qnms'):\n"
        "    library.define(name + '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')\n"
        "from utils.nets import vision\n"
        "vision.torchvision_models()\n"
        "assert not vision._declared\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_threads_that_build_at_the_same_time_do_not_disturb_each_other(tiny):
    conf = tiny(width=8)
    expected = [read_weights(build(conf, seed)) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda seed: read_weights(build(conf, seed)), range(8)))
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
