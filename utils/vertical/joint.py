"""The network of all owners, and whose part of its first layer is which: it is put together to be judged and kept. In
life each owner keeps its part.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from utils.data.scaling import Scaled
from utils.vertical.owners import Floats, Guest, Host

Columns = Sequence[Sequence[int]]
"""By owner: positions of its columns in an example that is laid out flat."""


def first_of(net: nn.Module) -> nn.Linear | None:
    """The layer that reads the columns; None where the network does not begin with a dense one."""
    inner = net.net if isinstance(net, Scaled) else net
    layers = [one for one in inner.children() if not isinstance(one, nn.Flatten)]
    found = layers[0] if isinstance(inner, nn.Sequential) and layers else None
    return found if isinstance(found, nn.Linear) else None


class Joint:
    """A network that begins with a dense layer, in float64, of owners with these columns.

    `apart`: each has units of its own, as equally many as can be, which see no other's columns.
    """

    def __init__(self, net: nn.Module, columns: Columns, apart: bool) -> None:
        self._net, self._apart = copy.deepcopy(net).double(), apart
        first = first_of(self._net)
        assert first is not None
        self._first = first
        units = np.arange(first.out_features)
        rows = np.array_split(units, len(columns)) if apart else [units] * len(columns)
        self._blocks = [np.ix_(mine, np.array(of)) for mine, of in zip(rows, columns, strict=True)]

    def mask(self) -> NDArray[np.bool_]:
        """Which weights of the first layer (units, columns) are somebody's; the others are 0."""
        found = np.zeros(tuple(self._first.weight.shape), bool)
        for block in self._blocks:
            found[block] = True
        return found

    def write(self, vector: Floats) -> None:
        """Take over weights, in the order of a `utils.nets.layout.Layout`."""
        with torch.no_grad():
            nn.utils.vector_to_parameters(torch.tensor(vector[: self._size]), self._net.parameters())

    def owners(
        self, columns: Sequence[Floats], targets: NDArray[np.int64] | Floats
    ) -> tuple[Guest, list[Host]]:
        """Guest and hosts, each with its columns (n, columns) and a copy of its weights."""
        whole = self._first.weight.detach().numpy()
        own = [whole[block] for block in self._blocks]
        inner = self._net.net if isinstance(self._net, Scaled) else self._net
        after = list(inner.children())
        top = copy.deepcopy(nn.Sequential(*after[1 + after.index(self._first) :])).train()
        bias = None if self._first.bias is None else self._first.bias.detach().numpy()
        guest = Guest(columns[0], own[0], targets, bias, top, self._apart)
        return guest, [Host(mine, weights) for mine, weights in zip(columns[1:], own[1:], strict=True)]

    def read(self, guest: Guest, hosts: Sequence[Host]) -> Floats:
        """The weights (layout.trained,) that owners have by now."""
        with torch.no_grad():
            for block, one in zip(self._blocks, (guest, *hosts), strict=True):
                self._first.weight[block] = torch.from_numpy(one.weights)
            after = [] if guest.bias is None else [torch.from_numpy(guest.bias)]
            for old, new in zip(self._beyond(), [*after, *guest.top.parameters()], strict=True):
                old.copy_(new)
            return nn.utils.parameters_to_vector(self._net.parameters()).numpy().copy()

    def _beyond(self) -> list[nn.Parameter]:
        return [one for one in self._net.parameters() if one is not self._first.weight]

    @property
    def _size(self) -> int:
        return sum(one.numel() for one in self._net.parameters())
