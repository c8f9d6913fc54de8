"""torchvision's ResNets with a head of their own, and their narrow, group-normalised relatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from utils.nets.kinds import Signal
from utils.nets.steps import Steps, batch_norm, conv2d, dense, group_norm
from utils.parts import AtLeast, ConfError, key
from utils.refusal import said

if TYPE_CHECKING:
    from torch import nn

ABOUT = ("torchvision's ResNets", "torchvision 的 ResNet")
MODELS = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "wide_resnet50_2",
    "wide_resnet101_2",
)
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


@dataclass(frozen=True)
class Keys:
    """Which ResNet."""

    model_name: str = key(
        "network: one of torchvision's ResNets; or describe one in `network`",
        zh="网络：torchvision 的 ResNet 之一；或在 `network` 中描述一个",
        choices=MODELS,
        cost=True,
        needs={name: {"width": AtLeast(16)} for name in MODELS if name.startswith("resnext")},
    )
    width: int = key(
        "channels of the first stage; 64 is torchvision's own",
        default=64,
        low=4,
        high=256,
        multiple=4,
        cost=True,
    )
    norm: str = key(
        "normalisation layers: `batch` (torchvision's own; buffers are averaged like weights) or `group`",
        default="batch",
        choices=("batch", "group"),
        cost=True,
    )
    pretrained: bool = key(
        "start from torchvision's ImageNet weights (width 64 and norm `batch` only)",
        default=False,
        needs={True: {"width": (64,), "norm": ("batch",)}},
    )


def fits(keys: Keys, inputs: Signal, outputs: int, batch: int, where: str) -> None:
    """See `utils.nets.networks`: pictures of three colours only."""
    if len(inputs.shape) != 3 or inputs.shape[0] != 3:
        raise ConfError(
            where, "takes", key="model_name", layer=keys.model_name, takes=said("colours"), found=inputs
        )


def known(keys: Keys, inputs: Signal, outputs: int, batch: int) -> dict[str, Any]:
    """See `utils.nets.networks`: how many numbers there are (He et al. 2016, tables 1 and 8), and how many travel."""
    blocks, deep, more = _LAYERS[_depth(keys)], not _is_basic(keys), _GROUPS.get(keys.model_name, {})
    groups, expansion = more.get("groups", 1), 4 if deep else 1
    weights, normed, before = 7 * 7 * 3 * keys.width, keys.width, keys.width
    for stage, count in enumerate(blocks):
        planes = (64 << stage) * keys.width // 64
        inner = int(planes * more.get("width_per_group", 64) / 64) * groups if deep else planes
        after = planes * expansion
        for block in range(count):
            if deep:
                weights += before * inner + 9 * inner * inner // groups + inner * after
            else:
                weights += 9 * before * inner + 9 * inner * after
            normed += (2 * inner if deep else inner) + after
            if not block and (stage or before != after):
                weights, normed = weights + before * after, normed + after
            before = after
    parameters = weights + 2 * normed + (before + 1) * outputs
    measured = 2 * normed if keys.norm == "batch" else 0
    return {"parameters": parameters, "bytes_of_update": 4 * (parameters + measured)}


def steps(keys: Keys, inputs: Signal) -> Steps | None:
    """See `utils.nets.networks`; none of convolutions in groups."""
    if keys.model_name in _GROUPS and "groups" in _GROUPS[keys.model_name]:
        return None

    def normed(name: str, channels: int) -> dict[str, Any]:
        return group_norm(name, _groups(channels)) if keys.norm == "group" else batch_norm(name)

    stem = [conv2d("conv1.", 2, 3), normed("bn1.", keys.width), {"do": "relu"}]
    found: Steps = [*stem, {"do": "max_pooling", "size": 3, "stride": 2, "padding": 1}]
    deep, before = not _is_basic(keys), keys.width
    for stage, count in enumerate(_LAYERS[_depth(keys)]):
        planes = (64 << stage) * keys.width // 64
        inner = int(planes * _GROUPS.get(keys.model_name, {}).get("width_per_group", 64) / 64)
        after = planes * (4 if deep else 1)
        for block in range(count):
            name, stride = f"layer{stage + 1}.{block}.", 1 if block or not stage else 2
            # A bottleneck narrows, convolves with the stride, and widens; a basic block convolves twice.
            shape = (
                [(1, 0, inner), (stride, 1, inner), (1, 0, after)]
                if deep
                else [(stride, 1, after), (1, 1, after)]
            )
            way: Steps = []
            for number, (step, padding, channels) in enumerate(shape, 1):
                way += [conv2d(f"{name}conv{number}.", step, padding), normed(f"{name}bn{number}.", channels)]
                way += [{"do": "relu"}] if number < len(shape) else []
            other = stride != 1 or before != after
            down = [conv2d(f"{name}downsample.0.", stride, 0), normed(f"{name}downsample.1.", after)]
            found += [{"do": "sum", "of": [way, down if other else []]}, {"do": "relu"}]
            before = after
    return [*found, {"do": "global_average"}, dense("fc.")]


def _depth(keys: Keys) -> str:
    return keys.model_name.removeprefix("wide_").removeprefix("resnext").removeprefix("resnet").split("_")[0]


def _is_basic(keys: Keys) -> bool:
    return _depth(keys) in ("18", "34")


def told(keys: Keys) -> tuple[str, str]:
    """See `utils.nets.networks`."""
    return f"{keys.model_name} of width {keys.width}", f"{keys.norm} norm, "


def build(keys: Keys, inputs: Signal, outputs: int) -> nn.Module:
    """A fresh network: float32 pictures (n, 3, s, s) to `outputs` numbers each (n, outputs).

    Weights come from torch's global generator. Raises ConfError when pretrained weights are asked for and cannot be
    had.
    """
    if keys.pretrained:
        return _pretrained(keys.model_name, outputs)
    return _resnet(keys, outputs)


def _resnet(keys: Keys, outputs: int) -> nn.Module:
    from torch import nn

    from utils.nets.vision import torchvision_models

    models = torchvision_models()
    block = models.resnet.BasicBlock if _is_basic(keys) else models.resnet.Bottleneck
    norm_layer = nn.BatchNorm2d if keys.norm == "batch" else _group_norm
    net: nn.Module = _narrow(models.resnet.ResNet, keys.width)(
        block, _LAYERS[_depth(keys)], num_classes=outputs, norm_layer=norm_layer,
        **_GROUPS.get(keys.model_name, {}),
    )  # fmt: skip
    return net


def _narrow(resnet: type[nn.Module], width: int) -> Callable[..., nn.Module]:
    """torchvision's ResNet class with `width` channels in the first stage instead of 64."""
    from torch import nn

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
    from torch import nn

    return nn.GroupNorm(_groups(channels), channels)


def _groups(channels: int) -> int:
    return next(n for n in range(min(32, channels // 4), 0, -1) if channels % n == 0)


def _pretrained(name: str, outputs: int) -> nn.Module:
    from torch import nn

    from utils.nets.vision import torchvision_models

    models = torchvision_models()
    try:
        net: nn.Module = models.get_model(name, weights="DEFAULT")
    except Exception as error:  # the hub raises many kinds: no network, no disk, a broken file
        said = str(error).splitlines()[0][:80] if str(error) else "no reason given"
        raise ConfError(
            "", "weights_unavailable", key="pretrained", name=name, why=f"{type(error).__name__}: {said}"
        ) from None
    net.fc = nn.Linear(net.fc.in_features, outputs)  # type: ignore[arg-type,union-attr]
    return net
