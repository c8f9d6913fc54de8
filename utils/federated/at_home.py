"""How each client fares on test examples such as its own: its accuracy, how far clients differ, and the worst tenth.

Where every owner has the examples of one source, a client's are the test examples of its sources. Else there are none
that are a client's: then recall of each class on all test examples counts by how much of the class the client has.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from utils.tasks import classes_of

if TYPE_CHECKING:
    from utils.federated.bench import Bench

Floats = NDArray[np.float64]


class AtHome:
    """Of one repeat: whose test examples are whose, or which classes clients have, in which shares."""

    def __init__(self, bench: Bench) -> None:
        conf, shares, targets = bench.conf, bench.shares, bench.examples.targets
        classes = len(classes_of(conf))
        self.told = classes > 0 and conf.no_models > 1
        self.own: NDArray[np.bool_] | None = None  # (clients, test examples)
        if not self.told:
            return
        self._truth = targets[shares.test]
        if conf.partition == "source":
            sources = bench.sources[shares.test]
            self.own = np.stack([np.isin(sources, bench.sources[mine]) for mine in shares.clients])
            self.told = bool(self.own.any())
            return
        counts = np.stack([np.bincount(targets[mine], minlength=classes) for mine in shares.clients])
        self._shares = counts * (np.bincount(self._truth, minlength=classes) > 0)  # of what is judged
        self.told = bool(self._shares.any())

    def accuracy(self, judged: Floats, client: int) -> float:
        """Of one client, by answers (n, classes) to all test examples; NaN where nothing such as its own is judged."""
        right = judged.argmax(axis=1) == self._truth
        if self.own is not None:
            return float(right[self.own[client]].mean()) if self.own[client].any() else math.nan
        share = self._shares[client]
        classes = len(share)
        recall = np.bincount(self._truth, right, classes) / np.maximum(
            np.bincount(self._truth, minlength=classes), 1
        )
        return float((share * recall).sum() / share.sum()) if share.sum() else math.nan

    def series(self, accuracies: Floats) -> dict[str, float]:
        """Mean and standard deviation over clients (clients,), and the mean of the worst tenth of them."""
        known = np.sort(accuracies[~np.isnan(accuracies)])
        worst = known[: math.ceil(len(known) / 10)]
        return {
            "client_accuracy": float(known.mean()),
            "client_accuracy_spread": float(known.std()),
            "client_accuracy_worst": float(worst.mean()),
        }
