"""The common work in Flower, as its quickstart for PyTorch simulates: a ClientApp and a ServerApp with FedAvg."""

from __future__ import annotations

import time
from functools import cache

import torch
import torch.nn.functional as F
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

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

WORKERS = 2
client_app, server_app = ClientApp(), ServerApp()


@cache
def _net():
    return network()  # the quickstart makes one for every message, which takes longer


@client_app.train()
def train(message: Message, context: Context) -> Message:
    """One pass of SGD from the server's weights."""
    torch.set_num_threads(1)
    net = _net().train()
    net.load_state_dict(message.content["arrays"].to_torch_state_dict())
    optimizer = torch.optim.SGD(net.parameters(), LR, MOMENTUM)
    photos, classes = prepared(int(context.node_config["partition-id"]))
    summed = 0.0
    for batch in torch.randperm(len(photos)).split(BATCH):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(photos[batch]), classes[batch])
        loss.backward()
        optimizer.step()
        summed += loss.item() * len(batch)
    metrics = MetricRecord({"train_loss": summed / len(photos), "num-examples": len(photos)})
    content = RecordDict({"arrays": ArrayRecord(net.state_dict()), "metrics": metrics})
    return Message(content=content, reply_to=message)


class _Watched(FedAvg):
    def configure_train(self, server_round, arrays, config, grid):
        """As FedAvg; the clock starts where the rounds that count do."""
        if server_round == WARM + 1:
            self.began = time.perf_counter()
        return super().configure_train(server_round, arrays, config, grid)

    def aggregate_train(self, server_round, replies):
        """As FedAvg; the clock stops at the last aggregate."""
        replies = list(replies)
        if lost := [reply.error.reason for reply in replies if reply.has_error()]:
            raise RuntimeError(f"{len(lost)} clients failed: {lost[0]}")
        found = super().aggregate_train(server_round, replies)
        self.ended = time.perf_counter()
        return found


@server_app.main()
def serve(grid: Grid, context: Context) -> None:
    """All rounds, then how fast they were."""
    strategy = _Watched(fraction_evaluate=0.0, min_available_nodes=CLIENTS)
    strategy.start(grid, ArrayRecord(network().state_dict()), num_rounds=WARM + ROUNDS)
    tell(strategy.ended - strategy.began)


def main():
    """Train, tell how fast."""
    resources = {"client_resources": {"num_cpus": 1}, "init_args": {"num_cpus": WORKERS}}
    run_simulation(server_app, client_app, num_supernodes=CLIENTS, backend_config=resources)
