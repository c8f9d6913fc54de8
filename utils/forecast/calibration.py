"""How sure is it? Temperature scaling, and the two thresholds between which the honest answer is "I cannot tell".

All of it follows from the cross-validated answers in a result: every photo was judged by networks that never saw it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, minimize_scalar

from utils.comparison import Estimate

Numbers = NDArray[np.float64]
TRUSTED = 0.75
"""Share of right answers among those with a probability like the least sure one that is still said."""
_ENOUGH = 30  # answers beyond a threshold; of fewer, nothing is known
_RESAMPLES, _BINS = 2000, 10


@dataclass(frozen=True)
class Calibration:
    """`temperature` divides the logit of sunny; from `sunny_from` on the answer is sunny, up to `cloudy_to` cloudy."""

    temperature: float
    cloudy_to: float
    sunny_from: float

    def probability(self, logit: float) -> float:
        """Calibrated probability of sunny from the difference of the two logits."""
        return float(_sigmoid(np.array(logit / self.temperature)))

    def answer(self, probability: float) -> str:
        """ "sunny", "cloudy" or "unsure"."""
        if probability >= self.sunny_from:
            return "sunny"
        return "cloudy" if probability <= self.cloudy_to else "unsure"


@dataclass(frozen=True)
class Quality:
    """How well probabilities hold, with 95 % bootstrap intervals over scenes; `bins`: said, found, photos."""

    brier: Estimate
    log_loss: Estimate
    calibration_error: float
    bins: list[tuple[float, float, int]]


@dataclass(frozen=True)
class Answers:
    """Cross-validated answers: logit of sunny, label (1 sunny), fold and scene of each."""

    logits: Numbers
    labels: Numbers
    folds: NDArray[np.int64]
    scenes: NDArray[np.int64]


def answers_of(result: Mapping[str, Any]) -> Answers:
    """The answers after the last round in a checked result."""
    logits, labels, folds, names = [], [], [], []
    for repeat in result["repeats"]:
        said = np.clip(sunny_of(repeat["test"]), 1e-7, 1 - 1e-7)
        logits.append(np.log(said) - np.log1p(-said))
        labels += repeat["test"]["truth"]
        names += repeat["test"]["scene"]
        folds += [repeat["fold"]] * len(said)
    _, scenes = np.unique(names, return_inverse=True)
    return Answers(np.concatenate(logits), np.array(labels, float), np.array(folds), scenes)


def sunny_of(test: Mapping[str, Any]) -> Numbers:
    """Probabilities of sunny (class 1 of two), as the networks said them."""
    told = zip(test["said"], test["probability"], test["truth"], test["probability_of_truth"], strict=True)
    return np.array([p if said else q if truth else 1 - p for said, p, truth, q in told], float)


def fit_temperature(logits: Numbers, labels: Numbers) -> float:
    """The temperature that makes the cross-entropy smallest (Guo et al. 2017, section 4.2), within 0.05 to 20."""
    found = minimize_scalar(
        lambda log_t: _log_losses(_sigmoid(logits / np.exp(log_t)), labels).mean(),
        bounds=(np.log(0.05), np.log(20.0)), method="bounded",
    )  # fmt: skip
    return float(np.exp(found.x))


def calibrate(result: Mapping[str, Any]) -> Calibration:
    """Temperature and thresholds from all cross-validated answers of a result."""
    given = answers_of(result)
    return _calibrated(given.logits, given.labels)


def _calibrated(logits: Numbers, labels: Numbers) -> Calibration:
    temperature = fit_temperature(logits, labels)
    said = _sigmoid(logits / temperature)
    return Calibration(temperature, 1 - _threshold(1 - said, 1 - labels), _threshold(said, labels))


def trust(result: Mapping[str, Any]) -> tuple[float, float]:
    """Share of answers that are given at all, and the share of right ones among them (nan where none is given).

    Temperature and thresholds follow from the other folds each time, so these are what a new photo may expect.
    """
    given = answers_of(result)
    said = right = 0
    for fold in np.unique(given.folds):
        here = given.folds == fold
        others = ~here if (~here).any() else here
        how = _calibrated(given.logits[others], given.labels[others])
        probabilities = _sigmoid(given.logits[here] / how.temperature)
        sunny, cloudy = probabilities >= how.sunny_from, probabilities <= how.cloudy_to
        said += int(sunny.sum() + cloudy.sum())
        right += int(given.labels[here][sunny].sum() + (1 - given.labels[here])[cloudy].sum())
    return said / len(given.labels), right / said if said else float("nan")


def _threshold(said: Numbers, right: Numbers) -> float:
    """The smallest probability, at least a half, whose answers are right in TRUSTED of the cases; 1 where none is.

    How often answers of a probability are right is estimated by isotonic regression (Zadrozny and Elkan 2002).
    """
    order = np.argsort(said, kind="stable")
    share = isotonic_regression(right[order]).x
    fine = np.flatnonzero((share >= TRUSTED) & (said[order] >= 0.5))
    return float(said[order][fine[0]]) if len(fine) and len(order) - fine[0] >= _ENOUGH else 1.0


def cross_fitted(result: Mapping[str, Any]) -> tuple[Answers, Numbers]:
    """The answers, and their probabilities scaled by a temperature that follows from the other folds alone."""
    given = answers_of(result)
    said = np.empty(len(given.logits))
    for fold in np.unique(given.folds):
        here = given.folds == fold
        others = ~here if (~here).any() else here
        said[here] = _sigmoid(
            given.logits[here] / fit_temperature(given.logits[others], given.labels[others])
        )
    return given, said


def quality(said: Numbers, given: Answers, seed: int = 0) -> Quality:
    """Brier score, log loss and reliability of the probabilities `said`; calibration error in ten equal bins."""
    brier, loss = (said - given.labels) ** 2, _log_losses(said, given.labels)
    count = int(given.scenes.max()) + 1
    weight = np.bincount(given.scenes, minlength=count).astype(float)
    draws = np.random.default_rng(seed).integers(0, count, (_RESAMPLES, count))

    def estimate(values: Numbers) -> Estimate:
        total = np.bincount(given.scenes, values, minlength=count)
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
