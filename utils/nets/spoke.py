"""What spoke for an answer: inputs times gradient (Shrikumar et al. 2016), in one pass forwards, so that ONNX holds it.

Each input's share is pushed through the layers beside the values (forward-mode differentiation, Griewank and Walther
2008, chapter 3). It is exact, and of networks with ReLU the shares and the constant terms add up to the output.
"""

from __future__ import annotations

import torch
from torch import nn

from utils.data.scaling import Scaled

_PASSED = (nn.Flatten, nn.Dropout, nn.Identity)
_BENT = (nn.ReLU, nn.Tanh, nn.Sigmoid)


def can_tell(net: nn.Module) -> bool:
    """Whether `spoke` knows every layer: scaled inputs, dense layers and what lies between them."""
    layers = net.net if isinstance(net, Scaled) and not net.foretells else net
    known = (nn.Linear, *_PASSED, *_BENT)
    return isinstance(layers, nn.Sequential) and all(isinstance(layer, known) for layer in layers)


def spoke(net: nn.Module, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs (n, outputs) of inputs (n, features), and of each input its value times the gradient of each output, (n,
    features, outputs); where inputs are scaled, in these terms: a feature at its mean says nothing.
    """
    layers = net
    if isinstance(net, Scaled):
        inputs, layers = (inputs - net.mean) / net.spread, net.net
    shares = inputs.unsqueeze(2) * torch.eye(inputs.shape[1])
    for layer in layers.children():
        if isinstance(layer, nn.Linear):
            inputs, shares = layer(inputs), shares @ layer.weight.T
        elif isinstance(layer, _BENT):
            inputs = layer(inputs)
            shares = shares * _slope(layer, inputs).unsqueeze(1)
    return inputs, shares


def _slope(layer: nn.Module, outputs: torch.Tensor) -> torch.Tensor:
    """The derivative where a layer gave these outputs."""
    if isinstance(layer, nn.ReLU):
        return (outputs > 0).to(outputs.dtype)
    return 1 - outputs**2 if isinstance(layer, nn.Tanh) else outputs * (1 - outputs)
