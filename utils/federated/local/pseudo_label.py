"""Pseudo labels (SemiFL, Diao et al. 2022, https://arxiv.org/abs/2106.01432, in its form "fix" without mixing).

Once a round each client labels its unlabelled examples with the weights that it was sent, in evaluation mode, and keeps
those of which the softmax is at least `keep`. On these, strongly augmented, and on its labelled ones as they are, it
trains with cross-entropy. Where it has neither it skips the round. Updates count by the examples learnt from.

Running statistics of batch norm are averaged as all weights are, and labels are made with these: SemiFL's static ones,
from one more pass over all clients, are not made. With all labels known this is plain SGD to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from utils.parts import ConfError, key
from utils.tasks import classes_of

if TYPE_CHECKING:
    import torch
    from torch import nn

    from utils.conf import Conf
    from utils.federated.client import Asked
    from utils.federated.local import Start

ABOUT = (
    "labels its unlabelled examples itself where the model is sure",
    "伪标签：模型足够有把握时，客户端自行为无标签样本打标签",
)
UNLABELLED = True
REFUSES = {
    "selection": ("power_of_choice",),
    "attack": ("alie", "ipm"),
}  # who would have to know all labels, or train


@dataclass(frozen=True)
class Keys:
    """Which labels are kept, and how strongly their examples are augmented."""

    keep: float = key(
        "the least probability of its class with which an unlabelled example is learnt from",
        zh="无标签样本所属类别的概率至少达到此值才用来学习",
        default=0.95,
        low=0.0,
        high=1.0,
    )
    strong: float = key(
        "how strongly examples are augmented that a client labelled itself: side of the square cut out of a picture, "
        "range of its contrast and brightness; of others the share of values swapped with another example's",
        zh="客户端自行标注的样本的增强强度：图片为挖去方块的边长及对比度、亮度的变化幅度；其他输入为与另一样本互换的数值比例",
        default=0.5,
        low=0.0,
        high=1.0,
    )
    server_epochs: int = key(
        "passes over the labelled examples at the server before each round, with `labels_at` server",
        zh="`labels_at` 为 server 时，每轮开始前服务器遍历其有标签样本的次数",
        default=5,
        low=1,
        high=1000,
    )


class Local:
    """Plain SGD on labelled examples and on those it is sure of."""

    def __init__(self, keys: Keys, start: Start) -> None:
        self._keys, self._sent = keys, start.sent

    def gradients(self, net: nn.Module) -> None:
        """Nothing to change."""

    def taught(self, asked: Asked) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Labelled ones with their class, and of the others those it is sure of with the class it took them for."""
        targets, unknown = asked.targets.copy(), asked.targets < 0
        sure = ~unknown
        if unknown.any():
            outputs = asked.logits(self._sent.data.cast("B")).astype(np.float64)
            odds = np.exp(outputs - outputs.max(axis=1, keepdims=True))
            most = odds.max(axis=1) / odds.sum(axis=1)
            sure |= most >= self._keys.keep
            targets[unknown] = outputs.argmax(axis=1)[unknown]
        places = np.flatnonzero(sure)
        return places, targets[places]

    def shown(self, inputs: torch.Tensor, own: NDArray[np.bool_], rng: np.random.Generator) -> torch.Tensor:
        """A batch (n, ...), of which those it labelled itself are strongly augmented."""
        inputs = inputs.clone()
        inputs[own] = stronger(inputs, self._keys.strong, rng)[own]
        return inputs


def stronger(inputs: torch.Tensor, strong: float, rng: np.random.Generator) -> torch.Tensor:
    """The batch (n, ...) changed, but not its classes. Pictures (n, channels, height, width): other contrast and
    brightness, then a square of the picture's mean. Rows and sequences: values swapped for those in the same place of
    another example.
    """
    import torch

    def drawn(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.random(shape, np.float32))

    if inputs.dim() != 4:
        others = inputs[torch.from_numpy(rng.permutation(len(inputs)))]
        return torch.where(drawn(*inputs.shape) < strong, others, inputs)
    mean, spread = inputs.mean((1, 2, 3), keepdim=True), inputs.std((1, 2, 3), keepdim=True)
    contrast, brightness = (strong * (2 * drawn(len(inputs), 1, 1, 1) - 1) for _ in range(2))
    changed = (inputs - mean) * (1 + contrast) + mean + brightness * spread
    middle = changed.mean((2, 3))
    height, width = inputs.shape[2:]
    side = round(strong * min(height, width))
    corners = np.column_stack([rng.integers(0, size - side + 1, len(inputs)) for size in (height, width)])
    for picture, fill, (top, left) in zip(changed, middle, corners.tolist(), strict=True):
        picture[:, top : top + side, left : left + side] = fill[:, None, None]
    return changed


def fits(conf: Conf, where: str) -> None:
    """Raises ConfError where there are no classes."""
    if not classes_of(conf):
        raise ConfError(where, "refuses", key="local", part="pseudo_label", other="type", found=conf.type)
