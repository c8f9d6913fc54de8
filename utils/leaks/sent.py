"""The update that is attacked: made by the client's own code of chosen examples, and decoded as the server does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from utils.conf import Conf, make_conf
from utils.data.examples import Examples
from utils.engines.here import Here
from utils.federated.bench import Bench, Repeat
from utils.federated.update import Reply, share_of
from utils.leaks import LeaksError
from utils.nets.build import layout_of, own_generator
from utils.nets.layout import Vector

ROUND = 0


@dataclass(frozen=True)
class Sent:
    """What the server knows after a round: the `weights` it sent (layout.size,), by how much those that it decoded
    differ (`difference`, the parameters alone: (layout.trained,)), and the client's learning rate; and what it does not
    know: the `inputs` (b, ...) that the network was given, and their `targets` (b,).
    """

    conf: Conf
    weights: Vector
    difference: Vector
    lr: float
    inputs: torch.Tensor
    targets: torch.Tensor


def attacked(conf: Conf, changes: Mapping[str, Any]) -> Conf:
    """The conf of an update that is attacked: `conf` with `changes`, its examples shown as they are judged, and nobody
    hostile. Raises ConfError.
    """
    told = conf.as_json() | dict(getattr(conf.task.module, "AS_JUDGED", {})) | dict(changes)
    told.pop("attack", None)
    return make_conf(told, "leaks")


class FirstRound:
    """The first round of a repeat, in which single clients can be had to train on chosen examples.

    Raises LeaksError where clients agree on something so that the server opens only the sum of their updates: there is
    no single one to be attacked.
    """

    def __init__(self, conf: Conf, repeat: Repeat, examples: Examples) -> None:
        if conf.link and hasattr(conf.link[-1].module.Link, "prepare"):
            raise LeaksError(f"{conf.link[-1].name}: only the sum of all updates is opened")
        if conf.partition == "columns":
            raise LeaksError("columns: no update travels, but scores and gradients (docs/columns.md)")
        self.conf, self.examples = conf, examples
        self.bench = Bench(conf, repeat, examples, Here())
        with own_generator(self.bench.seed):
            self.weights = self.bench.start()

    @property
    def mine(self) -> NDArray[np.int64]:
        """The examples of the client that has most."""
        return max(self.bench.shares.clients, key=len)

    def sent(self, chosen: NDArray[np.int64]) -> Sent:
        """What comes of a client that has these examples (indices, at most a batch) and no others."""
        bench = self.bench
        bench.work = replace(bench.work, shares={share_of(0): chosen})
        buffers = bench.sent(self.weights)
        [job] = bench.jobs(ROUND, [0], buffers)
        with own_generator(bench.seed):
            [reply] = bench.engine.train(bench.work, [job], buffers)
        assert isinstance(reply, Reply)
        update = bench.way.receive(reply, self.weights) or bench.way.opened(self.weights)
        assert update is not None
        stored = self.examples.inputs[chosen]
        inputs = self.conf.task.module.for_training(stored, self.conf, np.random.default_rng(0))
        parameters = layout_of(self.conf).trained
        difference = update.weights[:parameters] - self.weights[:parameters]
        targets = torch.from_numpy(self.examples.targets[chosen])
        return Sent(self.conf, self.weights, difference, job.lr, inputs, targets)
