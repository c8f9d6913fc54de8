"""FedProx (Li et al. 2020, algorithm 2), https://arxiv.org/abs/1812.06127: clients are held near what they were sent.

Each minimises its own loss + (mu / 2) ||w - x||², squared as in the paper, x being the weights it was sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from utils.parts import key

if TYPE_CHECKING:
    from torch import nn

    from utils.federated.local import Start

ABOUT = ("held near the weights that were sent", "被拉在收到的权重附近")


@dataclass(frozen=True)
class Keys:
    """How strongly."""

    mu: float = key(
        "strength of the pull towards the weights that were sent; 0 is plain SGD. No value suits all: try 0.001 to 1",
        zh="向收到的权重拉回的强度；0 即普通 SGD。没有处处合适的值：可试 0.001 到 1",
        default=0.01,
        low=0.0,
        high=100.0,
    )


class Local:
    """Adds mu (w - x) to the gradients; with mu = 0 nothing, so that this is plain SGD to the bit."""

    def __init__(self, keys: Keys, start: Start) -> None:
        self._mu, self._sent = keys.mu, start.sent

    def gradients(self, net: nn.Module) -> None:
        """Pull."""
        if self._mu:
            pull(net, self._sent, self._mu)


def pull(net: nn.Module, to: object, strength: float) -> None:
    """Add strength * (w - to) to the gradients of `net`, where `to` (layout.size,) are weights."""
    from utils.nets.layout import pieces

    for tensor, there in zip(net.parameters(), pieces(net, to), strict=False):  # type: ignore[arg-type]
        if tensor.grad is not None:
            tensor.grad.add_(tensor.detach() - there.to(tensor.device), alpha=strength)
