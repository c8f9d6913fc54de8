"""What happens to an update on its way from a client to the strategy, one link a file.

A link's file has a class `Link(keys, layout)`. Any link may change the update: `apply(difference, rng) -> Vector`, of
the network's parameters alone (layout.trained,). The last one may also have a form of its own on the wire:

- `encode(difference, samples, rng) -> bytes` with `decode(payload) -> Vector`: every update is decoded, or
- `encode` with `fold(payload, client)` and `open(samples) -> Vector`: payloads are added in the link's own ring, and
  only the mean of all differences, weighted by `samples` in all, is ever opened.

Without links an update is the weights, float32. The first link makes it a float32 difference to what the client was
sent, and the server adds that back. Normalisation buffers are never changed, and travel as plain float32 behind the
rest; where only the sum is opened they are part of it (layout.size,). What a client tells the server's half of its
local part goes behind all that, plain, as no link has a word in it.

A link that says `feedback = True` has what it left out of an update added to the client's next one (error feedback,
Karimireddy et al. 2019, https://arxiv.org/abs/1901.09847). Whatever else it remembers of a client stands in a
dictionary of arrays, `memory`; either is client state, and does not travel.

A link that says `down = True` also codes what the server sends: after the first round that is the difference to what
was sent before, by the same `encode` and `decode` (or those of `downward`, a link as well), with what that left out
last time where there is error feedback. So everybody, the server too, goes on from the weights as decoded. A client
that took no part for some rounds is sent what it missed, or all the weights where that is shorter.

A link that agrees with clients on something before they train, and asks them when the sum is opened, has

- `prepare(cohort, sizes, ask) -> (clients, buffers)`: who still takes part, and what their jobs read beside the
  weights; `sizes` are the numbers of examples by client,
- `join(client, home, read)`, at a client before `encode`: who it is, the folder where it keeps what is its own (where
  the link says `AT_HOME = True`), and the buffers.

`prepare` and `open` may raise `UnopenedError`: the round then leaves the weights as they were. `close()` ends what it
began.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.federated.kept import Memory
from utils.federated.update import Answer, Buffers, Bytes, Failure, Reply, TrainJob, Update
from utils.parts import extended

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.nets.layout import Layout, Vector

__path__ = extended("link", __path__)

OF_LINK = "link/"
"""How the buffers of a link are called, and what it remembers of a client."""
Ask = Callable[[str, Sequence[int], Callable[[int], Buffers]], Iterator[Answer | Failure]]
"""Put a question to clients, each with buffers of its own; answers or failures in their order."""


class UnopenedError(Exception):
    """A sum that cannot be opened; the text is one line."""


class Way:
    """The links of a conf, at a client or, from round to round, at the server."""

    def __init__(self, conf: Conf, layout: Layout) -> None:
        self.links: list[Any] = [part.module.Link(part.keys, layout) for part in conf.link]
        self._layout = layout
        self._told = 4 * layout.trained if getattr(conf.local.module, "TELLS", False) else 0
        self._last = self.links[-1] if self.links and hasattr(self.links[-1], "encode") else None
        self.ring = self._last is not None and hasattr(self._last, "open")
        self.keeps = any(
            getattr(link, "feedback", False) or hasattr(link, "memory") or hasattr(link, "AT_HOME")
            for link in self.links
        )
        self._down: Any = None
        if getattr(self._last, "down", False):
            self._down = getattr(self._last, "downward", self._last)
        self._folded: list[Reply] = []
        self._left: Vector | None = None  # of what the server wanted to send
        self._lengths = np.zeros(0, np.int64)  # of what was sent to all in each round
        self._reached = np.full(
            conf.no_models, -1, np.int64
        )  # the last round whose weights a client was sent

    def pack(
        self,
        weights: Vector,
        sent: Vector,
        samples: int,
        rng: np.random.Generator,
        memory: Memory | None = None,
    ) -> tuple[Bytes, Memory]:
        """At the client: what travels of `weights` (layout.size,) that were trained from `sent`; and what the links are
        to remember of it, as in `memory` they did before.
        """
        if not self.links:
            return weights.data.cast("B"), {}
        difference, cut, memory = weights - sent, self._layout.trained, memory or {}
        for number, link in enumerate(self.links):
            if hasattr(link, "memory"):
                start = f"{OF_LINK}{number}/"
                link.memory = {
                    name.removeprefix(start): value
                    for name, value in memory.items()
                    if name.startswith(start)
                }
            if hasattr(link, "apply"):
                difference[:cut] = link.apply(difference[:cut], rng)
        if self._last is None:
            payload: Bytes = difference.data.cast("B")
        elif self.ring:
            payload = _coded(self._last, difference, samples, rng)
        else:
            feedback = getattr(self._last, "feedback", False)
            if feedback and f"{OF_LINK}left" in memory:
                difference[:cut] += memory[f"{OF_LINK}left"]
            coded = _coded(self._last, difference[:cut], samples, rng)
            payload = coded + difference[cut:].tobytes()
            if feedback:
                left = {f"{OF_LINK}left": difference[:cut] - self._last.decode(memoryview(coded))}
                return payload, left | self._remembered()
        return payload, self._remembered()

    def _remembered(self) -> Memory:
        return {
            f"{OF_LINK}{number}/{name}": value
            for number, link in enumerate(self.links)
            for name, value in getattr(link, "memory", {}).items()
        }

    def join(self, client: int, home: str, buffers: Buffers) -> None:
        """At the client: who it is, where it keeps what is its own, and what its job reads."""
        if hasattr(self._last, "join"):
            read = {
                name.removeprefix(OF_LINK): value
                for name, value in buffers.items()
                if name.startswith(OF_LINK)
            }
            self._last.join(client, home, read)  # type: ignore[union-attr]

    def prepare(
        self, cohort: Sequence[int], sizes: Sequence[int], ask: Ask
    ) -> tuple[Sequence[int], dict[str, Bytes]]:
        """At the server, before clients train: who of the cohort takes part, and what their jobs read of the link.

        Raises UnopenedError when they are too few.
        """
        if not hasattr(self._last, "prepare"):
            return cohort, {}
        clients, buffers = self._last.prepare(cohort, sizes, ask)  # type: ignore[union-attr]
        return clients, {f"{OF_LINK}{name}": value for name, value in buffers.items()}

    def receive(self, reply: Reply, sent: Vector) -> Update | None:
        """At the server: the update, or None when it has gone into a sum that is opened at the round's end.

        Raises ValueError when it is not of the length it should have.
        """
        if self.ring:
            try:
                self._last.fold(reply.payload, reply.client)  # type: ignore[union-attr]
            except (IndexError, RuntimeError) as error:  # whatever a library finds in what a client sent
                raise ValueError(f"an update that cannot be read ({error})") from error
            self._folded.append(Reply(reply.client, b"", reply.samples, reply.metrics))
            return None
        payload, told = memoryview(reply.payload), None
        if self._told:
            payload, told = payload[: -self._told], np.frombuffer(payload[-self._told :], np.float32)
        weights = self._weights(payload, sent)
        return Update(reply.client, weights, reply.samples, reply.metrics, told=told)

    def opened(self, sent: Vector) -> Update | None:
        """At the end of a round: the mean of what went into a sum, as the update of all who gave to it.

        Raises UnopenedError when it cannot be opened.
        """
        if not self._folded or self._last is None:
            return None
        samples = sum(reply.samples for reply in self._folded)
        self._folded = []
        return Update(-1, (sent + self._last.open(samples)).astype(np.float32), samples)

    def _weights(self, payload: Bytes, sent: Vector) -> Vector:
        values = (
            np.frombuffer(payload, np.float32) if self._last is None else self._decoded(self._last, payload)
        )
        if values.shape != sent.shape:
            raise ValueError(f"an update of {len(values)} values, expected {len(sent)}")
        return np.asarray(sent + values, np.float32) if self.links else values

    def _decoded(self, link: Any, payload: Bytes) -> Vector:
        """The difference (layout.size,) in a payload with normalisation buffers behind it."""
        view, tail = memoryview(payload), 4 * (self._layout.size - self._layout.trained)
        cut = len(view) - tail
        try:
            coded = link.decode(view[: max(cut, 0)])
        except IndexError as error:
            raise ValueError(f"an update of {len(view)} bytes, which is cut off") from error
        return np.concatenate([coded, np.frombuffer(view[max(cut, 0) :], np.float32)])

    def down(self, new: Vector, sent: Vector, round_: int, rng: np.random.Generator) -> Vector:
        """The weights that everybody goes on from after a round, of those that the server would have (layout.size,)."""
        if self._down is None:
            return new
        self._lengths = np.concatenate(
            [self._lengths[: round_ + 1], np.zeros(max(0, round_ + 2 - len(self._lengths)), np.int64)]
        )
        cut, difference = self._layout.trained, new - sent
        if self._left is not None and getattr(self._down, "feedback", False):
            difference[:cut] += self._left
        payload = _coded(self._down, difference[:cut], 1, rng) + difference[cut:].tobytes()
        decoded = self._decoded(self._down, payload)
        self._left, self._lengths[round_ + 1] = (difference - decoded)[:cut], len(payload)
        return np.asarray(sent + decoded, np.float32)

    def bytes_down(self, asked: Sequence[int], round_: int, buffers: Mapping[str, Bytes]) -> int:
        """How much the clients that are asked to train in a round are sent in all; who is asked twice is sent the
        weights once where they are coded.
        """
        whole = memoryview(buffers["weights"]).nbytes
        beside = sum(memoryview(one).nbytes for one in buffers.values()) - whole
        if self._down is None:
            return len(asked) * (whole + beside)
        found = len(asked) * beside
        for client in asked:
            missed = self._lengths[self._reached[client] + 1 : round_ + 1]
            found += whole if self._reached[client] < 0 else min(whole, int(missed.sum()))
            self._reached[client] = round_
        return found

    def state(self) -> Memory:
        """What the server must remember of what it sent."""
        if self._left is None:
            return {}
        return {"left": self._left, "lengths": self._lengths.copy(), "reached": self._reached.copy()}

    def restore(self, state: Memory) -> None:
        """Remember what `state` gave; before the first round that is nothing."""
        if state:
            self._left, self._lengths, self._reached = (
                state[name].copy() for name in ("left", "lengths", "reached")
            )

    def close(self) -> None:
        """End what links began."""
        for link in self.links:
            if hasattr(link, "close"):
                link.close()


def _coded(link: Any, difference: Vector, samples: int, rng: np.random.Generator) -> bytes:
    """Raises FloatingPointError where a value is not finite: no code has a word for it."""
    if not np.isfinite(difference).all():
        raise FloatingPointError("an update that is not finite cannot be coded")
    return bytes(link.encode(difference, samples, rng))


def header(of: TrainJob | Reply) -> bytes:
    """What stands before what travels: round, client, learning rate and weight of a job; client, samples and metrics of
    a reply, little-endian.
    """
    if isinstance(of, TrainJob):
        return struct.pack("<IIdd", of.round, of.client, of.lr, of.weight)
    named = (name.encode() + b"\0" + struct.pack("<d", value) for name, value in of.metrics.items())
    return struct.pack("<IQ", of.client, of.samples) + b"".join(named)
