"""What a site knows of runs, bound to it once: its results, models, and what is in training."""

from __future__ import annotations

from flask import Flask, current_app

from app.api.busy import third
from app.runs.files import ModelFiles
from app.runs.library import Library
from app.runs.live import Live
from app.runs.names import titles_of


def library() -> Library:
    """The results of this site."""
    return current_app.extensions["library"]  # type: ignore[no-any-return]


def live() -> Live:
    """What is in training at this site."""
    return current_app.extensions["live"]  # type: ignore[no-any-return]


def init_app(app: Flask) -> None:
    """Bind results, models and trainings."""
    titles = titles_of(app)
    app.extensions["library"] = Library(app.config["CACHE"], titles, third(app))
    app.extensions["models"] = ModelFiles(app.config["CACHE"], app.config["INSTANCE"] / "onnx")
    app.extensions["live"] = Live(app.config["CACHE"], third(app), titles)
