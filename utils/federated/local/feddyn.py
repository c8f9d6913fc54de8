"""FedDyn (Acar et al. 2021, algorithm 1), https://arxiv.org/abs/2111.04263: clients' goals bend so that they agree.

A client minimises f_i(w) + (a_i / 2) ||w - x + h_i||², then h_i += y_i - x (the paper's gradient term is -a_i h_i). The
server adds the mean of all h_i, those that did not take part included, to what the strategy makes of the round's y_i:
with fedavg their mean weighted by examples, where the paper takes a plain one; it ends at the same point. With a_i =
alpha / weight of the client what all agree on is the optimum of the losses weighted by examples, as the authors' code
has it. Nothing but weights travels: the server sees y_i - x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from utils.parts import key

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from utils.conf import Conf
    from utils.federated.kept import Memory
    from utils.federated.local import Start
    from utils.federated.update import Update
    from utils.nets.layout import Layout, Vector

ABOUT = ("goals bent so that clients agree", "动态正则，使各客户端的目标趋于一致")
KEEPS = True


@dataclass(frozen=True)
class Keys:
    """How strongly goals are bent."""

    alpha: float = key(
        "strength of the bending (the paper's alpha), divided by the client's weight",
        zh="弯折强度（论文中的 alpha），除以客户端的权重",
        default=0.01,
        low=0.0,
        high=100.0,
        above_low=True,
    )


class Local:
    """The client's half."""

    def __init__(self, keys: Keys, start: Start) -> None:
        import numpy as np

        self._alpha, self._start = keys.alpha / start.weight, start
        self._moved = start.memory.get("moved", np.zeros(start.layout.trained, np.float32))
        self._centre = start.sent[: start.layout.trained] - self._moved
        self.memory: Memory = {}

    def gradients(self, net: nn.Module) -> None:
        """Add a_i (w - x + h_i)."""
        from utils.federated.local.fedprox import pull

        pull(net, self._centre, self._alpha)

    def finish(self, weights: Vector, steps: int, again: Any) -> Vector:
        """h_i += y_i - x."""
        trained = self._start.layout.trained
        self.memory = {"moved": self._moved + weights[:trained] - self._start.sent[:trained]}
        return weights


class Server:
    """Keeps the mean of all h_i, in float64."""

    def __init__(self, conf: Conf, layout: Layout) -> None:
        import numpy as np

        self._clients, self._mean = conf.no_models, np.zeros(layout.trained)

    def fold(self, update: Update, sent: Vector) -> None:
        """What this client's h_i has moved."""
        trained = len(self._mean)
        self._mean += (update.weights[:trained].astype("float64") - sent[:trained]) / self._clients

    def finish(self, new: Vector, old: Vector) -> Vector:
        """Add the mean of all h_i."""
        moved = new.copy()
        moved[: len(self._mean)] += self._mean
        return moved

    def state(self) -> dict[str, NDArray[np.float64]]:
        """The mean."""
        return {"mean": self._mean.copy()}

    def restore(self, state: dict[str, NDArray[np.float64]]) -> None:
        """Take the mean up again."""
        self._mean = state.get("mean", self._mean).copy()
