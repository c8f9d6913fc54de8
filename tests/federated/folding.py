"""A round as a strategy sees it, of vectors made by hand."""

from __future__ import annotations

import numpy as np

from tests.conftest import TINY
from utils.conf import make_conf
from utils.federated.strategies import make_strategy
from utils.federated.update import Update


def strategy_of(name, server_lr=1.0, conf=None, **keys):
    """The strategy with these keys, of a tiny conf with any key changed."""
    part = {"name": name, **keys}
    return make_strategy(make_conf({**TINY, "lambda": server_lr, **(conf or {}), "strategy": part}, "test"))


def played(strategy, old, vectors, samples=None, steps=None):
    """The new weights after a round in which client number n sent `vectors[n]`."""
    strategy.begin(np.asarray(old, np.float32))
    samples, steps = samples or [1] * len(vectors), steps or [1] * len(vectors)
    for client, (vector, count, done) in enumerate(zip(vectors, samples, steps, strict=True)):
        vector = np.asarray(vector, np.float32)
        strategy.fold(Update(client, vector, count, {"steps": float(done)}))
        vector[:] = 7e7  # the memory an update comes in is used again
    return strategy.finish()


def drawn(seed, count=7, size=40):
    """Old weights (size,) and updates of so many clients, somewhat off them."""
    rng = np.random.default_rng(seed)
    old = rng.normal(size=size).astype(np.float32)
    return old, [(old + rng.normal(size=size)).astype(np.float32) for _ in range(count)]


def goes_on(make, rounds=3):
    """Whether a strategy that `make` makes goes on from its state, in another process, to the same bits."""
    whole, (weights, _) = make(), drawn(0)
    for round_ in range(rounds):
        _, vectors = drawn(round_ + 1)
        again = make()
        again.restore({name: value.copy() for name, value in whole.state().items()})
        state = whole.state()
        kept = {name: value.tobytes() for name, value in state.items()}
        new = played(whole, weights, [vector.copy() for vector in vectors])
        if not np.array_equal(played(again, weights, vectors), new):
            return False
        if kept != {name: value.tobytes() for name, value in state.items()}:  # it is in the hands of others
            return False
        weights = new
    return True
