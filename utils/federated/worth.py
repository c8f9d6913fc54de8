"""What each update of a round was worth: leave-one-out, and Shapley values by GTG-Shapley (Liu et al. 2022, arXiv
2109.02053): models of any group are made again from the updates of this round, and nobody trains. Leave-one-out misses
duplicates (of two alike neither is missed), Shapley values share between them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

ROUND_SKIP, WITHIN, LAST, SETTLED, LEAST = 0.01, 0.001, 10, 0.05, 30
"""GTG-Shapley's constants: a round that changes no more is skipped; a permutation ends within; means of the last ten
are settled when they vary by less; no fewer permutations."""
MOST = 500
EXACT = 6
"""Players of whom every group is tried."""
ALIKE = 0.999
"""Cosine from which two updates are called duplicates."""
FREE_RIDER, DUPLICATE = "free rider", "duplicate"

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


class Groups:
    """What models of groups of a round's updates are worth, each made and judged once. Players go by their places."""

    def __init__(
        self,
        before: NDArray[np.float32],
        differences: Sequence[NDArray[np.float32]],
        samples: Sequence[int],
        judged: Callable[[NDArray[np.float32]], float],
        step: float = 1.0,
    ) -> None:
        """`judged` says what weights (size,) are worth; `differences` (size,) each are from those `before`."""
        self._before, self._differences, self._judged, self._step = before, differences, judged, step
        self._samples = np.array(samples, np.float64)
        self._known: dict[frozenset[int], float] = {}

    @property
    def count(self) -> int:
        """How many models were judged."""
        return len(self._known)

    def value(self, group: frozenset[int]) -> float:
        """U(group): of before + step * the mean of its differences, weighted by samples; U() is that of before."""
        if group not in self._known:
            places, weights = sorted(group), self._before
            if places:
                share = self._step * (self._samples[places] / self._samples[places].sum())
                change = sum(w * self._differences[at] for w, at in zip(share, places, strict=True))
                weights = (weights + change).astype(np.float32)
            self._known[group] = self._judged(weights)
        return self._known[group]


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


def flags(differences: Sequence[NDArray[np.float32]]) -> list[str]:
    """What looks wrong with each update: `free rider` where it is no change, next to the others; `duplicate N` where it
    points where that at place N does, to the last bit of a training; else nothing.
    """
    norms = [float(np.linalg.norm(one.astype(np.float64))) for one in differences]
    usual, found = float(np.median(norms)), []
    for place, (one, norm) in enumerate(zip(differences, norms, strict=True)):
        told = FREE_RIDER if norm <= 1e-3 * usual or norm == 0 else ""
        for earlier in range(place if not told else 0):
            if norms[earlier] and float(one @ differences[earlier]) / (norm * norms[earlier]) > ALIKE:
                told = f"{DUPLICATE} {earlier}"
                break
        found.append(told)
    return found
