"""Which digit is it? MNIST's 70,000 handwritten digits, 28 x 28.

LeCun, Bottou, Bengio and Haffner (1998), doi 10.1109/5.726791: both parts in one, writers not told apart.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.data.rows import Rows, as_judged, card_of, open_rows, outline_of, told

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from utils.conf import Conf
    from utils.data.examples import Examples, Outline

__all__ = ["as_judged", "told"]

ABOUT = ("ten handwritten digits, 28 x 28 pixels (MNIST)", "十个手写数字，28 x 28 像素（MNIST）")
LEARNS = "Tells ten handwritten digits apart."
CLASSES = tuple("0123456789")
NETWORK = {"network": "lenet5"}
INPUT, INPUT_SAYS = "pixels", "grey in 0..1, ink is 1, 28 x 28"


def _rows(folder: Path) -> list[Rows]:
    import numpy as np

    from utils.data.examples import NoSetError
    from utils.data.idx import PARTS, images_and_labels

    try:
        found = [images_and_labels(folder, part) for part in PARTS]
    except OSError as error:
        raise NoSetError("", "no_set", file=error.filename) from None
    images, labels = (np.concatenate(both) for both in zip(*found, strict=True))
    return [Rows("mnist", "", images[:, None], labels)]


def open_examples(conf: Conf, data: Path) -> Examples:
    """See `utils.tasks`."""
    return open_rows(conf.data, _rows(data / conf.data), data / ".store")


def outline(conf: Conf, data: Path) -> Outline:
    """See `utils.tasks`; made once of files that stay as they are, since it takes a second or two."""
    from utils.data.idx import NAMES

    files = [data / conf.data / name for name in NAMES]
    found = [file.stat() for file in files if file.is_file()]
    return _outline(data / conf.data, *[(one.st_mtime_ns, one.st_size, one.st_ino) for one in found])


@lru_cache(maxsize=1)
def _outline(folder: Path, *as_they_are: tuple[int, ...]) -> Outline:
    return outline_of(_rows(folder))


def for_training(inputs: NDArray[np.uint8], conf: Conf, rng: np.random.Generator) -> torch.Tensor:
    """See `utils.tasks`."""
    return for_judging(inputs, conf)[0]


def for_judging(inputs: NDArray[np.uint8], conf: Conf) -> list[torch.Tensor]:
    """See `utils.tasks`."""
    import torch

    return [torch.from_numpy(inputs.astype("float32")) / 255]


def input_shape(conf: Conf) -> tuple[int, ...]:
    """See `utils.tasks`."""
    return (1, 28, 28)


judged_shape = input_shape


def card(result: dict[str, Any], left_out: Any = None) -> dict[str, Any]:
    """See `utils.tasks`."""
    return card_of(
        "one grey picture, 28 x 28, ink 1 and paper 0, the digit in its middle.",
        CLASSES,
        "Ten classes, so a letter or a blot is called a digit too. Writers are not told apart: hands that were "
        "learnt from are judged as well.",
    )
