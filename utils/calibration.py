"""How sure is it? Of tasks with two classes: temperature scaling, and the two thresholds between which the honest
answer is "I cannot tell".

All of it follows from answers about examples that the networks never saw: those of the folds, and, where the same
recipe was trained without some sources and judged on these (`left_out`), those about them, which weigh as much as the
folds together: what strangers bring is not among the folds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, minimize_scalar

from utils.comparison import Estimate, sources
from utils.data.split import deck_of

Numbers = NDArray[np.float64]
_ENOUGH = 30  # answers beyond a threshold; of fewer, nothing is known
_MANY = 20  # scenes
_RESAMPLES, _BINS = 2000, 10


@dataclass(frozen=True)
class Calibration:
    """`temperature` divides the logit of class 1; from the probability `high` on the answer is class 1, up to `low` it
    is class 0.
    """

    temperature: float
    low: float
    high: float

    def probability(self, logit: float) -> float:
        """Calibrated probability of class 1 from the difference of the two logits."""
        return float(_sigmoid(np.array(logit / self.temperature)))

    def answer(self, probability: float) -> int | None:
        """The class, None where it cannot be told."""
        if probability >= self.high:
            return 1
        return 0 if probability <= self.low else None


@dataclass(frozen=True)
class Quality:
    """How well probabilities hold, with 95 % bootstrap intervals over scenes; `bins`: said, found, answers."""

    brier: Estimate
    log_loss: Estimate
    calibration_error: float
    bins: list[tuple[float, float, int]]


@dataclass(frozen=True)
class Answers:
    """Answers about examples not seen in training: logit of class 1, label, scene, weight and id of each.

    `parts` are held out together when temperature and thresholds are judged: folds, and scenes of sources left out, or
    decks of these where they are many. `elsewhere` marks the answers about sources left out.
    """

    logits: Numbers
    labels: Numbers
    scenes: NDArray[np.int64]
    weights: Numbers
    parts: NDArray[np.int64]
    elsewhere: NDArray[np.bool_]
    ids: NDArray[np.str_]

    def only(self, chosen: NDArray[np.bool_]) -> Answers:
        """Some of them."""
        return Answers(*(getattr(self, field.name)[chosen] for field in fields(self)))


def answers_of(
    result: Mapping[str, Any],
    left_out: Mapping[str, Any] | None = None,
    without: Collection[str] = (),
) -> Answers:
    """The answers after the last round in a checked result, and in that of the sources left out; without those about
    the examples with these ids.
    """
    logits: list[Numbers] = []
    labels: list[NDArray[Any]] = []
    names: list[NDArray[np.str_]] = []
    weights: list[Numbers] = []
    parts: list[NDArray[np.str_]] = []
    elsewhere: list[NDArray[np.bool_]] = []
    ids: list[NDArray[np.str_]] = []
    for other, given in enumerate([result, left_out] if left_out else [result]):
        kept = [
            np.array([one not in without for one in repeat["test"]["id"]], bool)
            for repeat in given["repeats"]
        ]
        count = sum(int(here.sum()) for here in kept)
        for repeat, here in zip(given["repeats"], kept, strict=True):
            test = repeat["test"]
            said = np.clip(second_of(test)[here], 1e-7, 1 - 1e-7)
            scenes = np.array(test["scene"])[here]
            logits.append(np.log(said) - np.log1p(-said))
            labels.append(np.array(test["truth"], float)[here])
            names.append(scenes)
            weights.append(np.full(len(said), 1 / max(count, 1)))
            parts.append(_apart(scenes) if other else np.full(len(said), str(repeat["fold"])))
            elsewhere.append(np.full(len(said), bool(other)))
            ids.append(np.array(test["id"])[here])
    numbers = [np.unique(np.concatenate(texts), return_inverse=True)[1] for texts in (names, parts)]
    return Answers(
        np.concatenate(logits), np.concatenate(labels), numbers[0], np.concatenate(weights), numbers[1],
        np.concatenate(elsewhere), np.concatenate(ids),
    )  # fmt: skip


def _apart(scenes: NDArray[np.str_]) -> NDArray[np.str_]:
    """What is held out together of sources left out: a scene, or where there are many, those of a deck."""
    if len(set(scenes)) <= _MANY:
        return scenes
    return np.array([f"deck {deck_of(scene)}" for scene in scenes])


def second_of(test: Mapping[str, Any]) -> Numbers:
    """Probabilities of class 1 of two, as the networks said them."""
    told = zip(test["said"], test["probability"], test["truth"], test["probability_of_truth"], strict=True)
    return np.array([p if said else q if truth else 1 - p for said, p, truth, q in told], float)


def fit_temperature(given: Answers) -> float:
    """The temperature that makes the mean cross-entropy smallest (Guo et al. 2017, section 4.2), within 0.05 to 20."""
    found = minimize_scalar(
        lambda log_t: given.weights @ _log_losses(_sigmoid(given.logits / np.exp(log_t)), given.labels),
        bounds=(np.log(0.05), np.log(20.0)), method="bounded",
    )  # fmt: skip
    return float(np.exp(found.x))


def calibrate(given: Answers, trusted: float) -> Calibration:
    """Temperature and thresholds from all of the answers; `trusted` is the share of right answers among those with a
    probability like the least sure one that is still said.
    """
    temperature = fit_temperature(given)
    said, labels, weights = _sigmoid(given.logits / temperature), given.labels, given.weights
    return Calibration(
        temperature,
        1 - _threshold(1 - said, 1 - labels, weights, trusted),
        _threshold(said, labels, weights, trusted),
    )


@dataclass(frozen=True)
class Trust:
    """What a new example of `sources` may expect: of `answers`, the share that is given at all, and of these the share
    of right ones (None where none is given). `false_alarms`: the share of examples of class 0 that are said to be class
    1, `missed`: of class 1 said to be class 0 (None where there are none). `elsewhere` where the recipe was trained
    without these sources.
    """

    sources: tuple[str, ...]
    elsewhere: bool
    answers: int
    answered: float
    right: float | None
    false_alarms: float | None
    missed: float | None


def trust(
    result: Mapping[str, Any],
    left_out: Mapping[str, Any] | None,
    trusted: float,
    without: Collection[str] = (),
    uncounted: Collection[str] = (),
) -> list[Trust]:
    """For the examples of the folds, and for those of the sources left out, where there are such; nothing follows from
    those `without`, and those `uncounted` are not told of.

    Temperature and thresholds follow from the other folds and scenes each time.
    """
    given = answers_of(result, left_out, without)
    second, first = np.zeros(len(given.labels), bool), np.zeros(len(given.labels), bool)
    for here, others in _held_out(given):
        how = calibrate(others, trusted)
        probabilities = _sigmoid(given.logits[here] / how.temperature)
        second[here], first[here] = probabilities >= how.high, probabilities <= how.low
    said, right = second | first, np.where(second, given.labels == 1, given.labels == 0)
    counted = np.array([one not in uncounted for one in given.ids.tolist()], bool)

    def share(of: NDArray[np.bool_], among: NDArray[np.bool_]) -> float | None:
        return float(of[among].mean()) if among.any() else None

    return [
        Trust(
            tuple(sources(one)), one is left_out, int(where.sum()), share(said, where) or 0.0,
            share(right, where & said), share(second, where & (given.labels == 0)),
            share(first & ~second, where & (given.labels == 1)),
        )
        for one, where in ((result, counted & ~given.elsewhere), (left_out, counted & given.elsewhere))
        if one is not None
    ]  # fmt: skip


def _held_out(given: Answers) -> Iterator[tuple[NDArray[np.bool_], Answers]]:
    """Where every part is, and the answers of the other parts; all, where there is only one."""
    for part in np.unique(given.parts):
        here = given.parts == part
        yield here, given if here.all() else given.only(~here)


def _threshold(said: Numbers, right: Numbers, weights: Numbers, trusted: float) -> float:
    """The smallest probability, at least a half, whose answers are right in `trusted` of the cases; 1 where none is.

    How often answers of a probability are right is estimated by isotonic regression (Zadrozny and Elkan 2002).
    """
    order = np.argsort(said, kind="stable")
    share = isotonic_regression(right[order], weights=weights[order]).x
    fine = np.flatnonzero((share >= trusted) & (said[order] >= 0.5))
    return float(said[order][fine[0]]) if len(fine) and len(order) - fine[0] >= _ENOUGH else 1.0


def cross_fitted(given: Answers) -> Numbers:
    """Probabilities of these answers, scaled by a temperature that follows from the other folds and scenes."""
    said = np.empty(len(given.logits))
    for here, others in _held_out(given):
        said[here] = _sigmoid(given.logits[here] / fit_temperature(others))
    return said


def quality(said: Numbers, given: Answers, seed: int = 0) -> Quality:
    """Brier score, log loss and reliability of the probabilities `said`; calibration error in ten equal bins."""
    brier, loss = (said - given.labels) ** 2, _log_losses(said, given.labels)
    _, scenes = np.unique(given.scenes, return_inverse=True)
    count = int(scenes.max()) + 1
    weight = np.bincount(scenes, minlength=count).astype(float)
    draws = np.random.default_rng(seed).integers(0, count, (_RESAMPLES, count))

    def estimate(values: Numbers) -> Estimate:
        total = np.bincount(scenes, values, minlength=count)
        means = total[draws].sum(1) / weight[draws].sum(1)
        return Estimate(float(values.mean()), *(float(v) for v in np.quantile(means, [0.025, 0.975])))

    place = np.minimum((said * _BINS).astype(int), _BINS - 1)
    bins = [
        (float(said[place == b].mean()), float(given.labels[place == b].mean()), int((place == b).sum()))
        for b in range(_BINS) if (place == b).any()
    ]  # fmt: skip
    error = sum(abs(mean - found) * n for mean, found, n in bins) / len(said)
    return Quality(estimate(brier), estimate(loss), error, bins)


def plain(given: Answers) -> Numbers:
    """The probabilities as the networks said them."""
    return _sigmoid(given.logits)


def _sigmoid(values: Numbers) -> Numbers:
    probabilities: Numbers = 1 / (1 + np.exp(-np.clip(values, -50, 50)))
    return probabilities


def _log_losses(said: Numbers, labels: Numbers) -> Numbers:
    clipped = np.clip(said, 1e-7, 1 - 1e-7)
    losses: Numbers = -(labels * np.log(clipped) + (1 - labels) * np.log1p(-clipped))
    return losses
