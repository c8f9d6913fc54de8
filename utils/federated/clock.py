"""Virtual time: when clients answer, drawn from a distribution and a seed, whatever machine carries them out."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

CLOCK_STREAM, PACES_STREAM = 6, 7  # keep these random numbers apart from each other and from all others
DURATIONS = ("constant", "exponential", "half_normal", "lognormal")
LOST, LATE, ABANDONED = "lost", "too late", "the round was abandoned"
UNSURE, NO_LABEL = "no label was sure enough", "it has no label"
MISSED = (LOST, LATE, ABANDONED, UNSURE, NO_LABEL)
"""Why a client that was asked has no part in a round, though nothing failed: of virtual time, and of few labels."""


def paces(name: str, spread: float, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """How many times as long as an undisturbed client each of `count` takes (count,).

    `lognormal` has the median 1 and `spread` as standard deviation of its logarithm; `exponential` and `half_normal`
    (the durations of Nguyen et al. 2022) add a draw, of mean `spread`, or of standard deviation `spread` before its
    sign is dropped.
    """
    if name == "lognormal":
        return np.exp(spread * rng.standard_normal(count))
    if name == "exponential":
        return 1 + spread * rng.exponential(size=count)
    if name == "half_normal":
        return 1 + spread * np.abs(rng.standard_normal(count))
    return np.ones(count)


def arrivals(
    examples: NDArray[np.int64], pace: NDArray[np.float64], chance_lost: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """When each client's update is there (clients,), in virtual seconds from the round's beginning: a hundredth for
    every example it passes over, times its pace; never (infinity) where it is lost.
    """
    lost = rng.random(len(examples)) < chance_lost
    return np.where(lost, math.inf, 0.01 * examples * pace)
