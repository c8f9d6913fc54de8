"""Photos from the sky simulator, as lossless files."""

from functools import partial
from io import BytesIO

import numpy as np
from PIL import Image

from utils.photos.simulator import draw_scene, simulate
from utils.photos.sources import Candidate


def from_simulator(count: int, seed: int) -> list[Candidate]:
    """Photos 0 to `count` - 1 of a seed; a larger count keeps the smaller one's photos."""
    return [
        Candidate(
            f"sky-{seed}-{index}.bmp",
            draw_scene(np.random.default_rng([seed, index])).label,
            partial(_file, seed, index),
        )
        for index in range(count)
    ]


def _file(seed: int, index: int) -> bytes:
    pixels, _ = simulate(seed, index)
    buffer = BytesIO()
    # BMP holds the bare pixels, so the file's hash depends on no compressor's version.
    Image.fromarray(pixels).save(buffer, "BMP")
    return buffer.getvalue()
