"""What rounds of other kinds cost beside synchronous ones: seconds for an update and bytes, as ratios within one run.

make benchmark
"""

import statistics
import time

import pytest

from utils.conf import make_conf
from utils.engines.workers import Workers
from utils.experiment import run_repeat
from utils.federated.bench import Repeat
from utils.results import total

TURNS, CLIENTS, ROUNDS = 3, 16, 5
DIGITS = {
    "type": "digits", "no_models": CLIENTS, "k": CLIENTS, "local_epochs": 1, "batch_size": 16, "lr": 0.1,
    "momentum": 0.0,
}  # fmt: skip
KINDS = {
    "synchronous": {},
    "buffered": {"rounds": {"name": "buffered", "buffer": CLIENTS, "duration": "lognormal"}},
    "buffered, steps of 4": {"rounds": {"name": "buffered", "buffer": 4}, "global_epochs": 4 * ROUNDS},
    "gossip, ring": {"rounds": "gossip"},
    "gossip, full": {"rounds": {"name": "gossip", "graph": "full"}},
    "relay": {"rounds": "relay"},
}
MOST = {"relay": 6}
"""How many times as long, at most: a model that is passed on is trained in one place at a time, here of two."""


@pytest.mark.parametrize("workers", [2])
def test_an_update_in_rounds_of_every_kind_against_synchronous_ones(workers, tmp_path):
    confs = {
        name: make_conf({"global_epochs": ROUNDS, **DIGITS, **keys}, "x") for name, keys in KINDS.items()
    }
    examples = confs["synchronous"].task.module.open_examples(confs["synchronous"], tmp_path)
    ratios, sent = {name: [] for name in confs}, {}
    with Workers(workers) as engine:
        for turn in range(TURNS + 1):
            spent = {}
            for name, conf in confs.items():
                began = time.perf_counter()
                state = run_repeat(conf, Repeat(0, turn, 0), examples, engine)
                spent[name] = time.perf_counter() - began
                sent[name] = total(state.record, "bytes_up", "bytes_down")
                assert sum(one["rounds"] for one in state.record["clients"]) == CLIENTS * ROUNDS
            if turn:
                for name in confs:
                    ratios[name].append(spent[name] / spent["synchronous"])
    found = {name: statistics.median(of) for name, of in ratios.items()}
    for name, ratio in found.items():
        print(
            f"\n{name}: {ratio:.2f} times the seconds, {sent[name] / sent['synchronous']:.2f} of the bytes",
            end="",
        )
    assert {name: one for name, one in found.items() if one > MOST.get(name, 4)} == {}
