"""How each client fares on test examples such as its own: its accuracy, how far clients differ, and the worst tenth.

Where every owner has the examples of one source, a client's are the test examples of its sources. Else there are none
that are a client's: then recall of each class on all test examples counts by how much of the class the client has.
Hostile clients are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from utils.tasks import classes_of

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.data.examples import Examples

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


class AtHome:
    """Of one repeat: whose test examples are whose, or which classes clients have, in which shares."""

    def __init__(
        self,
        conf: Conf,
        examples: Examples,
        sources: Indices,
        clients: Sequence[Indices],
        test: Indices,
        hostile: Sequence[int],
    ) -> None:
        """`sources` (by number) are of all examples; `clients` and `test` say which are whose. Of owners elsewhere
        nothing is here, so classes count; where one withholds these, nothing is told.
        """
        targets, afar = examples.targets, examples.owner is not None
        classes = len(classes_of(conf))
        self.told = classes > 0 and conf.no_models > 1 and conf.partition != "columns"  # all have the same
        self.own: NDArray[np.bool_] | None = None  # (clients, test examples)
        self._hostile = np.isin(np.arange(conf.no_models), hostile)
        if examples.told is not None and not examples.told.all():
            self.told = False
        if not self.told:
            return
        self._truth = targets[test]
        if conf.partition == "source" and not afar:
            self.own = np.stack([np.isin(sources[test], sources[mine]) for mine in clients])
            self.told = bool(self.own[~self._hostile].any())
            return
        counts = np.stack([np.bincount(targets[mine], minlength=classes) for mine in clients])
        self._shares = counts * (np.bincount(self._truth, minlength=classes) > 0)  # of what is judged
        self.told = bool(self._shares[~self._hostile].any())

    def accuracies(self, said: Sequence[NDArray[np.int64]]) -> Floats:
        """Of each client (clients,), by classes (n,) that all test examples were said to be of: by one model for all,
        or by each client's own. NaN where nothing such as its own is judged, and of hostile clients.
        """
        right = np.stack([one == self._truth for one in said])
        if self.own is not None:
            told, counts = (self.own & right).sum(axis=1), self.own.sum(axis=1)
        else:
            classes = self._shares.shape[1]
            judged = np.maximum(np.bincount(self._truth, minlength=classes), 1)
            recalls = np.stack([np.bincount(self._truth, one, classes) for one in right]) / judged
            told, counts = (self._shares * recalls).sum(axis=1), self._shares.sum(axis=1)
        return np.asarray(
            np.divide(told, counts, out=np.full(len(counts), np.nan), where=(counts > 0) & ~self._hostile)
        )

    def series(self, accuracies: Floats) -> dict[str, float]:
        """Mean and standard deviation over clients (clients,), and the mean of the worst tenth of them."""
        known = np.sort(accuracies[~np.isnan(accuracies)])
        worst = known[: math.ceil(len(known) / 10)]
        return {
            "client_accuracy": float(known.mean()),
            "client_accuracy_spread": float(known.std()),
            "client_accuracy_worst": float(worst.mean()),
        }
