"""What differential privacy costs: epsilon, at a delta, of Gaussian noise that is added again and again.

`rdp` composes Rényi divergences and converts them as Canonne, Kamath and Steinke 2020 do (proposition 12; after Balle
et al. 2020, theorem 21), `pld` composes privacy loss distributions in steps (Doroshenko et al. 2022) and is the tighter
one; both are upper bounds, and both are dp-accounting's. A number means something only with its conversion and with
what may differ between neighbours, so both stand in the unit of its series.

What is accounted is the model, or what leaves a client, as each part says. What this laboratory records beside (losses,
norms of updates) is for whoever owns all the data of an experiment, and is not covered; nor is the noise secret from
whoever knows the seed, and floating-point noise is not exactly Gaussian (Mironov 2012).
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from utils.parts import ConfError, key
from utils.refusal import said

if TYPE_CHECKING:
    from utils.conf import Conf

Series = dict[str, tuple[float, str, str]]
Epsilon = Callable[["Conf", Sequence[int], int], float]
"""Of a conf, the examples of each client, and so many rounds."""


@dataclass(frozen=True)
class Keys:
    """What the mechanisms share."""

    clip: float = key(
        "how long, as a Euclidean norm, what is protected may be (of a client its update, of an example its gradient); "
        "what is longer is made that long",
        zh="受保护对象（客户端的更新，或样本的梯度）的欧氏范数上限；更长的缩短到这个长度",
        default=1.0,
        low=0.0,
        high=1e9,
        above_low=True,
    )
    noise: float = key(
        "standard deviation of the noise in every parameter, in multiples of `clip`; 0 is none, and protects nothing",
        zh="每个参数上噪声的标准差，以 `clip` 的倍数计；0 即无噪声，也就没有任何保护",
        default=1.0,
        low=0.0,
        high=1000.0,
    )
    delta: float = key(
        "the delta at which epsilon is told, far below one over the number of what is protected",
        zh="报告 epsilon 时所用的 delta，应远小于受保护对象数目的倒数",
        default=1e-5,
        low=0.0,
        high=1.0,
        above_low=True,
        below_high=True,
    )
    accountant: str = key(
        "how epsilon adds up: `rdp`, by Rényi divergence, or `pld`, by privacy loss distributions, tighter and slower",
        zh="epsilon 的累计方式：`rdp` 按 Rényi 散度，`pld` 按隐私损失分布，更紧但更慢",
        default="rdp",
        choices=("rdp", "pld"),
    )
    budget: float = key(
        "the run ends before the round with which epsilon would pass this; 0: no budget",
        zh="在 epsilon 将超过此值的那一轮之前结束运行；0：没有预算",
        default=0.0,
        low=0.0,
        high=1e6,
    )


_MOST_STEPS = 50_000
"""Of more steps distributions would take minutes."""


@lru_cache(maxsize=100_000)
def epsilon(accountant: str, noise: float, chance: float, steps: int, delta: float) -> float:
    """Epsilon of so many steps, in each of which everybody takes part with this chance, independently (Poisson
    sampling), and Gaussian noise of `noise` > 0 times the sensitivity is added; neighbours differ by one who is there
    or is not. `pld` gives the smaller of both bounds, and that by `rdp` alone of more than 50,000 steps.
    """
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
    from dp_accounting.pld import PLDAccountant
    from dp_accounting.rdp import RdpAccountant

    logging.getLogger("absl").setLevel(logging.ERROR)  # it tells of every order of Rényi it leaves out
    once = GaussianDpEvent(noise)
    event = once if chance == 1 else PoissonSampledDpEvent(chance, once)
    by_rdp = float(RdpAccountant().compose(event, steps).get_epsilon(delta))
    if accountant == "rdp" or steps > _MOST_STEPS:
        return by_rdp
    # Any interval gives a bound: of many steps a fine one a tight one, and an absurd epsilon needs none that is fine.
    interval = (1e-3 if steps <= 1000 else 1e-4) * max(1.0, by_rdp / 10)
    try:
        found = PLDAccountant(value_discretization_interval=interval).compose(event, steps).get_epsilon(delta)
    except OverflowError:  # of hardly any noise
        return by_rdp
    return min(by_rdp, float(found))


def accounted(
    family: str, keys_of: Callable[[Conf], Any], relation: str, of: Epsilon
) -> tuple[Callable[[Conf, Sequence[int], int], Series], Callable[[Conf, Sequence[int]], int]]:
    """A part's `spent` and `allowed` (see `utils.parts`), where `of` says what its rounds cost and `relation` by what
    neighbours differ.
    """

    def spent(conf: Conf, sizes: Sequence[int], rounds: int) -> Series:
        keys: Keys = keys_of(conf)
        if not keys.noise:
            return {}
        unit = f"{keys.accountant.upper()}, {relation}"
        return {"epsilon": (of(conf, sizes, rounds), unit, "lower")}

    def allowed(conf: Conf, sizes: Sequence[int]) -> int:
        keys: Keys = keys_of(conf)
        if not keys.budget:
            return conf.global_epochs
        within = range(1, conf.global_epochs + 1)
        found = bisect_right(within, keys.budget, key=lambda rounds: of(conf, sizes, rounds))
        if not found:
            once = f"{of(conf, sizes, 1):.4g}"
            raise ConfError("", "budget", key=family, budget=f"{keys.budget:g}", epsilon=once)
        return found

    return spent, allowed


def texts(relation: str, zh: str) -> dict[str, str]:
    """The units of `accounted` in English and Chinese."""
    return {f"{name}, {relation}": f"{name}，{zh}" for name in ("RDP", "PLD")}


def check(family: str, name: str, keys: Keys, conf: Conf, where: str) -> None:
    """Raises ConfError where a budget has no noise, or where something is told that is neither clipped nor noised: what
    a selection asks for, values of the network beside its parameters.
    """
    from utils.nets.build import layout_of

    if keys.budget and not keys.noise:
        raise ConfError(where, "needs", key=family, part=name, other="noise", what=said("above_0"), found=0)
    if hasattr(conf.selection.module, "ANSWERS"):
        raise ConfError(where, "refuses", key=family, part=name, other="selection", found=conf.selection.name)
    layout = layout_of(conf)
    if beside := layout.size - layout.trained:
        found = said("so_many", count=beside)
        raise ConfError(
            where, "needs", key=family, part=name, other="network", what=said("no_buffers"), found=found
        )
