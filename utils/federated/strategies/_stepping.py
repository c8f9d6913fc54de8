"""What rules share that take a step of their own from the old weights to the mean of the updates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from utils.federated.strategies import fedavg, towards

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.nets.layout import Vector


class Stepping(fedavg.Strategy):
    """New weights = old weights + lambda * step, which a rule makes of parameters alone.

    Normalisation buffers, which lie behind them, go to their mean as in federated averaging: the step of a rule could
    make a variance negative. `remembered` are vectors that go from round to round, and the value each begins with; they
    are float64 and as long as the parameters. `rounds` is how many rounds there were, this one included once it ends.
    """

    def __init__(self, conf: Conf, **remembered: float) -> None:
        from utils.nets.build import layout_of

        super().__init__(conf)
        self._buffers_lr = self.server_lr
        self._trained, self._starts = layout_of(conf).trained, remembered
        self._kept: dict[str, NDArray[np.float64]] = {}
        self.rounds = 0

    def begin(self, weights: Vector) -> None:
        """Start a round from `weights` (layout.size,)."""
        super().begin(weights)
        for name, start in self._starts.items():
            if name not in self._kept:
                self._kept[name] = np.full(min(self._trained, len(weights)), start)

    def finish(self) -> Vector:
        """The new weights (layout.size,), float32."""
        self.rounds += 1
        return super().finish()

    def _moved(self, block: slice, mean: NDArray[np.float64]) -> NDArray[np.float64]:
        new = towards(mean, self._old[block], self._buffers_lr)
        place = slice(block.start, min(block.stop, self._trained))
        if (count := place.stop - place.start) > 0:
            old = self._old[place].astype(np.float64)
            kept = {name: vector[place] for name, vector in self._kept.items()}
            new[:count] = old + self.server_lr * self.step(mean[:count], old, **kept)
        return new

    def step(
        self, mean: NDArray[np.float64], old: NDArray[np.float64], **kept: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """A piece of the step, from these pieces of the updates' mean and of the old weights; what is remembered is
        changed in place.
        """
        raise NotImplementedError

    def state(self) -> dict[str, NDArray[Any]]:
        """What is remembered, and the number of rounds (1,); nothing before the first."""
        kept = {name: vector.copy() for name, vector in self._kept.items()}
        return {**kept, "rounds": np.array([self.rounds])} if self.rounds else {}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take all that up again."""
        self._kept = {name: state[name].copy() for name in self._starts if name in state}
        self.rounds = int(state["rounds"][0]) if "rounds" in state else 0
