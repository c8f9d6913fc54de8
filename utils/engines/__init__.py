"""Places where clients train. An engine takes jobs and gives updates or failures; it knows nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from utils.federated.update import Failure, JudgeJob, TrainJob, Update


class Engine(Protocol):
    """Where jobs are carried out. Safe to use from several threads, each getting its own results."""

    def train(self, jobs: Iterable[TrainJob]) -> Iterator[Update | Failure]:
        """One outcome per job, in the order of the jobs, only a few of them held in memory at a time."""

    def judge(self, jobs: Iterable[JudgeJob]) -> list[NDArray[np.float32]]:
        """The logits (n, 2) of each job, in order. Raises EngineError when one cannot be judged."""

    def close(self) -> None:
        """End everything at once; whoever still waits for a result gets an EngineError. May be called twice."""


class EngineError(RuntimeError):
    """The place where clients train broke down or was closed; the text is one line."""
