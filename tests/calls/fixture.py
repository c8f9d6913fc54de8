"""What Python makes of a few small pictures, for the browser's tests to compare: python3 -m tests.calls.fixture"""

import base64
import io
import json

import numpy as np
from PIL import Image

from tests.conftest import ROOT
from utils.calls.examples import picture
from utils.calls.format import checked_format
from utils.photos.simulator import simulate

FILE = ROOT / "app" / "static" / "vue" / "tests" / "cleaning.json"
SHAPES = [(8, 3), (28, 1), (28, 3), (64, 1), (64, 3)]


def pictures():
    """Name to RGB bytes (height, width, 3)."""
    sky = np.asarray(simulate(7, 3)[0])
    noise = np.random.default_rng(7)
    return {
        "smaller": sky[:100, :131], "upright": sky[:90, :67], "larger": noise.integers(0, 256, (9, 12, 3), np.uint8),
        "one pixel wide": noise.integers(0, 256, (5, 1, 3), np.uint8), "same size": sky[:28, 10:38],
        "black and white": np.repeat(noise.integers(0, 2, (70, 65, 1), np.uint8) * 255, 3, axis=2),
    }  # fmt: skip


def made_of(rgb, side, channels):
    """The pixels of a picture's example, or nothing where it is too small."""
    shape = {"kind": "picture", "side": side, "channels": channels}
    asked = {"kind": "label", "labels": ["a", "b"]}
    if side >= 64 > min(rgb.shape[:2]):
        return None
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "PNG")
    return picture(file.getvalue(), checked_format({"input": shape, "answer": asked})).tobytes()


def fixture():
    """All of it."""
    return [
        {
            "name": name, "width": rgb.shape[1], "height": rgb.shape[0], "rgb": _coded(rgb.tobytes()),
            "made": [
                {"side": side, "channels": channels, "pixels": _coded(made)}
                for side, channels in SHAPES if (made := made_of(rgb, side, channels)) is not None
            ],
        }
        for name, rgb in pictures().items()
    ]  # fmt: skip


def _coded(raw):
    return base64.b64encode(raw).decode()


if __name__ == "__main__":
    FILE.write_text(json.dumps(fixture()) + "\n")
