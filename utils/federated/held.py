"""How a model does on what a client has, in the client's own words: sums, and no example."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from utils.federated.update import Bytes

OWN, HELD = "client", "held"
"""Family and name of the question, which belongs to no part."""
MAX_CLASSES = 10_000


@dataclass(frozen=True)
class Held:
    """Of classes how many examples are `right` and how many there are (classes,), and the sum of their losses in nats;
    of numbers one of each: none right, all, and the sum of the squared errors.
    """

    right: NDArray[np.float64]
    total: NDArray[np.float64]
    errors: float

    @staticmethod
    def read(payload: Bytes) -> Held | None:
        """What a client answered; None where that cannot be."""
        raw = memoryview(payload).cast("B")
        values = (
            np.frombuffer(raw, "<f8")
            if len(raw) % 16 == 8 and len(raw) <= 16 * MAX_CLASSES + 8
            else np.zeros(0)
        )
        right, total = np.split(values[:-1], 2)
        good = len(right) and np.isfinite(values).all() and (values >= 0).all() and (right <= total).all()
        return Held(right, total, float(values[-1])) if good else None

    def summed(self) -> bytes:
        """The answer again, of all classes together: how many there are of each is not told."""
        sums = np.zeros((2, len(self.total)))
        sums[:, 0] = self.right.sum(), self.total.sum()
        return np.append(sums.ravel(), self.errors).astype("<f8").tobytes()

    def score(self) -> float | None:
        """Accuracy, or of numbers RMSE; None where there is no example."""
        count = float(self.total.sum())
        if not count:
            return None
        return math.sqrt(self.errors / count) if len(self.total) == 1 else float(self.right.sum()) / count


def answered(asked: Any) -> bytes:
    """A client's answer; `asked` is a `utils.federated.client.Asked`. Of outputs that are not finite nothing is right,
    and the loss is the largest there is.
    """
    targets, outputs = asked.targets, np.zeros((0, 1))
    if len(targets):
        outputs = asked.logits(asked.buffers["weights"]).astype(np.float64)
    bad = ~np.isfinite(outputs).all(axis=1)
    if targets.dtype.kind == "f":
        errors = np.where(bad, 1e150, outputs[:, 0] - targets)
        return np.array([0.0, len(targets), min(float((errors**2).sum()), 1e300)], "<f8").tobytes()
    outputs[bad] = -1.0
    exponentials = np.exp(outputs - outputs.max(axis=1, keepdims=True, initial=-math.inf))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    right = (probabilities.argmax(axis=1) == targets) & ~bad if len(targets) else np.zeros(0, bool)
    classes = max(outputs.shape[1], 2)
    chosen = np.where(bad, 1e-12, np.maximum(probabilities[np.arange(len(targets)), targets], 1e-12))
    counts = [
        np.bincount(targets[which], minlength=classes) for which in (right, np.ones(len(targets), bool))
    ]
    return np.concatenate([*counts, [-np.log(chosen).sum()]]).astype("<f8").tobytes()


def mean_error(found: Sequence[Held | None]) -> float | None:
    """Mean loss, or mean squared error, of all examples that somebody told of; None where nobody did."""
    count = sum(float(one.total.sum()) for one in found if one)
    return sum(one.errors for one in found if one) / count if count else None
