"""From a picture to what networks see, by one resize that the browser repeats (app/static/vue/src/device/pixels.ts).

The resize is separable with a triangle kernel as wide as the shrinking asks for ("bilinear, antialiased", as
torch.nn.functional.interpolate and Pillow do it), on 0..1 floats without rounding in between.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.float32]
SIDE = 96
"""Side at which a photo is looked at: the sky check sees it so, networks of other sizes are fed from it."""

ENOUGH = 4 * SIDE
"""A side that decoders may leave a picture with: what is finer is averaged away here."""


def square_of(image: Image.Image) -> Pixels:
    """The centre square of an RGB picture, shape (3, SIDE, SIDE), 0..1. Needs little memory beside the picture."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    cut = np.asarray(image)[top : top + side, left : left + side]
    kernel = _kernel(side, SIDE)
    rows = np.empty((SIDE, side, 3), np.float32)
    for number, weights in enumerate(kernel):
        (support,) = np.nonzero(weights)
        here = slice(support[0], support[-1] + 1)
        rows[number] = np.tensordot(weights[here], cut[here].astype(np.float32), 1)
    return np.asarray(rows.transpose(2, 0, 1) @ kernel.T / 255, np.float32)


def turned(square: Pixels, degrees: int) -> Pixels:
    """`square` turned clockwise by a multiple of 90 degrees."""
    return np.ascontiguousarray(np.rot90(square, -degrees // 90, axes=(1, 2)))


def resize(square: Pixels, side: int) -> Pixels:
    """`square` of shape (3, n, n) at (3, side, side)."""
    kernel = _kernel(square.shape[-1], side)
    return np.asarray(kernel @ square @ kernel.T, np.float32)


@lru_cache(maxsize=16)
def _kernel(source: int, target: int) -> Pixels:
    """Weights (target, source) of the triangle kernel; each row sums to 1."""
    scale = source / target
    support = max(scale, 1.0)
    centres = (np.arange(target) + 0.5) * scale
    distance = np.abs(np.arange(source) + 0.5 - centres[:, None]) / support
    weights = np.maximum(0.0, 1.0 - distance)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
