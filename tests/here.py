"""An engine in the test's own process, the plainest there can be, and work for it made of a few examples."""

from __future__ import annotations

import json

import numpy as np
import torch

from utils.engines import here as engine
from utils.experiment import run_repeat
from utils.federated import client
from utils.federated.bench import State
from utils.federated.update import JudgeJob, Reply, TrainJob, Work

CPU = engine.CPU


class Here(engine.Here):
    """As torch works with one thread."""

    def train(self, work, jobs, buffers):
        torch.set_num_threads(1)
        return super().train(work, jobs, buffers)

    def judge(self, work, jobs, buffers):
        torch.set_num_threads(1)
        return super().judge(work, jobs, buffers)


def watched(conf, repeat, examples) -> tuple[State, list[State]]:
    """The state at the end of a run, and as it was after each round."""
    seen = []

    def keep(repeat, state):
        vectors = {name: value.copy() for name, value in state.vectors.items()}
        seen.append(State(vectors, json.loads(json.dumps(state.record)), state.round))

    return run_repeat(conf, repeat, examples, Here(), hook=keep), seen


def work_of(conf, photos, indices, seed=0, number=0, store=None):
    """Work in which the examples at `indices` are those of client `number`."""
    shares = {f"client/{number}": np.array(indices)}
    return Work("test", conf, seed, str(store or photos.store), photos.targets, shares)


def trained(conf, photos, indices, weights, *, seed=0, round=0, number=0, lr=None) -> Reply:
    """What a client with these examples replies, trained from `weights`."""
    torch.set_num_threads(1)
    job = TrainJob(round, number, lr or conf.lr, ("weights",), "update")
    return client.train(
        job, work_of(conf, photos, indices, seed, number), {"weights": weights.tobytes()}, CPU
    )


def judged(conf, photos, indices, weights, store=None):
    """Logits of these examples."""
    torch.set_num_threads(1)
    job = JudgeJob("client/0", 0, 1, ("weights",))
    return client.judge(job, work_of(conf, photos, indices, store=store), {"weights": weights.tobytes()}, CPU)
