"""Local differential privacy by the Gaussian mechanism (Dwork and Roth 2014, appendix A): noise before anything leaves.

A difference D is sent as D * min(1, C / |D|) + N(0, (z C)²) in every parameter, so nobody need trust the server.
Neighbours differ in one update, which may be any other: two that are clipped lie at most 2 C apart, so epsilon is that
of a noise multiplier of z / 2, and nothing is gained by who takes part, which the server knows. It is told of a client
that takes part in every round. Numbers of examples travel as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from utils.federated import privacy
from utils.federated.privacy import Keys
from utils.parts import ConfError

if TYPE_CHECKING:
    import numpy as np

    from utils.conf import Conf
    from utils.nets.layout import Layout, Vector

ABOUT = (
    "local differential privacy: every update clipped and covered by noise before it leaves",
    "本地差分隐私：每个更新在离开之前裁剪并加噪声",
)
PACKAGES = ("dp_accounting",)
PROTECTS = True
NEEDS = {"rounds": ("synchronous",)}  # in which nobody trains twice
REFUSES = {"strategy": ("dp_fedavg",)}  # one epsilon a run
RELATION = "replace one update"
TEXTS = privacy.texts(RELATION, "替换一个更新")


class Link:
    """Clips, then adds noise."""

    def __init__(self, keys: Keys, layout: Layout | None) -> None:
        self._keys = keys

    def apply(self, difference: Vector, rng: np.random.Generator) -> Vector:
        """What is sent of a difference (layout.trained,); of one that is not finite, noise alone."""
        clip, noise = self._keys.clip, self._keys.noise
        exact = difference.astype("float64")
        norm = math.sqrt(float(exact @ exact))
        if not math.isfinite(norm):
            exact[:] = 0.0
        elif norm > clip:
            exact *= clip / norm
        if noise:
            exact += rng.normal(0.0, noise * clip, len(exact))
        return exact.astype("float32")


def _keys_of(conf: Conf) -> Any:
    return next(link.keys for link in conf.link if link.name == "local_dp")


def epsilon(conf: Conf, sizes: Sequence[int], rounds: int) -> float:
    """Of a client that took part in so many rounds."""
    keys: Keys = _keys_of(conf)
    return privacy.epsilon(keys.accountant, keys.noise / 2, 1.0, rounds, keys.delta)


spent, allowed = privacy.accounted("link", _keys_of, RELATION, epsilon)


def fits(conf: Conf, where: str) -> None:
    """Raises ConfError where something would leave a client beside what is covered."""
    privacy.check("link", "local_dp", _keys_of(conf), conf, where)
    if getattr(conf.local.module, "TELLS", False):
        raise ConfError(where, "refuses", key="link", part="local_dp", other="local", found=conf.local.name)
    if [link.name for link in conf.link].count("local_dp") > 1:
        raise ConfError(where, "refuses", key="link", part="local_dp", other="link", found="local_dp")
