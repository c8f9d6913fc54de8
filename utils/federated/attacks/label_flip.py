"""Hostile clients teach wrong classes (as in Fang et al. 2020), https://arxiv.org/abs/1911.11815."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from utils.federated import attacks

if TYPE_CHECKING:
    from utils.conf import Conf

ABOUT = (
    "trains on flipped classes: the first for the last, and so on",
    "翻转标签：第一类当作最后一类，依此类推",
)
NEEDS, Keys = attacks.NEEDS, attacks.Keys


class Attack(attacks.Hostile):
    """Class y becomes classes - 1 - y; of two classes each becomes the other, of an odd number the middle one stays."""

    def targets(self, targets: NDArray[Any], classes: int) -> NDArray[Any]:
        """The flipped ones."""
        return classes - 1 - targets

    def success(self, judged: NDArray[np.float64], targets: NDArray[Any]) -> float:
        """The share of examples called by the flipped class, of those that it would make wrong."""
        flipped = self.targets(targets, judged.shape[1])
        wrong = flipped != targets
        return float((judged.argmax(axis=1) == flipped)[wrong].mean()) if wrong.any() else 0.0


def fits(conf: Conf, where: str) -> None:
    """Raises ConfError where there are no classes."""
    attacks.check_classes(conf, where, "label_flip")
