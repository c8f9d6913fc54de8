"""What travels between server and clients, on any engine: jobs and questions out, replies, answers or failures back.

A job names what it reads and writes and carries no examples: which are a client's is handed over once a repeat
(`Work`), and a client on another machine has its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from utils.conf import Conf

if TYPE_CHECKING:
    from utils.nets.layout import Vector

Bytes = bytes | bytearray | memoryview
Buffers = Mapping[str, Bytes]
"""What jobs read, by name: bytes with a length, of which nobody but reader and writer knows the meaning."""


@dataclass(frozen=True)
class Work:
    """What everybody at work on a repeat knows: its conf and seed, where the inputs lie, and whose examples are which.

    `targets` (n,) are those of all examples of the store, class numbers or numbers to foretell; `shares` has indices by
    name: `client/0` and so on, `held` (what all clients have), `test`, `val`. `home` is the folder where clients
    keep what their local part remembers (`utils.federated.kept`); empty where none remembers anything. `fold` is held
    out; at an owner's (`owned`) what a part draws to protect it is drawn afresh, not from the seed that the server
    knows.
    """

    id: str
    conf: Conf
    seed: int
    store: str
    targets: NDArray[Any]
    shares: Mapping[str, NDArray[np.int64]]
    home: str = ""
    fold: int = 0
    owned: bool = False


@dataclass(frozen=True)
class TrainJob:
    """One client's part in one round: from the buffers it `reads` (the first: the weights; a second: what the server's
    half of the local part tells all) to the one it `writes`.

    `weight` is how many times as many examples the client has as clients have on average, `remembers` the round whose
    state it goes on from (-1: none).
    """

    round: int
    client: int
    lr: float
    reads: tuple[str, ...]
    writes: str
    weight: float = 1.0
    remembers: int = -1


@dataclass(frozen=True)
class JudgeJob:
    """Judge one of the `pieces` into which a share is cut, with the weights it `reads`: by the model that `client` made
    of them in the round it `remembers`, where one is named; of examples as an attack shows them, where they
    are `attacked`.
    """

    share: str
    piece: int
    pieces: int
    reads: tuple[str, ...]
    client: int = -1
    remembers: int = -1
    attacked: bool = False


@dataclass(frozen=True)
class Question:
    """What a server asks a client beside training: question `name` of the part `family`, `part`; see its `ANSWERS`."""

    family: str
    part: str
    name: str
    client: int
    round: int
    reads: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reply:
    """What a client sends after local training: the buffer it wrote, from how many examples, and what it measured."""

    client: int
    payload: Bytes
    samples: int
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What a client answers to a question."""

    client: int
    payload: Bytes


@dataclass(frozen=True)
class Update:
    """A client's weights after local training, as the server has them once they are decoded. A client of -1 stands for
    all of a round, of whom nothing but the mean was opened.

    `weight` is as in its job; `told` is what the client's half of the local part tells the server's.
    """

    client: int
    weights: Vector
    samples: int
    metrics: dict[str, float] = field(default_factory=dict)
    weight: float = 1.0
    told: Vector | None = None


@dataclass(frozen=True)
class Verdict:
    """What a strategy made of a client's update: how it judged it (the strategy says in what), and whether it went into
    the new weights as it came, neither left out nor shortened.

    There is no score where values that are not finite left nothing to judge, or where the rule gives none.
    """

    client: int
    score: float | None
    kept: bool


@dataclass(frozen=True)
class Failure:
    """A client that gave nothing this round, and why, in one line."""

    client: int
    reason: str


class Skipped(Exception):  # noqa: N818  # nothing went wrong
    """A client has nothing to give this round, though nothing failed; the text is its reason, one line."""


def share_of(client: int) -> str:
    """The name of a client's share."""
    return f"client/{client}"
