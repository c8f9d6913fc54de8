"""What people called their trainings: runs are shown and found by that; what files are called is an inner matter."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from app.extensions import db
from app.models import Job

Titles = Callable[[], Mapping[str, str]]


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
