"""The network that a conf describes, with weights that follow from a seed alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import nn

from utils.conf import Conf
from utils.data.scaling import Scaled
from utils.nets.layout import Layout
from utils.tasks import inputs_of, is_scaled, outputs_of, unit_of

_GLOBAL_GENERATOR = threading.RLock()  # layers initialise from torch's one generator, threads share it


@contextmanager
def own_generator(seed: int) -> Iterator[None]:
    """Torch's global generator, begun with `seed`, for one thread at a time; afterwards it is as it was."""
    with _GLOBAL_GENERATOR, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def build(conf: Conf, seed: int) -> nn.Module:
    """A fresh network for `conf`: inputs of its task to logits (n, classes), or to one number each (n, 1).

    The weights follow from `seed` alone; torch's global generator is left as it was. Raises ConfError when
    pretrained weights are asked for and cannot be had.
    """
    with own_generator(seed):
        net: nn.Module = conf.network.module.build(conf.network.keys, inputs_of(conf), outputs_of(conf))
        return Scaled(net, inputs_of(conf).shape, unit_of(conf) is not None) if is_scaled(conf) else net


def layout_of(conf: Conf) -> Layout:
    """How the weights of the network lie in a vector; names and shapes cost nothing, the network is not built."""
    with torch.device("meta"):
        return Layout.of(shape_of(conf))


def has_batch_norm(conf: Conf) -> bool:
    """Whether the network keeps running statistics, which are no parameters and yet say something of examples."""
    return any(name.endswith("running_mean") for name in layout_of(conf).names)


def shape_of(conf: Conf) -> nn.Module:
    """A network of the same layers with weights of no meaning; nothing is fetched for it."""
    keys = conf.network.keys
    if getattr(keys, "pretrained", False):
        conf = replace(conf, network=replace(conf.network, keys=replace(keys, pretrained=False)))
    return build(conf, seed=0)
