"""FedBN (Li et al. 2021, algorithm 1), https://arxiv.org/abs/2102.07623: batch norm stays at home.

Weights, biases and running statistics of batch-norm layers are each client's own. In their place travels what was sent,
so the common model's stay as they began: it is the clients' own models that are to be looked at, and the accuracy of
the common one, whose statistics nobody trained, says little, as does an early stop by its loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from utils.refusal import said

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from utils.conf import Conf
    from utils.federated.kept import Memory
    from utils.federated.local import Start
    from utils.nets.layout import Layout, Vector

ABOUT = ("batch norm stays with each client", "批归一化留在各客户端")
KEEPS = True


class Local:
    """Begins from the common weights with its own batch norm in them."""

    def __init__(self, keys: Any, start: Start) -> None:
        self._start, self.memory = start, dict(start.memory)
        self._of_norm = of_norm(start.layout)

    def begin(self, sent: Vector) -> Vector:
        """The weights it trains."""
        return personal(sent, self._start.memory, self._start.layout)

    def gradients(self, net: nn.Module) -> None:
        """As they are."""

    def finish(self, weights: Vector, steps: int, again: Any) -> Vector:
        """Keep what is of batch norm, give out what was sent in its place."""
        self.memory = {"norm": weights[self._of_norm]}
        given = weights.copy()
        given[self._of_norm] = self._start.sent[self._of_norm]
        return given


def of_norm(layout: Layout) -> NDArray[np.bool_]:
    """Which values of a vector (layout.size,) are of batch norm."""
    import numpy as np

    layers = {name.removesuffix("running_mean") for name in layout.names if name.endswith("running_mean")}
    mine = [name.rpartition(".")[0] + "." * ("." in name) in layers for name in layout.names]
    return np.repeat(mine, layout.sizes)


def personal(sent: Vector, memory: Memory, layout: Layout) -> Vector:
    """The common weights with the client's batch norm."""
    if "norm" not in memory:
        return sent
    own = sent.copy()
    own[of_norm(layout)] = memory["norm"]
    return own


def fits(conf: Conf, where: str) -> None:
    """Raises ConfError where the network has no batch norm to keep."""
    from utils.nets.build import layout_of
    from utils.parts import ConfError

    if not of_norm(layout_of(conf)).any():
        raise ConfError(
            where,
            "needs",
            key="local",
            part="fedbn",
            other="network",
            what=said("batch_norm"),
            found=said("none"),
        )
