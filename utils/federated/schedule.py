"""How many rounds there are, and the clients' learning rate over them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from utils.conf import Conf


def rounds_of(conf: Conf, sizes: Sequence[int]) -> int:
    """`global_epochs`, or as many as the parts allow with so many examples at each client. Raises ConfError where that
    is none.
    """
    most = conf.global_epochs
    for part in conf.parts():
        if hasattr(part.module, "allowed"):
            most = min(most, part.module.allowed(conf, sizes))
    return most


def round_lr(conf: Conf, round_: int) -> float:
    """Learning rate of a round (from 0): a linear warm-up (Goyal et al. 2017, section 2.2), then constant or half a
    cosine (Loshchilov and Hutter 2017, eq. 5).
    """
    if round_ < conf.warmup:
        return conf.lr * (round_ + 1) / (conf.warmup + 1)
    if conf.schedule == "constant":
        return conf.lr
    past = (round_ - conf.warmup) / (conf.global_epochs - conf.warmup)
    return conf.lr * 0.5 * (1 + math.cos(math.pi * past))
