"""Intervals and paired tests over results: what may be said about a run, and about one against another.

The unit of evidence is the scene: what belongs together (near-duplicates, an outing, a patient). Every example is
judged once per seed (in the fold that held it out) and once per rotation of owners. Intervals and tests resample
scenes and, separately, seeds and rotations, because runs of one seed share its partition and initial weights. Where
classes are told apart runs are compared by their accuracy, where numbers are foretold by their RMSE.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

Floats = NDArray[np.float64]
RESAMPLES = 10_000
MAX_BLOCKS = 5000
"""More scenes than this are dealt at random to so many blocks, which are then resampled: the variance of a mean is the
same, and memory and time stop growing (random groups, Wolter 2007, chapter 2)."""
_CHUNK = 500
_FEW = 0.1  # with a smaller share of numbers that are not 0, a sparse matrix is faster


@dataclass(frozen=True)
class Answers:
    """All answers of one result about its test examples.

    `ids` (n,) are sorted; `scenes` (n,) tells by number what belongs together; `truth` (n,) are class numbers, or the
    numbers that were to be foretold. `outcome` (seeds, rotations, n): of a class 1 where it was told rightly, 0 where
    not, -1 where it was not judged; of a number what was said less the truth, NaN where it was not judged.
    """

    ids: tuple[str, ...]
    scenes: NDArray[np.int64]
    truth: NDArray[Any]
    outcome: NDArray[Any]

    @property
    def is_number(self) -> bool:
        """Whether numbers were foretold."""
        return self.outcome.dtype.kind == "f"

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Which examples were judged with which seed and rotation (seeds, rotations, n)."""
        return ~np.isnan(self.outcome) if self.is_number else np.asarray(self.outcome >= 0)

    def some(self, columns: NDArray[np.int64], seeds: int | None = None) -> Answers:
        """Of the examples at `columns`, in that order, and the first `seeds` seeds only."""
        _, scenes = np.unique(self.scenes[columns], return_inverse=True)
        kept = tuple(self.ids[column] for column in columns)
        return Answers(kept, scenes, self.truth[columns], self.outcome[:seeds][:, :, columns])


@dataclass(frozen=True)
class Sums:
    """Answers added up by block of scenes: all that figures and their intervals need, however many examples there are.

    `table` is (rows, seeds * rotations, blocks), `seeds` and `rotations` say how its second axis is made up. Rows: how
    many of each class were told rightly, then how many were judged; of numbers (`is_number`) how many were judged, and
    the sums of squared errors, of absolute errors, of truths less their mean, and of the squares of those.
    """

    table: Floats
    seeds: int
    rotations: int
    is_number: bool = False


Totals = Floats
"""The rows of `Sums` added up over whatever was drawn (rows, resamples)."""


def _accuracy(of: Totals) -> Floats:
    return np.asarray(of[0] / of[1])


def _balanced(of: Totals) -> Floats:
    hits, judged = np.split(of, 2)
    recalls = np.divide(hits, judged, out=np.full_like(judged, np.nan), where=judged > 0)
    return np.asarray(np.nanmean(recalls, axis=0))


def _r2(of: Totals) -> Floats:
    judged, squares, _, truth, truth_squares = of
    spread = truth_squares - truth**2 / judged
    differs = spread > 1e-12 * truth_squares  # less is what rounding leaves of nothing
    unexplained = np.divide(squares, spread, out=np.ones_like(spread), where=differs)
    return np.asarray(1 - np.minimum(unexplained, 1e12))


FIGURES: dict[str, Callable[[Totals], Floats]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced,
    "rmse": lambda of: np.asarray(np.sqrt(of[1] / of[0])),
    "mae": lambda of: np.asarray(of[2] / of[0]),
    "r2": _r2,
}
"""What can be said of answers: the share told rightly and the mean of the classes' recalls; of numbers the root of the
mean squared error, the mean absolute error, and the share of the truth's variance that is explained."""
OF_CLASSES, OF_NUMBERS = ("accuracy", "balanced_accuracy"), ("rmse", "mae", "r2")
CALLED = {
    "accuracy": "accuracy", "balanced_accuracy": "balanced", "rmse": "RMSE", "mae": "mean absolute error", "r2": "R²",
}  # fmt: skip
BOUNDS = {"accuracy": (0.0, 1.0), "balanced_accuracy": (0.0, 1.0), "r2": (-np.inf, 1.0)}
"""Between which values a figure lies; of others from 0."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        digits = 3 if abs(self.value) < 10 else 1  # fractions, and what people count in some unit
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"

    @property
    def turned(self) -> Estimate:
        """Of the opposite difference."""
        return Estimate(-self.value, -self.high, -self.low)


@dataclass(frozen=True)
class Comparison:
    """The figure of result `a` minus that of `b` on the same examples and seeds: accuracy, or RMSE.

    `p` is two-sided, `p_holm` Holm-corrected, `floor` the smallest `p_holm` that the resamples could have given.
    """

    a: str
    b: str
    seeds: int
    scenes: int
    difference: Estimate
    p: float
    p_holm: float
    floor: float
    figure: str = "accuracy"

    @property
    def is_better(self) -> bool:
        """Whether `a` came out better than `b`: with more told rightly, or smaller errors."""
        return (self.difference.value > 0) == (self.figure == "accuracy")

    @property
    def is_tested(self) -> bool:
        """Whether there is more than one seed and more than one scene to tell by."""
        return self.seeds > 1 and self.scenes > 1

    @property
    def p_text(self) -> str:
        """The corrected p-value as it may be printed."""
        return f"p {'≤' if self.p_holm <= self.floor else '='} {self.p_holm:.3f}"

    @property
    def sentence(self) -> str:
        """What may be said."""
        if not self.is_tested:
            what = "seed" if self.seeds < 2 else "scene"
            return f"one common {what}, too few to tell {self.a} from {self.b}"
        if self.p_holm >= 0.05:
            return f"no difference found between {self.a} and {self.b}"
        better, worse = (self.a, self.b) if self.is_better else (self.b, self.a)
        return f"{better} is better than {worse}"


def answers(result: Mapping[str, Any], without: Collection[str] = (), source: str | None = None) -> Answers:
    """Collect the answers of a checked result, leaving out the examples whose id is in `without`; of one source only
    where that is named.
    """
    found: dict[str, tuple[float, str]] = {}
    for repeat in result["repeats"]:
        test = repeat["test"]
        told = zip(test["id"], test["truth"], test["scene"], test["source"], strict=True)
        found.update((one, (truth, scene)) for one, truth, scene, whose in told if source in (None, whose))
    for left_out in without:
        found.pop(left_out, None)
    ids = tuple(sorted(found))
    column = {one: index for index, one in enumerate(ids)}
    seeds = sorted({repeat["seed"] for repeat in result["repeats"]})
    rotations = sorted({repeat["rotation"] for repeat in result["repeats"]})
    numbers, shape = is_number(result), (len(seeds), len(rotations), len(ids))
    outcome = np.full(shape, np.nan) if numbers else np.full(shape, -1, np.int8)
    for repeat in result["repeats"]:
        row = outcome[seeds.index(repeat["seed"]), rotations.index(repeat["rotation"])]
        test = repeat["test"]
        for one, truth, said in zip(test["id"], test["truth"], test["said"], strict=True):
            if one in column:
                row[column[one]] = said - truth if numbers else said == truth
    names = {scene: number for number, scene in enumerate(sorted({found[one][1] for one in ids}))}
    scenes = np.fromiter((names[found[one][1]] for one in ids), np.int64, len(ids))
    kind = np.float64 if numbers else np.int64
    return Answers(ids, scenes, np.fromiter((found[one][0] for one in ids), kind, len(ids)), outcome)


def figures_of(result: Mapping[str, Any]) -> tuple[str, ...]:
    """The figures that say something of a result; runs are compared by the first."""
    return OF_NUMBERS if is_number(result) else OF_CLASSES


def is_number(result: Mapping[str, Any]) -> bool:
    """Whether the run foretold numbers; else it told classes apart."""
    return result.get("classes") is None


def sources(result: Mapping[str, Any]) -> list[str]:
    """The sources of the examples that a result was judged on, sorted."""
    return sorted({one for repeat in result["repeats"] for one in repeat["test"]["source"]})


def absent(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Classes of which some repeat had no example to learn from, or to be judged on: `where` ("training" or "test"),
    `what`, and the `folds` where that is so. No figure says anything of what was not there.
    """
    found: dict[tuple[str, str], set[int]] = {}
    for repeat in result["repeats"] if result.get("classes") else ():
        counts_of = [client["counts"] for client in repeat["clients"]]
        withheld = any(one is None for one in counts_of)  # then nobody knows of what there was none
        trained = np.ones(len(result["classes"])) if withheld else np.sum(counts_of, axis=0)
        judged = np.bincount(np.asarray(repeat["test"]["truth"], np.int64), minlength=len(result["classes"]))
        for where, counts in (("training", trained), ("test", judged)):
            for what, count in zip(result["classes"], counts, strict=True):
                if not count:
                    found.setdefault((where, what), set()).add(repeat["fold"])
    return [
        {"where": where, "what": what, "folds": sorted(folds)}
        for (where, what), folds in sorted(found.items())
    ]


def sums(given: Answers) -> Sums:
    """Answers by class and scene, or block of scenes."""
    seeds, rotations, _ = given.outcome.shape
    count = int(given.scenes.max()) + 1
    places = np.arange(count)
    if count > MAX_BLOCKS:
        places = np.random.default_rng([20260101, 3]).permutation(count) % MAX_BLOCKS
        count = MAX_BLOCKS
    block, times = places[given.scenes], range(seeds * rotations)
    judged = given.judged.reshape(len(times), -1)
    outcome = np.where(judged, given.outcome.reshape(len(times), -1), 0).astype(np.float64)
    if given.is_number:
        truth = np.where(judged, given.truth - given.truth.mean(), 0.0)  # large means cost digits
        rows = (judged, outcome**2, np.abs(outcome), truth, truth**2)
        added = [[np.bincount(block, row[time], minlength=count) for time in times] for row in rows]
        return Sums(np.array(added, np.float64), seeds, rotations, is_number=True)
    members = [np.flatnonzero(given.truth == label) for label in np.unique(given.truth)]
    added = [
        [np.bincount(block[of], row[time][of], minlength=count) for time in times]
        for row in (outcome, judged)
        for of in members
    ]
    return Sums(np.array(added, np.float64), seeds, rotations)


def estimated(given: Answers | Sums, figure: str, resamples: int = RESAMPLES) -> Estimate:
    """A figure of FIGURES over all examples, seeds and rotations, with a percentile bootstrap interval (Efron 1979)."""
    added = sums(given) if isinstance(given, Answers) else given
    low, high = np.nanquantile(_spread(added, resamples, figure), [0.025, 0.975]).clip(
        *BOUNDS.get(figure, (0.0, np.inf))
    )
    return Estimate(_overall(added, figure), float(low), float(high))


def compare(
    results: Mapping[str, Mapping[str, Any]],
    without: Collection[str] = (),
    pairs: list[tuple[str, str]] | None = None,
    resamples: int = RESAMPLES,
) -> list[Comparison]:
    """Paired bootstrap of every pair of results (or of `pairs`), Holm-corrected over all of them (Holm 1979).

    Both sides of a pair are resampled with the same scenes and the same seeds; only examples and seeds both have
    judged count. Pairs without an example in common are left out. Pairs with one common seed or scene are shown
    but not tested, so they are no part of the correction. Seeds are paired by their number, which makes them the same
    seeds where the confs say the same `seed` and `partition_seed`, as those of a study do.
    """
    return compare_answers(
        {name: answers(result, without) for name, result in results.items()}, pairs, resamples
    )


def compare_answers(
    all_answers: Mapping[str, Answers],
    pairs: list[tuple[str, str]] | None = None,
    resamples: int = RESAMPLES,
) -> list[Comparison]:
    """`compare` for answers, however they were kept."""
    known: dict[tuple[str, int, tuple[str, ...], bytes], tuple[float, Floats]] = {}

    def told(name: str, side: Answers) -> tuple[float, Floats]:
        # The draws follow from the numbers of scenes and seeds alone, so a side serves all pairs it is the same in.
        key = (name, len(side.outcome), side.ids, side.scenes.tobytes())
        if key not in known:
            added = sums(side)
            figure = _compared(side)
            known[key] = _overall(added, figure), _spread(added, resamples, figure)
        return known[key]

    found: list[tuple[str, str, int, int, Estimate, float]] = []
    figures: list[str] = []
    for a, b in pairs if pairs is not None else combinations(all_answers, 2):
        both = _matched(all_answers[a], all_answers[b])
        if both is None:
            continue
        left, right = both
        (value_a, spread_a), (value_b, spread_b) = told(a, left), told(b, right)
        value, spread = value_a - value_b, np.round(spread_a - spread_b, 12)
        low, high = np.quantile(spread, [0.025, 0.975])
        tail = min((spread <= 0).sum(), (spread >= 0).sum())
        figures.append(_compared(left))
        found.append(
            (
                a,
                b,
                len(left.outcome),
                int(left.scenes.max()) + 1,
                Estimate(value, float(low), float(high)),
                float(min(1.0, 2 * (tail + 1) / (resamples + 1))),
            )
        )
    tested = [index for index, one in enumerate(found) if one[2] > 1 and one[3] > 1]
    p_holm = dict(zip(tested, holm([found[index][-1] for index in tested]), strict=True))
    floor = min(1.0, 2 / (resamples + 1) * len(tested))
    return [
        Comparison(*one, p_holm.get(index, 1.0), floor, figure)
        for index, (one, figure) in enumerate(zip(found, figures, strict=True))
    ]


def _compared(given: Answers) -> str:
    """By which figure such answers are compared."""
    return OF_NUMBERS[0] if given.is_number else OF_CLASSES[0]


def disagreement(a: Answers, b: Answers) -> float | None:
    """The share of examples, seed by seed, that just one of the two tells rightly; None where they share none, and of
    numbers.

    It bounds what can be told apart: the difference of two accuracies over n scenes spreads by about sqrt(share / n)
    (McNemar 1947), so 2.8 times that, 1.96 + 0.84, is found in four of five cases at the level of 0.05.
    """
    both = _matched(a, b)
    if both is None or both[0].is_number:
        return None
    rotations = min(one.outcome.shape[1] for one in both)
    left, right = (one.outcome[:, :rotations] for one in both)
    judged = (left >= 0) & (right >= 0)
    return float((left != right)[judged].mean()) if judged.any() else None


def holm(p_values: list[float]) -> list[float]:
    """Holm's step-down adjusted p-values (Holm 1979), in the order given."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.zeros(len(p_values))
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return [float(p) for p in adjusted]


def _matched(a: Answers, b: Answers) -> tuple[Answers, Answers] | None:
    """Both sides cut down to what both have judged, in one order; what a scene of either has together is together."""
    seeds = min(len(a.outcome), len(b.outcome))
    places = {one: column for column, one in enumerate(b.ids)}
    shared = [(column, places[one]) for column, one in enumerate(a.ids) if one in places]
    if not shared or a.is_number != b.is_number:
        return None
    mine, theirs = np.array(shared).T
    left, right = a.some(mine, seeds), b.some(theirs, seeds)
    judged = np.flatnonzero(left.judged.any(axis=(0, 1)) & right.judged.any(axis=(0, 1)))
    if not len(judged):
        return None
    left, right = left.some(judged), right.some(judged)
    scenes = _joined(left.scenes, right.scenes)
    return replace(left, scenes=scenes), replace(right, scenes=scenes)


def _joined(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """Scenes (n,) by number, of examples that are together in `a` or in `b`, directly or by way of others."""
    links = coo_matrix((np.ones(len(a)), (a, b + a.max() + 1)), shape=(a.max() + b.max() + 2,) * 2)
    _, component = connected_components(links, directed=False)
    # In the order of their first examples, so that a pair says the same whichever side comes first.
    names, first, scenes = np.unique(component[a], return_index=True, return_inverse=True)
    rank = np.empty(len(names), np.int64)
    rank[np.argsort(first)] = np.arange(len(names))
    return rank[scenes]


def _spread(given: Sums, resamples: int, figure: str) -> Floats:
    """The figure in each resample (resamples,).

    The generator is fixed, so that two sides of a pair get the same draws of scenes and seeds, and a page shows the
    same interval every time. The mean of n resampled seeds or scenes varies with (n - 1) / n of the variance it should
    have, much too little for three: either spread is scaled up by that.
    """
    table = _rows(given, figure)
    rows, times, blocks = table.shape
    block_draws = _block_draws(blocks, resamples)
    rng_seeds, rng_rotations = (np.random.default_rng([20260101, stream]) for stream in (1, 2))
    seeds, rotations = given.seeds, given.rotations
    over_seeds, over_blocks = (np.sqrt(n / (n - 1)) if n > 1 else 1.0 for n in (seeds, blocks))
    overall, score = _overall(given, figure), FIGURES[figure]
    flat = table.reshape(rows * times, blocks)
    # Of many classes a scene has but a few.
    by_block = csr_matrix(flat) if np.count_nonzero(flat) < _FEW * flat.size else flat
    found = []
    for start in range(0, resamples, _CHUNK):
        count = min(_CHUNK, resamples - start)
        seed_draws = rng_seeds.multinomial(seeds, np.full(seeds, 1 / seeds), size=count)
        rotation_draws = rng_rotations.multinomial(
            rotations, np.full(rotations, 1 / rotations), size=(count, seeds)
        )
        unit = (seed_draws[:, :, None] * rotation_draws).reshape(count, times)
        weight = block_draws[start : start + count].astype(np.float64)
        drawn = (by_block @ weight.T).reshape(rows, times, count)
        every_seed = score(drawn.sum(axis=1))
        of_seeds = score((drawn * unit.T).sum(axis=1))
        found.append(overall + over_blocks * (every_seed - overall) + over_seeds * (of_seeds - every_seed))
    return np.concatenate(found)


def _rows(given: Sums, figure: str) -> Floats:
    """The rows that a figure is made of: accuracy needs no classes."""
    if figure != "accuracy":
        return given.table
    return np.stack([half.sum(axis=0) for half in np.split(given.table, 2)])


@lru_cache(maxsize=4)
def _block_draws(blocks: int, resamples: int) -> NDArray[np.uint8]:
    """How often each block is drawn in each resample (resamples, blocks); the same for all results of one size."""
    rng = np.random.default_rng([20260101, 0])
    draws = np.empty((resamples, blocks), np.uint8)
    for start in range(0, resamples, _CHUNK):
        chosen = rng.integers(blocks, size=(min(_CHUNK, resamples - start), blocks))
        for row, one in enumerate(chosen, start):
            draws[row] = np.minimum(np.bincount(one, minlength=blocks), 255)
    return draws


def _overall(given: Sums, figure: str) -> float:
    """The figure over everything judged."""
    return float(FIGURES[figure](_rows(given, figure).sum(axis=(1, 2))[:, None])[0])
