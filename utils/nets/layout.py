"""Maps a network's weights to one flat float32 vector and back: parameters, then normalisation buffers.

Policy for buffers: running means and variances of batch norm travel and are averaged like weights; its
integer batch counters do not (they are of no use with a fixed momentum, and a mean of counters is none).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Layout:
    """Names, shapes and offsets of the tensors inside a flat weight vector."""

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    parameters: int  # how many of the names are parameters; buffers follow

    @classmethod
    def of(cls, net: nn.Module) -> Layout:
        """The layout of `net`."""
        parameters = list(net.named_parameters())
        buffers = [(name, tensor) for name, tensor in net.named_buffers() if tensor.is_floating_point()]
        tensors = parameters + buffers
        return cls(
            tuple(name for name, _ in tensors),
            tuple(tuple(tensor.shape) for _, tensor in tensors),
            len(parameters),
        )

    @property
    def sizes(self) -> list[int]:
        """Number of values of each tensor."""
        return [int(np.prod(shape)) for shape in self.shapes]

    @property
    def size(self) -> int:
        """Length of the vector."""
        return sum(self.sizes)

    def named(self, vector: NDArray[np.floating]) -> dict[str, NDArray[np.floating]]:
        """Views into `vector` (shape (size,)) by tensor name. Raises ValueError on another length."""
        if vector.shape != (self.size,):
            raise ValueError(f"expected a vector of {self.size} values, found shape {vector.shape}")
        pieces = np.split(vector, np.cumsum(self.sizes)[:-1])
        return {
            name: piece.reshape(shape)
            for name, shape, piece in zip(self.names, self.shapes, pieces, strict=True)
        }

    def flat(self, named: dict[str, NDArray[np.floating]]) -> Vector:
        """The vector holding the arrays of `named`. Raises ValueError on missing, extra or misshapen ones."""
        if set(named) != set(self.names):
            raise ValueError(f"expected {len(self.names)} tensors by the layout's names, found others")
        for name, shape in zip(self.names, self.shapes, strict=True):
            if named[name].shape != shape:
                raise ValueError(f"expected {name} of shape {shape}, found {named[name].shape}")
        return np.concatenate([named[name].ravel() for name in self.names]).astype(np.float32)


def read_weights(net: nn.Module | Sequence[torch.Tensor], into: Vector | None = None) -> Vector:
    """The weights of `net` (or its `tensors_of`) as a vector (layout.size,): `into`, if there is such, or a new one."""
    tensors = [tensor.detach() for tensor in tensors_of(net)]
    vector = np.empty(sum(tensor.numel() for tensor in tensors), np.float32) if into is None else into
    offset = 0
    for tensor in tensors:
        torch.from_numpy(vector[offset : offset + tensor.numel()]).view(tensor.shape).copy_(tensor)
        offset += tensor.numel()
    return vector


def write_weights(net: nn.Module | Sequence[torch.Tensor], vector: Vector) -> None:
    """Put `vector` (shape (layout.size,)) into `net` (or its `tensors_of`), in place."""
    offset, whole = 0, vector.view()
    try:
        whole.flags.writeable = (
            True  # torch knows no tensors of what must not be changed; this one is only read
        )
    except ValueError:
        whole = vector.copy()
    with torch.no_grad():
        for tensor in tensors_of(net):
            piece = torch.from_numpy(whole[offset : offset + tensor.numel()])
            tensor.copy_(piece.view(tensor.shape))
            offset += tensor.numel()


def tensors_of(net: nn.Module | Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
    """The tensors of `net` in the order of the vector: who needs them again and again need not look for them again."""
    if not isinstance(net, nn.Module):
        return net
    return list(net.parameters()) + [buffer for buffer in net.buffers() if buffer.is_floating_point()]
