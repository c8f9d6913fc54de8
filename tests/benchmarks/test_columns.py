"""What it costs that columns are with several owners, against the same passes in one place: seconds, as a ratio within
one run.

make benchmark
"""

import statistics
import time

import numpy as np
import torch
from torch import nn

from utils.vertical import Wire
from utils.vertical.joint import Joint
from utils.vertical.owners import passes

PEOPLE, COLUMNS, UNITS, BATCH, TURNS = 4000, 64, 64, 32, 9
MOST = 4
"""Times as long, at most: of two owners one sends and both step, so there are twice as many steps and some copying."""


def _network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(COLUMNS, UNITS), nn.ReLU(), nn.Linear(UNITS, 10)).double()


def _in_one_place(rows, targets, batches):
    net, rows, targets = _network(), torch.tensor(rows), torch.tensor(targets)
    sgd = torch.optim.SGD(net.parameters(), 0.1, 0.9)
    began = time.perf_counter()
    for batch in batches:
        sgd.zero_grad()
        nn.functional.cross_entropy(net(rows[batch]), targets[batch]).backward()
        sgd.step()
    return time.perf_counter() - began


def _of_two(rows, targets, batches):
    halves = (range(COLUMNS // 2), range(COLUMNS // 2, COLUMNS))
    guest, hosts = Joint(_network(), halves, False).owners([rows[:, of] for of in halves], targets)
    for one in (guest, *hosts):
        one.begin(0.1, 0.9, 0.0)
    began = time.perf_counter()
    passes(guest, hosts, batches, Wire())
    return time.perf_counter() - began


def test_a_pass_of_two_owners_against_one_in_one_place():
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    rows, targets = rng.normal(size=(PEOPLE, COLUMNS)), rng.integers(0, 10, PEOPLE)
    batches = np.array_split(rng.permutation(PEOPLE), PEOPLE // BATCH)
    ratios = [
        _of_two(rows, targets, batches) / _in_one_place(rows, targets, batches) for _ in range(TURNS + 1)
    ]
    ratio = statistics.median(ratios[1:])
    print(f"\ncolumns of two owners: {ratio:.1f} times a pass in one place", end="")
    assert ratio < MOST
