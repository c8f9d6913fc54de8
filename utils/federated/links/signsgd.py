"""Signs, and what most clients say (Bernstein et al. 2019, signSGD with majority vote),
https://arxiv.org/abs/1810.05291."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from utils.federated.links import efsign
from utils.federated.links._bits import packed, unpacked
from utils.federated.links._sparse import down_key
from utils.federated.update import Bytes
from utils.parts import key

if TYPE_CHECKING:
    from utils.nets.layout import Layout, Vector

ABOUT = ("signs, and the way most clients point", "只发送符号，按多数表决（signSGD）")


@dataclass(frozen=True)
class Keys:
    """How far the majority moves a weight."""

    step: float = key(
        "how far every weight moves in a round, the way most clients' updates point",
        zh="每轮每个权重按多数客户端的方向移动的步长",
        default=0.001,
        low=0.0,
        high=1e3,
        above_low=True,
    )
    down: bool = down_key()


class Link:
    """A bit a value, n / 8 bytes; each client has one vote, whatever its number of examples. Every weight moves by
    step * sign(sum of signs); where there is a tie it stays. A value of 0 votes by chance.

    Nobody but the sum is looked at. Normalisation buffers follow as float32, times the examples, for their mean. What
    the server sends is coded, where it is, by scaled signs (`efsign`) that make up for what they leave out.
    """

    def __init__(self, keys: Keys, layout: Layout) -> None:
        self._cut, self._step, self.down = layout.trained, keys.step, keys.down
        self.downward = efsign.Link(efsign.Keys(), layout)
        self._votes: NDArray[np.int32] | None = None
        self._buffers = np.zeros(layout.size - layout.trained)

    def encode(self, difference: Vector, samples: int, rng: np.random.Generator) -> bytes:
        """Signs of the parameters of `difference` (layout.size,), and buffers."""
        minus, zero = difference[: self._cut] < 0, difference[: self._cut] == 0
        minus[zero] = rng.integers(0, 2, int(zero.sum()), dtype=np.uint8) == 1
        return packed(minus.astype(np.uint8)) + (difference[self._cut :] * np.float32(samples)).tobytes()

    def fold(self, payload: Bytes, client: int) -> None:
        """Count the votes of one client. Raises ValueError on another length."""
        view, tail = memoryview(payload), 4 * len(self._buffers)
        cut = view.nbytes - tail
        minus = unpacked(view[:cut], self._cut)
        if self._votes is None:
            self._votes = np.zeros(self._cut, np.int32)
        self._votes += 1 - 2 * minus.astype(np.int32)
        self._buffers = self._buffers + np.frombuffer(view[cut:], np.float32)

    def open(self, samples: int) -> Vector:
        """The change that the votes ask for (layout.size,)."""
        votes, buffers = self._votes, self._buffers
        self._votes, self._buffers = None, np.zeros_like(buffers)
        assert votes is not None
        return np.concatenate([self._step * np.sign(votes), buffers / samples]).astype(np.float32)
