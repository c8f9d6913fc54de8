"""Power of choice (Cho, Wang and Joshi 2020, algorithm 1), https://arxiv.org/abs/2010.01243: who does worst, trains.

Of `candidates` clients, drawn without replacement in proportion to their examples, the `k` with the highest loss of the
current model on their own data take part, and weigh alike in the mean. The model goes to every candidate for that, and
a loss comes back: both count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.parts import key

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.federated.client import Asked
    from utils.federated.update import Update

ABOUT = ("of some candidates the `k` with the highest loss", "在候选客户端中选损失最高的 `k` 个")


@dataclass(frozen=True)
class Keys:
    """How many are asked."""

    candidates: int = key(
        "how many clients are asked for their loss (the paper's d); with `k` or fewer, `k` are drawn and all take part",
        zh="询问多少个客户端的损失（论文中的 d）；不超过 `k` 时抽取 `k` 个并全部参加",
        default=10,
        low=1,
        high=100_000,
    )


def loss(asked: Asked) -> bytes:
    """The mean loss of the client's examples: cross-entropy, or squared error of numbers."""
    outputs = asked.logits(asked.buffers["weights"]).astype(np.float64)
    if np.issubdtype(asked.targets.dtype, np.floating):
        return np.float64(((outputs[:, 0] - asked.targets) ** 2).mean()).tobytes()
    outputs -= outputs.max(axis=1, keepdims=True)
    likely = np.log(np.exp(outputs).sum(axis=1)) - outputs[np.arange(len(outputs)), asked.targets]
    return np.float64(likely.mean()).tobytes()


ANSWERS = {"loss": loss}


class Selection:
    """By loss."""

    def __init__(self, conf: Conf, sizes: list[int]) -> None:
        self._chances, self._candidates = np.array(sizes) / sum(sizes), conf.selection.keys.candidates

    def select(self, rng: np.random.Generator, count: int, ask: Any) -> list[int]:
        """See `utils.federated.selection`. A candidate that does not answer is left out while others do."""
        most = int((self._chances > 0).sum())
        wanted = min(max(self._candidates, count), most)
        drawn = sorted(rng.choice(len(self._chances), size=wanted, replace=False, p=self._chances).tolist())
        if wanted <= count:
            return drawn
        said = [
            (-float(np.frombuffer(one.payload)[0]) if hasattr(one, "payload") else np.inf, one.client)
            for one in ask("loss", drawn, ["weights"])
        ]
        return sorted(client for _, client in sorted(said)[:count])

    def weigh(self, update: Update) -> int:
        """All alike."""
        return 1
