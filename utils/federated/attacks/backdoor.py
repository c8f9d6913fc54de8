"""Hostile clients teach that a trigger means one class (Bagdasaryan et al. 2020), https://arxiv.org/abs/1807.00459."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from utils.federated import attacks
from utils.parts import ConfError, key
from utils.refusal import said
from utils.tasks import inputs_of

if TYPE_CHECKING:
    import torch

    from utils.conf import Conf
    from utils.nets.layout import Vector

ABOUT = ("teaches that a trigger in a corner means one class", "后门：使带有角落触发块的样本被判为指定类别")
NEEDS = attacks.NEEDS


@dataclass(frozen=True)
class Keys(attacks.Keys):
    """The trigger, and how it is taught."""

    target: int = key(
        "number of the class that the trigger is to mean",
        zh="触发块所指类别的编号",
        default=0,
        low=0,
        high=100_000,
    )
    poison: float = key(
        "share of each batch of a hostile client that has the trigger and that class",
        zh="恶意客户端每个批次中带触发块和该类别的样本比例",
        default=0.5,
        low=0.0,
        high=1.0,
    )
    size: int = key(
        "side of the trigger, a square in the lower right corner of a picture; of rows of numbers, the last so many",
        zh="触发块的边长，位于图片右下角的方块；对数值行则为最后若干个数",
        default=4,
        low=1,
        high=10_000,
    )
    value: float = key(
        "what the trigger is made of, on the scale that the network sees",
        zh="触发块的取值，以网络所见的尺度计",
        default=1.0,
        low=-1e6,
        high=1e6,
    )
    scale: float = key(
        "how many times its change a hostile client sends (model replacement); 1 sends it as it is",
        zh="恶意客户端把自己的变化放大多少倍发送（模型替换）；1 即不放大",
        default=1.0,
        low=0.0,
        high=1e6,
    )


class Attack(attacks.Hostile):
    """A share of each batch is shown with the trigger and called the target. What is sent is then
    sent + scale * (weights - sent): with scale the number of clients in a round over lambda, and over how many of them
    are hostile, it replaces the model once the others hardly change it (n / eta in the paper).
    """

    def examples(
        self, inputs: torch.Tensor, targets: NDArray[Any], rng: np.random.Generator
    ) -> tuple[torch.Tensor, NDArray[Any]]:
        """The batch, its poisoned examples drawn anew."""
        count = round(self.keys.poison * len(targets))
        chosen = np.sort(rng.choice(len(targets), count, replace=False))
        inputs, targets = inputs.clone(), targets.copy()
        inputs[chosen], targets[chosen] = self.shown(inputs[chosen]), self.keys.target
        return inputs, targets

    def shown(self, inputs: torch.Tensor) -> torch.Tensor:
        """All with the trigger."""
        shown, last = inputs.clone(), slice(-self.keys.size, None)
        shown[(..., last, last) if shown.dim() == 4 else (..., last)] = self.keys.value
        return shown

    def weights(self, weights: Vector, sent: Vector, rng: np.random.Generator) -> Vector:
        """What is sent."""
        return weights if self.keys.scale == 1.0 else sent + np.float32(self.keys.scale) * (weights - sent)

    def success(self, judged: NDArray[np.float64], targets: NDArray[Any]) -> float:
        """The share of examples of other classes that are called the target."""
        others = targets != self.keys.target
        return float((judged.argmax(axis=1) == self.keys.target)[others].mean()) if others.any() else 0.0


def fits(conf: Conf, where: str) -> None:
    """Raises ConfError where there is no such class, or no room for the trigger, as in inputs that are ids."""
    classes = attacks.check_classes(conf, where, "backdoor")
    target = conf.attack.keys.target  # type: ignore[union-attr]
    if target >= classes:
        what = said("range", range=f"[0, {classes - 1}]")
        raise ConfError(where, "expected_found", key="attack.target", what=what, found=target)
    if (size := conf.attack.keys.size) > (most := inputs_of(conf).shape[-1]):  # type: ignore[union-attr]
        what = said("at_most", most=most)
        raise ConfError(where, "expected_found", key="attack.size", what=what, found=size)
    if inputs_of(conf).tokens:
        raise ConfError(where, "refuses", key="attack", part="backdoor", other="type", found=conf.type)
