"""What rules share that can only decide with all updates of a round before them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from utils.engines.memory import POOL
from utils.federated import strategies
from utils.federated.strategies import blocks, refused, towards
from utils.federated.update import Update, Verdict

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.nets.layout import Vector

_VALUES = 2**18  # so many are looked at at once, of all updates together


class Gathering(strategies.Strategy):
    """New weights = (1 - lambda) * old weights + lambda * what a rule makes of the updates, block by block.

    Each update is copied as it is, float32, since the memory it came in is wanted again; copies are kept for the next
    round. An update that is not finite everywhere is left out.
    """

    least = 1  # updates without which the rule means nothing

    def __init__(self, conf: Conf) -> None:
        self._name, self.server_lr = conf.strategy.name, conf.lambda_
        self._copies: list[Vector] = []

    def begin(self, weights: Vector) -> None:
        """Start a round from `weights` (layout.size,)."""
        self._old = weights
        self._clients: list[tuple[int, bool]] = []  # and whether it is finite
        self._samples: list[int] = []
        self._judged: list[tuple[float | None, bool]] = []

    def fold(self, update: Update) -> None:
        """Keep one update."""
        with np.errstate(invalid="ignore"):  # in float64 no sum of finite numbers is too large
            finite = math.isfinite(update.weights.sum(dtype=np.float64))
        self._clients.append((update.client, finite))
        if finite:
            if len(self._copies) == len(self._samples):
                self._copies.append(np.empty(len(update.weights), np.float32))
            self._copies[len(self._samples)][:] = update.weights
            self._samples.append(update.samples)

    def finish(self) -> Vector:
        """The new weights (layout.size,), float32. Raises RunError when there are too few updates for the rule."""
        rows = self._copies[: len(self._samples)]
        if len(rows) < self.least:
            raise refused(self._name, len(rows), len(self._clients), self.least)
        self._judged = [(None, True)] * len(rows)
        self.look(rows)
        new = POOL.vector(len(self._old))
        for block in self._blocks(rows):
            new[block] = towards(self.middle([row[block] for row in rows]), self._old[block], self.server_lr)
        self._old = new  # so that what it was is no longer held
        return new

    def look(self, rows: list[Vector]) -> None:
        """At all finite updates as a whole, before they are taken together."""

    def middle(self, pieces: list[Vector]) -> NDArray[np.float64]:
        """What the rule makes of the same piece of all finite updates."""
        raise NotImplementedError

    def verdicts(self) -> list[Verdict]:
        """The rule's of the finite ones; the others are left out."""
        judged = iter(self._judged)
        return [
            Verdict(client, *(next(judged) if finite else (None, False))) for client, finite in self._clients
        ]

    def _blocks(self, rows: list[Vector]) -> Any:
        return blocks(len(self._old), max(_VALUES // len(rows), 1))


class Weighing(Gathering):
    """Rules that give every update as a whole a weight, by how far it is from the others."""

    def look(self, rows: list[Vector]) -> None:
        """Weigh them."""
        products = np.zeros((len(rows), len(rows)))
        for block in self._blocks(rows):
            # Away from the old weights, since what all have in common would cost digits of how they differ.
            differences = np.array([row[block] for row in rows], np.float64) - self._old[block]
            products += differences @ differences.T
        self._weights = self.weights(products)

    def weights(self, products: NDArray[np.float64]) -> NDArray[np.float64]:
        """What each update counts (n,), summing to 1, from the products (n, n) of their differences to the old ones."""
        raise NotImplementedError

    def middle(self, pieces: list[Vector]) -> NDArray[np.float64]:
        """Their sum by weight."""
        found = np.zeros(len(pieces[0]))
        for weight, piece in zip(self._weights, pieces, strict=True):
            if weight:
                found += np.multiply(piece, weight, dtype=np.float64)
        return found


def in_order(pieces: list[Vector]) -> Vector:
    """The values of each weight in ascending order (width, n)."""
    found = np.ascontiguousarray(np.array(pieces).T)
    found.sort(axis=1)
    return found


def distances(products: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared distances (n, n) between vectors of which these are the products."""
    squares = np.diag(products)
    found = np.maximum(squares[:, None] + squares - 2 * products, 0.0)
    np.fill_diagonal(found, 0.0)
    return np.asarray(found)
