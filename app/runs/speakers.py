"""The models that answer visitors: which run speaks for which role of a study, loaded once, exchanged when cache/
brings a better one.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

import torch
from flask import Flask

from app.api.busy import place
from app.runs.library import Library
from utils.nets.stored import ModelError
from utils.results import ResultError
from utils.studies import Study

P = TypeVar("P")
_OPEN = 8


def roles_of(study: Study) -> dict[str, str]:
    """Role to the shipped run that plays it, of the roles whose models a study has answer."""
    return {role: study.by_role(role).run for role in study.models}


class Speakers(Generic[P]):
    """The predictors of one cache folder for the roles of one study, each opened by `load(cache, name)`, which raises
    ResultError or ModelError. Safe to use from several threads.

    Somebody's own repetitions of a shipped run (conf_f10@2) may take its place.
    """

    def __init__(self, library: Library, roles: Mapping[str, str], load: Callable[[Path, str], P]) -> None:
        self.library, self.roles, self._load = library, roles, load
        self._open: OrderedDict[tuple[str, str], P] = OrderedDict()
        self._lock = threading.Lock()

    def names(self) -> dict[str, str]:
        """Role to run, of those that are there: the one of least validation loss on the shipped run's examples."""
        listed = [one["name"] for one in self.library.summaries() if "error" not in one]
        found = {}
        for role, base in self.roles.items():
            able = {name: m for name in listed if name.partition("@")[0] == base and (m := self._model(name))}
            examples = able[base][1] if base in able else None
            alike = {name: loss for name, (loss, whose) in able.items() if examples in (None, whose)}
            if alike:
                found[role] = min(alike, key=lambda name: (alike[name], name))
        return found

    def _model(self, name: str) -> tuple[float, str] | None:
        """Validation loss of a run's model and the fingerprint of its examples; None when it has none to judge by."""
        try:
            result = self.library.result(name) or {}
        except ResultError:
            return None
        model = result.get("model")
        if not model or "loss" not in model.get(
            "val", {}
        ):  # a run of numbers may bear the name of one of classes
            return None
        return float(model["val"]["loss"]), str(result["data"].get("fingerprint", ""))

    def predictor(self, name: str) -> P | None:
        """The predictor of a run, None when its model cannot be used."""
        try:
            model = (self.library.result(name) or {}).get("model") or {}
            key = (name, str(model.get("sha256", "")))
            with place(self._lock, waiting=True):
                if key not in self._open:
                    torch.set_num_threads(1)
                    self._open[key] = self._load(self.library.folder, name)
                    while len(self._open) > _OPEN:
                        self._open.popitem(last=False)
                self._open.move_to_end(key)
                return self._open[key]
        except (ResultError, ModelError) as error:
            logging.getLogger(__name__).warning("%s", error)
            return None

    def all(self) -> dict[str, tuple[str, P]]:
        """Role to the run that speaks for it and its predictor, of those that can be used."""
        named = ((role, name, self.predictor(name)) for role, name in self.names().items())
        return {role: (name, predictor) for role, name, predictor in named if predictor is not None}

    def warm(self) -> None:
        """Load the models that answer, so that the first visitor need not wait for them."""
        self.all()


def speakers(app: Flask) -> list[Speakers[object]]:
    """All whose models answer visitors of this site; each room adds its own."""
    found: list[Speakers[object]] = app.extensions.setdefault("speakers", [])
    return found
