"""The common work in pfl-research, as its guides simulate: federated averaging on a simulated backend."""

from __future__ import annotations

import time

import numpy as np
import torch
import torch.nn.functional as F
from pfl.aggregate.simulate import SimulatedBackend
from pfl.aggregate.weighting import WeightByDatapoints
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.callback.base import TrainingProcessCallback
from pfl.data.federated_dataset import FederatedDataset
from pfl.data.pytorch import PyTorchTensorDataset
from pfl.data.sampling import get_user_sampler
from pfl.hyperparam.base import NNTrainHyperParams
from pfl.internal.ops import pytorch_ops
from pfl.metrics import Metrics, Weighted
from pfl.model.pytorch import PyTorchModel

from tests.benchmarks.peers.common import (
    BATCH,
    CLIENTS,
    LR,
    MOMENTUM,
    ROUNDS,
    WARM,
    network,
    prepared,
    tell,
)


def _loss(self, inputs, classes):
    self.train()
    return F.cross_entropy(self(inputs), classes)


@torch.no_grad()
def _metrics(self, inputs, classes):
    self.eval()
    return {"loss": Weighted(F.cross_entropy(self(inputs), classes, reduction="sum").item(), len(classes))}


class _Watch(TrainingProcessCallback):
    def __init__(self):
        self.ends = []

    def after_central_iteration(self, aggregate_metrics, model, *, central_iteration):
        """Called when the new model is there."""
        self.ends.append(time.perf_counter())
        return False, Metrics()


def main():
    """Train, tell how fast."""
    np.random.seed(0)  # every process is to choose the same clients
    net = network()
    type(net).loss, type(net).metrics = _loss, _metrics
    model = PyTorchModel(
        model=net,
        local_optimizer_create=lambda parameters, lr: torch.optim.SGD(parameters, lr, MOMENTUM),
        central_optimizer=torch.optim.SGD(net.parameters(), lr=1.0),
    )
    users = {str(client): PyTorchTensorDataset(prepared(client), str(client)) for client in range(CLIENTS)}
    photos = FederatedDataset(users.__getitem__, get_user_sampler("minimize_reuse", list(users)))
    watch = _Watch()
    FederatedAveraging().run(
        NNAlgorithmParams(
            central_num_iterations=WARM + ROUNDS,
            evaluation_frequency=WARM + ROUNDS,  # in the first round only
            train_cohort_size=CLIENTS,
            val_cohort_size=0,
        ),
        SimulatedBackend(photos, photos, postprocessors=[WeightByDatapoints()]),
        model,
        NNTrainHyperParams(local_num_epochs=1, local_learning_rate=LR, local_batch_size=BATCH),
        callbacks=[watch],
        send_metrics_to_platform=False,
    )
    if pytorch_ops.distributed.global_rank == 0:
        tell(watch.ends[-1] - watch.ends[WARM - 1])
