"""What a site knows of runs, bound to it once: its results, models, photos, and what is in training."""

from __future__ import annotations

from flask import Flask, current_app

from app.runs.files import ModelFiles, PhotoFiles
from app.runs.library import Library
from app.runs.live import Live


def library() -> Library:
    """The results of this site."""
    return current_app.extensions["library"]  # type: ignore[no-any-return]


def live() -> Live:
    """What is in training at this site."""
    return current_app.extensions["live"]  # type: ignore[no-any-return]


def init_app(app: Flask) -> None:
    """Bind results, models, photos and trainings."""
    app.extensions["library"] = Library(app.config["CACHE"])
    app.extensions["models"] = ModelFiles(app.config["CACHE"], app.config["INSTANCE"] / "onnx")
    app.extensions["photos"] = PhotoFiles(app.config["PHOTOS"])
    app.extensions["live"] = Live(app.config["CACHE"], streams=app.config["STREAMS"])
