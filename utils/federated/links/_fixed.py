"""Fixed point: numbers as whole ones that can be added without a rounding error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from utils.federated.links import UnopenedError
from utils.parts import ConfError, key
from utils.refusal import said

if TYPE_CHECKING:
    from utils.conf import Conf

LEVELS = 2**22
"""Steps from minus to plus."""

LEAST = 3
"""Of whom a sum is opened: what two sent, each of them knows of the other."""
MOST_CLIENTS = 1023
"""Of whom the sum of all values stays below 2 ** 32 with 2 ** 22 levels each."""


def bound_key() -> float:
    """The key that says how large a change may be."""
    bound: float = key(
        "changes beyond it are cut off; 2 ** 22 steps lie between minus and plus",
        zh="超过该值的变化被截断；正负之间分为 2 ** 22 级",
        default=8.0,
        low=0.0,
        high=1e6,
        above_low=True,
    )
    return bound


def check_clients(conf: Conf, where: str, part: str) -> None:
    """Raises ConfError where a round has more clients than the sum has room for."""
    if conf.k > MOST_CLIENTS:
        what = said("at_most", most=MOST_CLIENTS)
        raise ConfError(where, "needs", key="link", part=part, other="k", what=what, found=conf.k)


def check_weights(conf: Conf, where: str, part: str, most: int) -> None:
    """Raises ConfError where the network has more weights than the link takes."""
    from utils.nets.build import layout_of

    if (size := layout_of(conf).size) > most:
        what = said("weights_at_most", most=most)
        raise ConfError(where, "needs", key="link", part=part, other="network", what=what, found=size)


def check_many(clients: int) -> None:
    """Raises UnopenedError where so few gave to a sum that it would tell of one of them."""
    if clients < LEAST:
        raise UnopenedError(f"not opened: {clients} clients gave to the sum, {LEAST} are needed")


def quantised(
    values: NDArray[np.floating], bound: float, levels: int, rng: np.random.Generator
) -> NDArray[np.uint32]:
    """[-bound, bound] as 0 to `levels`, rounded up or down at random, right in the mean; beyond it is cut off."""
    steps = (np.clip(values.astype(np.float64), -bound, bound) + bound) / (2 * bound) * levels
    return np.floor(steps + rng.random(len(steps))).clip(0, levels).astype(np.uint32)


def summed(total: NDArray[np.uint32], clients: int, bound: float, levels: int) -> NDArray[np.float64]:
    """The sum of values of so many clients, of the sum of their whole numbers."""
    return total.astype(np.float64) / levels * (2 * bound) - clients * bound
