"""Ditto (Li et al. 2021, algorithm 1), https://arxiv.org/abs/2012.04221: a model for all, and one of its own for each.

The common model is trained as ever. Beside it each client trains its own v for as many passes, on its loss +
(strength / 2) ||v - x||²: with 0 it learns alone, the larger the nearer it stays to the common x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from utils.federated.local.fedprox import pull
from utils.parts import key

if TYPE_CHECKING:
    from torch import nn

    from utils.federated.kept import Memory
    from utils.federated.local import Start
    from utils.nets.layout import Layout, Vector

ABOUT = ("a personal model beside the common one", "在公共模型之外各有一个个人模型")
KEEPS = True


@dataclass(frozen=True)
class Keys:
    """How near personal models stay to the common one."""

    strength: float = key(
        "how strongly a personal model is pulled to the common one (the paper's lambda); 0: each learns alone",
        zh="个人模型被拉向公共模型的强度（论文中的 lambda）；0：各自单独学习",
        default=1.0,
        low=0.0,
        high=100.0,
    )


class Local:
    """What it gives out is what plain SGD gives, to the bit."""

    def __init__(self, keys: Keys, start: Start) -> None:
        self._strength, self._start = keys.strength, start
        self.memory: Memory = {}

    def gradients(self, net: nn.Module) -> None:
        """The common model's are as they are."""

    def finish(self, weights: Vector, steps: int, again: Any) -> Vector:
        """Train the personal model too."""
        own = self._start.memory.get("personal", self._start.sent)
        self.memory = {"personal": again(own, lambda net: pull(net, self._start.sent, self._strength))}
        return weights


def personal(sent: Vector, memory: Memory, layout: Layout) -> Vector:
    """The client's own model; before it has one, the common one."""
    return memory.get("personal", sent)
