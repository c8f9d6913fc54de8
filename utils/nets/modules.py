"""Described networks as torch modules, with torch's own initialisation from its global generator."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import nn

from utils.nets import kinds
from utils.nets.kinds import Layer, Signal
from utils.nets.outline import Description, outline

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


def network(described: Description, inputs: Signal, outputs: int) -> nn.Sequential:
    """Examples like `inputs` (n, ...) to (n, outputs). Raises ConfError where a layer does not fit.

    Layer number 2, a dense one, is called `2_dense`, its activation `2_relu`; the last is `output`.
    """
    last = outline(described, inputs, outputs)[-1]
    return nn.Sequential(
        OrderedDict([*_named(described.layers, inputs), ("output", nn.Linear(last.before.size, outputs))])
    )


def _named(layers: tuple[Layer, ...], before: Signal) -> list[tuple[str, nn.Module]]:
    named: list[tuple[str, nn.Module]] = []
    for number, layer in enumerate(layers):
        if isinstance(layer, kinds.Residual):
            made: nn.Module = Residual(*(chain(some, before) for some in (layer.residual, layer.shortcut)))
            before = _end(layer.residual, before)
        else:
            made = _MODULES[type(layer)](layer, before)
            before = layer.after(before)
        named.append((f"{number}_{layer.kind()}", made))
        activation = getattr(layer, "activation", "none")
        if activation != "none":
            named.append((f"{number}_{activation}", _ACTIVATIONS[activation]()))
    return named


def chain(layers: tuple[Layer, ...], before: Signal) -> nn.Sequential:
    """The layers one after the other; nothing where there are none."""
    return nn.Sequential(OrderedDict(_named(layers, before)))


def _end(layers: tuple[Layer, ...], before: Signal) -> Signal:
    for layer in layers:
        before = layer.after(before)
    return before


class Residual(nn.Module):
    """What `residual` and `shortcut` make of the same input, added."""

    def __init__(self, residual: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.residual, self.shortcut = residual, shortcut

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """See `nn.Module`."""
        added: torch.Tensor = self.residual(inputs) + self.shortcut(inputs)
        return added


class GlobalPooling(nn.Module):
    """Mean or largest number of each channel: (n, c, h, w) to (n, c)."""

    def __init__(self, largest: bool) -> None:
        super().__init__()
        self.largest = largest

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """See `nn.Module`."""
        return inputs.amax((2, 3)) if self.largest else inputs.mean((2, 3))


class States(nn.Module):
    """What reads along a sequence, (n, steps, numbers) to (n, steps, units), or to the last state only, (n, units)."""

    def __init__(self, along: nn.RNNBase, sequence: bool) -> None:
        super().__init__()
        self.along, self.sequence = along, sequence

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """See `nn.Module`."""
        states: torch.Tensor = self.along(inputs)[0]
        return states if self.sequence else states[:, -1]


def _recurrent(kind: type[nn.GRU] | type[nn.LSTM]) -> Callable[..., nn.Module]:
    def make(layer: kinds.Gru | kinds.Lstm, before: Signal) -> nn.Module:
        return States(kind(before.shape[1], layer.units, batch_first=True), layer.sequence)

    return make


def _conv2d(layer: kinds.Conv2d, before: Signal) -> nn.Module:
    return nn.Conv2d(
        before.shape[0], layer.conv2d, layer.kernel, layer.stride, layer.padding, bias=layer.bias
    )


def _pooling(layer: kinds.Pooling, before: Signal) -> nn.Module:
    kind = nn.MaxPool2d if layer.pooling == "max" else nn.AvgPool2d
    return kind(layer.size, layer.stride or layer.size)


def _batch_norm(layer: kinds.BatchNorm, before: Signal) -> nn.Module:
    return (nn.BatchNorm2d if len(before.shape) == 3 else nn.BatchNorm1d)(before.shape[0])


_MODULES: dict[type[Layer], Callable[..., nn.Module]] = {
    kinds.Dense: lambda layer, before: nn.Linear(before.size, layer.dense, bias=layer.bias),
    kinds.Conv2d: _conv2d,
    kinds.Pooling: _pooling,
    kinds.GlobalPooling: lambda layer, before: GlobalPooling(layer.global_pooling == "max"),
    kinds.Flatten: lambda layer, before: nn.Flatten(),
    kinds.Dropout: lambda layer, before: nn.Dropout(layer.dropout),
    kinds.GroupNorm: lambda layer, before: nn.GroupNorm(layer.group_norm, before.shape[0]),
    kinds.BatchNorm: _batch_norm,
    kinds.Embedding: lambda layer, before: nn.Embedding(before.tokens, layer.embedding),
    kinds.Gru: _recurrent(nn.GRU),
    kinds.Lstm: _recurrent(nn.LSTM),
}
