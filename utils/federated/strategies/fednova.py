"""Normalised averaging (FedNova, Wang et al. 2020), https://arxiv.org/abs/2007.07481."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from utils.federated.schedule import round_lr
from utils.federated.strategies._stepping import Stepping
from utils.federated.update import Update

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.nets.layout import Vector

ABOUT = (
    "averaging in which a client that took more steps does not count for more",
    "归一化平均：步数更多的客户端不会因此占更大比重",
)
NEEDS_EACH = True
REFUSES = {"local": ("feddyn",)}  # which pulls too, and differently


class Strategy(Stepping):
    """New weights = old weights + lambda * tau * sum of p_i (w_i - old weights) / a_i, where p_i is a client's share of
    the examples, w_i are its weights and a_i is how often its gradients count in what it changed (the 1-norm of their
    factors): its number of steps for plain SGD, more with momentum, less with the pull of `fedprox`. tau is the mean of
    a_i by p_i, or, with a pull, that of the numbers of steps.

    It does not multiply by all clients over the sampled ones, as one well-known library does.
    """

    def __init__(self, conf: Conf) -> None:
        super().__init__(conf)
        self._conf, self._mu = conf, getattr(conf.local.keys, "mu", 0.0)

    def begin(self, weights: Vector) -> None:
        """Start a round from `weights` (layout.size,)."""
        super().begin(weights)
        self._rates = self._steps = 0.0

    def fold(self, update: Update) -> None:
        """Add one update: its parameters by examples per step, its buffers by examples."""
        steps, cut = int(update.metrics["steps"]), min(self._trained, len(self._sum))
        a = counted(steps, self._conf.momentum, self._mu * round_lr(self._conf, self.rounds))
        self._add(update, update.samples / a, slice(0, cut))
        self._add(update, update.samples, slice(cut, len(self._sum)))
        self._samples += update.samples
        self._rates += update.samples / a
        self._steps += update.samples * (steps if self._mu else a)

    def step(
        self, mean: NDArray[np.float64], old: NDArray[np.float64], **kept: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Stepping`; here `mean` is the sum of p_i w_i / a_i."""
        return self._steps / self._samples * (mean - self._rates / self._samples * old)


def counted(steps: int, momentum: float, pull: float) -> float:
    """a_i: how often the gradients of so many steps count in the change, where every step adds the last one times
    `momentum` and takes off the change so far times `pull` (learning rate times mu).

    Without a pull it is [steps - m (1 - m^steps) / (1 - m)] / (1 - m), without momentum a = (1 - pull) a + 1 each step.
    """
    a = step = 0.0
    for _ in range(steps):
        step = momentum * step + 1 - pull * a
        a += step
    return a
