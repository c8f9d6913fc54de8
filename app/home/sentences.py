"""What the paired tests allow to be said, in words of the reader's language; made from the numbers alone."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext as _

from app.language import brief
from app.runs.names import called, language
from utils.studies import study_runs


def plainly(fact: dict[str, Any]) -> dict[str, str]:
    """A finding of the story for somebody who knows no statistics, with the interval of its points beside it."""
    a, b = ((study_runs()[fact[side]].does or {})[language()] for side in "ab")
    number = fact["figure"] == "rmse"
    scale, points = (
        (1, brief(abs(fact["difference"]))) if number else (100, f"{100 * abs(fact['difference']):.1f}")
    )
    said = {"a": a, "b": b, "points": points}
    if fact["verdict"] == "untested":
        text = _("Between %(a)s and %(b)s too little was measured to tell them apart.", a=a, b=b)
    elif number:
        text = {
            "better": _(
                "%(a)s errs less than %(b)s, by %(points)s; the test says this is no accident.", **said
            ),
            "worse": _(
                "%(a)s errs more than %(b)s, by %(points)s; the test says this is no accident.", **said
            ),
            "none": _(
                "Between the errors of %(a)s and %(b)s no difference was found: %(points)s may well be chance.",
                **said,
            ),
        }[fact["verdict"]]
    else:
        text = {
            "better": _("%(a)s beats %(b)s by %(points)s points; the test says this is no accident.", **said),
            "worse": _(
                "%(a)s falls behind %(b)s by %(points)s points; the test says this is no accident.", **said
            ),
            "none": _(
                "Between %(a)s and %(b)s no difference was found: %(points)s points may well be chance.",
                **said,
            ),
        }[fact["verdict"]]
    return _told(fact, text, scale)


def _told(fact: dict[str, Any], text: str, scale: int) -> dict[str, str]:
    """A sentence with the interval of the difference, turned so that it is of one above 0."""
    low, high = sorted(
        scale * fact[f"difference_{end}"] * (-1 if fact["difference"] < 0 else 1) for end in ("low", "high")
    )
    return {
        "verdict": fact["verdict"],
        "text": text[0].upper() + text[1:],
        "numbers": _(
            "with 95 %% confidence %(low)s to %(high)s",
            **{
                end: (f"{value:.1f}" if scale == 100 else brief(value)).replace("-", "−")
                for end, value in (("low", low), ("high", high))
            },
        ),
    }


def sentence(fact: dict[str, Any]) -> dict[str, str]:
    """One finding as a sentence, with its numbers beside it."""
    a, b = (called(fact[side], {}) for side in "ab")
    if fact["verdict"] == "better":
        text = _("“%(a)s” is better than “%(b)s”.", a=a, b=b)
    elif fact["verdict"] == "worse":
        text = _("“%(a)s” is worse than “%(b)s”.", a=a, b=b)
    elif fact["verdict"] == "none":
        text = _("No difference found between “%(a)s” and “%(b)s”.", a=a, b=b)
    elif fact["seeds"] > 1:
        text = _("“%(a)s” and “%(b)s” share one scene, too few to tell them apart.", a=a, b=b)
    else:
        text = _("“%(a)s” and “%(b)s” share one seed, too few to tell them apart.", a=a, b=b)
    middle, low, high = (
        f"{value:+.3f}" if fact["figure"] == "accuracy" else f"{'+' if value > 0 else ''}{brief(value)}"
        for value in (fact[f"difference{end}"] for end in ("", "_low", "_high"))
    )
    numbers = f"{middle} [{low}, {high}]"
    if fact["verdict"] != "untested":
        numbers += f", p {'≤' if fact['p_holm'] <= fact['p_floor'] else '='} {fact['p_holm']:.3f}"
    return {"verdict": fact["verdict"], "text": text, "numbers": numbers}
