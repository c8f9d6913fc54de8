"""The common work, and what everybody needs to do it. Imported in the peers' environment too."""

from __future__ import annotations

import sys
from functools import cache

import numpy as np
import torch
from torch import nn

from utils.nets.vision import torchvision_models
from utils.photos.transforms import as_given

CLIENTS, PHOTOS, SIDE, BATCH, LR, MOMENTUM = 10, 32, 64, 16, 0.01, 0.9
WARM, ROUNDS = 1, 3
WORK = (
    f"torchvision's resnet18 with batch norm and 2 outputs, {CLIENTS} clients of {PHOTOS} photos of {SIDE} x {SIDE} "
    f"pixels,\none pass in batches of {BATCH}, SGD with momentum, the mean of all clients weighted by photos"
)


def made_up() -> tuple[np.ndarray, np.ndarray]:
    """Photos (n, 3, SIDE, SIDE) uint8 and their classes (n,), the same wherever they are made up."""
    rng = np.random.default_rng(0)
    count = CLIENTS * PHOTOS
    return rng.integers(0, 256, (count, 3, SIDE, SIDE), dtype=np.uint8), np.arange(count) % 2


@cache
def prepared(client: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A client's photos as a network takes them, and their classes."""
    pixels, classes = made_up()
    mine = slice(client * PHOTOS, (client + 1) * PHOTOS)
    photos = as_given(torch.from_numpy(pixels[mine]).float().div_(255), "rgb")
    return photos, torch.from_numpy(classes[mine])


def network() -> nn.Module:
    """A fresh network; channels_last makes it slower at this work."""
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    net: nn.Module = torchvision_models().resnet18(num_classes=2)
    return net


def tell(seconds: float) -> None:
    """The last line of a peer's output: photos per second of the rounds that count."""
    print(f"\n{ROUNDS * CLIENTS * PHOTOS / seconds:.2f}")
    sys.stdout.flush()
