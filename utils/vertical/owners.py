"""Guest and host, each with no more than is its own. All numbers are float64; messages are rows of them, `<f8`.

Which people a step is about no message says: owners draw the same batches from a seed they share.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from utils.vertical import Wire

Floats = NDArray[np.float64]


class Host:
    """An owner without labels: its columns of the people whom all have (n, columns), and its weights in the first layer
    (units, columns).
    """

    def __init__(self, columns: Floats, weights: Floats) -> None:
        self._columns = torch.tensor(columns)
        self._weights = nn.Parameter(torch.tensor(weights))
        self._batch: NDArray[np.int64] | None = None

    @property
    def weights(self) -> Floats:
        """Its part of the first layer (units, columns)."""
        return self._weights.detach().numpy()

    def begin(self, lr: float, momentum: float, decay: float) -> None:
        """A round begins, with a fresh optimizer."""
        self._sgd = torch.optim.SGD(self._trained(), lr, momentum, weight_decay=decay)

    def scores(self, batch: NDArray[np.int64]) -> bytes:
        """The message to the guest: what its columns add to each unit, for the people of a batch (b, units)."""
        self._batch = batch
        return _written(self._part(batch).detach())

    def learn(self, gradient: bytes) -> None:
        """Take a step by the guest's answer, the gradient of the loss by those scores (b, units)."""
        assert self._batch is not None
        rows = self._columns[self._batch]
        self._weights.grad = _read(gradient, len(rows)).T @ rows
        self._sgd.step()

    def _part(self, batch: NDArray[np.int64]) -> torch.Tensor:
        return self._columns[batch] @ self._weights.T

    def _trained(self) -> list[nn.Parameter]:
        return [self._weights]


class Guest(Host):
    """The owner of the labels: beside its columns what is foretold (n,), class numbers or scaled numbers, the first
    layer's bias (units,), and `top`, in float64, all that comes after that layer.

    With `apart` every owner has units of its own, the guest the first ones (a split network); else all units are
    everybody's and their scores are added.
    """

    def __init__(
        self,
        columns: Floats,
        weights: Floats,
        targets: NDArray[np.int64] | Floats,
        bias: Floats | None,
        top: nn.Module,
        apart: bool = False,
    ) -> None:
        super().__init__(columns, weights)
        self._targets, self._apart = torch.tensor(targets), apart
        self._bias = None if bias is None else nn.Parameter(torch.tensor(bias))
        self.top = top

    @property
    def bias(self) -> Floats | None:
        """The first layer's (units,), if it has one."""
        return None if self._bias is None else self._bias.detach().numpy()

    def step(self, batch: NDArray[np.int64], told: Sequence[bytes]) -> tuple[list[bytes], float]:
        """A step from the hosts' scores: what each is answered, and the mean loss of the batch (nats, or variances)."""
        parts = [self._part(batch), *(_read(one, len(batch)) for one in told)]
        cuts = [parts[0], *(one.requires_grad_() for one in parts[1:])]
        inner = torch.cat(cuts, 1) if self._apart else torch.stack(cuts).sum(0)
        outputs = self.top(inner if self._bias is None else inner + self._bias)
        wanted = self._targets[batch]
        numbers = wanted.is_floating_point()
        loss = F.mse_loss(outputs[:, 0], wanted) if numbers else F.cross_entropy(outputs, wanted)
        self._sgd.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._sgd.step()
        return [_written(one.grad) for one in cuts[1:] if one.grad is not None], loss.item()

    def _trained(self) -> list[nn.Parameter]:
        bias = [] if self._bias is None else [self._bias]
        return [self._weights, *bias, *self.top.parameters()]


def passes(
    guest: Guest, hosts: Sequence[Host], batches: Iterable[NDArray[np.int64]], wire: Wire
) -> tuple[int, float]:
    """One step a batch; returns how many, and the mean loss. Raises FloatingPointError where that is not finite."""
    steps, people, losses = 0, 0, 0.0
    for batch in batches:
        told = [wire.to_guest(host.scores(batch)) for host in hosts]
        answers, loss = guest.step(batch, told)
        for host, answer in zip(hosts, answers, strict=True):
            host.learn(wire.to_host(answer))
        steps, people, losses = steps + 1, people + len(batch), losses + loss * len(batch)
        if not math.isfinite(losses):
            raise FloatingPointError("training loss is not finite")
    return steps, losses / people


def _written(numbers: torch.Tensor) -> bytes:
    return numbers.numpy().astype("<f8").tobytes()


def _read(message: bytes, rows: int) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(message, "<f8").reshape(rows, -1).astype(np.float64))
