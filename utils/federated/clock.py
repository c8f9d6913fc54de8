"""Virtual time: when clients answer, drawn from a distribution and a seed, whatever machine carries them out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from utils.parts import key

CLOCK_STREAM, PACES_STREAM = 6, 7  # keep these random numbers apart from each other and from all others
DURATIONS = ("constant", "exponential", "half_normal", "lognormal")
LOST, LATE, ABANDONED = "lost", "too late", "the round was abandoned"
UNSURE, NO_LABEL = "no label was sure enough", "it has no label"
MISSED = (LOST, LATE, ABANDONED, UNSURE, NO_LABEL)
"""Why a client that was asked has no part in a round, though nothing failed: of virtual time, and of few labels."""


@dataclass(frozen=True)
class Keys:
    """How long clients take, and who is lost: keys of every kind of rounds in virtual time."""

    drop_out: float = key(
        "chance that a client that was asked never answers",
        zh="被询问的客户端不作答的概率",
        default=0.0,
        low=0.0,
        high=1.0,
        below_high=True,
    )
    duration: str = key(
        "how long clients take, by the examples they pass over: `constant`, or times a draw of a distribution",
        zh="客户端按所遍历样本数所需的时间：`constant`（恒定），或再乘以某分布的抽样",
        default="constant",
        choices=DURATIONS,
    )
    spread: float = key(
        "how much durations differ: 0 not at all",
        zh="时长差异的大小：0 即没有差异",
        default=1.0,
        low=0.0,
        high=5.0,
    )
    same_slow: bool = key(
        "whether the same clients are slow in every round, as slow devices are; else it is drawn anew",
        zh="是否每轮总是同一批客户端慢（如同慢设备）；否则每轮重新抽取",
        default=True,
    )


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
