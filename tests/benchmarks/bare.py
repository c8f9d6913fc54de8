"""What the engine is measured against: processes that do nothing but train, and a loop as the ancestors wrote it."""

from __future__ import annotations

import copy
import math
import multiprocessing
import statistics
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from utils.conf import Conf
from utils.federated.client import CLIENT_STREAM
from utils.nets.build import build
from utils.photos.transforms import as_given

_SPAWN = multiprocessing.get_context("spawn")


def bare_loop(
    conf: Conf,
    store: str,
    indices: np.ndarray,
    labels: np.ndarray,
    passes: int,
    layout: torch.memory_format = torch.channels_last,
) -> float:
    """Photos per second of plain single-threaded SGD over the same tensors with the same augmentation."""
    pixels = np.load(store, mmap_mode="r")
    net = build(conf, 0).to(memory_format=layout).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=conf.momentum)
    rng = np.random.default_rng([CLIENT_STREAM, 0, 0, 0])
    started = time.perf_counter()
    for _ in range(passes):
        for batch in np.array_split(rng.permutation(len(indices)), math.ceil(len(indices) / conf.batch_size)):
            inputs = conf.task.module.for_training(pixels[indices[batch]], conf, rng)
            inputs = inputs.to(memory_format=layout) if inputs.dim() == 4 else inputs
            loss = F.cross_entropy(net(inputs), torch.from_numpy(labels[batch]))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            loss.item()
    return passes * len(indices) / (time.perf_counter() - started)


def plain_copies(length: int, copies: int) -> float:
    """Seconds that one of so many copies of a vector (length,) takes."""
    vector, place = np.ones(length, np.float32), np.empty(length, np.float32)
    np.copyto(place, vector)
    started = time.perf_counter()
    for _ in range(copies):
        np.copyto(place, vector)
    return (time.perf_counter() - started) / copies


def _bare_process(connection) -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    while (work := connection.recv()) is not None:
        connection.send(work[0](*work[1:]) if work else None)


class BareProcesses:
    """`count` processes that do the same at the same time, knowing nothing of each other."""

    def __init__(self, count: int) -> None:
        self.connections, self.processes = [], []
        for _ in range(count):
            ours, theirs = _SPAWN.Pipe()
            process = _SPAWN.Process(target=_bare_process, args=(theirs,), daemon=True)
            process.start()
            self.connections.append(ours)
            self.processes.append(process)

    def each(self, *work, of: int | None = None) -> list:
        """What comes of a function and its arguments in each of them, or in the first few."""
        for connection in self.connections[:of]:
            connection.send(work)
        return [connection.recv() for connection in self.connections[:of]]

    def rate(self, *work, of: int | None = None) -> float:
        """The sum of their photos per second in bare loops."""
        return sum(self.each(bare_loop, *work, of=of))

    def seconds_to_copy(self, length: int) -> float:
        """What a plain copy of a vector of float32 takes while the others copy too."""
        return statistics.median(self.each(plain_copies, length, max(5, 10**7 // length)))

    def seconds_one_way(self) -> float:
        """Half of what an empty message there and one back take."""
        taken = []
        for _ in range(200):
            started = time.perf_counter()
            self.each(of=1)
            taken.append(time.perf_counter() - started)
        return statistics.median(taken) / 2

    def close(self) -> None:
        """End them."""
        for connection in self.connections:
            connection.send(None)
        for process in self.processes:
            process.join()


class _Jpegs(torch.utils.data.Dataset):
    """JPEG files decoded and transformed anew for every use."""

    def __init__(self, files: list[Path], labels: list[int], side: int) -> None:
        self.files, self.labels, self.side = files, labels, side

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        with Image.open(self.files[index]) as image:
            small = image.convert("RGB").resize((self.side, self.side), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1).float() / 255
        if torch.rand(1) < 0.5:
            pixels = pixels.flip(-1)
        return as_given(pixels[None], "rgb")[0], self.labels[index]


def ancestor_round(conf: Conf, files: list[list[Path]], labels: list[list[int]]) -> float:
    """Photos per second of one round as the ancestors did it: a model per client, a DataLoader per client."""
    server = build(conf, 0)
    clients = [copy.deepcopy(server) for _ in files]
    started = time.perf_counter()
    total = {name: torch.zeros_like(tensor) for name, tensor in server.state_dict().items()}
    for net, its_files, its_labels in zip(clients, files, labels, strict=True):
        net.load_state_dict(server.state_dict())
        loader = torch.utils.data.DataLoader(
            _Jpegs(its_files, its_labels, conf.task.keys.image_size), batch_size=conf.batch_size, shuffle=True
        )
        optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=conf.momentum)
        net.train()
        for _ in range(conf.local_epochs):
            for inputs, targets in loader:
                optimizer.zero_grad()
                F.cross_entropy(net(inputs), targets).backward()
                optimizer.step()
        for name, tensor in net.state_dict().items():
            total[name] += tensor - server.state_dict()[name]
    server.load_state_dict({n: t + total[n] / len(clients) for n, t in server.state_dict().items()})
    return conf.local_epochs * sum(map(len, files)) / (time.perf_counter() - started)
