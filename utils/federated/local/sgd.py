"""Plain stochastic gradient descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from utils.federated.local import Start

ABOUT = ("plain stochastic gradient descent", "普通随机梯度下降")


class Local:
    """Takes gradients as they are."""

    def __init__(self, keys: Any, start: Start) -> None:
        pass

    def gradients(self, net: nn.Module) -> None:
        """Nothing to change."""
