"""Matrices of low rank (Vogels et al. 2019, PowerSGD), https://arxiv.org/abs/1905.13727."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from utils.federated.links._sparse import feedback_key
from utils.federated.update import Bytes
from utils.parts import key

if TYPE_CHECKING:
    from utils.federated.kept import Memory
    from utils.nets.layout import Layout, Vector

ABOUT = (
    "each layer's change as a product of two thin matrices",
    "把每层的变化写成两个细矩阵之积（PowerSGD）",
)


@dataclass(frozen=True)
class Keys:
    """How thin."""

    rank: int = key("rank of what is sent of a layer", zh="每层所发送矩阵的秩", default=2, low=1, high=1000)
    error_feedback: bool = feedback_key()


class Link:
    """Of each tensor, as a matrix M (outputs, the rest), one step of subspace iteration: P = M Q, its columns made
    orthonormal, Q = M^T P; what is sent are P and Q, and M is P Q^T. Q goes on from the client's last one, at first
    from one that all draw alike. 4 rank (rows + columns) bytes; tensors for which that is not half of what they are
    (biases, norms) go whole, 4 bytes a value.

    Each client's update is coded by itself; in the paper all average P and then Q.
    """

    def __init__(self, keys: Keys, layout: Layout) -> None:
        self.feedback = keys.error_feedback
        self.memory: Memory = {}
        ends, self._pieces = 0, list[tuple[slice, int, int]]()  # rows and columns, 0 where it goes whole
        for shape, size in zip(layout.shapes[: layout.parameters], layout.sizes, strict=False):
            rows = shape[0] if len(shape) > 1 else 0
            columns = size // rows if rows else 0
            thin = rows and 2 * keys.rank * (rows + columns) <= size
            self._pieces.append((slice(ends, ends + size), rows if thin else 0, columns))
            ends += size
        self._rank, self._size = keys.rank, ends

    def encode(self, difference: Vector, samples: int, rng: np.random.Generator) -> bytes:
        """P and Q of each matrix, or the tensor as it is."""
        parts = []
        for number, (piece, rows, columns) in enumerate(self._pieces):
            if not rows:
                parts.append(difference[piece].astype("<f4"))
                continue
            matrix, name = difference[piece].reshape(rows, columns), f"q{number}"
            first = np.random.default_rng(number).standard_normal((columns, self._rank))
            before: NDArray[Any] = self.memory.get(name, first)
            left = np.linalg.qr(matrix.astype(np.float64) @ before)[0]
            right = matrix.T.astype(np.float64) @ left
            self.memory[name] = right.astype(np.float32)
            parts += [left.astype("<f4"), right.astype("<f4")]
        return b"".join(part.tobytes() for part in parts)

    def decode(self, payload: Bytes) -> Vector:
        """P Q^T of each matrix (n,). Raises ValueError on another length."""
        values, start, found = np.frombuffer(payload, "<f4"), 0, np.empty(self._size, np.float32)
        for piece, rows, columns in self._pieces:
            many = self._rank * (rows + columns) if rows else piece.stop - piece.start
            taken, start = values[start : start + many], start + many
            if len(taken) != many:
                raise ValueError(f"an update of {len(values)} values, expected more")
            if rows:
                left, right = np.split(taken, [self._rank * rows])
                found[piece] = (left.reshape(rows, -1) @ right.reshape(columns, -1).T).ravel()
            else:
                found[piece] = taken
        if start != len(values):
            raise ValueError(f"an update of {len(values)} values, expected {start}")
        return found
