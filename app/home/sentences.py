"""What the paired tests allow to be said, in words of the reader's language; made from the numbers alone."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext as _

from utils.studies import title


def sentence(fact: dict[str, Any]) -> dict[str, str]:
    """One finding as a sentence, with its numbers beside it."""
    a, b = title(fact["a"]), title(fact["b"])
    if fact["verdict"] == "better":
        text = _("%(a)s is better than %(b)s.", a=a, b=b)
    elif fact["verdict"] == "worse":
        text = _("%(a)s is worse than %(b)s.", a=a, b=b)
    elif fact["verdict"] == "none":
        text = _("No difference found between %(a)s and %(b)s.", a=a, b=b)
    elif fact["seeds"] > 1:
        text = _("%(a)s and %(b)s share one scene, too few to tell them apart.", a=a, b=b)
    else:
        text = _("%(a)s and %(b)s share one seed, too few to tell them apart.", a=a, b=b)
    numbers = f"{fact['difference']:+.3f} [{fact['difference_low']:+.3f}, {fact['difference_high']:+.3f}]"
    if fact["verdict"] != "untested":
        numbers += f", p {'≤' if fact['p_holm'] <= fact['p_floor'] else '='} {fact['p_holm']:.3f}"
    return {"verdict": fact["verdict"], "text": text, "numbers": numbers}
