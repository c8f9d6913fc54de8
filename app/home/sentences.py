"""What the paired tests allow to be said, in words of the reader's language; made from the numbers alone."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext as _

from app.runs.names import called, language
from utils.studies import study_runs


def plainly(fact: dict[str, Any]) -> dict[str, str]:
    """A finding of the story for somebody who knows no statistics, with the interval of its points beside it."""
    a, b = ((study_runs()[fact[side]].does or {})[language()] for side in "ab")
    points = f"{100 * abs(fact['difference']):.1f}"
    if fact["verdict"] == "better":
        text = _(
            "%(a)s beats %(b)s by %(points)s points; the test says this is no accident.",
            a=a,
            b=b,
            points=points,
        )
    elif fact["verdict"] == "worse":
        text = _(
            "%(a)s falls behind %(b)s by %(points)s points; the test says this is no accident.",
            a=a,
            b=b,
            points=points,
        )
    elif fact["verdict"] == "none":
        text = _(
            "Between %(a)s and %(b)s no difference was found: %(points)s points may well be chance.",
            a=a, b=b, points=points,
        )  # fmt: skip
    else:
        text = _("Between %(a)s and %(b)s too little was measured to tell them apart.", a=a, b=b)
    low, high = sorted(
        100 * fact[f"difference_{end}"] * (-1 if fact["difference"] < 0 else 1) for end in ("low", "high")
    )
    return {
        "verdict": fact["verdict"],
        "text": text[0].upper() + text[1:],
        "numbers": _(
            "with 95 %% confidence %(low)s to %(high)s",
            low=f"{low:.1f}".replace("-", "−"),
            high=f"{high:.1f}",
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
    numbers = f"{fact['difference']:+.3f} [{fact['difference_low']:+.3f}, {fact['difference_high']:+.3f}]"
    if fact["verdict"] != "untested":
        numbers += f", p {'≤' if fact['p_holm'] <= fact['p_floor'] else '='} {fact['p_holm']:.3f}"
    return {"verdict": fact["verdict"], "text": text, "numbers": numbers}
