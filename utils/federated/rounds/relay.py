"""One model that is passed on (cyclic weight transfer, Chang et al. 2018, https://doi.org/10.1093/jamia/ocy017): each
client in turn trains what the one before it left, and hands it to the next. There is no server, and nobody waits for
more than one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from utils.federated.rounds import Played, check_enough, read, refuse_links
from utils.federated.rounds._graphs import edges_of
from utils.federated.update import Bytes, Failure
from utils.parts import AtLeast, key

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.federated.bench import Bench, State

ABOUT = (
    "one model passed from client to client, which each trains in turn",
    "接力：一个模型依次传给各客户端训练",
)
NEEDS = {
    "strategy": ("fedavg",), "lambda": (1.0,), "local": ("sgd", "fedprox"), "selection": ("uniform",),
    "no_models": AtLeast(2),
}  # fmt: skip
SIMULATED = True
RELAY_STREAM = 26


@dataclass(frozen=True)
class Keys:
    """In which order."""

    order: str = key(
        "who is next: the next on the `ring`, or whoever comes in an order drawn each round (`random`)",
        zh="下一位是谁：`ring` 环上的下一位，或每轮随机排序（`random`）",
        default="ring",
        choices=("ring", "random"),
    )


def fits(conf: Conf, where: str) -> None:
    """A whole model is handed on. Raises ConfError."""
    refuse_links(conf, where)


class Rounds:
    """A round is `k` hands through which the model goes; on a ring the next round goes on where this one ended."""

    def __init__(self, conf: Conf) -> None:
        self._keys: Keys = conf.rounds.keys
        self._place = 0

    def play(self, bench: Bench, state: State) -> Played:
        """Whoever fails is passed over. Raises RunError when fewer clients than `min_clients` trained."""
        round_, now = state.round, state.weights
        updates, failures = list[tuple[int, int, dict[str, float]]](), list[Failure]()
        bench.spread.begin()
        for client in self._turns(bench, round_):
            buffers: dict[str, Bytes] = {"weights": now.data.cast("B")}
            jobs = bench.jobs(round_, [client], buffers)
            update = read(next(bench.engine.train(bench.work, jobs, buffers)), now)
            if isinstance(update, Failure):
                failures.append(update)
                continue
            bench.spread.fold(update, now)
            updates.append((client, update.samples, update.metrics))
            now = update.weights.copy()
        check_enough(bench, round_, updates, failures, least=1)
        series, rows = bench.compared([])
        return Played({"weights": now}, updates, failures, 0, len(updates) * now.nbytes, series, rows)

    def _turns(self, bench: Bench, round_: int) -> list[int]:
        """Who trains in this round, in their order."""
        count, wanted = bench.conf.no_models, bench.conf.k
        if self._keys.order == "random":
            order = np.random.default_rng([RELAY_STREAM, bench.seed, round_]).permutation(count)
            return [int(one) for one in order[:wanted]]
        turns = [(self._place + one) % count for one in range(wanted)]
        self._place = (self._place + wanted) % count
        return turns

    def graph(self, bench: Bench) -> dict[str, Any]:
        """The ring; where the order is drawn there is none."""
        if self._keys.order == "random":
            return {}
        return {"edges": [list(edge) for edge in edges_of("ring", bench.conf.no_models)]}

    def state(self) -> dict[str, NDArray[Any]]:
        """Whose turn it is."""
        return {"place": np.array([self._place])}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Let it be their turn."""
        self._place = int(state["place"][0]) if state else 0
