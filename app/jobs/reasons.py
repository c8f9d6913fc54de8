"""Why a training waits or has failed, in the reader's language; the database keeps it in English."""

from __future__ import annotations

import re
from collections.abc import Callable
from re import Match

from flask_babel import gettext as _

_SENTENCES: tuple[tuple[str, Callable[[Match[str]], str]], ...] = (
    (
        r"would take about (\d+) hours; an admin has to allow that",
        lambda m: _("would take about %(count)s hours; an admin has to allow that", count=m[1]),
    ),
    (r"its process was lost", lambda m: _("its process was lost")),
    (
        r"its process was killed \(signal (\d+)\)",
        lambda m: _("its process was killed (signal %(number)s)", number=m[1]),
    ),
    (r"; goes on from the last whole round", lambda m: _("; goes on from the last whole round")),
    (
        r", (\d+) times in a row; resuming goes on from the last whole round",
        lambda m: _(", %(count)s times in a row; resuming goes on from the last whole round", count=m[1]),
    ),
    (
        r"the trainings of (.*) take more than (\d+) MB",
        lambda m: _("the trainings of %(who)s take more than %(count)s MB", who=m[1], count=m[2]),
    ),
)


def in_ones_language(reason: str) -> str:
    """`reason` as the reader says it; what a program said last, say, stays as it is."""
    said, rest = "", reason
    while rest:
        for pattern, told in _SENTENCES:
            if found := re.match(pattern, rest):
                said, rest = said + told(found), rest[found.end() :]
                break
        else:
            return reason
    return said
