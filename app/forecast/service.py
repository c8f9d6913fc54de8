"""The models that answer: which run speaks for which role, loaded once, exchanged when cache/ brings a better one."""

from __future__ import annotations

import base64
import io
import logging
import threading
from collections import OrderedDict
from typing import Any

import torch
from PIL import Image

from app.api.busy import place
from app.models import Forecast
from app.runs.library import Library
from utils.apart import Apart
from utils.forecast.predictor import Predictor
from utils.nets.stored import ModelError
from utils.results import ResultError
from utils.studies import first

ROLES = {role: first().by_role(role).run for role in first().models}
"""Role to the shipped run that plays it; the user's own repetitions of it (conf_f10@2) may take its place."""
_OPEN = 8


class Forecasters:
    """The predictors of one cache folder. Safe to use from several threads."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._open: OrderedDict[tuple[str, str], Predictor] = OrderedDict()
        self._lock = threading.Lock()
        self.places = threading.BoundedSemaphore(2)  # photos that are judged at a time
        self.look = Apart("utils.forecast.looking:look", 2)

    def names(self) -> dict[str, str]:
        """Role to run, of those that are there: the one with the least validation loss on the shipped run's photos."""
        listed = [one["name"] for one in self.library.summaries() if "error" not in one]
        found = {}
        for role, base in ROLES.items():
            able = {name: m for name in listed if name.partition("@")[0] == base and (m := self._model(name))}
            photos = able[base][1] if base in able else None
            alike = {name: loss for name, (loss, whose) in able.items() if photos in (None, whose)}
            if alike:
                found[role] = min(alike, key=lambda name: (alike[name], name))
        return found

    def _model(self, name: str) -> tuple[float, str] | None:
        """Validation loss of a run's model and the fingerprint of its photos; None when it has no model to judge by."""
        try:
            result = self.library.result(name) or {}
        except ResultError:
            return None
        model = result.get("model")
        if not model or "loss" not in model.get(
            "val", {}
        ):  # a run of numbers may bear the name of one of skies
            return None
        return float(model["val"]["loss"]), str(result["data"].get("fingerprint", ""))

    def predictor(self, name: str) -> Predictor | None:
        """The predictor of a run, None when its model cannot be used."""
        try:
            model = (self.library.result(name) or {}).get("model") or {}
            key = (name, str(model.get("sha256", "")))
            with place(self._lock, waiting=True):
                if key not in self._open:
                    torch.set_num_threads(1)
                    self._open[key] = Predictor.load(self.library.folder, name)
                    while len(self._open) > _OPEN:
                        self._open.popitem(last=False)
                self._open.move_to_end(key)
                return self._open[key]
        except (ResultError, ModelError) as error:
            logging.getLogger(__name__).warning("%s", error)
            return None

    def warm(self) -> None:
        """Load the models that answer, so that the first visitor need not wait for them."""
        for name in self.names().values():
            self.predictor(name)


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
