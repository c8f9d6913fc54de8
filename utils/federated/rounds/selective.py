"""Selective SGD (Shokri and Shmatikov 2015, DSSGD): every client has a model of its own, and clients share some of its
changes through a server (https://doi.org/10.1145/2810103.2813687).

A client in turn overwrites the share `download` of its weights that were changed most often at the server with what
they are there, trains, and adds the share `upload` of its changes to the server's weights. It goes on from all of its
own, so what was not shared is not lost. Sharing all, one after the other, is SGD on everybody's examples in turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from utils.federated.links._sparse import largest
from utils.federated.rounds import Played, check_enough, read, refuse_batch_norm, refuse_links
from utils.federated.update import Failure, Reply
from utils.parts import key

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.federated.bench import Bench, State
    from utils.federated.update import Bytes
    from utils.nets.layout import Vector

ABOUT = (
    "selective SGD: models of their own, of whose changes clients share some",
    "选择性 SGD：客户端各有模型，只共享部分参数的变化",
)
NEEDS = {"strategy": ("fedavg",), "local": ("sgd", "fedprox"), "selection": ("uniform",)}
ORDER_STREAM = 10  # of who comes when, and of which changes are drawn


@dataclass(frozen=True)
class Keys:
    """How much is shared, and when."""

    upload: float = key(
        "share theta_u of its changes that a client sends",
        zh="客户端上传的参数变化比例 theta_u",
        default=0.1,
        low=0.0,
        high=1.0,
        above_low=True,
    )
    download: float = key(
        "share theta_d of the weights that a client fetches: those that were changed most often",
        zh="客户端下载的权重比例 theta_d：被修改次数最多者优先",
        default=1.0,
        low=0.0,
        high=1.0,
    )
    choose: str = key(
        "which changes are sent: the `largest`, or `random` ones of those above tau",
        zh="上传哪些变化：`largest` 最大者，或在超过 tau 者中 `random` 随机抽取",
        default="largest",
        choices=("largest", "random"),
    )
    tau: float = key(
        "magnitude above which a change may be drawn",
        zh="变化的幅度超过该值才可被抽取",
        default=0.0001,
        low=0.0,
        high=1e9,
    )
    gamma: float = key(
        "bound of every change that is sent; 0: none",
        zh="每个上传变化的幅度上限；0：不限",
        default=0.0,
        low=0.0,
        high=1e9,
    )
    beta: float = key(
        "by what the counts of changes shrink after each upload",
        zh="每次上传后修改计数的衰减系数",
        default=1.0,
        low=0.0,
        high=1.0,
        above_low=True,
    )
    order: str = key(
        "`round_robin`: one after the other; `random`: in an order drawn each round; `asynchronous`: all begin from "
        "what the round began with, and their changes come in any order",
        zh="`round_robin` 依次进行；`random` 每轮随机排序；`asynchronous` 都从本轮开始时的状态出发，变化以任意顺序到达",
        default="round_robin",
        choices=("round_robin", "random", "asynchronous"),
    )


def fits(conf: Conf, where: str) -> None:
    """What is sent is coded here already, and running statistics are no changes to add up. Raises ConfError."""
    refuse_links(conf, where)
    refuse_batch_norm(conf, where)


class Rounds:
    """A round is one turn of each of `k` clients."""

    def __init__(self, conf: Conf) -> None:
        self._keys: Keys = conf.rounds.keys
        self._own: NDArray[np.float32] | None = None  # (clients, size)
        self._counts: NDArray[np.float64] | None = None  # (size,)

    def play(self, bench: Bench, state: State) -> Played:
        """Raises RunError when fewer clients than `min_clients` gave an update."""
        keys, conf, round_ = self._keys, bench.conf, state.round
        weights = state.weights.astype(np.float64)
        if self._own is None or self._counts is None:
            self._own = np.tile(state.weights, (conf.no_models, 1))
            self._counts = np.zeros(len(weights))
        own, counts = self._own, self._counts
        rng = np.random.default_rng([ORDER_STREAM, bench.seed, round_])
        cohort = bench.cohort(round_, conf.k, {"weights": state.weights.data.cast("B")})
        together = keys.order == "asynchronous"
        turns = cohort if keys.order == "round_robin" else rng.permutation(cohort).tolist()
        seen = (state.weights.copy(), counts.copy()) if together else None
        updates, failures = list[tuple[int, int, dict[str, float]]](), list[Failure]()
        down = up = 0
        bench.spread.begin()
        for client in turns:
            there, often = seen or (weights.astype(np.float32), counts)
            start, sent = self._fetched(own[client], there, often, rng)
            down += sent
            update = read(next(self._trained(bench, client, round_, start)), start)
            if isinstance(update, Failure):
                failures.append(update)
                continue
            own[client] = update.weights
            bench.spread.fold(update, start)
            places, values = self._shared(own[client] - start, rng)
            up += len(places.astype("<u4").tobytes()) * (len(places) < len(start)) + values.nbytes
            weights[places] += conf.lambda_ * values
            counts[places] += 1
            counts *= keys.beta
            updates.append((client, update.samples, update.metrics))
        check_enough(bench, round_, updates, failures, least=1)
        series, rows = bench.compared([])
        series |= self._judged(bench)
        return Played({"weights": weights.astype(np.float32)}, updates, failures, down, up, series, rows)

    def _fetched(
        self, mine: Vector, there: Vector, often: NDArray[np.float64], rng: np.random.Generator
    ) -> tuple[Vector, int]:
        """What a client begins from, and how many bytes it is sent for that. Where counts are equal, chance decides."""
        count = round(self._keys.download * len(mine))
        if count == len(mine):
            return there, there.nbytes
        places = np.sort(np.lexsort((rng.random(len(mine)), -often))[:count])
        start = mine.copy()
        start[places] = there[places]
        return start, len(places.astype("<u4").tobytes()) + there[places].nbytes

    def _shared(
        self, change: Vector, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Where and what a client sends of its change (size,)."""
        keys, count = self._keys, max(1, round(self._keys.upload * len(change)))
        if keys.choose == "largest":
            places = largest(change, count)
        else:
            above = np.flatnonzero(np.abs(change) > keys.tau)
            places = np.sort(rng.permutation(above)[:count])
        values = change[places]
        return places, np.clip(values, -keys.gamma, keys.gamma) if keys.gamma else values

    def _trained(self, bench: Bench, client: int, round_: int, start: Vector) -> Iterator[Reply | Failure]:
        buffers: dict[str, Bytes] = {"weights": np.ascontiguousarray(start).data.cast("B")}
        return bench.engine.train(bench.work, bench.jobs(round_, [client], buffers), buffers)

    def _judged(self, bench: Bench) -> dict[str, tuple[float, str, str]]:
        """How clients' own models do on the test examples, on average."""
        assert self._own is not None
        right = bench.right_of(self._own)
        return {"own_models_accuracy": (float(np.mean(right)), "fraction", "higher")} if right else {}

    def state(self) -> dict[str, NDArray[Any]]:
        """Clients' models and the server's counts."""
        if self._own is None or self._counts is None:
            return {}
        return {"own": self._own.copy(), "counts": self._counts.copy()}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Let clients go on from their models."""
        if state:
            self._own, self._counts = state["own"].copy(), state["counts"].copy()
