"""Rounds without a server (Lian et al. 2017, https://arxiv.org/abs/1705.09056): every client has a model of its own,
and mixes it with those of its neighbours on a graph.

x_i <- sum_j W_ij y_j, where y_i is what client i trained from x_i (DFedAvg, Sun et al. 2021,
https://arxiv.org/abs/2104.11375); or as D-PSGD has it, sum_j W_ij x_j + (y_i - x_i), by which nobody waits for
training to mix. That is made for one step a round: where training goes far it overshoots, the more the more negative an
eigenvalue of W is. Every client counts the same, whatever its number of examples. What is judged is the
mean of all models, which nobody has; how models of their own do stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from utils.federated.rounds import Played, check_enough, read, refuse_batch_norm, refuse_links
from utils.federated.rounds._graphs import GRAPHS, Edges, edges_of, mixing, second, sides
from utils.federated.update import Bytes, Failure
from utils.parts import AtLeast, ConfError, key
from utils.refusal import said

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.federated.bench import Bench, State

ABOUT = (
    "without a server (gossip): clients mix their models with their neighbours'",
    "无服务器（gossip）：客户端与邻居混合各自的模型",
)
NEEDS = {
    "strategy": ("fedavg",), "lambda": (1.0,), "local": ("sgd", "fedprox"), "selection": ("uniform",),
    "no_models": AtLeast(2),
}  # fmt: skip
SIMULATED = True
GRAPH_STREAM = 25
MOST_NODES, _LEAST_SIDE = 256, 3


@dataclass(frozen=True)
class Keys:
    """Who is beside whom, and what they mix."""

    graph: str = key(
        "who is beside whom: a `ring`, a `torus` (a grid closed in both directions), `full` (everybody beside "
        "everybody) or a `random` graph",
        zh="谁与谁相邻：`ring` 环、`torus` 环面（双向闭合的网格）、`full` 两两相邻，或 `random` 随机图",
        default="ring",
        choices=GRAPHS,
    )
    rings: int = key(
        "of how many rings, each in an order drawn, a random graph consists: clients have about twice as many "
        "neighbours",
        zh="随机图由多少个随机顺序的环组成：每个客户端约有其两倍数量的邻居",
        default=2,
        low=1,
        high=100,
    )
    mixes: str = key(
        "what is mixed: the models as they were `trained` (DFedAvg), or as a round has `begun`, while clients train "
        "(D-PSGD, made for few steps a round)",
        zh="混合什么：训练后的模型（`trained`，DFedAvg）；或一轮开始时的模型，同时进行训练（`begun`，D-PSGD，适用于每轮步数很少）",
        default="trained",
        choices=("trained", "begun"),
    )


def fits(conf: Conf, where: str) -> None:
    """All clients take part, no more than fit into memory with a model each, and a torus is none with fewer than three
    in a row. Raises ConfError.
    """
    refuse_links(conf, where)
    refuse_batch_norm(conf, where)
    refused = {"key": "rounds", "part": "gossip"}
    if conf.k != conf.no_models:
        raise ConfError(where, "needs", **refused, other="k", what=str(conf.no_models), found=conf.k)
    if conf.no_models > MOST_NODES:
        what = said("at_most", most=MOST_NODES)
        raise ConfError(where, "needs", **refused, other="no_models", what=what, found=conf.no_models)
    if conf.rounds.keys.graph == "torus" and sides(conf.no_models)[0] < _LEAST_SIDE:
        what, found = said("grid", least=_LEAST_SIDE), conf.no_models
        raise ConfError(where, "needs", **refused, other="no_models", what=what, found=found)


class Rounds:
    """A round is one training of each client, and one mixing."""

    def __init__(self, conf: Conf) -> None:
        self._keys: Keys = conf.rounds.keys
        self._models: NDArray[np.float32] | None = None  # (clients, size)
        self._right: list[float] = []

    def play(self, bench: Bench, state: State) -> Played:
        """Raises RunError when fewer clients than `min_clients` gave an update."""
        count, round_ = bench.conf.no_models, state.round
        models = np.tile(state.weights, (count, 1)) if self._models is None else self._models
        trained, updates, failures = models.copy(), list[tuple[int, int, dict[str, float]]](), list[Failure]()
        buffers: dict[str, Bytes] = {f"weights/{one}": models[one].data.cast("B") for one in range(count)}
        jobs = [
            replace(job, reads=(f"weights/{job.client}",))
            for job in bench.jobs(round_, range(count), buffers)
        ]
        bench.spread.begin()
        for outcome in bench.engine.train(bench.work, jobs, buffers):
            update = read(outcome, models[0])
            if isinstance(update, Failure):
                failures.append(update)
                continue
            trained[update.client] = update.weights
            bench.spread.fold(update, models[update.client])
            updates.append((update.client, update.samples, update.metrics))
        check_enough(bench, round_, updates, failures, least=1)
        edges, away = self._edges(bench), {one.client for one in failures}
        mixed, before = mixing(edges, count, away), models.astype(np.float64)
        if self._keys.mixes == "begun":
            now = mixed @ before + (trained.astype(np.float64) - before)
        else:
            now = mixed @ trained.astype(np.float64)
        self._models = now.astype(np.float32)
        sent = sum(2 for a, b in edges if a not in away and b not in away) * models[0].nbytes
        mean = self._models.mean(axis=0, dtype=np.float64)
        series, rows = bench.compared([])
        series |= {
            "spectral_gap": (1 - second(mixing(edges, count)), "", "higher"),
            "consensus_distance": (
                float(np.sqrt(((self._models - mean) ** 2).sum(axis=1).mean())), "", "lower"
            ),
            **self._judged(bench),
        }  # fmt: skip
        return Played({"weights": mean.astype(np.float32)}, updates, failures, 0, sent, series, rows)

    def _edges(self, bench: Bench) -> Edges:
        rng = np.random.default_rng([GRAPH_STREAM, bench.seed])
        return edges_of(self._keys.graph, bench.conf.no_models, self._keys.rings, rng)

    def _judged(self, bench: Bench) -> dict[str, tuple[float, str, str]]:
        """How clients' own models do on the test examples: on average, and the worst."""
        assert self._models is not None
        self._right = bench.right_of(self._models)
        if not self._right:
            return {}
        return {
            "own_models_accuracy": (float(np.mean(self._right)), "fraction", "higher"),
            "own_models_accuracy_worst": (min(self._right), "fraction", "higher"),
        }

    def graph(self, bench: Bench) -> dict[str, Any]:
        """The graph, and what each client's own model reached after the last round."""
        found: dict[str, Any] = {"edges": [list(edge) for edge in self._edges(bench)]}
        return found | ({"accuracy": self._right} if self._right else {})

    def state(self) -> dict[str, NDArray[Any]]:
        """Clients' models, and how right they were."""
        if self._models is None:
            return {}
        return {"models": self._models.copy(), "right": np.array(self._right)}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Let clients go on from their models."""
        if state:
            self._models, self._right = state["models"].copy(), state["right"].tolist()
