"""The models that answer about the sky, and what goes with them."""

from __future__ import annotations

import base64
import io
import threading
from typing import Any

from PIL import Image

from app.models import Forecast
from app.runs.library import Library
from app.runs.speakers import Speakers, roles_of
from utils.apart import Apart
from utils.forecast.predictor import Predictor
from utils.studies import first

ROLES = roles_of(first())


class Forecasters(Speakers[Predictor]):
    """The predictors of one cache folder. Safe to use from several threads."""

    def __init__(self, library: Library) -> None:
        super().__init__(library, ROLES, Predictor.load)
        self.places = threading.BoundedSemaphore(2)  # photos that are judged at a time
        self.look = Apart("utils.forecast.looking:look", 2)


def sample(number: int) -> bytes:
    """A drawn sky to try the forecast on, as JPEG."""
    from utils.photos.simulator import simulate

    pixels, _ = simulate(2026, number)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "JPEG", quality=90)
    return written.getvalue()


def exported(one: Forecast) -> dict[str, Any]:
    """A kept forecast as its owner takes it along, with its picture in base64."""
    told = {key: getattr(one, key) for key in ("file", "answer", "probability", "run", "correction")}
    return {"at": one.at.isoformat(), **told, "photo": base64.b64encode(one.photo).decode()}
