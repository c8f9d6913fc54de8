"""How people call runs: trainings as they named them, runs of a study in plain words of the reader's language."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flask import Flask
from flask_babel import get_locale
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from app.extensions import db
from app.models import Job
from utils.studies import title

Titles = Callable[[], Mapping[str, str]]


def language() -> str:
    """The reader's."""
    return str(get_locale() or "en")


def called(name: str, titles: Mapping[str, str], reader: str = "") -> str:
    """How people call the run `name`, in the language of the `reader`; `titles` are those of trainings."""
    return titles.get(name) or title(name, reader or language())


def titles_of(app: Flask) -> Titles:
    """A function that says, by run, its training's name with its number, as two may be called alike.

    It may be called from anywhere. Runs that no training of the database made, and all while that is away, have none.
    """

    def titles() -> dict[str, str]:
        try:
            with app.app_context():
                rows = db.session.execute(select(Job.run, Job.name, Job.id).where(Job.run != "")).all()
        except SQLAlchemyError:
            return {}
        return {run: f"{name}-{number}" for run, name, number in rows}

    return titles
