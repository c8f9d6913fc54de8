"""The clients' learning rate over the rounds."""

from __future__ import annotations

import math

from utils.conf import Conf


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
