"""Rounds in step: a cohort trains from the current model, and all its updates make the next one.

In virtual time (`utils.federated.clock`) some clients are lost and some come late. As in Bonawitz et al. 2019
(https://arxiv.org/abs/1902.01046) more can be asked than are wanted: the round ends with the last one wanted, or at its
deadline. With fewer than `min_clients` it is abandoned, and another cohort is drawn. Who does not count is
not trained, and sends nothing. That a client is lost is known at once; what a selection asks takes no time. Where
clients are on machines of their own time is real, and who comes late is the engine's to say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from utils.federated import RunError, clock
from utils.federated.clock import (
    ABANDONED,
    CLOCK_STREAM,
    LATE,
    LOST,
    PACES_STREAM,
    arrivals,
    paces,
)
from utils.federated.links import header
from utils.federated.rounds import Played, check_enough
from utils.federated.update import Failure
from utils.parts import key

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.federated.bench import Bench, State
    from utils.federated.update import Buffers

ABOUT = ("in step: the server waits for its cohort", "同步：服务器等待本轮全部客户端")
_MOST_ABANDONED = 100


@dataclass(frozen=True)
class Keys(clock.Keys):
    """Who is asked, and who answers in time."""

    over_select: float = key(
        "clients asked for each one that is wanted; the round ends when as many as are wanted have answered",
        zh="每需要一个客户端时询问多少个；收到所需数量的回复后本轮即结束",
        default=1.0,
        low=1.0,
        high=10.0,
    )
    deadline: float = key(
        "virtual seconds after which a round ends, where an example passed over takes a hundredth; 0: none",
        zh="一轮结束的虚拟秒数（遍历一个样本需百分之一秒）；0：不限",
        default=0.0,
        low=0.0,
        high=1e9,
    )


class Rounds:
    """One round after the other."""

    def __init__(self, conf: Conf) -> None:
        self._keys: Keys = conf.rounds.keys
        self._clock = 0.0

    def play(self, bench: Bench, state: State) -> Played:
        """Train, decode and fold. Raises RunError when fewer clients than `min_clients` gave an update."""
        round_ = state.round
        sent = bench.led(state.weights, round_)
        buffers = bench.sent(sent)
        cohort, asked, failures, seconds = self._cohort(bench, round_, buffers)
        updates: list[tuple[int, int, dict[str, float]]] = []
        up = 0
        down = bench.way.bytes_down(asked, round_, buffers)
        cohort, agreed, gone = bench.prepare(round_, cohort)
        buffers |= agreed
        down += len(cohort) * sum(memoryview(one).nbytes for one in agreed.values())
        failures += gone
        bench.begin(sent, round_)
        jobs = bench.jobs(round_, cohort, buffers)
        headers = sum(len(header(job)) for job in jobs)
        for outcome in bench.engine.train(bench.work, jobs, buffers):
            if isinstance(outcome, Failure):
                failures.append(outcome)
                continue
            up += memoryview(outcome.payload).nbytes
            headers += len(header(outcome))
            try:
                bench.take(outcome, sent, round_)
            except ValueError as error:
                failures.append(Failure(outcome.client, str(error)))
                continue
            updates.append((outcome.client, outcome.samples, outcome.metrics))
        if not bench.unopened:
            check_enough(bench, round_, updates, failures)
        new, series, rows = bench.finish(sent, round_)
        if bench.unopened:
            failures += [Failure(client, bench.unopened) for client, *_ in updates]
            updates = []
        if bench.way.links:
            series |= {"header_bytes": (headers, "B", "lower")}
        if self._keys != Keys() and not bench.afar:
            self._clock += seconds
            series |= {"virtual_seconds": (self._clock, "virtual s", "lower")}
        return Played({"weights": new}, updates, failures, down, up, series, rows)

    def state(self) -> dict[str, NDArray[np.float64]]:
        """The virtual seconds so far."""
        return {"clock": np.array([self._clock])} if self._clock else {}

    def restore(self, state: dict[str, NDArray[np.float64]]) -> None:
        """Let the clock go on."""
        self._clock = float(state["clock"][0]) if "clock" in state else 0.0

    def _cohort(
        self, bench: Bench, round_: int, buffers: Buffers
    ) -> tuple[list[int], list[int], list[Failure], float]:
        """Who trains; who was asked, who of them is not waited for, and how many virtual seconds that takes."""
        keys, conf = self._keys, bench.conf
        wanted = min(math.ceil(conf.k * keys.over_select - 1e-9), conf.no_models)  # 1.1 times 50 is 55
        if keys == Keys() or bench.afar:
            cohort = bench.cohort(round_, wanted, buffers)
            return cohort, cohort, [], 0.0
        passes = np.array(bench.sizes) * conf.local_epochs
        end = keys.deadline or math.inf
        asked, seconds, failures = list[int](), 0.0, list[Failure]()
        for attempt in range(_MOST_ABANDONED):
            chosen = bench.cohort(round_, wanted, buffers, attempt)
            draws = np.random.default_rng([CLOCK_STREAM, bench.seed, round_, attempt])
            of_run = np.random.default_rng([PACES_STREAM, bench.seed])
            pace = paces(keys.duration, keys.spread, of_run if keys.same_slow else draws, len(passes))
            when = arrivals(passes, pace, keys.drop_out, draws)
            in_time = sorted(
                (when[client], client) for client in chosen if when[client] <= end and when[client] < math.inf
            )
            taken = in_time[: conf.k]
            last = max((time for time, _ in taken), default=0.0)
            seconds += last if len(taken) == min(conf.k, len(chosen)) or end == math.inf else end
            asked += chosen
            cohort = sorted(client for _, client in taken)
            missing = sorted(set(chosen) - set(cohort))
            failures += [Failure(one, LOST if when[one] == math.inf else LATE) for one in missing]
            if len(cohort) >= conf.min_clients:
                return cohort, asked, failures, seconds
            failures += [Failure(one, ABANDONED) for one in cohort]
        raise RunError(
            f"{bench.repeat}: round {round_ + 1} was abandoned {_MOST_ABANDONED} times, fewer than {conf.min_clients} "
            "clients answered in time"
        )
