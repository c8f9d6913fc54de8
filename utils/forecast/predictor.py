"""One model, ready to be asked about photos of the sky."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from utils.calibration import Calibration, answers_of, calibrate, trust
from utils.conf import Conf
from utils.forecast.card import TRUSTED
from utils.forecast.pixels import ENOUGH, SIDE, Pixels, resize, square_of
from utils.forecast.sky_check import LUMA, shipped
from utils.nets.stored import load_model
from utils.photos.cleaning import decode, is_colourless
from utils.photos.judged import AsJudged
from utils.studies import left_out
from utils.tasks.weather import CLASSES

DARK = 0.12
"""Mean light (0..1) below which a picture is taken at night, as far as its pixels tell."""
_PATCH, _STEP = 4, 2  # sixteenths of a side: what the heat map covers at a time, and how far it moves


@dataclass(frozen=True)
class Verdict:
    """What a model says of a photo.

    `answer` is "sunny", "cloudy", "unsure", "night", "no colour" or "no sky"; `probability` that of sunny, calibrated;
    `strangeness` how unlike skies the picture is (above 1: no sky); `light` its mean light, 0..1.
    """

    answer: str
    probability: float
    strangeness: float
    light: float

    def as_json(self) -> dict[str, Any]:
        """Plain types."""
        return {key: round(v, 6) if isinstance(v, float) else v for key, v in asdict(self).items()}


def read_photo(raw: bytes) -> Pixels:
    """The square that is judged, shape (3, SIDE, SIDE), 0..1, from a file's bytes. Raises cleaning.Refused."""
    return square_of(decode(raw, at_least=ENOUGH))


class Predictor:
    """A run's model with its calibration. Safe to use from several threads."""

    def __init__(
        self,
        name: str,
        result: dict[str, Any],
        conf: Conf,
        net: nn.Module,
        left_out: dict[str, Any] | None = None,
    ) -> None:
        self.name, self.conf = name, conf
        self.model: dict[str, Any] = result["model"]
        self.parameters = int(result["parameters"])
        self.calibration: Calibration = calibrate(answers_of(result, left_out), TRUSTED)
        self.trust = trust(result, left_out, TRUSTED)
        self._net = AsJudged(net, conf).eval()

    @classmethod
    def load(cls, cache: Path, name: str) -> Predictor:
        """The model of the run `name`. Raises ResultError and ModelError, one line each."""
        return cls(name, *load_model(cache, name), left_out(cache, name))

    def judge(self, square: Pixels, night: bool | None = None) -> Verdict:
        """What the model says of a picture (3, SIDE, SIDE); `night` is known from elsewhere, or told by the pixels."""
        logit = float(self._margins(square[None])[0])
        probability = self.calibration.probability(logit)
        strangeness = shipped().strangeness(square)
        light = float(np.tensordot(LUMA, square, 1).mean())
        said = self.calibration.answer(probability)
        answer = "unsure" if said is None else CLASSES[said]
        if night or (night is None and light < DARK):
            answer = "night"
        elif is_colourless(square.transpose(1, 2, 0)):
            answer = "no colour"
        elif strangeness > 1:
            answer = "no sky"
        return Verdict(answer, probability, strangeness, light)

    def heat(self, square: Pixels) -> NDArray[np.float64]:
        """What spoke for the answer, shape (7, 7), -1..1: how much the logit falls when a part is covered.

        Occlusion (Zeiler and Fergus 2014, section 4.2): a square of a quarter of the side is painted in the mean
        colour; positive where that makes the likelier class less likely. Scaled so that the largest is 1 in size.
        """
        size = SIDE * _PATCH // 16
        starts = range(0, SIDE - size + 1, SIDE * _STEP // 16)
        covered = np.repeat(square[None], len(starts) ** 2, axis=0)
        mean = square.mean(axis=(1, 2))[:, None, None]
        for number, (top, left) in enumerate((t, s) for t in starts for s in starts):
            covered[number, :, top : top + size, left : left + size] = mean
        margins = self._margins(np.concatenate([square[None], covered]))
        fall = (margins[0] - margins[1:]) * (1 if margins[0] >= 0 else -1)
        fall = fall.reshape(len(starts), len(starts))
        scaled: NDArray[np.float64] = fall / max(float(np.abs(fall).max()), 1e-9)
        return scaled

    def _margins(self, squares: Pixels) -> NDArray[np.float64]:
        """Logit of sunny against cloudy of pictures (n, 3, SIDE, SIDE)."""
        side = self.conf.task.keys.judged_side
        small = squares if side == SIDE else np.stack([resize(square, side) for square in squares])
        with torch.inference_mode():
            logits = self._net(torch.from_numpy(small)).double().numpy()
        margins: NDArray[np.float64] = logits[:, CLASSES.index("sunny")] - logits[:, CLASSES.index("cloudy")]
        return margins
