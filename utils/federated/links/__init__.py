"""What happens to an update on its way from a client to the strategy, one link a file.

A link's file has a class `Link(keys)`. Any link may change the update: `apply(difference, rng) -> Vector`, of the
network's parameters alone. The last one may also have a form of its own on the wire:

- `encode(difference, samples) -> bytes` with `decode(payload, size) -> Vector`: every update is decoded, or
- `encode` with `fold(payload)` and `open(samples, size) -> Vector`: payloads are added in the link's own ring, and only
  the mean of all differences, weighted by samples, is ever opened.

Without links an update is the weights, float32. The first link makes it a float32 difference to what the client was
sent, and the server adds that back. Normalisation buffers are never changed, and travel as plain float32 behind the
rest; where only the sum is opened they are part of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from utils.federated.update import Bytes, Reply, Update
from utils.parts import extended

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.nets.layout import Layout, Vector

__path__ = extended("link", __path__)


class Way:
    """The links of a conf, at a client or, for one round at a time, at the server."""

    def __init__(self, conf: Conf, layout: Layout) -> None:
        self.links: list[Any] = [part.module.Link(part.keys) for part in conf.link]
        self._size = layout.size
        self._parameters = layout.trained
        self._last = self.links[-1] if self.links and hasattr(self.links[-1], "encode") else None
        self._ring = self._last is not None and hasattr(self._last, "open")
        self._folded: list[Reply] = []

    def pack(self, weights: Vector, sent: Vector, samples: int, rng: np.random.Generator) -> Bytes:
        """At the client: what travels of `weights` (layout.size,) that were trained from `sent`."""
        if not self.links:
            return weights.data.cast("B")
        difference = weights - sent
        for link in self.links:
            if hasattr(link, "apply"):
                difference[: self._parameters] = link.apply(difference[: self._parameters], rng)
        if self._last is None:
            return difference.data.cast("B")
        if self._ring:
            return bytes(self._last.encode(difference, samples))
        coded = bytes(self._last.encode(difference[: self._parameters], samples))
        return coded + difference[self._parameters :].tobytes()

    def receive(self, reply: Reply, sent: Vector) -> Update | None:
        """At the server: the update, or None when it has gone into a sum that is opened at the round's end.

        Raises ValueError when it is not of the length it should have.
        """
        if self._ring:
            self._last.fold(reply.payload)  # type: ignore[union-attr]
            self._folded.append(Reply(reply.client, b"", reply.samples, reply.metrics))
            return None
        weights = self._weights(reply.payload, sent)
        if weights.shape != sent.shape:
            raise ValueError(f"an update of {len(weights)} values, expected {len(sent)}")
        return Update(reply.client, weights, reply.samples, reply.metrics)

    def opened(self, sent: Vector) -> Update | None:
        """At the end of a round: the mean of what went into a sum, as the update of all who gave to it."""
        if not self._folded or self._last is None:
            return None
        samples = sum(reply.samples for reply in self._folded)
        mean = self._last.open(samples, self._size)
        self._folded = []
        return Update(-1, (sent + mean).astype(np.float32), samples)

    def _weights(self, payload: Bytes, sent: Vector) -> Vector:
        if not self.links:
            return np.frombuffer(payload, np.float32)
        if self._last is None:
            difference = np.frombuffer(payload, np.float32)
        else:
            tail = 4 * (self._size - self._parameters)
            view = memoryview(payload)
            cut = len(view) - tail
            coded = self._last.decode(view[:cut], self._parameters)
            difference = np.concatenate([coded, np.frombuffer(view[cut:], np.float32)])
        return np.asarray(sent + difference, np.float32)
