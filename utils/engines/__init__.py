"""Places where clients train. An engine takes jobs and gives what comes of them; it knows nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from utils.federated.update import (
        Answer,
        Buffers,
        Failure,
        JudgeJob,
        Question,
        Reply,
        TrainJob,
        Work,
    )


class Engine(Protocol):
    """Where jobs are carried out. Safe to use from several threads, each getting its own results.

    `work` is what all jobs of a repeat share; an engine hands it over once to everybody who takes part. `buffers` are
    what the jobs read, by name.
    """

    def train(self, work: Work, jobs: Sequence[TrainJob], buffers: Buffers) -> Iterator[Reply | Failure]:
        """One outcome per job, in the order of the jobs, only a few of them held in memory at a time."""

    def judge(self, work: Work, jobs: Sequence[JudgeJob], buffers: Buffers) -> list[NDArray[np.float32]]:
        """The logits (n, outputs) of each job, in order. Raises EngineError when one cannot be judged."""

    def ask(self, work: Work, questions: Sequence[Question], buffers: Buffers) -> Iterator[Answer | Failure]:
        """One outcome per question, in the order of the questions."""

    def close(self) -> None:
        """End everything at once; whoever still waits for a result gets an EngineError. May be called twice."""


class EngineError(RuntimeError):
    """The place where clients train broke down or was closed; the text is one line."""
