"""The kinds of layers that a described network is made of: their options, the shape each makes of which, and what its
weights are. Pure arithmetic; `utils.nets.modules` makes torch modules of them.

The kinds with BROWSER are written down so exactly that a browser can build the same:

- A picture is (channels, height, width). `flatten` goes through it in this order, the last one fastest.
- Windows of `conv2d` and `pooling` begin at the upper left corner and move by `stride`; what fills no whole window any
  more is left out, so of n there become (n + 2 padding - size) // stride + 1. Padding is zeros, on all four sides;
  pooling has none.
- `conv2d` does not flip its kernel, weights are (channels out, channels in, height, width); those of `dense` (out, in).
- `group_norm` takes mean and variance (of n numbers, not n - 1) of a group of channels that follow each other, over all
  places, adds 1e-5 to the variance, and then has a weight and a bias for each channel.
- `dropout` makes each number 0 with this probability in training and divides the others by 1 - p; in judging it does
  nothing.
- `residual` is the sum of what its layers and what its shortcut make of the same input; then comes its activation.
- Weights begin as torch has them: those and the bias of `dense` and `conv2d` uniform in ±1/√n, n the numbers that one
  output sees; of norms weight 1 and bias 0; of `gru` and `lstm` uniform in ±1/√units; of `embedding` normal (0, 1).
- Weights are in the order of layers, weight before bias, a residual's layers before its shortcut; the output last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import prod
from typing import Any, ClassVar

from utils import parts
from utils.parts import ConfError, key, kind_of, shown
from utils.refusal import Said, said

MAX_LAYERS = 100  # of a network, those of its residuals included
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Signal:
    """What goes from layer to layer of one example: numbers of this shape; with `tokens` ids from 0 below that."""

    shape: tuple[int, ...]
    tokens: int = 0

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return prod(self.shape)

    def __str__(self) -> str:
        return " x ".join(map(str, self.shape)) + (f" tokens of {self.tokens}" if self.tokens else "")


class UnfitError(ValueError):
    """A layer that cannot take what comes to it: a code of `utils.refusal` and its values."""

    def __init__(self, code: str, **values: Any) -> None:
        super().__init__(code)
        self.code, self.values = code, values


class Layer:
    """A kind of layer. Its first key names it in JSON; `activation`, where it has one, comes last of all it does."""

    ABOUT: ClassVar[tuple[str, str]]
    BROWSER: ClassVar[bool] = True

    @classmethod
    def kind(cls) -> str:
        """What it is called in JSON."""
        return fields(cls)[0].name  # type: ignore[arg-type]

    def after(self, before: Signal) -> Signal:
        """What it makes of `before`. Raises UnfitError."""
        return before

    def weights(self, before: Signal) -> Shapes:
        """Its parameters in order, by name."""
        return {}

    def buffers(self, before: Signal) -> Shapes:
        """What it measures beside its parameters, in order, by name."""
        return {}

    def kept(self, before: Signal) -> int:
        """At most how many numbers of an example training keeps because of it."""
        return 2 * self.after(before).size

    def as_json(self) -> dict[str, Any]:
        """It with all its options."""
        return parts.values_of(self)

    def _need(self, good: bool, takes: str, found: Signal) -> None:
        if not good:
            raise UnfitError("takes", layer=self.kind(), takes=said(takes), found=found)


def _is_flat(one: Signal) -> bool:
    return len(one.shape) == 1 and not one.tokens


def _activation() -> Any:
    return key(
        "what each number then goes through",
        zh="之后每个数所经过的函数",
        default="none",
        choices=("none", "relu", "tanh", "sigmoid"),
    )


def _yes(value: Any, where: str, name: str) -> bool:
    if value is not True:
        raise ConfError(where, "expected_found", key=name, what="true", found=shown(value))
    return True


@dataclass(frozen=True)
class Dense(Layer):
    """A linear layer: (n,) to (dense,)."""

    ABOUT = ("each output a weighted sum of all numbers", "每个输出都是所有数的加权和")
    dense: int = key("how many outputs", zh="输出个数", low=1, high=100_000)
    activation: str = _activation()
    bias: bool = key("a constant added to each output", zh="给每个输出加上一个常数", default=True)

    def after(self, before: Signal) -> Signal:
        self._need(_is_flat(before), "flat", before)
        return Signal((self.dense,))

    def weights(self, before: Signal) -> Shapes:
        return {"weight": (self.dense, before.size), **({"bias": (self.dense,)} if self.bias else {})}


@dataclass(frozen=True)
class Conv2d(Layer):
    """A convolution: (c, h, w) to (conv2d, h', w')."""

    ABOUT = ("small square filters moved over a picture", "在图片上移动的小方形滤波器")
    conv2d: int = key("how many channels it makes", zh="产生的通道数", low=1, high=4096)
    kernel: int = key("side of the filters", zh="滤波器的边长", default=3, low=1, high=15)
    stride: int = key("by how much they move", zh="每次移动的步长", default=1, low=1, high=15)
    padding: int = key("zeros on each side of the picture", zh="图片每一边补的零", default=0, low=0, high=15)
    activation: str = _activation()
    bias: bool = key("a constant added to each channel", zh="给每个通道加上一个常数", default=True)

    def after(self, before: Signal) -> Signal:
        self._need(len(before.shape) == 3, "picture", before)
        return Signal((self.conv2d, *_windows(self, before, self.kernel, self.stride, self.padding)))

    def weights(self, before: Signal) -> Shapes:
        weight = (self.conv2d, before.shape[0], self.kernel, self.kernel)
        return {"weight": weight, **({"bias": (self.conv2d,)} if self.bias else {})}


@dataclass(frozen=True)
class Pooling(Layer):
    """The largest number or the mean of each window: (c, h, w) to (c, h', w')."""

    ABOUT = ("of each window of a picture one number", "图片的每个窗口变成一个数")
    pooling: str = key("the largest, or the mean", zh="取最大值，或均值", choices=("max", "average"))
    size: int = key("side of the windows", zh="窗口的边长", default=2, low=1, high=512)
    stride: int = key(
        "by how much they move; 0: by `size`",
        zh="每次移动的步长；0 表示与 `size` 相同",
        default=0,
        low=0,
        high=512,
    )

    def after(self, before: Signal) -> Signal:
        self._need(len(before.shape) == 3, "picture", before)
        return Signal((before.shape[0], *_windows(self, before, self.size, self.stride or self.size, 0)))


@dataclass(frozen=True)
class GlobalPooling(Layer):
    """The largest number or the mean of each channel: (c, h, w) to (c,)."""

    ABOUT = ("of each channel of a picture one number", "图片的每个通道变成一个数")
    global_pooling: str = key("the largest, or the mean", zh="取最大值，或均值", choices=("max", "average"))

    def after(self, before: Signal) -> Signal:
        self._need(len(before.shape) == 3, "picture", before)
        return Signal(before.shape[:1])


@dataclass(frozen=True)
class Flatten(Layer):
    """The same numbers in one row."""

    ABOUT = ("the same numbers in one row, as `dense` takes them", "同样的数排成 `dense` 所需的一行")
    flatten: bool = key("true and nothing else", zh="只能是 true", check=_yes, choices=("true",))

    def after(self, before: Signal) -> Signal:
        self._need(not before.tokens, "numbers", before)
        return Signal((before.size,))

    def kept(self, before: Signal) -> int:
        return 0


@dataclass(frozen=True)
class Dropout(Layer):
    """Leaves numbers out in training, at random."""

    ABOUT = ("in training leaves out numbers at random", "训练时随机去掉一些数")
    dropout: float = key("which share of them", zh="去掉的比例", low=0.0, high=1.0, below_high=True)

    def after(self, before: Signal) -> Signal:
        self._need(not before.tokens, "numbers", before)
        return before


@dataclass(frozen=True)
class GroupNorm(Layer):
    """Group norm (Wu and He 2018) of (c, h, w) or (c,)."""

    ABOUT = ("groups of channels brought to mean 0 and variance 1", "使各组通道均值为 0、方差为 1")
    group_norm: int = key("how many groups of channels", zh="通道的组数", low=1, high=4096)
    activation: str = _activation()

    def after(self, before: Signal) -> Signal:
        self._need(_is_flat(before) or len(before.shape) == 3, "channels", before)
        if before.shape[0] % self.group_norm or before.size == self.group_norm:
            raise UnfitError("groups", groups=self.group_norm, found=before)
        return before

    def weights(self, before: Signal) -> Shapes:
        return {"weight": before.shape[:1], "bias": before.shape[:1]}

    def kept(self, before: Signal) -> int:
        return 3 * before.size


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Batch norm (Ioffe and Szegedy 2015) of (c, h, w) or (c,), as torch has it."""

    ABOUT = (
        "channels brought to mean 0 and variance 1 over a batch; its running means are averaged like weights",
        "使各通道在一批样本上均值为 0、方差为 1；其滑动均值像权重一样被平均",
    )
    BROWSER = False
    batch_norm: bool = key("true and nothing else", zh="只能是 true", check=_yes, choices=("true",))
    activation: str = _activation()

    def after(self, before: Signal) -> Signal:
        self._need(_is_flat(before) or len(before.shape) == 3, "channels", before)
        return before

    def weights(self, before: Signal) -> Shapes:
        return {"weight": before.shape[:1], "bias": before.shape[:1]}

    def buffers(self, before: Signal) -> Shapes:
        return {"running_mean": before.shape[:1], "running_var": before.shape[:1]}

    def kept(self, before: Signal) -> int:
        return 3 * before.size


@dataclass(frozen=True)
class Embedding(Layer):
    """A learnt row of numbers for each token: (steps,) tokens to (steps, embedding)."""

    ABOUT = ("for each token a row of numbers that is learnt", "为每个词元学习一行数")
    BROWSER = False
    embedding: int = key("how many numbers", zh="每行多少个数", low=1, high=4096)

    def after(self, before: Signal) -> Signal:
        self._need(bool(before.tokens) and len(before.shape) == 1, "tokens", before)
        return Signal((*before.shape, self.embedding))

    def weights(self, before: Signal) -> Shapes:
        return {"weight": (before.tokens, self.embedding)}


def _sequence() -> Any:
    return key(
        "give the state after every step, not only after the last",
        zh="给出每一步之后的状态，而不仅是最后一步的",
        default=False,
    )


class _Recurrent(Layer):
    """What `gru` and `lstm` share: a state that goes along a sequence, (steps, n) to (units,) or (steps, units)."""

    BROWSER = False
    GATES: ClassVar[int]
    sequence: bool

    @property
    def units(self) -> int:
        """How many numbers the state has."""
        return int(getattr(self, self.kind()))

    def after(self, before: Signal) -> Signal:
        self._need(len(before.shape) == 2, "sequence", before)
        return Signal((before.shape[0], self.units) if self.sequence else (self.units,))

    def weights(self, before: Signal) -> Shapes:
        rows = self.GATES * self.units
        return {
            "along.weight_ih_l0": (rows, before.shape[1]),
            "along.weight_hh_l0": (rows, self.units),
            "along.bias_ih_l0": (rows,),
            "along.bias_hh_l0": (rows,),
        }

    def kept(self, before: Signal) -> int:
        return before.shape[0] * 8 * (self.GATES * self.units + before.shape[1])


@dataclass(frozen=True)
class Gru(_Recurrent):
    """Gated recurrent units (Cho et al. 2014), as torch has them."""

    ABOUT = ("reads a sequence step by step, with gates", "带门控，逐步读入序列")
    GATES = 3
    gru: int = key("how many numbers it remembers", zh="记住多少个数", low=1, high=4096)
    sequence: bool = _sequence()


@dataclass(frozen=True)
class Lstm(_Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber 1997), as torch has it."""

    ABOUT = (
        "reads a sequence step by step, with gates and a second memory",
        "带门控和第二份记忆，逐步读入序列",
    )
    GATES = 4
    lstm: int = key("how many numbers it remembers", zh="记住多少个数", low=1, high=4096)
    sequence: bool = _sequence()


def checked_layers(value: Any, where: str, name: str) -> tuple[Layer, ...]:
    """The layers that the JSON `value` lists. Raises ConfError naming the first that cannot be, under `name`."""
    if not isinstance(value, list):
        raise ConfError(where, "expected_found", key=name, what=said("layers"), found=kind_of(value))
    if len(value) > MAX_LAYERS:
        what = said("at_most", most=MAX_LAYERS)
        raise ConfError(where, "expected_found", key=name, what=what, found=len(value))
    return tuple(_checked_layer(one, where, f"{name}[{number}]") for number, one in enumerate(value))


def _checked_layer(value: Any, where: str, name: str) -> Layer:
    what: Said = said("layer", all=", ".join(KINDS))
    if not isinstance(value, dict):
        raise ConfError(where, "expected_found", key=name, what=what, found=kind_of(value))
    kind = next((KINDS[one] for one in value if one in KINDS), None)
    if kind is None:
        raise ConfError(where, "expected_found", key=name, what=what, found=shown(value))
    for one in value:
        if one not in {field.name for field in parts.fields_of(kind)}:
            raise ConfError(where, "unknown_key", name=shown(f"{name}.{one}"))
    layer: Layer = parts.checked_keys(kind, value, where, f"{name}.")
    return layer


def _inner(value: Any, where: str, name: str) -> tuple[Layer, ...]:
    layers = checked_layers(value, where, name)
    if any(isinstance(layer, Residual) for layer in layers):
        raise ConfError(where, "expected", key=name, what=said("no_residual"))
    return layers


@dataclass(frozen=True)
class Residual(Layer):
    """Layers and a way around them, whose outputs are added; both must be of one shape."""

    ABOUT = (
        "the sum of what its layers and what its shortcut make of the same",
        "各层的结果与捷径的结果之和",
    )
    residual: tuple[Layer, ...] = key("the layers, in order", zh="其中的各层，按顺序", check=_inner)
    shortcut: tuple[Layer, ...] = key(
        "the layers of the shortcut; none: what comes in, as it is",
        zh="捷径中的层；没有则为输入本身",
        default=(),
        check=_inner,
    )
    activation: str = _activation()


def _windows(layer: Layer, before: Signal, size: int, stride: int, padding: int) -> tuple[int, int]:
    height, width = ((side + 2 * padding - size) // stride + 1 for side in before.shape[1:])
    if min(height, width) < 1:
        raise UnfitError("window", layer=layer.kind(), size=size, found=before)
    return height, width


KINDS: Mapping[str, type[Layer]] = {
    kind.kind(): kind
    for kind in (
        Dense, Conv2d, Pooling, GlobalPooling, Flatten, Dropout, GroupNorm, Residual,
        BatchNorm, Embedding, Gru, Lstm,
    )
}  # fmt: skip
"""By the key that names them; those that a browser has first."""
