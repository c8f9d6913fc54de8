"""A study at a glance: its picture, its question, its measured answer."""

from __future__ import annotations

from typing import Any

from app.studies.pictures import HEIGHT, WIDTH, small
from app.studies.service import listed, studies
from utils.studies.questions import Question


def card(question: Question, language: str) -> dict[str, Any]:
    """What `studies/card.html` shows of a question."""
    results = studies().results(question)
    first = next((one.told for one in results if one.told and one.told.found), None)
    return {
        **listed(question, results, language),
        "picture": small(first) if first else None,
        "figure": question.figures[0].label[language],
        "width": WIDTH,
        "height": HEIGHT,
    }
