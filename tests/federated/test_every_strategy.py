"""Whole trainings with every strategy there is."""

import numpy as np
import pytest

from tests.here import Here
from utils.experiment import run_repeat
from utils.federated.bench import Repeat
from utils.nets.build import layout_of
from utils.parts import names
from utils.results import values

FEW = {"krum": {"f": 0}, "multikrum": {"f": 0}, "dp_fedavg": {"noise": 0.0}}
ELSE = {"dp_fedavg": {"norm": "group", "selection": "poisson", "min_clients": 0}}


@pytest.mark.parametrize("name", names("strategy"))
def test_a_network_with_batch_norm_learns_and_keeps_variances(name, tiny, photos):
    part = {"name": name, **FEW.get(name, {})}
    lr = 0.01 if name in ("fedadagrad", "fedadam", "fedyogi") else 1.0
    conf = tiny(
        global_epochs=6,
        local_epochs=3,
        strategy=part,
        **{"lambda": lr, "norm": "batch", **ELSE.get(name, {})},
    )
    state = run_repeat(conf, Repeat(0, 0, 0), photos, Here())
    assert state.weights.dtype == np.float32
    named = layout_of(conf).named(state.weights)
    assert all((array >= 0).all() for tensor, array in named.items() if tensor.endswith("running_var"))
    losses = values(state.record, "training_loss")  # that of the few test examples swings
    assert losses[-1] < losses[0], losses
