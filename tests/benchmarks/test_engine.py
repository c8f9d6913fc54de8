"""The engine against the machine's own limit, measured in interleaved pairs because machines drift.

    make benchmark

Ratios are medians over the pairs of one run; no absolute time is asserted.
"""

import json
import statistics
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tests.benchmarks.bare import BareProcesses, ancestor_round
from tests.conftest import ROOT, draw_set
from utils.conf import load_conf, make_conf
from utils.engines.workers import Workers
from utils.federated.bench import Bench, Repeat, State, share_out
from utils.nets.build import build
from utils.nets.layout import read_weights
from utils.photos.store import open_photos

PAIRS = 7
ROUNDS = 3
FIRST = Repeat(0, 0, 0)


@pytest.fixture(scope="module")
def f10():
    return load_conf(ROOT / "utils" / "conf_f10.json")


@pytest.fixture(scope="module")
def skies(tmp_path_factory, f10):
    """As many drawn skies as the shipped results have photos."""
    folder = tmp_path_factory.mktemp("data")
    draw_set(folder / "drawn", count=340)
    return open_photos(folder / "drawn", f10.task.keys.store_side, folder / ".store"), folder / "drawn"


def _rounds(conf, photos, engine, rounds):
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


def test_f10_on_two_workers_reaches_nine_tenths_of_the_machine(f10, skies):
    photos, _ = skies
    mine = share_out(f10, FIRST, photos).clients[0]
    bare = BareProcesses(2)
    ratios, overheads, judging = [], [], []
    with Workers(2) as engine:
        _rounds(f10, photos, engine, 1)
        bare.rate(f10, str(photos.store), mine, photos.targets[mine], 4)
        for _ in range(PAIRS):
            limit = bare.rate(
                f10, str(photos.store), mine, photos.targets[mine], ROUNDS * 5 * f10.local_epochs
            )
            rate, overhead, bench, state = _rounds(f10, photos, engine, ROUNDS)
            ratios.append(rate / limit)
            overheads.append(overhead)
            started = time.perf_counter()
            judged = len(bench.judge("held", state.weights))
            judging.append(judged / (time.perf_counter() - started))
            print(f"\nf10 {rate:.0f} photos/s, limit {limit:.0f}, ratio {rate / limit:.3f}", end="")
    bare.close()
    print(
        f"\nf10 on 2 workers: {statistics.median(ratios):.3f} of the limit (median of {PAIRS} pairs); "
        f"overhead {statistics.median(overheads):.1f} ms per client and round; "
        f"judging {statistics.median(judging):.0f} photos/s"
    )
    assert statistics.median(ratios) >= 0.9


@pytest.mark.parametrize("threads", ["torch's default", 1])
def test_faster_than_a_loop_as_the_ancestors_wrote_it(f10, skies, tmp_path, threads):
    photos, folder = skies
    shares = share_out(f10, FIRST, photos)
    conf = replace(f10, local_epochs=1)
    by_hash = {path.stem: path for path in folder.glob("*/*/*.png")}
    files, labels = [], []
    for number, mine in enumerate(shares.clients):
        files.append([])
        for index in mine:
            with Image.open(by_hash[photos.ids[index]]) as image:
                files[-1].append(tmp_path / f"{number}-{index}.jpg")
                image.resize((640, 480)).save(files[-1][-1])
        labels.append(photos.targets[mine].tolist())
    before = torch.get_num_threads()
    torch.set_num_threads(before if threads == "torch's default" else 1)
    ratios = []
    try:
        with Workers(2) as engine:
            _rounds(conf, photos, engine, 1)
            for _ in range(5):
                ancestor = ancestor_round(conf, files, labels)
                ratios.append(_rounds(conf, photos, engine, ROUNDS)[0] / ancestor)
    finally:
        torch.set_num_threads(before)
    print(f"\n{statistics.median(ratios):.1f} times an ancestor-style loop with threads: {threads}")
    assert statistics.median(ratios) > 1


_MANY = """
import json, resource, sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from utils.conf import load_conf, make_conf
from utils.engines.workers import Workers
from utils.data.examples import Examples
from utils.experiment import run_repeat
from utils.federated.bench import Repeat

folder, clients = Path(sys.argv[1]), int(sys.argv[2])
conf = replace(load_conf(Path("utils/conf_f10.json")), no_models=clients, k=clients, owners=clients, global_epochs=1,
               local_epochs=1)
conf = replace(conf, task=replace(conf.task, keys=replace(conf.task.keys, image_size=16)))
ids = tuple(f"{i:064x}" for i in range(2000))
photos = Examples("many", folder / "many.npy", ids, np.arange(2000) % 2, ids, ("drawn",) * 2000,
                  np.arange(2000) // 2 % 10, np.ones(2000, np.int64),
                  np.load(folder / "many.npy", mmap_mode="r"), *[np.ones(2000, bool)] * 3, "", (), {})

class Counted(Workers):
    seen = 0
    def train(self, *asked):
        for outcome in super().train(*asked):
            Counted.seen += len(outcome.payload)
            yield outcome

if __name__ == "__main__":
    with Counted(2) as engine:
        run_repeat(conf, Repeat(0, 0, 0), photos, engine)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"peak": peak, "bytes": Counted.seen}))
"""


def test_the_servers_memory_does_not_grow_with_the_number_of_clients(tmp_path):
    np.save(
        tmp_path / "many.npy", np.random.default_rng(0).integers(0, 256, (2000, 3, 24, 24), dtype=np.uint8)
    )
    script = tmp_path / "many.py"
    script.write_text(_MANY)
    found = {}
    for clients in (10, 1000):
        done = subprocess.run(
            [sys.executable, script, str(tmp_path), str(clients)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=1200,
            env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stderr
        found[clients] = json.loads(done.stdout)
    assert found[1000]["bytes"] > 2e9
    more = (found[1000]["peak"] - found[10]["peak"]) / 1e6
    print(
        f"\nserver memory: {more:+.1f} MB for 1000 updates ({found[1000]['bytes'] / 1e9:.1f} GB) against 10"
    )
    assert more < 100


@pytest.mark.parametrize(
    ("layers", "copies"),
    [([80, 10], None), ([512, 512, 256], 40), ([1600, 3200, 1600, 512], 12)],
    ids=["6 thousand weights", "0.4 million", "11 million"],
)
def test_what_a_client_costs_beside_its_training_is_a_few_copies_of_its_weights(tmp_path, layers, copies):
    dense = [{"dense": units, "activation": "relu"} for units in layers]
    conf = make_conf(
        {
            "type": "digits", "network": {"layers": [{"flatten": True}, *dense]}, "no_models": 10, "k": 10,
            "global_epochs": 1, "local_epochs": 1, "batch_size": 16, "lr": 0.1, "momentum": 0.9,
        },
        "x",
    )  # fmt: skip
    examples = conf.task.module.open_examples(conf, tmp_path)
    overheads, copied, ratios = [], [], []
    with Workers(2) as engine:
        _rounds(conf, examples, engine, 2)
        for _ in range(PAIRS):
            _, overhead, _, state = _rounds(conf, examples, engine, ROUNDS)
            place = np.empty_like(state.weights)
            started = time.perf_counter()
            for _ in range(10):
                np.copyto(place, state.weights)
            copied.append(100 * (time.perf_counter() - started))
            overheads.append(overhead)
            ratios.append(overhead / copied[-1])
    print(
        f"\n{len(place):,} weights: {statistics.median(overheads):.2f} ms per client and round beside its training, "
        f"{statistics.median(ratios):.1f} plain copies of {statistics.median(copied):.3f} ms"
    )
    assert copies is None or statistics.median(ratios) < copies
