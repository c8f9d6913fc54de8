"""An engine in one's own process, the plainest there can be: jobs are carried out one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from utils.federated import client
from utils.federated.update import (
    Answer,
    Buffers,
    Failure,
    JudgeJob,
    Question,
    Reply,
    Skipped,
    TrainJob,
    Work,
)

CPU = torch.device("cpu")


class Here:
    """See `utils.engines.Engine`. What a client raises is raised; not for several threads at a time."""

    def train(self, work: Work, jobs: Sequence[TrainJob], buffers: Buffers) -> Iterator[Reply | Failure]:
        """A reply per job."""
        for job in jobs:
            try:
                yield client.train(job, work, buffers, CPU)
            except Skipped as error:
                yield Failure(job.client, str(error))

    def judge(self, work: Work, jobs: Sequence[JudgeJob], buffers: Buffers) -> list[NDArray[np.float32]]:
        """The outputs of each job."""
        return [client.judge(job, work, buffers, CPU) for job in jobs]

    def ask(self, work: Work, questions: Sequence[Question], buffers: Buffers) -> Iterator[Answer | Failure]:
        """An answer per question."""
        for question in questions:
            yield client.answer(question, work, buffers, CPU)

    def close(self) -> None:
        """Nothing to end."""
