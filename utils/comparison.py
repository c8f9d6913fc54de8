"""Intervals and paired tests over results: what may be said about a run, and about one against another.

The unit of evidence is the photo: every photo is judged once per seed (in the fold that held it out) and once
per rotation of owners. Intervals and tests resample photos and, separately, seeds and rotations, because runs
of one seed share its partition and initial weights.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RESAMPLES = 10_000
_CHUNK = 500


@dataclass(frozen=True)
class Answers:
    """All answers of one result about its test photos.

    `right` (seeds, rotations, photos) is 1 where the photo was told rightly, NaN where it was not judged;
    `labels` (photos,) is 1 for sunny.
    """

    hashes: tuple[str, ...]
    labels: NDArray[np.int64]
    right: Floats


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Comparison:
    """Accuracy of result `a` minus that of `b` on the same photos and seeds.

    `p` is two-sided, `p_holm` Holm-corrected, `floor` the smallest `p_holm` that the resamples could have given.
    """

    a: str
    b: str
    seeds: int
    difference: Estimate
    p: float
    p_holm: float
    floor: float

    @property
    def p_text(self) -> str:
        """The corrected p-value as it may be printed."""
        return f"p {'≤' if self.p_holm <= self.floor else '='} {self.p_holm:.3f}"

    @property
    def sentence(self) -> str:
        """What may be said."""
        if self.seeds < 2:
            return f"one common seed, too few to tell {self.a} from {self.b}"
        if self.p_holm >= 0.05:
            return f"no difference found between {self.a} and {self.b}"
        better, worse = (self.a, self.b) if self.difference.value > 0 else (self.b, self.a)
        return f"{better} is better than {worse}"


def answers(result: Mapping[str, Any], without: Collection[str] = ()) -> Answers:
    """Collect the answers of a checked result, leaving out the photos whose hash is in `without`."""
    labels: dict[str, int] = {}
    for repeat in result["repeats"]:
        labels.update(zip(repeat["test"]["hash"], repeat["test"]["label"], strict=True))
    hashes = tuple(sorted(set(labels) - set(without)))
    column = {photo: index for index, photo in enumerate(hashes)}
    seeds = sorted({repeat["seed"] for repeat in result["repeats"]})
    rotations = sorted({repeat["rotation"] for repeat in result["repeats"]})
    right = np.full((len(seeds), len(rotations), len(hashes)), np.nan)
    for repeat in result["repeats"]:
        row = right[seeds.index(repeat["seed"]), rotations.index(repeat["rotation"])]
        test = repeat["test"]
        for photo, label, probability in zip(test["hash"], test["label"], test["probability"], strict=True):
            if photo in column:
                row[column[photo]] = (probability > 0.5) == (label == 1)
    return Answers(hashes, np.array([labels[photo] for photo in hashes], dtype=np.int64), right)


def accuracy(given: Answers, balanced: bool = False, resamples: int = RESAMPLES) -> Estimate:
    """Accuracy over all photos, seeds and rotations with a percentile bootstrap interval (Efron 1979).

    `balanced` gives the mean of the two classes' recalls.
    """
    value = _score(
        np.nanmean(given.right, axis=(0, 1))[None], np.ones((1, len(given.labels))), given.labels, balanced
    )
    spread = _spread(given, resamples, balanced)
    low, high = np.nanquantile(spread, [0.025, 0.975])
    return Estimate(float(value[0]), float(low), float(high))


def compare(
    results: Mapping[str, Mapping[str, Any]],
    without: Collection[str] = (),
    pairs: list[tuple[str, str]] | None = None,
    resamples: int = RESAMPLES,
) -> list[Comparison]:
    """Paired bootstrap of every pair of results (or of `pairs`), Holm-corrected over all of them (Holm 1979).

    Both sides of a pair are resampled with the same photos and the same seeds; only photos and seeds both have
    judged count. Pairs without a photo in common are left out. Pairs with one common seed are shown but not
    tested, so they are no part of the correction.
    """
    all_answers = {name: answers(result, without) for name, result in results.items()}
    spreads: dict[tuple[str, int, tuple[str, ...]], Floats] = {}

    def spread_of(name: str, side: Answers) -> Floats:
        # The draws follow from the numbers of photos and seeds alone, so a side serves all pairs it is the same in.
        key = (name, len(side.right), side.hashes)
        if key not in spreads:
            spreads[key] = _spread(side, resamples, balanced=False)
        return spreads[key]

    found: list[tuple[str, str, int, Estimate, float]] = []
    for a, b in pairs if pairs is not None else combinations(results, 2):
        both = _matched(all_answers[a], all_answers[b])
        if both is None:
            continue
        left, right = both
        value = float(
            np.nanmean(left.right, axis=(0, 1)).mean() - np.nanmean(right.right, axis=(0, 1)).mean()
        )
        spread = np.round(spread_of(a, left) - spread_of(b, right), 12)
        low, high = np.quantile(spread, [0.025, 0.975])
        tail = min((spread <= 0).sum(), (spread >= 0).sum())
        found.append(
            (
                a,
                b,
                len(left.right),
                Estimate(value, float(low), float(high)),
                float(min(1.0, 2 * (tail + 1) / (resamples + 1))),
            )
        )
    tested = [index for index, one in enumerate(found) if one[2] > 1]
    p_holm = dict(zip(tested, holm([found[index][-1] for index in tested]), strict=True))
    floor = min(1.0, 2 / (resamples + 1) * len(tested))
    return [Comparison(*one, p_holm.get(index, 1.0), floor) for index, one in enumerate(found)]


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
    common = sorted(set(a.hashes) & set(b.hashes))
    if not common:
        return None
    seeds = min(len(a.right), len(b.right))

    def cut(side: Answers) -> Answers:
        columns = [side.hashes.index(photo) for photo in common]
        return Answers(tuple(common), side.labels[columns], side.right[:seeds, :, columns])

    left, right = cut(a), cut(b)
    judged = ~(np.isnan(left.right).all(axis=(0, 1)) | np.isnan(right.right).all(axis=(0, 1)))
    if not judged.any():
        return None
    hashes = tuple(np.array(common)[judged])
    return (
        Answers(hashes, left.labels[judged], left.right[:, :, judged]),
        Answers(hashes, right.labels[judged], right.right[:, :, judged]),
    )


def _resampled(given: Answers, resamples: int) -> Iterator[tuple[Floats, Floats]]:
    """Per resample: mean rightness of each photo over the drawn seeds and rotations, and how often it was drawn.

    Both (some resamples, photos), chunk by chunk. The generator is fixed, so that two sides of a pair get the same
    draws of photos and seeds, and a page shows the same interval every time. The mean of n resampled seeds varies
    with (n - 1) / n of the variance it should have, much too little for three: the spread is scaled up by that.
    """
    seeds, rotations, photos = given.right.shape
    photo_draws = _photo_draws(photos, resamples)
    rng_seeds, rng_rotations = (np.random.default_rng([20260101, stream]) for stream in (1, 2))
    judged = ~np.isnan(given.right)
    filled = np.where(judged, given.right, 0.0)
    widened = np.sqrt(seeds / (seeds - 1)) if seeds > 1 else 1.0
    overall = filled.sum(axis=(0, 1)) / np.maximum(judged.sum(axis=(0, 1)), 1)
    for start in range(0, resamples, _CHUNK):
        count = min(_CHUNK, resamples - start)
        seed_draws = rng_seeds.multinomial(seeds, np.full(seeds, 1 / seeds), size=count)
        rotation_draws = rng_rotations.multinomial(
            rotations, np.full(rotations, 1 / rotations), size=(count, seeds)
        )
        unit = (seed_draws[:, :, None] * rotation_draws).reshape(count, -1).astype(np.float64)
        total = unit @ judged.reshape(-1, photos)
        hits = unit @ filled.reshape(-1, photos)
        means = np.where(total > 0, hits / np.maximum(total, 1), overall)
        yield overall + widened * (means - overall), photo_draws[start : start + count].astype(np.float64)


@lru_cache(maxsize=4)
def _photo_draws(photos: int, resamples: int) -> NDArray[np.uint8]:
    """How often each photo is drawn in each resample (resamples, photos); the same for all results of one size."""
    rng = np.random.default_rng([20260101, 0])
    draws = np.empty((resamples, photos), np.uint8)
    for start in range(0, resamples, _CHUNK):
        chosen = rng.integers(photos, size=(min(_CHUNK, resamples - start), photos))
        for row, one in enumerate(chosen, start):
            draws[row] = np.minimum(np.bincount(one, minlength=photos), 255)
    return draws


def _spread(given: Answers, resamples: int, balanced: bool) -> Floats:
    """Accuracy in each resample (resamples,)."""
    return np.concatenate([_score(*draws, given.labels, balanced) for draws in _resampled(given, resamples)])


def _score(means: Floats, weights: Floats, labels: NDArray[np.int64], balanced: bool) -> Floats:
    if not balanced:
        return np.asarray((means * weights).sum(axis=1) / weights.sum(axis=1))
    recalls = []
    for label in (0, 1):
        of_class = labels == label
        totals = weights[:, of_class].sum(axis=1)
        hits = (means[:, of_class] * weights[:, of_class]).sum(axis=1)
        recalls.append(np.divide(hits, totals, out=np.full(len(totals), np.nan), where=totals > 0))
    return np.asarray(np.nanmean(recalls, axis=0))


def grey_shift(result: Mapping[str, Any], resamples: int = RESAMPLES) -> Estimate:
    """By how much P(cloudy) rises when the sunny test photos are turned grey: mean over photos and repeats.

    0 means that colour does not carry the label; the interval is a bootstrap over photos.
    """
    rises: dict[str, list[float]] = {}
    for repeat in result["repeats"]:
        test = repeat["test"]
        for photo, label, colour, grey in zip(
            test["hash"], test["label"], test["probability"], test["probability_grey"], strict=True
        ):
            if label == 1:
                rises.setdefault(photo, []).append(colour - grey)
    if not rises:
        return Estimate(float("nan"), float("nan"), float("nan"))
    means = np.array([np.mean(values) for values in rises.values()])
    draws = np.random.default_rng(20260101).integers(len(means), size=(resamples, len(means)))
    low, high = np.quantile(means[draws].mean(axis=1), [0.025, 0.975])
    return Estimate(float(means.mean()), float(low), float(high))
