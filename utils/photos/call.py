"""The published task of the sky with which the demo's board begins; all that it has was drawn by the simulator."""

from __future__ import annotations

import numpy as np

from utils.calls.examples import picture
from utils.calls.format import checked_format
from utils.calls.packs import Demo, as_png, zipped
from utils.photos.simulator import CLOUDY_FROM, simulate

TEST_SEED, PACK_SEED = 41, 42
"""Of the simulator; whoever draws with other seeds draws other skies."""
_TESTED, _PACK = 100, 40
FORMAT = {
    "input": {"kind": "picture", "side": 64, "channels": 3, "colours": "opponent"},
    "answer": {
        "kind": "label",
        "labels": [
            {"name": "cloudy", "hint": "half of the sky you see, or more, is under cloud"},
            {"name": "sunny", "hint": "less than half of it is"},
        ],
    },
}


def drawn(seed: int, index: int) -> tuple[bytes, int]:
    """A simulated photo as a PNG, and its label."""
    pixels, scene = simulate(seed, index)
    return as_png(pixels.transpose(2, 0, 1)), int(scene.cover < CLOUDY_FROM)


def skies(consent: str) -> Demo:
    """A colour picture and a label."""
    of = checked_format(FORMAT)
    tested = [drawn(TEST_SEED, index) for index in range(_TESTED)]
    files = {}
    for index in range(_PACK):
        raw, label = drawn(PACK_SEED, index)
        files[f"{of.labels[label].name}/{index}.png"] = raw
    return Demo(
        "Sunny or cloudy?",
        0,
        "Photographs of the sky, taken by anybody: is less than half of it under cloud? Look up, take a photo, and say "
        "what you see. The network is small enough for a phone. Everything that this demo's board has is drawn by the "
        "simulator, its test examples too: a model of this task knows drawn skies until people bring real ones.\n\n"
        "任何人拍摄的天空照片：云量是否少于一半？抬头、拍照、说出您看到的。演示中的一切都由模拟器绘制，包括测试样本。",
        {
            "format": FORMAT,
            "network": "photo_cnn",
            "training": {"lr": 0.05, "momentum": 0.9, "batch_size": 10, "local_epochs": 8},
            "aggregation": {"goal": 4, "least": 2, "minutes": 10},
            "consent": consent,
        },
        np.stack([picture(raw, of) for raw, _label in tested]),
        np.array([label for _raw, label in tested]),
        zipped(files),
    )
