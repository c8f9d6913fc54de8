"""What it costs to know what updates were worth, as a ratio to the rounds without.

    make benchmark

In turns, because machines drift; no absolute time is asserted.
"""

import statistics
import time

from tests.benchmarks.common_work import FIRST
from utils.conf import make_conf
from utils.engines.workers import Workers
from utils.experiment import run_repeat

PAIRS, MODELS = 5, 200
MOST = 0.1
"""Share of a plain round's time that one judged model takes, at most."""
DIGITS = {
    "type": "digits", "no_models": 10, "k": 10, "global_epochs": 2, "local_epochs": 2, "batch_size": 16, "lr": 0.1,
    "momentum": 0.9,
}  # fmt: skip


def test_a_model_that_is_judged_costs_little_of_a_round(tmp_path):
    plain, valued = (make_conf({**DIGITS, "worth": worth}, "x") for worth in (0, MODELS))
    examples = plain.task.module.open_examples(plain, tmp_path)
    ratios, models = [], 0.0
    with Workers(2) as engine:
        run_repeat(valued, FIRST, examples, engine)
        for _ in range(PAIRS):
            seconds = []
            for conf in (plain, valued):
                began = time.perf_counter()
                record = run_repeat(conf, FIRST, examples, engine).record
                seconds.append(time.perf_counter() - began)
            ratios.append(seconds[1] / seconds[0])
            series = {one["name"]: one["values"] for one in record["series"]}
            models = statistics.mean(series["worth_models"])
    ratio = statistics.median(ratios)
    print(f"\nworth of ten updates from {models:.0f} models a round: {ratio:.2f} times a plain round", end="")
    assert models > MODELS / 2 and (ratio - 1) / models < MOST
