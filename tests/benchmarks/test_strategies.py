"""What strategies cost the server, against federated averaging and against the memory of the updates themselves.

    make benchmark

Times are ratios within one run, in turns because machines drift; no absolute time is asserted.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.federated.folding import strategy_of
from utils.federated.update import Update
from utils.parts import load, names

SIZE, CLIENTS, TURNS = 700_000, 10, 9
STREAMING, GATHERING, SORTING = (
    3,
    6,
    10,
)  # times federated averaging, at most; to sort ten numbers is not to add them


def _seconds(strategy, old, updates):
    began = time.perf_counter()
    strategy.begin(old)
    for update in updates:
        strategy.fold(update)
    strategy.finish()
    return time.perf_counter() - began


def test_server_time_of_every_strategy_against_federated_averaging():
    rng = np.random.default_rng(0)
    old = rng.normal(size=SIZE).astype(np.float32)
    updates = [
        Update(client, (old + rng.normal(size=SIZE)).astype(np.float32), 5, {"steps": 5.0})
        for client in range(CLIENTS)
    ]
    conf = {"no_models": CLIENTS, "k": CLIENTS, "width": 16}
    rules = {name: strategy_of(name, 0.1, conf) for name in names("strategy")}
    plain, found = strategy_of("fedavg", 0.1, conf), {name: [] for name in rules}
    for turn in range(TURNS + 1):
        for name, rule in rules.items():
            least = _seconds(plain, old, updates)
            ratio = _seconds(rule, old, updates) / least
            if turn:
                found[name].append(ratio)
    ratios = {name: statistics.median(of) for name, of in found.items()}
    for name, ratio in ratios.items():
        print(f"\n{name}: {ratio:.1f} times federated averaging", end="")
    most = {
        name: GATHERING if getattr(load("strategy", name), "NEEDS_ALL", False) else STREAMING
        for name in rules
    }
    most |= {"fedavg": 1.2, "median": SORTING, "trimmed_mean": SORTING}
    assert {name: ratio for name, ratio in ratios.items() if ratio > most[name]} == {}


_PEAK = """
import json, sys
import numpy as np
from tests.federated.folding import strategy_of
from utils.engines.memory import POOL
from utils.federated.update import Update

name, clients, size = sys.argv[1], int(sys.argv[2]), 700_000

def held(what):
    with open("/proc/self/status") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith(what + ":"))

keys = {"f": 20} if "krum" in name else {}
strategy = strategy_of(name, 0.5, {"no_models": 100, "k": 100, "width": 16}, **keys)
rng, old = np.random.default_rng(0), POOL.vector(size)
old[:] = rng.standard_normal(size, np.float32)
one = POOL.vector(size)
np.ones((300, 300)) @ np.ones((300, 300))
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
before = held("VmRSS")
for round_ in range(2):
    strategy.begin(old)
    for client in range(clients):
        one[:] = rng.standard_normal(size, np.float32)
        strategy.fold(Update(client, one, 5, {"steps": 5.0}))
    old = strategy.finish()
print(json.dumps((held("VmHWM") - before) / (4 * size)))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's account of memory")
@pytest.mark.parametrize("name", names("strategy"))
def test_peak_memory_with_a_hundred_clients(tmp_path, name):
    script = tmp_path / "peak.py"
    script.write_text(_PEAK)
    done = subprocess.run(
        [sys.executable, script, name, "100"],
        cwd=ROOT, capture_output=True, text=True, timeout=600, env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    vectors = json.loads(done.stdout)
    print(f"\n{name}: {vectors:.1f} vectors of weights at the peak, with 100 clients", end="")
    assert vectors <= (105 if getattr(load("strategy", name), "NEEDS_ALL", False) else 10)
