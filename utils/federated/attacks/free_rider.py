"""Hostile clients train nothing and take the model (Fraboni et al. 2021), https://arxiv.org/abs/2006.11901."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from utils.federated import attacks
from utils.federated.attacks import gaussian
from utils.parts import key

if TYPE_CHECKING:
    from utils.conf import Conf

ABOUT = ("trains nothing and sends back what it was sent", "搭便车：不训练，把收到的模型原样发回")
NEEDS = attacks.NEEDS


@dataclass(frozen=True)
class Keys(attacks.Keys):
    """How it is disguised."""

    sd: float = key(
        "standard deviation of the noise that is to look like training; 0 sends exactly what came",
        zh="用来伪装成训练的噪声的标准差；0 即原样发回",
        default=0.0,
        low=0.0,
        high=1e6,
    )


class Attack(gaussian.Attack):
    """What is sent are the weights of the round's beginning, and a little noise where that is asked for."""


def fits(conf: Conf, where: str) -> None:
    """Raises ConfError where all of a round's clients may be hostile."""
    attacks.check_idle(conf, where)
