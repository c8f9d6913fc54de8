"""What travels between server and clients, on any engine: jobs out, updates or failures back."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from utils.conf import Conf
from utils.nets.layout import Vector


@dataclass(frozen=True)
class TrainJob:
    """One client's part in one round: start from `weights` (layout.size,), train on `photos` (n,)."""

    conf: Conf
    seed: int
    round: int
    client: int
    lr: float
    weights: Vector
    store: str
    photos: NDArray[np.int64]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class JudgeJob:
    """Judge `photos` (n,) with `weights`, with their colours or turned `grey`."""

    conf: Conf
    weights: Vector
    store: str
    photos: NDArray[np.int64]
    grey: bool = False


@dataclass(frozen=True)
class Update:
    """A client's weights after local training, how many photos made them, and what it measured."""

    client: int
    weights: Vector
    samples: int
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """A client that gave no update this round, and why, in one line."""

    client: int
    reason: str
