"""The work that SkyFed is timed at beside others, and how it is timed."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from tests.benchmarks.peers.common import BATCH, CLIENTS, LR, MOMENTUM, ROUNDS, SIDE, WARM, made_up
from utils.conf import Conf
from utils.data.examples import Examples
from utils.engines.workers import Workers
from utils.federated.bench import Bench, Repeat, State
from utils.nets.build import build
from utils.nets.layout import read_weights

FIRST = Repeat(0, 0, 0)
CONF = {
    "model_name": "resnet18", "norm": "batch", "type": "weather", "data": "made_up", "image_size": SIDE,
    "augment": "none", "no_models": CLIENTS, "k": CLIENTS, "global_epochs": WARM + ROUNDS, "local_epochs": 1,
    "batch_size": BATCH, "lr": LR, "momentum": MOMENTUM,
}  # fmt: skip


def examples_in(folder: Path) -> Examples:
    """The made-up photos as SkyFed has them, and one more to judge, which nobody does."""
    pixels, classes = made_up()
    store = folder / "made_up.npy"
    np.save(store, np.concatenate([pixels, pixels[:1]]))
    count = len(pixels) + 1
    ids = tuple(f"{number:064x}" for number in range(count))
    decks = np.array([3] * len(pixels) + [0])  # of training and of test, while fold 0 is held out
    return Examples(
        "made_up", store, ids, np.append(classes, 0), ids, ("made up",) * count, decks, np.ones(count, np.int64),
        np.load(store, mmap_mode="r"), *[np.ones(count, bool)] * 3, "", (), {},
    )  # fmt: skip


def play(conf: Conf, photos: Examples, engine: Workers, rounds: int) -> tuple[float, float, Bench, State]:
    """Photos per second and overhead in ms per client and round, from first train step to last aggregate; the bench and
    the state at the end.
    """
    bench = Bench(conf, FIRST, photos, engine)
    state = State({"weights": read_weights(build(conf, 0))})
    seen, busy, jobs = 0, 0.0, 0
    started = time.perf_counter()
    for state.round in range(rounds):
        played = bench.rounds.play(bench, state)
        state.vectors = played.vectors
        seen += sum(samples for _, samples, _ in played.updates) * conf.local_epochs
        busy += sum(metrics["seconds"] for _, _, metrics in played.updates)
        jobs += len(played.updates)
    elapsed = time.perf_counter() - started
    return seen / elapsed, 1000 * (engine.count * elapsed - busy) / jobs, bench, state
