"""Examples as files: pictures, archives of them, and all that a demo's task brings."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Demo:
    """A task of the demo's board: the place of its category, its description, test examples (n, ...) with answers (n,),
    and a pack to try it with.
    """

    name: str
    category: int
    description: str
    described: dict[str, Any]
    inputs: NDArray[Any]
    answers: NDArray[Any]
    pack: bytes


def zipped(files: Mapping[str, bytes]) -> bytes:
    """An archive of these files, the same every time."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), raw, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def as_png(pixels: NDArray[np.uint8]) -> bytes:
    """Pixels (channels, height, width) as a PNG."""
    from PIL import Image

    image = Image.fromarray(
        pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))
    )
    made = io.BytesIO()
    image.save(made, "PNG")
    return made.getvalue()
