"""What a client does with a job, wherever it runs. It sees its own photos only and keeps nothing."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from utils.conf import Conf
from utils.federated.update import JudgeJob, TrainJob, Update
from utils.nets.layout import read_weights, write_weights
from utils.nets.resnet import build
from utils.photos.transforms import for_judging, for_training, views

CLIENT_STREAM = 1  # keeps the clients' random numbers apart from the server's
JUDGE_BATCH = 64  # fixed, so that a photo's logits do not depend on how many workers share the judging


def train(job: TrainJob, device: torch.device) -> Update:
    """Local training: `conf.local_epochs` passes of SGD with a fresh optimizer (McMahan et al. 2017, alg. 1).

    The photos of a pass are cut into batches as equal as possible and none larger than `conf.batch_size`, so
    no batch is a lone remainder. Where a batch is of one photo after all, batch norm uses its running
    statistics. The result depends on the job alone. Raises FloatingPointError when the loss is not finite,
    ValueError when there is no photo.
    """
    conf = job.conf
    if not len(job.photos):
        raise ValueError("it has no readable photo")
    rng = np.random.default_rng([CLIENT_STREAM, job.seed, job.round, job.client])
    pixels, net = _pixels(job.store), _net(conf, str(device))
    write_weights(net, job.weights)
    optimizer = torch.optim.SGD(
        net.parameters(), lr=job.lr, momentum=conf.momentum, weight_decay=conf.weight_decay
    )
    started = time.perf_counter()
    steps, loss_sum, correct = 0, 0.0, 0
    for _ in range(conf.local_epochs):
        order = rng.permutation(len(job.photos))
        for batch in np.array_split(order, math.ceil(len(order) / conf.batch_size)):
            net.train(len(batch) > 1)
            inputs = for_training(
                pixels[job.photos[batch]], conf.image_size, conf.augment, conf.min_crop, rng
            )
            targets = torch.from_numpy(job.labels[batch]).to(device)
            logits = _forward(net, inputs, device)
            loss = F.cross_entropy(logits, targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            steps += 1
            loss_sum += loss.item() * len(batch)
            correct += int((logits.argmax(1) == targets).sum())
        if not math.isfinite(loss_sum):
            raise FloatingPointError(f"training loss is not finite at learning rate {job.lr:g}")
    seen = conf.local_epochs * len(job.photos)
    metrics = {
        "loss": loss_sum / seen,
        "acc": correct / seen,
        "steps": float(steps),
        "seconds": time.perf_counter() - started,
    }
    return Update(job.client, read_weights(net), len(job.photos), metrics)


def judge(job: JudgeJob, device: torch.device) -> NDArray[np.float32]:
    """Logits (n, 2) of the job's photos, deterministic: the mean over the views that `conf.judging` asks for."""
    conf = job.conf
    pixels, net = _pixels(job.store), _net(conf, str(device))
    write_weights(net, job.weights)
    net.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(job.photos), JUDGE_BATCH):
            inputs = for_judging(pixels[job.photos[start : start + JUDGE_BATCH]], conf.judged_side, job.grey)
            seen = views(inputs, conf.image_size, conf.judging)
            parts.append(torch.stack([_forward(net, view, device) for view in seen]).mean(0))
    return torch.cat(parts).float().cpu().numpy()


def _forward(net: nn.Module, inputs: torch.Tensor, device: torch.device) -> torch.Tensor:
    on_gpu = device.type == "cuda"
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=on_gpu):
        logits: torch.Tensor = net(inputs.to(device, memory_format=torch.channels_last))
    return logits.float()


@lru_cache(maxsize=4)
def _net(conf: Conf, device: str) -> nn.Module:
    """A network of this shape, reused from job to job; every job writes all of its weights first."""
    net = build(replace(conf, pretrained=False), seed=0)
    return net.to(device=torch.device(device), memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


@lru_cache(maxsize=4)
def _pixels(store: str) -> NDArray[np.uint8]:
    return np.load(store, mmap_mode="r")  # type: ignore[no-any-return]
