"""What links share that encrypt whole numbers for who holds the key (`_key_holder`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from utils.federated.links._fixed import LEVELS, quantised, summed
from utils.federated.links._key_holder import KeyHolder

if TYPE_CHECKING:
    from utils.federated.links import Ask
    from utils.federated.update import Buffers, Bytes
    from utils.nets.layout import Layout, Vector


class Encrypted:
    """A client's values count by its examples: it sends them times its number of examples over the largest of the
    round, which the server knows. The module of a subclass has `Holder`, whose key is of `SIZE`.
    """

    SIZE: ClassVar[int]

    def __init__(self, bound: float, layout: Layout) -> None:
        self._bound, self._size = bound, layout.size
        self._holder: KeyHolder | None = None
        self._clients = 0

    def prepare(
        self, cohort: Sequence[int], sizes: Sequence[int], ask: Ask
    ) -> tuple[Sequence[int], dict[str, Bytes]]:
        """The public key, and how many examples the largest client of the round has."""
        if self._holder is None:
            self._holder = KeyHolder(type(self).__module__, self.SIZE)
        self._public = self._holder.public
        self._most = max((sizes[client] for client in cohort), default=1)
        self._clients = 0
        return cohort, {"most": np.array([self._most], "<u4").tobytes(), "public": self._public}

    def join(self, client: int, home: str, read: Buffers) -> None:
        """At a client: the same."""
        self._most = int(np.frombuffer(read["most"], "<u4")[0])
        self._public = bytes(read["public"])

    def close(self) -> None:
        """End the process that holds the key."""
        if self._holder is not None:
            self._holder.close()

    def _decrypted(self, total: bytes) -> bytes:
        """A sum, by who holds the key."""
        assert self._holder is not None
        return self._holder.decrypt(total)

    def _whole(self, difference: Vector, samples: int, rng: np.random.Generator) -> NDArray[np.uint32]:
        """An update (layout.size,) as whole numbers."""
        return quantised(difference * np.float32(samples / self._most), self._bound, LEVELS, rng)

    def _mean(self, total: NDArray[np.uint32], samples: int) -> Vector:
        """The mean difference (layout.size,), of the sum of whole numbers."""
        mean = summed(total, self._clients, self._bound, LEVELS) * (self._most / samples)
        return mean.astype(np.float32)
