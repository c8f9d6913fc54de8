"""Scaling that owners agree on without showing a row: means and spreads from sums that each of them sends.

Before round 1 the server asks every client for n and the sums of its features, then, with the mean of all, for the sums
of squared distances from it (two passes, as one loses digits where the mean is large; Chan, Golub and LeVeque 1983).
The answers are float64 and counted as bytes that travel. Mean and spread become part of the network, in front of its
first layer: they are kept with the model, and are in its ONNX. Of numbers that are foretold they agree likewise, as one
feature more, and the network's last layer is in those terms. What owners answer is in `utils.data.rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

NEVER_SEEN = 1e30
Float = NDArray[np.float64]
EXACT = ("mean", "spread", "target_mean", "target_spread")
"""Tensors of a network that are kept in float32 where the others are in half precision."""


class Scaled(nn.Module):
    """A network that gets its inputs (n, *shape) less `mean`, divided by `spread` (both of that shape).

    Where it `foretells` a number, that is its output times `target_spread` plus `target_mean` (both of one number).
    """

    mean: torch.Tensor
    spread: torch.Tensor
    target_mean: torch.Tensor
    target_spread: torch.Tensor

    def __init__(self, net: nn.Module, shape: tuple[int, ...], foretells: bool = False) -> None:
        super().__init__()
        self.net, self.foretells = net, foretells
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("spread", torch.ones(shape))
        if foretells:
            self.register_buffer("target_mean", torch.zeros(1))
            self.register_buffer("target_spread", torch.ones(1))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Outputs (n, ...) of the network."""
        scaled: torch.Tensor = self.net((inputs - self.mean) / self.spread)
        return scaled * self.target_spread + self.target_mean if self.foretells else scaled

    def pairs(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Means and spreads, in the order of the features that owners tell of."""
        targets = [(self.target_mean, self.target_spread)] if self.foretells else []
        return [(self.mean, self.spread), *targets]


def agree(net: Scaled, ask: Callable[[str, Mapping[str, Float]], Iterator[bytes]]) -> tuple[Float, Float]:
    """Set the scaling of `net` from what the owners answer; returns mean and spread as they were before rounding.

    `ask(name, vectors)` puts a question to all clients. A feature that nowhere differs says nothing: it becomes 0, also
    where others differ later; a target that nowhere differs keeps its unit.
    """
    count, sums = 0.0, np.zeros(sum(mean.numel() for mean, _ in net.pairs()))
    for answer in ask("sums", {}):
        found = np.frombuffer(answer, np.float64)
        count, sums = count + found[0], sums + found[1:]
    mean = sums / count
    squares = np.zeros_like(mean)
    for answer in ask("squares", {"mean": mean}):
        squares += np.frombuffer(answer, np.float64)
    spread = np.sqrt(squares / count)
    features = net.mean.numel()
    spread[:features][spread[:features] == 0] = NEVER_SEEN
    spread[features:][spread[features:] == 0] = 1
    ends = [features]
    with torch.no_grad():
        for pair, *values in zip(net.pairs(), np.split(mean, ends), np.split(spread, ends), strict=False):
            for tensor, value in zip(pair, values, strict=True):
                tensor.copy_(torch.from_numpy(value).reshape(tensor.shape))
    return mean, spread
