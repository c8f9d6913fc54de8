"""Fixed point: numbers as whole ones that can be added without a rounding error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from utils.federated.links import UnopenedError

LEAST = 3
"""Of whom a sum is opened: what two sent, each of them knows of the other."""
MOST_CLIENTS = 1023
"""Of whom the sum of all values stays below 2 ** 32 with 2 ** 22 levels each."""


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
