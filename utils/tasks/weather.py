"""Sunny or cloudy? Photographs of the sky, cleaned and held as squares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.parts import key

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from utils.conf import Conf
    from utils.data.examples import Examples, Outline

ABOUT = ("sunny against cloudy, from photographs of the sky", "从天空照片判断晴与多云")
LEARNS = "Tells a sunny sky from a cloudy one."
CLASSES = ("cloudy", "sunny")
TEXTS = {"cloudy": "多云", "sunny": "晴"}
NETWORK = "resnet"
INPUT, INPUT_SAYS = "pixels", "RGB in 0..1, centre square"
AS_JUDGED = {"augment": "none"}


@dataclass(frozen=True)
class Keys:
    """How photos are looked at."""

    image_size: int = key(
        "side in pixels of the square the network sees", default=64, low=16, high=512, cost=True
    )
    augment: str = key(
        "augmentation of training photos: `sky` (crop, flip, turn, light and colour), `flip` or `none`",
        default="sky",
        choices=("sky", "flip", "none"),
    )
    min_crop: float = key(
        "smallest share of a photo's area that a view of `sky` shows", default=0.5, low=0.05, high=1.0
    )
    judging: str = key(
        "how a photo is judged: `whole`, the mean over the photo and its mirror image, or `five_crop`, the mean over "
        "four corners and the centre (two thirds of the side each), two of them mirrored",
        default="whole",
        choices=("whole", "five_crop"),
        cost=True,
    )
    colours: str = key(
        "what a network is given of a pixel: `rgb`, by mean and spread of ImageNet's photos, as pretrained weights "
        "expect, or `opponent`, light and two differences of colours, in which a grey is no blue at any light",
        default="rgb",
        choices=("rgb", "opponent"),
    )

    @property
    def store_side(self) -> int:
        """Side in pixels at which photos are stored: room for crops."""
        return self.image_size * 3 // 2

    @property
    def judged_side(self) -> int:
        """Side in pixels of the picture that is judged, from which `image_size` is cut with `five_crop`."""
        return self.store_side if self.judging == "five_crop" else self.image_size


def open_examples(conf: Conf, data: Path) -> Examples:
    """See `utils.tasks`."""
    from utils.photos.store import open_photos

    return open_photos(data / conf.data, conf.task.keys.store_side, data / ".store")


def outline(conf: Conf, data: Path) -> Outline:
    """See `utils.tasks`."""
    import numpy as np

    from utils.data.examples import Outline
    from utils.photos.dataset import read_manifest

    rows = [row for row in read_manifest(data / conf.data) if row.file]
    targets = np.array([CLASSES.index(row.label) for row in rows], dtype=np.int64)
    decks = np.array([row.deck for row in rows], dtype=np.int64)
    sources, scenes = [row.source for row in rows], [row.scene for row in rows]
    return Outline(targets, decks, sources, scenes, np.ones(len(rows), dtype=bool))


def for_training(inputs: NDArray[np.uint8], conf: Conf, rng: np.random.Generator) -> torch.Tensor:
    """See `utils.tasks`."""
    from utils.photos.transforms import for_training

    keys: Keys = conf.task.keys
    return for_training(inputs, keys.image_size, keys.augment, keys.min_crop, rng, keys.colours)


def for_judging(inputs: NDArray[np.uint8], conf: Conf) -> list[torch.Tensor]:
    """See `utils.tasks`."""
    from utils.photos.transforms import for_judging, views

    keys: Keys = conf.task.keys
    seen = for_judging(inputs, keys.judged_side, keys.colours)
    return views(seen, keys.image_size, keys.judging)


def pictures(inputs: NDArray[np.uint8], conf: Conf) -> torch.Tensor:
    """See `utils.tasks`."""
    from utils.photos.transforms import as_pictures

    return as_pictures(inputs, conf.task.keys.image_size)


def given(pictures: torch.Tensor, conf: Conf) -> torch.Tensor:
    """See `utils.tasks`."""
    from utils.photos.transforms import as_given

    return as_given(pictures, conf.task.keys.colours)


def as_judged(net: nn.Module, conf: Conf) -> nn.Module:
    """See `utils.tasks`."""
    from utils.photos.judged import AsJudged

    return AsJudged(net, conf)


def input_shape(conf: Conf) -> tuple[int, ...]:
    """See `utils.tasks`."""
    side = conf.task.keys.image_size
    return (3, side, side)


def judged_shape(conf: Conf) -> tuple[int, ...]:
    """See `utils.tasks`."""
    side = conf.task.keys.judged_side
    return (3, side, side)


def card(result: dict[str, Any], left_out: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """See `utils.tasks`."""
    from utils.forecast.card import card

    return card(result, left_out)


def told(result: Mapping[str, Any], left_out: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """See `utils.tasks`."""
    from utils.forecast.card import told

    return {"calibration": told(result, left_out), "pictures": True}
