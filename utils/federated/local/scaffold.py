"""SCAFFOLD (Karimireddy et al. 2020, algorithm 1, option II), https://arxiv.org/abs/1910.06378.

Clients step along g - c_i + c, where c_i is what their own data pulls to and c the mean of that over all. All begin at
0; after K steps c_i becomes c_i - c + (x - y) / (K lr), and c moves by the sum over the round's clients of how c_i
changed, each in its share of all N clients: 1 / N as in the paper where they have equally many examples. With momentum
(x - y) / (K lr) would be no mean gradient, hence none. c travels down beside the weights, the change of c_i up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from utils.conf import Conf
    from utils.federated.kept import Memory
    from utils.federated.local import Start
    from utils.federated.update import Update
    from utils.nets.layout import Layout, Vector

ABOUT = ("steps corrected for what a client's own data pulls to", "步伐按各客户端自身数据的偏向校正")
NEEDS = {"momentum": (0.0,)}
KEEPS = TELLS = True


class Local:
    """The client's half."""

    def __init__(self, keys: Any, start: Start) -> None:
        import numpy as np

        assert start.told is not None
        self._start, self._all = start, start.told
        self._own = start.memory.get("control", np.zeros_like(self._all))
        self._correction = self._all - self._own
        self.memory: Memory = {}
        self.told: Vector | None = None

    def gradients(self, net: nn.Module) -> None:
        """Add c - c_i."""
        from utils.nets.layout import pieces

        for tensor, correction in zip(net.parameters(), pieces(net, self._correction), strict=True):
            if tensor.grad is not None:
                tensor.grad.add_(correction.to(tensor.device))

    def finish(self, weights: Vector, steps: int, again: Any) -> Vector:
        """The new c_i, of which the server gets the change."""
        trained = len(self._all)
        moved = (self._start.sent[:trained] - weights[:trained]) / (steps * self._start.lr)
        own = (self._own - self._all + moved).astype("float32")
        self.memory, self.told = {"control": own}, own - self._own
        return weights


class Server:
    """Keeps c, in float64."""

    def __init__(self, conf: Conf, layout: Layout) -> None:
        import numpy as np

        self._clients, self._control = conf.no_models, np.zeros(layout.trained)

    def tells(self) -> Vector:
        """c."""
        return self._control.astype("float32")

    def fold(self, update: Update, sent: Vector) -> None:
        """Move c."""
        self._control += update.weight / self._clients * update.told.astype("float64")  # type: ignore[union-attr]

    def finish(self, new: Vector, old: Vector) -> Vector:
        """The strategy's weights are the new ones."""
        return new

    def state(self) -> dict[str, NDArray[np.float64]]:
        """c."""
        return {"control": self._control.copy()}

    def restore(self, state: dict[str, NDArray[np.float64]]) -> None:
        """Take c up again."""
        self._control = state.get("control", self._control).copy()
