"""The pictures that the browser's tests compare with are judged here as when they were written."""

import base64
import json

import numpy as np
import pytest

from tests.forecast.fixture import CALIBRATION, FILE, PLACES, is_turned, said_of

KEPT = json.loads(FILE.read_text())
HINT = "python3 -m tests.forecast.fixture writes it anew"


@pytest.mark.parametrize("kept", KEPT["pictures"], ids=lambda kept: kept["name"])
def test_a_picture_is_still_judged_so(kept):
    rgb = np.frombuffer(base64.b64decode(kept["rgb"]), np.uint8).reshape(kept["height"], kept["width"], 3)
    said = said_of(rgb)
    for key in ("values", "mean", "statistics", "heat"):
        assert np.allclose(said[key], kept[key], atol=1e-4), f"{key}: {HINT}"
    for (margin, now), (_, then) in zip(said["verdicts"], kept["verdicts"], strict=True):
        assert now == pytest.approx(then, abs=1e-4), f"{margin}: {HINT}"


def test_orientations_are_still_believed_so():
    turned = [is_turned(base64.b64decode(file["file"])) for file in KEPT["camera_files"]]
    assert turned == [file["turned"] for file in KEPT["camera_files"]] and {True, False} == set(turned)


def test_what_it_was_made_for_is_the_same():
    assert KEPT["places"] == [list(place) for place in PLACES]
    assert KEPT["calibration"] == {
        "temperature": CALIBRATION.temperature,
        "cloudy_to": CALIBRATION.low,
        "sunny_from": CALIBRATION.high,
    }
