"""The steps of a network, reckoned by another hand, come to what torch's module says, with the very weights it has."""

import pytest
import torch
import torch.nn.functional as F

from utils.calls.described import checked_call
from utils.conf import make_conf
from utils.nets.build import shape_of
from utils.nets.steps import steps_of
from utils.tasks import inputs_of

SMALL = {
    "type": "weather", "no_models": 1, "k": 1, "global_epochs": 1, "local_epochs": 1, "batch_size": 8, "lr": 0.1,
    "momentum": 0.9, "lambda": 1.0, "image_size": 32,
}  # fmt: skip
PICTURE = {
    "input": {"kind": "picture", "side": 32, "channels": 3},
    "answer": {"kind": "label", "labels": ["a", "b", "c"]},
}


def reckoned(steps, weights, x):
    """What the steps make of x; the weights that were used are taken out of `weights`."""
    for step in steps:
        named = {
            key: step[key] and weights.pop(step[key])
            for key in ("weight", "bias", "mean", "variance")
            if key in step
        }
        match step["do"]:
            case "conv2d":
                x = F.conv2d(x, named["weight"], named["bias"], step["stride"], step["padding"])
            case "dense":
                x = F.linear(x, named["weight"], named["bias"])
            case "group_norm":
                x = F.group_norm(x, step["groups"], named["weight"], named["bias"], 1e-5)
            case "batch_norm":
                x = F.batch_norm(
                    x, named["mean"], named["variance"], named["weight"], named["bias"], eps=1e-5
                )
            case "max_pooling":
                x = F.max_pool2d(x, step["size"], step["stride"], step["padding"])
            case "average_pooling":
                x = F.avg_pool2d(x, step["size"], step["stride"], step["padding"])
            case "global_max":
                x = x.amax((2, 3))
            case "global_average":
                x = x.mean((2, 3))
            case "flatten":
                x = x.flatten(1)
            case "sum":
                x = sum(reckoned(way, weights, x) for way in step["of"])
            case "relu" | "tanh" | "sigmoid" as name:
                x = getattr(torch, name)(x)
            case other:
                assert other == "dropout"
    return x


def agrees(conf):
    torch.manual_seed(1)
    net = shape_of(conf).eval()
    with torch.no_grad():
        for tensor in [*net.parameters(), *(one for one in net.buffers() if one.is_floating_point())]:
            tensor.copy_(torch.rand_like(tensor) * 0.2 + 0.05)
        x = torch.randn(2, *inputs_of(conf).shape)
        weights = {
            name: one for name, one in net.state_dict().items() if not name.endswith("num_batches_tracked")
        }
        torch.testing.assert_close(reckoned(steps_of(conf), weights, x), net(x), rtol=1e-4, atol=1e-5)
    assert not weights  # each was used, once


@pytest.mark.parametrize(
    "network",
    [
        "mlp", "small_cnn", "photo_cnn", "lenet5", "logistic", {"model_name": "resnet18"},
        {"layers": [
            {"conv2d": 4, "stride": 2, "activation": "tanh"}, {"pooling": "average", "size": 3, "stride": 2},
            {"pooling": "max"}, {"global_pooling": "max"}, {"dense": 6, "bias": False, "activation": "sigmoid"},
            {"group_norm": 2}, {"dropout": 0.5}]},
    ],
    ids=str,
)  # fmt: skip
def test_networks_of_published_tasks(network):
    agrees(checked_call({"format": PICTURE, "network": network, "training": {}}).conf)


@pytest.mark.parametrize(
    "keys",
    [
        {"model_name": "resnet18", "width": 16, "norm": "batch"},
        {"model_name": "resnet34", "width": 8, "norm": "group"},
        {"model_name": "resnet50", "width": 8, "norm": "batch"}, {"model_name": "wide_resnet50_2", "width": 8},
    ],
    ids=str,
)  # fmt: skip
def test_networks_of_runs(keys):
    agrees(make_conf(SMALL | keys, ""))


def test_what_has_no_steps_says_so():
    keys = {"model_name": "resnext50_32x4d", "width": 16}
    assert steps_of(make_conf(SMALL | keys, "")) is None
    made = [{"conv2d": 4}, {"residual": [{"batch_norm": True}]}, {"flatten": True}]
    assert steps_of(make_conf(SMALL | {"network": {"layers": made}}, "")) is None
