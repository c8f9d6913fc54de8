"""Inputs times gradient, worked out forwards, are those of automatic differentiation."""

import pytest
import torch
from torch import nn

from utils.data.scaling import Scaled
from utils.nets.spoke import can_tell, spoke


@pytest.mark.parametrize("bent", [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Identity])
@pytest.mark.parametrize("scaled", [False, True])
def test_it_is_what_automatic_differentiation_says(bent, scaled):
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(5, 7), bent(), nn.Dropout(0.5), nn.Linear(7, 3)).eval()
    net = Scaled(layers, (5,)) if scaled else layers
    inputs = torch.randn(4, 5)
    seen = inputs
    if scaled:
        net.mean.copy_(torch.randn(5))
        net.spread.copy_(torch.rand(5) + 0.5)
        seen = (inputs - net.mean) / net.spread
    assert can_tell(net)
    outputs, shares = spoke(net, inputs)
    assert torch.allclose(outputs, net(inputs), atol=1e-6)
    for one in range(3):
        given = seen.detach().clone().requires_grad_()
        layers(given)[:, one].sum().backward()
        assert torch.allclose(shares[:, :, one], given * given.grad, atol=1e-6)


def test_of_relu_and_no_constant_terms_the_shares_add_up():
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(6, 8, bias=False), nn.ReLU(), nn.Linear(8, 2, bias=False))
    outputs, shares = spoke(net, torch.randn(3, 6))
    assert torch.allclose(shares.sum(1), outputs, atol=1e-6)


@pytest.mark.parametrize(
    "net",
    [
        nn.Linear(3, 2),
        nn.Sequential(nn.Linear(3, 4), nn.GroupNorm(2, 4)),
        Scaled(nn.Sequential(nn.Linear(3, 1)), (3,), foretells=True),
    ],
    ids=["bare", "norm", "number"],
)
def test_what_it_does_not_know_it_says(net):
    assert not can_tell(net)
