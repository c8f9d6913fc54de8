"""What Python says of a few small pictures, for the browser's tests to compare: python3 -m tests.forecast.fixture"""

import base64
import io
import json

import numpy as np
from PIL import Image

from tests.conftest import ROOT
from utils.calibration import Calibration
from utils.forecast.pixels import SIDE, square_of
from utils.forecast.predictor import Predictor
from utils.forecast.sky_check import statistics
from utils.photos.cleaning import _orientation
from utils.photos.simulator import simulate

FILE = ROOT / "app" / "static" / "vue" / "tests" / "device.json"
CALIBRATION = Calibration(temperature=1.7, low=0.3, high=0.8)
MARGINS = (-60.0, -1.5, 0.2, 1.0, 3.0)
PLACES = [(0, 0, 0), (1, 47, 48), (2, 95, 95), (0, 20, 71), (2, 80, 3)]  # colour, row, column


class Told(Predictor):
    """A predictor whose network is a plain rule, or says what it is told."""

    def __init__(self, margin=None):
        self.calibration, self.margin = CALIBRATION, margin

    def _margins(self, squares):
        if self.margin is not None:
            return np.full(len(squares), self.margin)
        left_red, top_blue = squares[:, 0, :, : SIDE // 2], squares[:, 2, : SIDE // 2]
        return 20 * (left_red.mean((1, 2), np.float64) - top_blue.mean((1, 2), np.float64))


def pictures():
    """Name to RGB bytes (height, width, 3)."""
    skies = [simulate(7, number) for number in range(8)]
    sunny, cloudy = (next(p for p, scene in skies if scene.label == label) for label in ("sunny", "cloudy"))
    return {
        "sunny": sunny[:90, :120],
        "cloudy": np.asarray(Image.fromarray(cloudy).resize((97, 200))),
        "night": sunny[40:104, :100] // 12,
        "no colour": np.repeat(cloudy[:80, :90, 1:2], 3, axis=2),
        "noise": np.random.default_rng(7).integers(0, 256, (64, 75, 3), np.uint8),
        "smaller than the square": cloudy[:70, 20:84],
    }


def said_of(rgb):
    """What Python says of a picture."""
    square = square_of(Image.fromarray(rgb))
    verdicts = {margin: Told(margin).judge(square).as_json() for margin in MARGINS}
    return {
        "values": [float(square[place]) for place in PLACES], "mean": float(square.mean()),
        "statistics": statistics(square).tolist(), "verdicts": list(verdicts.items()),
        "heat": Told().heat(square).round(5).tolist(),
    }  # fmt: skip


def camera_files():
    """JPEG and PNG files with an orientation in their EXIF, in both byte orders, 16 pixels wide and 8 high."""
    for orientation, make, size in (
        (6, "Maker", (16, 8)), (3, "M", (16, 8)),
        (6, "", (16, 8)), (6, "Maker", (160, 80)), (8, "\0 ", (16, 8)), (6, "Maker", None),
    ):  # fmt: skip
        exif = Image.Exif()
        exif[0x0112], exif[0x010F] = orientation, make
        if size:
            exif.get_ifd(0x8769).update({0xA002: size[0], 0xA003: size[1]})
        for exif.endian in "<>":
            for kind in ("JPEG", "PNG"):
                raw = io.BytesIO()
                Image.new("RGB", (16, 8)).save(raw, kind, exif=exif)
                yield raw.getvalue()


def is_turned(raw):
    """Whether the orientation in a file of `camera_files` is believed."""
    return _orientation(Image.open(io.BytesIO(raw))) != 1


def fixture():
    """All of it."""
    return {
        "calibration": {
            "temperature": CALIBRATION.temperature,
            "cloudy_to": CALIBRATION.low,
            "sunny_from": CALIBRATION.high,
        },
        "places": PLACES,
        "pictures": [
            {
                "name": name, "width": rgb.shape[1], "height": rgb.shape[0],
                "rgb": base64.b64encode(rgb.tobytes()).decode(), **said_of(rgb),
            }
            for name, rgb in pictures().items()
        ],
        "camera_files": [
            {"turned": is_turned(raw), "file": base64.b64encode(raw).decode()} for raw in camera_files()
        ],
    }  # fmt: skip


if __name__ == "__main__":
    FILE.write_text(json.dumps(fixture()) + "\n")
