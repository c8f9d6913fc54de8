"""torchvision's ResNets with a two-way head, and their narrow, group-normalised relatives."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from utils.conf import Conf, ConfError
from utils.nets.vision import torchvision_models

CLASSES = ("cloudy", "sunny")
_GROUPS = {
    "resnext50_32x4d": {"groups": 32, "width_per_group": 4},
    "resnext101_32x8d": {"groups": 32, "width_per_group": 8},
    "resnext101_64x4d": {"groups": 64, "width_per_group": 4},
    "wide_resnet50_2": {"width_per_group": 128},
    "wide_resnet101_2": {"width_per_group": 128},
}
_LAYERS = {
    "18": (2, 2, 2, 2),
    "34": (3, 4, 6, 3),
    "50": (3, 4, 6, 3),
    "101": (3, 4, 23, 3),
    "152": (3, 8, 36, 3),
}


_GLOBAL_GENERATOR = threading.Lock()  # torchvision initialises from torch's one generator, threads share it


def build(conf: Conf, seed: int) -> nn.Module:
    """A fresh network for `conf`: float32 photos (n, 3, s, s) to logits (n, 2), cloudy then sunny.

    The weights follow from `seed` alone; torch's global generator is left as it was. Raises ConfError when
    pretrained weights are asked for and cannot be had.
    """
    with _GLOBAL_GENERATOR, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if conf.pretrained:
            return _pretrained(conf.model_name)
        return _resnet(conf.model_name, conf.width, conf.norm)


def _resnet(name: str, width: int, norm: str) -> nn.Module:
    models = torchvision_models()
    depth = name.removeprefix("wide_").removeprefix("resnext").removeprefix("resnet").split("_")[0]
    block = models.resnet.BasicBlock if depth in ("18", "34") else models.resnet.Bottleneck
    norm_layer = nn.BatchNorm2d if norm == "batch" else _group_norm
    net: nn.Module = _narrow(models.resnet.ResNet, width)(
        block, _LAYERS[depth], num_classes=len(CLASSES), norm_layer=norm_layer, **_GROUPS.get(name, {})
    )
    return net


def _narrow(resnet: type[nn.Module], width: int) -> Callable[..., nn.Module]:
    """torchvision's ResNet class with `width` channels in the first stage instead of 64."""
    if width == 64:
        return resnet

    class NarrowResNet(resnet):  # type: ignore[valid-type,misc]
        def _make_layer(self, block: Any, planes: int, *args: Any, **kwargs: Any) -> nn.Module:
            if planes == 64:
                self.inplanes = width
                self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
                self.bn1 = self._norm_layer(width)
            layer: nn.Module = super()._make_layer(block, planes * width // 64, *args, **kwargs)
            if planes == 512:
                self.narrow_features = planes * width // 64 * block.expansion
            return layer

    def make(*args: Any, num_classes: int, **kwargs: Any) -> nn.Module:
        net = NarrowResNet(*args, num_classes=num_classes, **kwargs)
        net.fc = nn.Linear(net.narrow_features, num_classes)
        return net

    return make


def _group_norm(channels: int) -> nn.GroupNorm:
    """Group norm with at least four channels a group and at most 32 groups of one size (Wu and He 2018)."""
    groups = next(n for n in range(min(32, channels // 4), 0, -1) if channels % n == 0)
    return nn.GroupNorm(groups, channels)


def _pretrained(name: str) -> nn.Module:
    models = torchvision_models()
    try:
        net: nn.Module = models.get_model(name, weights="DEFAULT")
    except Exception as error:  # the hub raises many kinds: no network, no disk, a broken file
        raise ConfError(
            f"pretrained: torchvision's weights for {name} cannot be had ({type(error).__name__}: "
            f"{str(error).splitlines()[0][:80] if str(error) else 'no reason given'})"
        ) from None
    net.fc = nn.Linear(net.fc.in_features, len(CLASSES))  # type: ignore[arg-type,union-attr]
    return net
