"""What each update of a fold was worth, measured on the call's test examples: leave-one-out, and Shapley values by
GTG-Shapley (Liu et al. 2022, arXiv 2109.02053): models of any group are made again from the updates of this fold, and
nobody trains. Leave-one-out misses duplicates (of two alike neither is missed), Shapley values share between them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from utils.calls.described import Call

ROUND_SKIP, WITHIN, LAST, SETTLED, LEAST = 0.01, 0.001, 10, 0.05, 30
"""GTG-Shapley's constants: a fold that changes no more is skipped; a permutation ends within; means of the last ten are
settled when they vary by less; no fewer permutations."""
MOST = 500
EXACT = 6
"""Players of whom every group is tried."""
ALIKE = 0.999
"""Cosine from which two updates are called duplicates."""

Value = Callable[[frozenset[int]], float]


@dataclass(frozen=True)
class Shares:
    """Shapley values (n,) and their standard errors (n,) over permutations, of which there were so many; `settled` if
    they had settled when the time was over. Exact values have no permutations and no errors.
    """

    values: NDArray[np.float64]
    errors: NDArray[np.float64]
    permutations: int
    settled: bool


def leave_one_out(players: int, value: Value) -> NDArray[np.float64]:
    """phi_i = U(N) - U(N without i), shape (players,)."""
    every = frozenset(range(players))
    whole = value(every)
    return np.array([whole - value(every - {one}) for one in range(players)])


def shapley(players: int, value: Value, rng: np.random.Generator, until: Callable[[], bool]) -> Shares:
    """Shapley values of a game: exact for at most EXACT players, of more by `gtg`."""
    if players > EXACT:
        return gtg(players, value, rng, until)
    found, every = np.zeros(players), range(players)
    for one in every:
        rest = [other for other in every if other != one]
        for size in range(players):
            share = 1 / (players * math.comb(players - 1, size))
            groups = map(frozenset, combinations(rest, size))
            found[one] += share * sum(value(group | {one}) - value(group) for group in groups)
    return Shares(found, np.zeros(players), 0, True)


def gtg(players: int, value: Value, rng: np.random.Generator, until: Callable[[], bool]) -> Shares:
    """GTG-Shapley of a game: guided permutations, each beginning with another player in turn, cut off where the rest
    changes nothing; until the means have settled, `until` says stop, or MOST permutations were drawn.
    """
    every = frozenset(range(players))
    whole, nothing = value(every), value(frozenset())
    if abs(whole - nothing) <= ROUND_SKIP:
        return Shares(np.zeros(players), np.zeros(players), 0, True)
    drawn: list[NDArray[np.float64]] = []
    means: list[NDArray[np.float64]] = []
    while len(drawn) < MOST and not (drawn and until()):
        for first in map(int, rng.permutation(players)):  # in no order of anybody's, as the time may be over
            if drawn and until():
                break
            rest = rng.permutation([one for one in range(players) if one != first])
            drawn.append(_marginals([first, *map(int, rest)], value, nothing, whole))
            means.append(np.mean(drawn, axis=0))
        if len(drawn) >= LEAST and _settled(means):
            return _shares(drawn, True)
    return _shares(drawn, False)


def _marginals(order: list[int], value: Value, nothing: float, whole: float) -> NDArray[np.float64]:
    found, group, before = np.zeros(len(order)), frozenset[int](), nothing
    for one in order:
        group = group | {one}
        now = before if abs(whole - before) < WITHIN else value(group)
        found[one], before = now - before, now
    return found


def _settled(means: Sequence[NDArray[np.float64]]) -> bool:
    now, last = means[-1], means[-LAST - 1 : -1]
    scale = max(float(np.abs(now).mean()), 1e-12)
    return all(float(np.abs(one - now).mean()) / scale < SETTLED for one in last)


def _shares(drawn: list[NDArray[np.float64]], settled: bool) -> Shares:
    every = np.array(drawn)
    errors = every.std(axis=0, ddof=1) / math.sqrt(len(every)) if len(every) > 1 else np.zeros(every.shape[1])
    return Shares(every.mean(axis=0), errors, len(every), settled)


class TestSet:
    """The test examples of a call, ready to judge weights."""

    __test__ = False

    def __init__(self, call: Call, inputs: NDArray[Any], answers: NDArray[Any]) -> None:
        from utils.calls.home import in_memory

        self._call, self._answers = call, answers
        self._net, self.count = in_memory(call, inputs), len(answers)

    @classmethod
    def of(cls, call: Call, path: Path, cache: Path) -> TestSet:
        """Of a file that the site wrote; the run of a backbone lies in `cache`."""
        from utils.calls.home import prepared

        with np.load(path, allow_pickle=False) as found:
            return cls(call, prepared(call, found["inputs"], cache), found["answers"])

    def scores(self, weights: NDArray[np.float32]) -> dict[str, float]:
        """See `utils.calls.home.scores`."""
        from utils.calls.home import scores

        return scores(self._call, self._net(weights), self._answers)

    def value(self, weights: NDArray[np.float32]) -> float:
        """What a model is worth: its accuracy, or the share of the variance that it explains (no less than 0)."""
        told = self.scores(weights)
        return told["accuracy"] if "accuracy" in told else max(0.0, told.get("r2", 0.0))


def worth_of(
    call: Call,
    before: NDArray[np.float32],
    differences: Sequence[NDArray[np.float32]],
    told: Sequence[dict[str, Any]],
    tested: TestSet,
    seconds: float,
) -> dict[str, Any]:
    """By place of each update: leave-one-out, Shapley value and its standard error; and what looks wrong: `duplicate`
    (of the update at that place), or `free rider` (it changes nothing).
    """
    samples = np.array([one["samples"] for one in told], np.float64)
    known: dict[frozenset[int], float] = {}

    def value(group: frozenset[int]) -> float:
        if group not in known:
            places = sorted(group)
            weights = before
            if places:
                share = samples[places] / samples[places].sum()
                weights = (
                    before + sum(w * differences[at] for w, at in zip(share, places, strict=True))
                ).astype(np.float32)
            known[group] = tested.value(weights)
        return known[group]

    began = time.monotonic()
    alone = leave_one_out(len(told), value)
    shares = shapley(len(told), value, np.random.default_rng(0), lambda: time.monotonic() - began > seconds)
    return {
        "leave_one_out": alone.tolist(), "shapley": shares.values.tolist(), "errors": shares.errors.tolist(),
        "permutations": shares.permutations, "settled": shares.settled, "flags": flags(differences),
    }  # fmt: skip


def flags(differences: Sequence[NDArray[np.float32]]) -> list[str]:
    """What looks wrong with each update: `free rider` where it is no change, next to the others; `duplicate N` where it
    points where that at place N does, to the last bit of a training; else nothing.
    """
    norms = [float(np.linalg.norm(one.astype(np.float64))) for one in differences]
    usual, found = float(np.median(norms)), []
    for place, (one, norm) in enumerate(zip(differences, norms, strict=True)):
        told = "free rider" if norm <= 1e-3 * usual or norm == 0 else ""
        for earlier in range(place if not told else 0):
            if norms[earlier] and float(one @ differences[earlier]) / (norm * norms[earlier]) > ALIKE:
                told = f"duplicate {earlier}"
                break
        found.append(told)
    return found
