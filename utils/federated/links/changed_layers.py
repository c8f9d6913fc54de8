"""Only the layers that change most, whole: those whose values change most on average."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from utils.federated.links._sparse import feedback_key
from utils.federated.update import Bytes
from utils.parts import key

if TYPE_CHECKING:
    from utils.nets.layout import Layout, Vector

ABOUT = ("only the layers that change most, whole", "只发送平均变化最大的若干层（按层敏感度传输）")


@dataclass(frozen=True)
class Keys:
    """How many, and what becomes of the others."""

    layers: float = key(
        "share of the layers that is sent, by number",
        zh="发送的层的数量所占比例",
        default=0.5,
        low=0.0,
        high=1.0,
        above_low=True,
    )
    error_feedback: bool = feedback_key(False)


class Link:
    """Of m layers ceil(layers * m) with the largest mean magnitude of change: 2 bytes a layer, its number (uint16), and
    4 a value (float32). A layer is what follows each other of one module, its weights and biases.
    """

    def __init__(self, keys: Keys, layout: Layout) -> None:
        self._size, start = layout.trained, 0
        self._pieces: list[slice] = []
        named = zip(layout.names[: layout.parameters], layout.sizes, strict=False)
        for _, of in groupby(named, key=lambda one: one[0].rpartition(".")[0]):
            end = start + sum(size for _, size in of)
            self._pieces.append(slice(start, end))
            start = end
        self._count = min(len(self._pieces), math.ceil(keys.layers * len(self._pieces) - 1e-9))
        self.feedback = keys.error_feedback

    def encode(self, difference: Vector, samples: int, rng: np.random.Generator) -> bytes:
        """Numbers, ascending, and values of layers."""
        change = [-float(np.abs(difference[piece]).mean(dtype=np.float64)) for piece in self._pieces]
        chosen = np.sort(np.argsort(change, kind="stable")[: self._count])
        values = [difference[self._pieces[number]].astype("<f4").tobytes() for number in chosen]
        return chosen.astype("<u2").tobytes() + b"".join(values)

    def decode(self, payload: Bytes) -> Vector:
        """The layers where they belong, and 0 elsewhere (n,). Raises ValueError on anything else."""
        view, found = memoryview(payload), np.zeros(self._size, np.float32)
        chosen = np.frombuffer(view[: 2 * self._count], "<u2")
        values, start = np.frombuffer(view[2 * self._count :], "<f4"), 0
        for number in chosen.tolist():
            if number >= len(self._pieces):
                raise ValueError(f"an update names layer {number} of {len(self._pieces)}")
            piece = self._pieces[number]
            found[piece] = values[start : start + piece.stop - piece.start]
            start += piece.stop - piece.start
        if start != len(values) or len(chosen) < self._count:
            raise ValueError(
                f"an update of {len(chosen)} layers and {len(values)} values, expected {self._count} and {start}"
            )
        return found
