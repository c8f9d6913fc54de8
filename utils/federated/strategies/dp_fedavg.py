"""DP-FedAvg (McMahan et al. 2018, algorithm 1), https://arxiv.org/abs/1710.06963, with a clip that may adapt (Andrew et
al. 2021, algorithm 1), https://arxiv.org/abs/1905.03871: a model that hardly tells whether a client took part at all.

Who takes part is drawn client by client (Poisson), since that is what is accounted; neighbours differ by one client,
added or removed. The server itself is trusted: it sees updates as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from utils.engines.memory import POOL
from utils.federated import privacy, strategies
from utils.federated.strategies import blocks
from utils.federated.update import Update, Verdict
from utils.parts import ConfError, key, shown
from utils.refusal import said

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.nets.layout import Vector

ABOUT = (
    "differential privacy of clients: updates clipped, noise added to their mean",
    "客户端级差分隐私：裁剪更新，并在均值上加噪声",
)
PACKAGES = ("dp_accounting",)
NEEDS = {"selection": ("poisson",), "rounds": ("synchronous",), "min_clients": (0,)}
NEEDS_EACH = FROM_NONE = True
RELATION = "add or remove one client"
TEXTS = privacy.texts(RELATION, "增加或去掉一个客户端")


@dataclass(frozen=True)
class Keys(privacy.Keys):
    """How updates are clipped, and how much noise covers them."""

    adaptive: bool = key(
        "whether `clip`, then but the first one, moves to where `quantile` of the updates are shorter, which takes a "
        "part of the privacy",
        zh="`clip` 是否（从该值开始）移动到使比例为 `quantile` 的更新更短之处，这会用去一部分隐私",
        default=False,
    )
    quantile: float = key(
        "which share of the updates is to be shorter than an adaptive clip",
        zh="应短于自适应裁剪值的更新所占的比例",
        default=0.5,
        low=0.0,
        high=1.0,
    )
    clip_lr: float = key(
        "how fast an adaptive clip moves, geometrically",
        zh="自适应裁剪值（按几何方式）移动的快慢",
        default=0.2,
        low=0.0,
        high=10.0,
        above_low=True,
    )


class Strategy(strategies.Strategy):
    """New weights = old weights + lambda * (sum of D * min(1, C / |D|) + N(0, (z_D C)²)) / m, where D is what a
    client's weights are away from the old ones, C the clip, m = `k` the number of clients expected. All weigh alike.

    An adaptive clip becomes C * exp(-clip_lr * (b - quantile)), b being the share of m with |D| <= C: 1/2 + (sum of
    +-1/2 + N(0, sigma_b²)) / m, with sigma_b = m / 20. For the two together to cost what z = `noise` alone would, z_D =
    (z^-2 - (2 sigma_b)^-2)^-1/2. Without it z_D = z. A round without updates is one of noise alone. An update that is
    not finite counts as none. Scores are norms; `kept` are those that were not shortened.
    """

    def __init__(self, conf: Conf) -> None:
        self._keys: Keys = conf.strategy.keys
        self._expected, self.server_lr = conf.k, conf.lambda_
        self.clip = self._keys.clip

    def draw_from(self, rng: np.random.Generator) -> None:
        """Noise comes from here."""
        self._rng = rng

    def begin(self, weights: Vector) -> None:
        """Start a round from `weights` (layout.size,), all of which are parameters."""
        self._old, self._sum = weights, np.zeros(len(weights))
        self._verdicts: list[Verdict] = []
        self._used = self.clip

    def fold(self, update: Update) -> None:
        """Add one difference, shortened where it is too long."""
        with np.errstate(invalid="ignore"):
            difference = np.subtract(update.weights, self._old, dtype=np.float64)
            norm = float(np.linalg.norm(difference))
        finite = math.isfinite(norm)
        within = finite and norm <= self.clip
        self._verdicts.append(Verdict(update.client, norm if finite else None, within))
        if finite:
            self._sum += difference if within else difference * (self.clip / norm)

    def finish(self) -> Vector:
        """The new weights (layout.size,), float32."""
        deviation = noise_of_sum(self._keys, self._expected) * self.clip
        new = POOL.vector(len(self._old))
        for block in blocks(len(new)):
            moved = self._sum[block]
            if deviation:
                moved = moved + self._rng.normal(0.0, deviation, len(moved))
            new[block] = self._old[block] + self.server_lr / self._expected * moved
        if self._keys.adaptive:
            self.clip *= math.exp(-self._keys.clip_lr * (self._share_within() - self._keys.quantile))
        self._old = new  # so that what it was is no longer held
        return new

    def _share_within(self) -> float:
        votes = sum(0.5 if one.kept else -0.5 for one in self._verdicts if one.score is not None)
        if self._keys.noise:
            votes += self._rng.normal(0.0, self._expected / 20)
        return 0.5 + votes / self._expected

    def verdicts(self) -> list[Verdict]:
        """The norm of each update, and whether it was within the clip."""
        return self._verdicts

    def series(self) -> dict[str, tuple[float, str, str]]:
        """The clip of the round, where it adapts."""
        return {"clip": (self._used, "", "none")} if self._keys.adaptive else {}

    def state(self) -> dict[str, NDArray[Any]]:
        """The clip (1,) of the next round, where it adapts."""
        return {"clip": np.array([self.clip])} if self._keys.adaptive else {}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take it up again."""
        self.clip = float(state["clip"][0]) if "clip" in state else self._keys.clip


def noise_of_sum(keys: Keys, expected: int) -> float:
    """z_D: standard deviation of the noise on the sum, in multiples of the clip."""
    if not (keys.adaptive and keys.noise):
        return keys.noise
    return float((keys.noise**-2 - (expected / 10) ** -2) ** -0.5)


def epsilon(conf: Conf, sizes: Sequence[int], rounds: int) -> float:
    """Of so many rounds."""
    keys: Keys = conf.strategy.keys
    return privacy.epsilon(keys.accountant, keys.noise, conf.k / conf.no_models, rounds, keys.delta)


spent, allowed = privacy.accounted("strategy", lambda conf: conf.strategy.keys, RELATION, epsilon)


def fits(conf: Conf, where: str) -> None:
    """Raises ConfError where noise would not cover all, where rounds draw otherwise, or where a clip cannot adapt."""
    keys: Keys = conf.strategy.keys
    privacy.check("strategy", "dp_fedavg", keys, conf, where)
    refusal = {"key": "strategy", "part": "dp_fedavg"}
    if hasattr(conf.local.module, "Server"):  # which sees updates before they are clipped
        raise ConfError(where, "refuses", **refusal, other="local", found=conf.local.name)
    if conf.rounds.keys != type(conf.rounds.keys)():  # who is late or left over is not left to chance alone
        found = shown(conf.rounds.as_json())
        raise ConfError(where, "needs", **refusal, other="rounds", what=said("as_usual"), found=found)
    if keys.adaptive and keys.noise >= conf.k / 10:
        most = f"{conf.k / 10:g}"
        raise ConfError(where, "adapts", key="strategy.noise", most=most, k=conf.k, found=f"{keys.noise:g}")
