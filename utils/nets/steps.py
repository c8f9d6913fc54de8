"""How a network reckons, step by step, as plain JSON with the names of its weights: enough for whoever has neither
torch nor this project to train it, a browser for one.

A step says what it does (`do`) to what the one before made of an example, a picture (channels, height, width) or a row:

- `conv2d` and `dense`: with `weight` (as torch has it) and `bias` (a name, or null); `stride` and `padding` of windows.
- `group_norm`: with `weight`, `bias`, `groups`; 1e-5 is added to the variance. `batch_norm`, of a frozen network only:
  with `weight`, `bias`, and the `mean` and `variance` it once measured.
- `max_pooling`, `average_pooling`: windows of `size` that move by `stride`, with `padding` (of zeros, after a ReLU).
- `global_max`, `global_average`: of each channel one number. `flatten`: in one row, channel by channel, row by row.
- `dropout`: of training alone, with its `rate`. `relu`, `tanh`, `sigmoid`.
- `sum`: of what its two lists `of` make of the same; an empty list is what came, as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from utils.nets import kinds
from utils.nets.kinds import Layer

if TYPE_CHECKING:
    from utils.conf import Conf

Steps = list[dict[str, Any]]


def steps_of(conf: Conf) -> Steps | None:
    """The steps of a conf's network; None where one of them is none of these."""
    from utils.tasks import inputs_of

    found = getattr(conf.network.module, "steps", None)
    return found(conf.network.keys, inputs_of(conf)) if found else None


def of_layers(layers: tuple[Layer, ...], prefix: str = "") -> Steps | None:
    """The steps of described layers, whose weights are called as `utils.nets.modules` calls them."""
    steps: Steps = []
    for number, layer in enumerate(layers):
        if not layer.BROWSER:
            return None
        name = f"{prefix}{number}_{layer.kind()}."
        if isinstance(layer, kinds.Residual):
            ways = [
                of_layers(layer.residual, f"{name}residual."),
                of_layers(layer.shortcut, f"{name}shortcut."),
            ]
            if None in ways:
                return None
            steps.append({"do": "sum", "of": ways})
        else:
            steps.append(_step(layer, name))
        if (activation := getattr(layer, "activation", "none")) != "none":
            steps.append({"do": activation})
    return steps


def _step(layer: Layer, name: str) -> dict[str, Any]:
    match layer:
        case kinds.Dense():
            return dense(name, layer.bias)
        case kinds.Conv2d():
            return conv2d(name, layer.stride, layer.padding, layer.bias)
        case kinds.Pooling():
            windows = {"size": layer.size, "stride": layer.stride or layer.size, "padding": 0}
            return {"do": f"{layer.pooling}_pooling", **windows}
        case kinds.GlobalPooling():
            return {"do": f"global_{layer.global_pooling}"}
        case kinds.GroupNorm():
            return group_norm(name, layer.group_norm)
        case kinds.Dropout():
            return {"do": "dropout", "rate": layer.dropout}
    return {"do": layer.kind()}


def dense(name: str, bias: bool = True) -> dict[str, Any]:
    """A linear layer; `name` ends with a point."""
    return {"do": "dense", "weight": f"{name}weight", "bias": f"{name}bias" if bias else None}


def conv2d(name: str, stride: int, padding: int, bias: bool = False) -> dict[str, Any]:
    """A convolution."""
    windows = {"stride": stride, "padding": padding}
    return {"do": "conv2d", "weight": f"{name}weight", "bias": f"{name}bias" if bias else None, **windows}


def group_norm(name: str, groups: int) -> dict[str, Any]:
    """Group norm."""
    return {"do": "group_norm", "weight": f"{name}weight", "bias": f"{name}bias", "groups": groups}


def batch_norm(name: str) -> dict[str, Any]:
    """Batch norm with what it measured."""
    return {
        "do": "batch_norm", "weight": f"{name}weight", "bias": f"{name}bias", "mean": f"{name}running_mean",
        "variance": f"{name}running_var",
    }  # fmt: skip
