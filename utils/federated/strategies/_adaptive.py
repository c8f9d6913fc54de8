"""What the adaptive rules of Reddi et al. 2021 (algorithm 2) share, https://arxiv.org/abs/2003.00295."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from utils.federated.strategies._stepping import Stepping
from utils.parts import key

if TYPE_CHECKING:
    from utils.conf import Conf

BETA1 = "share of the mean step so far in the next one; 0 keeps none of it"
BETA1_ZH = "此前平均步长在下一步中所占的比例；0 即不保留"


@dataclass(frozen=True)
class Keys:
    """What a step is made of."""

    beta1: float = key(BETA1, zh=BETA1_ZH, default=0.9, low=0.0, high=1.0, below_high=True)
    tau: float = key(
        "added to the root of the mean square, so that what hardly moves is not moved far: the larger, the less "
        "adaptive",
        zh="加在均方根上，使几乎不变的权重不会移动太远：越大，自适应性越弱",
        default=1e-3,
        low=0.0,
        high=1e3,
        above_low=True,
    )


@dataclass(frozen=True)
class Fading(Keys):
    """The same of rules whose mean square forgets."""

    beta2: float = key(
        "share of the mean square so far in the next one",
        zh="此前均方值在下一个均方值中所占的比例",
        default=0.99,
        low=0.0,
        high=1.0,
        below_high=True,
    )
    corrected: bool = key(
        "both means begin at 0, and what that takes from the first rounds is given back (Kingma and Ba 2015)",
        zh="两个均值都从 0 开始，并校正由此造成的最初几轮的偏差（Kingma 和 Ba 2015）",
        default=False,
    )


class Adaptive(Stepping):
    """With D the mean of the updates minus the old weights: m = beta1 * m + (1 - beta1) * D, then v by `square`, and
    new weights = old weights + lambda * m / (sqrt(v) + tau).

    m begins at 0 and v at tau², the least that the paper's algorithm allows (its own code has 0). As in the paper
    nothing is corrected for that; with `corrected` v begins at 0, and in round t, from 1, m / (1 - beta1^t) and
    v / (1 - beta2^t) stand for m and v. Both are kept in float64.

    A step is about lambda for every weight that goes on in one direction, however small its D, so lambda is far below
    1: others begin with .1, and with .01 for Yogi. Normalisation buffers therefore become their mean at once: moved by
    such a lambda, they would lag behind the parameters they belong to.
    """

    def __init__(self, conf: Conf) -> None:
        self._keys = conf.strategy.keys
        self._corrected = getattr(self._keys, "corrected", False)
        super().__init__(conf, m=0.0, v=0.0 if self._corrected else self._keys.tau**2)
        self._buffers_lr = 1.0

    def square(self, v: NDArray[np.float64], squared: NDArray[np.float64]) -> NDArray[np.float64]:
        """The next v, from the last one and D²."""
        raise NotImplementedError

    def step(
        self, mean: NDArray[np.float64], old: NDArray[np.float64], **kept: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `Stepping`."""
        keys, m, v, difference = self._keys, kept["m"], kept["v"], mean - old
        m *= keys.beta1
        m += (1 - keys.beta1) * difference
        v[:] = self.square(v, difference**2)
        if self._corrected:
            m, v = m / (1 - keys.beta1**self.rounds), v / (1 - keys.beta2**self.rounds)
        return np.asarray(m / (np.sqrt(v) + keys.tau))
