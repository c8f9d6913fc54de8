"""What no processor changes, held by committed hashes: splits, owners, cohorts, order of batches, initial weights,
and FedAvg's fold of given vectors. (Three steps of SGD already differ between processors with AVX-512 and AVX2.)

Who changes one of these on purpose changes the hash with it, and says so: runs begun before can then no longer be
resumed, nor shipped results be repeated.
"""

import hashlib
import json

import numpy as np

from tests.conftest import ROOT, TINY
from utils.conf import load_conf, make_conf
from utils.data.split import deck_of, scene_of, split_of
from utils.federated.client import CLIENT_STREAM
from utils.federated.schedule import round_lr
from utils.federated.selection import COHORT_STREAM
from utils.federated.selection.uniform import Selection
from utils.federated.strategies.fedavg import Strategy
from utils.federated.update import Update
from utils.nets.build import build
from utils.nets.layout import Layout, read_weights
from utils.partition.schemes import partition

COMMITTED = {
    "splits": "c4329d75e2d5c7b4f618708fb6fc2bd7",
    "owners": "2c710f7f3fec34a9b7a439922b997b7b",
    "cohorts": "3b8b6ac320c3baba5243811110d4449b",
    "batches": "4fd5ecdc125391abd4500402478deb16",
    "rates": "3107ef2c4d9d3920297e8d75ed509c58",
    "weights": "2939b645f5200e80975b2e12b15b629c",
    "fold": "cad417e3ca246d89f98eb8f2d85ffd95",
}


def _digest(*things):
    found = hashlib.sha256()
    for thing in things:
        found.update(thing.tobytes() if isinstance(thing, np.ndarray) else json.dumps(thing).encode())
    return found.hexdigest()[:32]


def _splits():
    scenes = [scene_of("source", str(number)) for number in range(500)]
    return [[scene[:8], [split_of(deck_of(scene), fold) for fold in range(5)]] for scene in scenes]


def _owners():
    targets = (np.arange(400) * 7919 % 400 < 170).astype(np.int64)
    for scheme in ("equal", "dirichlet", "quantity", "shards"):
        for seed in range(3):
            conf = make_conf({**TINY, "no_models": 7, "k": 1, "partition": scheme, "alpha": 0.4}, "x")
            yield from (part.astype("<i8") for part in partition(targets, conf, seed))


def _cohorts():
    conf = make_conf({**TINY, "no_models": 50, "k": 7}, "x")
    rule = Selection(conf, [1] * 50)
    return [
        rule.select(np.random.default_rng([COHORT_STREAM, seed, round_]), 7, None)
        for seed in range(3)
        for round_ in range(20)
    ]


def _batches():
    """The order in which a client goes through its examples."""
    for client in range(3):
        rng = np.random.default_rng([CLIENT_STREAM, 5, 2, client])
        yield rng.permutation(60).astype("<i8")


def _weights():
    for changes in ({}, {"norm": "batch", "width": 16}):
        net = build(make_conf({**TINY, **changes}, "x"), 3)
        named = Layout.of(net).named(read_weights(net))
        yield np.concatenate([array.ravel() for array in named.values()]).astype("<f4")


def _fold():
    rng = np.random.default_rng(1)
    for server_lr in (1.0, 0.3):
        strategy = Strategy(make_conf({**TINY, "lambda": server_lr}, "x"))
        strategy.begin(rng.normal(size=999).astype(np.float32))
        for client in range(5):
            strategy.fold(Update(client, rng.normal(size=999).astype(np.float32), 3 + client))
        yield strategy.finish().astype("<f4")


def _rates():
    confs = map(load_conf, sorted((ROOT / "utils").glob("conf_*.json")))
    return [round_lr(conf, r) for conf in confs if conf.task.name == "weather" for r in range(20)]


def test_what_no_processor_changes_is_what_it_was():
    found = {
        "splits": _digest(_splits()),
        "owners": _digest(*_owners()),
        "cohorts": _digest(_cohorts()),
        "batches": _digest(*_batches()),
        "rates": _digest([round(rate, 12) for rate in _rates()]),
        "weights": _digest(*_weights()),
        "fold": _digest(*_fold()),
    }
    assert found == COMMITTED
