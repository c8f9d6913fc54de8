"""The models that judge programs, and what goes with them to the browsers in which they judge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask, current_app

from app.runs.speakers import Speakers, roles_of, speakers
from utils.studies import studies

if TYPE_CHECKING:
    from utils.malware.predictor import Predictor

STUDY = "malware"


def detectors() -> Speakers[Predictor]:
    """The models of this site."""
    return current_app.extensions["detectors"]  # type: ignore[no-any-return]


def launchers() -> list[dict[str, Any]]:
    """Programs known to be benign, by what their headers hold."""
    from utils.malware.launchers import shipped

    return shipped()


def in_wheels(name: str, sha256: str) -> dict[str, int] | None:
    """What the model of a run calls the programs with windows in Python's wheels, all of them benign: how many malware,
    benign or unsure. None where this very model was not asked.
    """
    from utils.malware.elsewhere import shipped

    told = shipped()["models"].get(name)
    return dict(told["programs"]) if told and told["sha256"] == sha256 else None


def _opened(cache: Path, name: str) -> Predictor:
    from utils.malware.predictor import Predictor

    return Predictor.load(cache, name)


def init_app(app: Flask) -> None:
    """Bind the models, which are those of the runs."""
    app.extensions["detectors"] = Speakers(app.extensions["library"], roles_of(studies()[STUDY]), _opened)
    speakers(app).append(app.extensions["detectors"])
