"""What each client's updates were worth over a run: values of `utils.federated.worth`, round by round.

A group's model is what FedAvg makes of its updates alone: sent + lambda * the mean of their differences, weighted by
examples. It is judged on validation examples, by accuracy, or of numbers by the share of their variance that it
explains (no less than 0). No clock decides: a round is over when one more permutation could take more models than
`worth` allows, so a run comes to the same on any machine.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from utils.federated import worth
from utils.packing import WORTH, table_of

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.federated.update import Update
    from utils.nets.layout import Vector

WORTH_STREAM = 23
NO_FLAG, FREE_RIDER = -1, -2
"""Of a row of the table; any other flag is the number of the client of whose update this one is a duplicate."""


@dataclass(frozen=True)
class Row:
    """What an update was worth in a round; nothing where the round was skipped and does not count."""

    client: int
    shapley: float
    error: float
    leave_one_out: float
    counted: bool
    flag: int


class Valued:
    """Of one repeat: sums over rounds by client, and the rows of the latest round."""

    def __init__(self, conf: Conf, seed: int, hostile: list[int]) -> None:
        self._most, self._step, self._seed = conf.worth, conf.lambda_, seed
        self._hostile = np.isin(np.arange(conf.no_models), hostile)
        # Shapley values, squares of their errors, leave-one-out, rounds that counted, rounds that were skipped.
        self._sums = np.zeros((5, conf.no_models if conf.worth else 0))
        self._models = 0
        self.begin()

    def begin(self) -> None:
        """A round begins."""
        self._clients: list[int] = []
        self._samples: list[int] = []
        self._changes: list[Vector] = []
        self.rows: list[Row] = []

    def fold(self, update: Update, sent: Vector) -> None:
        """Keep one update until the round is over."""
        if self._most:
            self._clients.append(update.client)
            self._samples.append(update.samples)
            self._changes.append(update.weights - sent)

    def finish(
        self, sent: Vector, round_: int, judged: Callable[[Vector], float]
    ) -> dict[str, tuple[float, str, str]]:
        """Value the round's updates; `judged` says what weights are worth. A round that changes no more than
        `worth.ROUND_SKIP` is skipped, as GTG-Shapley has it.
        """
        if not self._most:
            return {}
        began, players = time.perf_counter(), len(self._clients)
        groups = worth.Groups(sent, self._changes, self._samples, judged, self._step)
        rng = np.random.default_rng([WORTH_STREAM, self._seed, round_])
        nothing = alone = np.zeros(players)
        shares = worth.Shares(nothing, nothing, 0, True)
        whole = groups.value(frozenset(range(players))) if players else 0.0
        counts = bool(players) and abs(whole - groups.value(frozenset())) > worth.ROUND_SKIP
        if counts:
            alone = worth.leave_one_out(players, groups.value)
            exact = players <= worth.EXACT and 2**players <= self._most
            how = worth.shapley if exact else worth.gtg
            shares = how(players, groups.value, rng, lambda: groups.count + players > self._most)
        rounds = np.full(players, counts), np.full(players, not counts)
        found = np.stack([shares.values, shares.errors**2, alone, *rounds])
        self._sums[:, self._clients] += found
        told = zip(
            self._clients, shares.values, shares.errors, alone, worth.flags(self._changes), strict=True
        )
        self.rows = [
            Row(client, float(value), float(error), float(loss), counts, self._flag(flag))
            for client, value, error, loss, flag in told
        ]
        self._changes = []
        self._models += groups.count
        return self._means() | {
            "worth_models": (float(groups.count), "", "lower"),
            "worth_models_all": (float(self._models), "", "lower"),
            "worth_seconds": (time.perf_counter() - began, "s", "lower"),
        }

    def _flag(self, told: str) -> int:
        if told == worth.FREE_RIDER:
            return FREE_RIDER
        return self._clients[int(told.split()[-1])] if told else NO_FLAG

    def _means(self) -> dict[str, tuple[float, str, str]]:
        """What clients were worth so far, on average, by Shapley values and by leave-one-out: the hostile ones, where
        there are some, and the others.
        """
        kinds = {"hostile": (self._hostile, "none"), "others": (~self._hostile, "higher")}
        return {
            f"{name}_{kind}": (float(self._sums[row][which].mean()), "", better)
            for name, row in (("worth", 0), ("leave_one_out", 2))
            for kind, (which, better) in kinds.items()
            if which.any()
        }

    def told(self, table: Mapping[str, str]) -> list[dict[str, Any]]:
        """Of each client over all rounds: the sums, the standard error of its Shapley value (rounds being independent),
        and what its updates were flagged as most often in the packed `table` of a record.
        """
        rows = table_of(table, WORTH) if table else {"client": np.zeros(0, int), "flag": np.zeros(0, int)}
        found = []
        for client, (value, square, alone, rounds, skipped) in enumerate(self._sums.T.tolist()):
            flags = Counter(rows["flag"][rows["client"] == client].tolist()).most_common(1)
            found.append({
                "shapley": value, "error": square**0.5, "leave_one_out": alone, "rounds": int(rounds),
                "skipped": int(skipped), "flag": _said(flags[0][0] if flags else NO_FLAG),
            })  # fmt: skip
        return found

    def state(self) -> dict[str, NDArray[Any]]:
        """The sums, and how many models were judged."""
        return {"sums": self._sums.copy(), "models": np.array([self._models])} if self._most else {}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from them."""
        if state:
            self._sums, self._models = state["sums"].copy(), int(state["models"][0])


def _said(flag: int) -> str:
    """A flag in words, as calls have them."""
    return {NO_FLAG: "", FREE_RIDER: worth.FREE_RIDER}.get(flag, f"{worth.DUPLICATE} {flag}")
