"""Maps a network's weights to one flat float32 vector and back: parameters, then normalisation buffers.

A tensor lies in the vector as it lies in memory while it is trained: kernels of convolutions over pictures (4-d) have
their channels last. So to read and to write a network is plain copying.

Policy for buffers: running means and variances of batch norm travel and are averaged like weights; its
integer batch counters do not (they are of no use with a fixed momentum, and a mean of counters is none).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Vector = NDArray[np.float32]

_LAST, _FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


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

    @cached_property
    def sizes(self) -> list[int]:
        """Number of values of each tensor."""
        return [int(np.prod(shape)) for shape in self.shapes]

    @cached_property
    def size(self) -> int:
        """Length of the vector."""
        return sum(self.sizes)

    @cached_property
    def trained(self) -> int:
        """How many values of the vector are parameters; those of buffers follow."""
        return sum(self.sizes[: self.parameters])

    def named(self, vector: NDArray[np.floating]) -> dict[str, NDArray[np.floating]]:
        """Views into `vector` (shape (size,)) by tensor name. Raises ValueError on another length."""
        if vector.shape != (self.size,):
            raise ValueError(f"expected a vector of {self.size} values, found shape {vector.shape}")
        return {
            name: _shaped(piece, shape)
            for name, shape, piece in zip(self.names, self.shapes, self._split(vector), strict=True)
        }

    def flat(self, named: dict[str, NDArray[np.floating]]) -> Vector:
        """The vector holding the arrays of `named`. Raises ValueError on missing, extra or misshapen ones."""
        if set(named) != set(self.names):
            raise ValueError(f"expected {len(self.names)} tensors by the layout's names, found others")
        for name, shape in zip(self.names, self.shapes, strict=True):
            if named[name].shape != shape:
                raise ValueError(f"expected {name} of shape {shape}, found {named[name].shape}")
        return np.concatenate([_in_memory(named[name]) for name in self.names]).astype(np.float32)

    def from_row_major(self, vector: NDArray[np.floating]) -> NDArray[np.floating]:
        """Today's order of a vector (size,) in which each tensor's last axis is the fastest, as it was once."""
        shaped = zip(self._split(vector), self.shapes, strict=True)
        return np.concatenate([_in_memory(piece.reshape(shape)) for piece, shape in shaped])

    def _split(self, vector: NDArray[np.floating]) -> list[NDArray[np.floating]]:
        return np.split(vector, np.cumsum(self.sizes)[:-1])


def read_weights(net: nn.Module) -> Vector:
    """The weights of `net` as a vector (layout.size,)."""
    tensors = _tensors_of(net)
    vector = np.empty(sum(tensor.numel() for tensor in tensors), np.float32)
    for tensor, piece in zip(tensors, pieces(net, vector), strict=True):
        piece.copy_(tensor.detach())
    return vector


def write_weights(net: nn.Module, vector: Vector) -> None:
    """Put `vector` (shape (layout.size,)) into `net`, in place."""
    with torch.no_grad():
        for tensor, piece in zip(_tensors_of(net), pieces(net, vector), strict=True):
            tensor.copy_(piece)


def gather(net: nn.Module) -> torch.Tensor:
    """Let the weights of `net` lie in one vector (layout.size,), which is returned: to read or write it is to read or
    write them.
    """
    tensors = _tensors_of(net)
    whole = torch.from_numpy(read_weights(net)).to(tensors[0].device)
    for tensor, piece in zip(tensors, pieces(net, whole), strict=True):
        tensor.data = piece
    return whole


def pieces(net: nn.Module, vector: Vector | torch.Tensor) -> Iterator[torch.Tensor]:
    """What belongs to each tensor of `net` in a vector (layout.size,), parameters first: in its shape and not copied.

    Where the vector must not be changed, the pieces must not be either.
    """
    tensors = _tensors_of(net)
    whole = vector if isinstance(vector, torch.Tensor) else as_tensor(vector)
    parts = whole.split_with_sizes([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        if tensor.dim() == 4:
            yield part.view([tensor.shape[axis] for axis in _LAST]).permute(_FIRST)
        else:
            yield part.view_as(tensor)


def as_tensor(vector: Vector) -> torch.Tensor:
    """The vector as torch has it, not copied where that can be. Of one that must not be changed it is only to be read:
    torch knows no such tensors.
    """
    whole = vector.view()
    try:
        whole.flags.writeable = True
    except ValueError:
        whole = vector.copy()
    return torch.from_numpy(whole)


def _tensors_of(net: nn.Module) -> list[torch.Tensor]:
    """The tensors of `net` in the order of the vector."""
    return list(net.parameters()) + [buffer for buffer in net.buffers() if buffer.is_floating_point()]


def _shaped(piece: NDArray[np.floating], shape: tuple[int, ...]) -> NDArray[np.floating]:
    """A tensor from its piece of the vector, not copied."""
    if len(shape) != 4:
        return piece.reshape(shape)
    return piece.reshape([shape[axis] for axis in _LAST]).transpose(_FIRST)


def _in_memory(array: NDArray[np.floating]) -> NDArray[np.floating]:
    """A tensor's piece of the vector."""
    return (array.transpose(_LAST) if array.ndim == 4 else array).ravel()
