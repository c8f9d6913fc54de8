"""What links share that send some of the values."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from utils.parts import key


def share_key(default: float = 0.01) -> float:
    """The key that says how many values are sent."""
    share: float = key(
        "share of the values that is sent",
        zh="发送的数值所占比例",
        default=default,
        low=0.0,
        high=1.0,
        above_low=True,
    )
    return share


def feedback_key(default: bool = True) -> bool:
    """The key that says what becomes of what is not sent."""
    feedback: bool = key(
        "whether what was left out is added to the client's next update (error feedback)",
        zh="未发送的部分是否加到该客户端下一次的更新中（误差反馈）",
        default=default,
    )
    return feedback


def down_key(default: bool = False) -> bool:
    """The key that says whether the server codes too."""
    down: bool = key(
        "whether what the server sends is coded as well: each round what changed since the round before",
        zh="服务器下发的内容是否也编码：每轮只发送自上一轮以来的变化",
        default=default,
    )
    return down


def count_of(share: float, size: int) -> int:
    """How many of `size` values a share is, rounded up: at least one where there is any."""
    return min(size, math.ceil(share * size - 1e-9))


def largest(values: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Where the `count` values of largest magnitude are, ascending."""
    if count >= len(values):
        return np.arange(len(values))
    return np.sort(np.argpartition(np.abs(values), len(values) - count)[len(values) - count :])
