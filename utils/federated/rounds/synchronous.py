"""Rounds in step: a cohort trains from the current model, and all its updates make the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from utils.federated.bench import RunError
from utils.federated.rounds import Played
from utils.federated.update import Failure, TrainJob

if TYPE_CHECKING:
    from utils.federated.bench import Bench, State

ABOUT = ("in step: the server waits for its cohort", "同步：服务器等待本轮全部客户端")


class Rounds:
    """One round after the other."""

    def play(self, bench: Bench, state: State) -> Played:
        """Train, decode and fold. Raises RunError when fewer clients than `min_clients` gave an update."""
        sent, strategy, way = state.weights, bench.strategy, bench.way
        updates: list[tuple[int, int, dict[str, float]]] = []
        failures: list[Failure] = []
        buffers = {"weights": sent.data.cast("B")}
        cohort = bench.cohort(state.round, buffers)
        jobs = [
            TrainJob(state.round, client, bench.lr(state.round), ("weights",), f"update/{client}")
            for client in cohort
        ]
        up = 0
        strategy.begin(sent)
        for outcome in bench.engine.train(bench.work, jobs, buffers):
            if isinstance(outcome, Failure):
                failures.append(outcome)
                continue
            up += memoryview(outcome.payload).nbytes
            try:
                update = way.receive(outcome, sent)
            except ValueError as error:
                failures.append(Failure(outcome.client, str(error)))
                continue
            if update:
                strategy.fold(update)
            updates.append((outcome.client, outcome.samples, outcome.metrics))
        if len(updates) < bench.conf.min_clients:
            raise RunError(
                f"{bench.repeat}: round {state.round + 1} has {len(updates)} updates, "
                f"min_clients is {bench.conf.min_clients}"
                + (f"; last failure: {failures[-1].reason}" if failures else "")
            )
        if update := way.opened(sent):
            strategy.fold(update)
        new = strategy.finish()
        return Played({"weights": new}, updates, failures, sent.nbytes * len(jobs), up, strategy.series())
