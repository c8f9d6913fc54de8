"""What a call asks for, as a task of a conf: its keys are the call's `Format`. No conf can name it, as what is learnt
from lies with those who take part.

Pictures of three colours are given to a network as those of the weather's task are, grey ones as they are in 0..1, so
that a call can go on from the weights of a run; values and numbers are scaled by their ranges. Nothing is augmented:
every place, a browser too, learns from the same numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from utils.data.rows import told

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from utils.calls.format import Format
    from utils.conf import Conf

__all__ = ["told"]

ABOUT = ("what a published task asks for", "已发布任务所要求的内容")
LEARNS = "Answers what a published task asks."
UNIT = ""
NETWORK = {"network": "mlp"}
INPUT, INPUT_SAYS = "examples", "pixels in 0..1, or values in the task's units"


def classes(conf: Conf) -> tuple[str, ...]:
    """The names of the labels; none where a number is asked."""
    return tuple(label.name for label in _format(conf).labels)


def unit(conf: Conf) -> str:
    """What the number is counted in that is asked."""
    asked = _format(conf).number
    return asked.unit if asked else ""


def input_shape(conf: Conf) -> tuple[int, ...]:
    """See `utils.tasks`."""
    return _format(conf).input_shape


def judged_shape(conf: Conf) -> tuple[int, ...]:
    """See `utils.tasks`."""
    return _format(conf).stored_shape


def for_training(inputs: NDArray[Any], conf: Conf, rng: np.random.Generator) -> torch.Tensor:
    """See `utils.tasks`: the same as to judge them."""
    return seen(inputs, _format(conf))


def for_judging(inputs: NDArray[Any], conf: Conf) -> list[torch.Tensor]:
    """See `utils.tasks`."""
    return [seen(inputs, _format(conf))]


def seen(inputs: NDArray[Any], of: Format) -> torch.Tensor:
    """What a network is given of stored inputs (n, ...): 8-bit pixels, values in their units, or features."""
    import numpy as np
    import torch

    given = torch.from_numpy(np.array(inputs, np.float32))
    if of.features:
        return given
    return pixels(given / 255, of) if of.is_picture else _scaled(given, of)


def pixels(pictures: torch.Tensor, of: Format) -> torch.Tensor:
    """What a network is given of pictures (n, channels, side, side) in 0..1."""
    from utils.photos.transforms import as_given

    return as_given(pictures, of.colours) if of.channels == 3 else pictures


def _scaled(values: torch.Tensor, of: Format) -> torch.Tensor:
    import torch

    low = torch.tensor([field.low for field in of.fields], dtype=torch.float64)
    high = torch.tensor([field.high for field in of.fields], dtype=torch.float64)
    return (2 * (values.double() - low) / (high - low) - 1).float()


def as_judged(net: nn.Module, conf: Conf) -> nn.Module:
    """See `utils.tasks`: from pixels in 0..1, or values in their units, to logits, or the number in its unit."""
    from torch import nn

    of = _format(conf)

    class AsJudged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, examples: torch.Tensor) -> torch.Tensor:
            given = (
                examples if of.features else pixels(examples, of) if of.is_picture else _scaled(examples, of)
            )
            outputs: torch.Tensor = self.net(given)
            return (
                outputs
                if of.number is None
                else (outputs + 1) / 2 * (of.number.high - of.number.low) + of.number.low
            )

    return AsJudged()


def card(result: dict[str, Any], left_out: Any = None) -> dict[str, Any]:
    """See `utils.tasks`: a call has a page instead."""
    return {"input": INPUT_SAYS, "output": "", "limits": "", "sections": {}}


def open_examples(conf: Conf, data: Path) -> NoReturn:
    """Raises DataError: examples of a call lie with those who take part."""
    from utils.data.examples import DataError

    raise DataError("the examples of a published task lie with those who take part in it")


outline = open_examples


def _format(conf: Conf) -> Format:
    of: Format = conf.task.keys
    return of
