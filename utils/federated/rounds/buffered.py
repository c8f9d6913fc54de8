"""Rounds without waiting (FedBuff, Nguyen et al. 2022, https://arxiv.org/abs/2106.06639): up to `k` clients are at work
at any time, each from the model of the moment it began; the server steps when `buffer` updates are there, and a round
is one such step.

An update that began t steps ago counts (1 + t)^-exponent of its difference. All is in virtual time
(`utils.federated.clock`). Updates that arrive at one moment are taken in before anybody else begins, so with as many in
the buffer as there are clients, all equally fast, each step is a synchronous round to the bit. That a client is lost
shows when it should have answered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from utils.federated import RunError, clock
from utils.federated.clock import CLOCK_STREAM, LOST, PACES_STREAM, paces
from utils.federated.links import header
from utils.federated.rounds import Played, refuse_batch_norm
from utils.federated.update import Bytes, Failure, Reply, TrainJob
from utils.parts import ConfError, key

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.federated.bench import Bench, State
    from utils.federated.update import Buffers
    from utils.nets.layout import Vector

ABOUT = (
    "without waiting (FedBuff): the server steps whenever enough updates are there",
    "不等待（FedBuff）：收到足够多的更新，服务器就前进一步",
)
NEEDS = {"local": ("sgd", "fedprox"), "selection": ("uniform",)}
SIMULATED = True
START_STREAM = 24  # of who begins, and when the next one is there
ARRIVALS = ("at_once", "constant", "exponential")
_MOST_FAILURES = 100  # times `buffer`, in one round


@dataclass(frozen=True)
class Keys(clock.Keys):
    """How many are waited for, what late ones count, and when clients are there."""

    buffer: int = key(
        "updates after which the server takes a step (the paper's K)",
        zh="服务器前进一步所需的更新数（论文中的 K）",
        default=10,
        low=1,
        high=100_000,
    )
    exponent: float = key(
        "a of the weight (1 + t)^-a of an update that began t steps ago; 0: all count alike",
        zh="更新的权重 (1 + t)^-a 中的 a，t 为其开始后服务器已前进的步数；0：一律平等",
        default=0.5,
        low=0.0,
        high=10.0,
    )
    arrival: str = key(
        "when clients are there: `at_once`, one as soon as another has ended; else `rate` a virtual second, at "
        "`constant` or `exponential` intervals, and whoever comes while `k` are at work is sent away",
        zh="客户端何时到来：`at_once`，一个结束立即有下一个；否则每虚拟秒 `rate` 个，间隔为 `constant`（恒定）或 "
        "`exponential`（指数分布）；若已有 `k` 个在工作，来者被请回",
        default="at_once",
        choices=ARRIVALS,
    )
    rate: float = key(
        "clients that come in a virtual second, where an example passed over takes a hundredth",
        zh="每虚拟秒到来的客户端数（遍历一个样本需百分之一秒）",
        default=1.0,
        low=0.0,
        high=1e6,
        above_low=True,
    )


def fits(conf: Conf, where: str) -> None:
    """Single updates have to be seen, and running statistics are no differences to add up. Raises ConfError."""
    for link in conf.link:
        if hasattr(link.module.Link, "open"):
            raise ConfError(where, "refuses", key="rounds", part="buffered", other="link", found=link.name)
    refuse_batch_norm(conf, where)


@dataclass(frozen=True)
class Flight:
    """A client at work: from which version of the model (the number of steps before it), when its update is there, in
    virtual seconds, and how often it was at work before.
    """

    client: int
    turn: int
    version: int
    end: float
    lost: bool


class Rounds:
    """Who is at work, and from what, goes on from step to step."""

    def __init__(self, conf: Conf) -> None:
        self._keys: Keys = conf.rounds.keys
        self._clock = self._next = 0.0  # now, and when the next client is there
        self._began = self._came = 0
        self._turns = np.zeros(conf.no_models, np.int64)
        self._flying: list[Flight] = []
        self._models: dict[int, Vector] = {}  # what those at work began from, by version

    def play(self, bench: Bench, state: State) -> Played:
        """Raises RunError when nobody is at work, or too many fail."""
        keys, round_, now = self._keys, state.round, state.weights
        self._models[round_] = now
        bench.begin(now, round_)
        updates, failures, stale = list[tuple[int, int, dict[str, float]]](), list[Failure](), list[int]()
        self._down = up = headers = 0
        while len(updates) < keys.buffer:
            taken, lost = self._arrived(bench, round_, keys.buffer - len(updates))
            failures += lost
            buffers: dict[str, Bytes] = {
                f"weights/{version}": weights.data.cast("B") for version, weights in self._models.items()
            }
            jobs = [self._job(bench, one, buffers) for one in taken]
            headers += sum(len(header(job)) for job in jobs)
            for one, outcome in zip(taken, bench.engine.train(bench.work, jobs, buffers), strict=True):
                if isinstance(outcome, Failure):
                    failures.append(outcome)
                    continue
                up += memoryview(outcome.payload).nbytes
                headers += len(header(outcome))
                try:
                    self._take(bench, outcome, one, round_)
                except ValueError as error:
                    failures.append(Failure(outcome.client, str(error)))
                    continue
                stale.append(round_ - one.version)
                updates.append((outcome.client, outcome.samples, outcome.metrics))
            if len(failures) > _MOST_FAILURES * keys.buffer:
                raise RunError(
                    f"{bench.repeat}: round {round_ + 1} has {len(updates)} updates of {keys.buffer} after "
                    f"{len(failures)} failures; last failure: {failures[-1].reason}"
                )
        new, series, rows = bench.finish(now, round_)
        flying = {one.version for one in self._flying}
        self._models = {version: model for version, model in self._models.items() if version in flying}
        series |= {
            "virtual_seconds": (self._clock, "virtual s", "lower"),
            "staleness": (float(np.mean(stale)), "steps", "lower"),
            "staleness_most": (float(max(stale)), "steps", "lower"),
        }
        if bench.way.links:
            series |= {"header_bytes": (headers, "B", "lower")}
        return Played({"weights": new}, updates, failures, self._down, up, series, rows)

    def _job(self, bench: Bench, one: Flight, buffers: Buffers) -> TrainJob:
        name = f"weights/{one.version}"
        return replace(bench.jobs(one.version, [one.client], {name: buffers[name]})[0], round=one.turn)

    def _take(self, bench: Bench, reply: Reply, one: Flight, round_: int) -> None:
        late = round_ - one.version
        share = (1.0 + late) ** -self._keys.exponent
        bench.take(reply, self._models[one.version], one.turn, self._models[round_] if late else None, share)

    def _arrived(self, bench: Bench, round_: int, count: int) -> tuple[list[Flight], list[Failure]]:
        """The next so many whose updates are there, and who was lost meanwhile."""
        taken, lost = list[Flight](), list[Failure]()
        while len(taken) < count and len(lost) <= _MOST_FAILURES * self._keys.buffer:
            one = min(self._flying, key=lambda one: (one.end, one.client), default=None)
            if (one is None or one.end > self._clock) and self._begun(bench, round_, one):
                continue
            if one is None:
                raise RunError(f"{bench.repeat}: round {round_ + 1}: no client has an example to train on")
            self._flying.remove(one)
            self._clock = max(self._clock, one.end)
            if one.lost:
                lost.append(Failure(one.client, LOST))
            else:
                taken.append(one)
        return taken, lost

    def _begun(self, bench: Bench, round_: int, first: Flight | None) -> bool:
        """Let those begin who may before the `first` at work ends; whether time or anybody went on."""
        keys, room = self._keys, bench.conf.k - len(self._flying)
        if keys.arrival == "at_once":
            began = [self._begin(bench, round_) for _ in range(room)]
            return any(began)
        if first is not None and first.end <= self._next:
            return False
        self._clock = self._next
        draws = np.random.default_rng([START_STREAM, bench.seed, self._came, 1])
        self._came += 1
        self._next += (draws.exponential() if keys.arrival == "exponential" else 1.0) / keys.rate
        began = [self._begin(bench, round_)] if room > 0 else []
        return any(began) or first is not None or any(bench.sizes)

    def _begin(self, bench: Bench, round_: int) -> bool:
        """One of those who are idle begins; whether there was one."""
        busy = {one.client for one in self._flying}
        idle = [client for client, size in enumerate(bench.sizes) if size and client not in busy]
        if not idle:
            return False
        draws = np.random.default_rng([START_STREAM, bench.seed, self._began, 0])
        client = idle[int(draws.integers(len(idle)))]
        turn = int(self._turns[client])
        seconds = 0.01 * bench.sizes[client] * bench.conf.local_epochs * self._pace(bench, client, turn)
        chance = np.random.default_rng([CLOCK_STREAM, bench.seed, client, turn]).random()
        lost = bool(chance < self._keys.drop_out)
        self._flying.append(Flight(client, turn, round_, self._clock + seconds, lost))
        buffers: dict[str, Bytes] = {"weights": self._models[round_].data.cast("B")}
        self._down += bench.way.bytes_down([client], round_, buffers)
        self._turns[client] += 1
        self._began += 1
        return True

    def _pace(self, bench: Bench, client: int, turn: int) -> float:
        keys = self._keys
        stream = [PACES_STREAM, bench.seed] if keys.same_slow else [PACES_STREAM, bench.seed, turn]
        rng = np.random.default_rng(stream)
        return float(paces(keys.duration, keys.spread, rng, len(bench.sizes))[client])

    def state(self) -> dict[str, NDArray[Any]]:
        """The clock, who is at work, and from which models."""
        rows = [(one.client, one.turn, one.version, one.end, one.lost) for one in self._flying]
        return {
            "clock": np.array([self._clock, self._next, self._began, self._came]),
            "turns": self._turns.copy(),
            "flying": np.array(rows, np.float64).reshape(-1, 5),
            "versions": np.array(list(self._models), np.int64),
            **{f"model/{version}": model for version, model in self._models.items()},
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Let them go on."""
        if not state:
            return
        clock, next_, began, came = state["clock"].tolist()
        self._clock, self._next, self._began, self._came = clock, next_, int(began), int(came)
        self._turns = state["turns"].copy()
        self._flying = [
            Flight(int(client), int(turn), int(version), end, bool(lost))
            for client, turn, version, end, lost in state["flying"].tolist()
        ]
        self._models = {version: state[f"model/{version}"] for version in state["versions"].tolist()}
