"""The weather's part of a model card: what is shown to the network, and how far its probabilities hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from utils.calibration import answers_of, calibrate, cross_fitted, plain, quality, trust
from utils.comparison import Estimate, sources
from utils.conf import make_conf

TRUSTED = 0.8
"""Share of right answers among those with a probability like the least sure one that is still said."""
_FOLDS, _ELSEWHERE = "folds", "a source left out"


def card(result: dict[str, Any], left_out: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Input, output, limits and further sections, as Markdown."""
    keys = make_conf(result["conf"], result["name"]).task.keys
    return {
        "input": f"RGB, {keys.image_size} x {keys.image_size} pixels.",
        "output": f"two logits, cloudy then sunny; what counts is their mean over\n{_views(keys)}.",
        "limits": "Two classes, so a night sky, snow or a wall is called sunny or cloudy too.",
        "sections": {"Calibration": _calibration(result, left_out)},
    }


def _calibration(result: dict[str, Any], left_out: Mapping[str, Any] | None) -> str:
    given = answers_of(result, left_out)
    how, scaled = calibrate(given, TRUSTED), cross_fitted(given)
    places = {_FOLDS: ~given.elsewhere} | ({_ELSEWHERE: given.elsewhere} if left_out else {})
    of_each = {name: (given.only(where), scaled[where]) for name, where in places.items()}
    rows = "\n".join(
        f"| {name}, {kind} | {found.brier} | {found.log_loss} | {found.calibration_error:.3f} |"
        for name, (some, said) in of_each.items()
        for kind, found in (("as said", quality(plain(some), some)), ("scaled", quality(said, some)))
    )
    given_and_right = "\n".join(
        f"| {name} | {one.answers} | {one.answered:.1%} | {'-' if one.right is None else f'{one.right:.1%}'} |"
        for name, one in zip(of_each, trust(result, left_out, TRUSTED), strict=True)
    )
    some, said = of_each[_FOLDS]
    reliability = "\n".join(
        f"| {share:.2f} | {found:.2f} | {count} |" for share, found, count in quality(said, some).bins
    )
    beside = (
        f"\n{_ELSEWHERE.capitalize()} is {', '.join(sources(left_out))}, in `{left_out['name']}`: the same recipe, "
        "trained\nwithout that source. Its answers weigh as much as those of the folds together."
        if left_out
        else ""
    )
    return f"""Probabilities of sunny for photos not seen in training, as they are and divided by a temperature (Guo et
al. 2017) that follows from the other folds and scenes; 95 % bootstrap intervals over scenes.{beside}

| | Brier score | log loss, nats | calibration error |
|---|---|---|---|
{rows}

The forecast divides logits by {how.temperature:.3f}. It says sunny from {how.high:.3f} on,
cloudy up to {how.low:.3f}, else that it cannot tell: even of the least sure answers that are said, at least
{TRUSTED:.0%} were right (isotonic regression). With temperature and thresholds from the other folds and scenes:

| | answers | said at all | of these right |
|---|---|---|---|
{given_and_right}

| said, scaled ({_FOLDS}) | were sunny | answers |
|---|---|---|
{reliability}"""


def expected(result: Mapping[str, Any], left_out: Mapping[str, Any] | None = None) -> str:
    """What a new photo may expect, as a sentence; see `calibration.trust`."""
    known, *new = trust(result, left_out, TRUSTED)
    told = f"{known.answered:.0%} of the photos of its own sources, {known.right or 0:.0%} of them rightly"
    for one in new:
        told += (
            f"; trained without `{'`, `'.join(one.sources)}`, it answers {one.answered:.0%} of the photos there, "
            f"{one.right or 0:.0%} of them rightly"
        )
    return f"so it answers {told} (each fold and each scene judged by what the others taught)."


def _views(keys: Any) -> str:
    side = f"the photo's centre square at {keys.judged_side} x {keys.judged_side} pixels"
    if keys.judging == "whole":
        return f"{side} and its mirror image"
    return f"the four corners and the centre of {side}, two of them mirrored"


def told(result: Mapping[str, Any], left_out: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """How well the probabilities of a run hold, as said and scaled, and what the forecast makes of them."""
    given = answers_of(result, left_out)
    how, scaled = calibrate(given, TRUSTED), cross_fitted(given)
    some, scaled = given.only(~given.elsewhere), scaled[~given.elsewhere]
    return {
        "temperature": how.temperature, "cloudy_to": how.low, "sunny_from": how.high,
        "left_out": sources(left_out) if left_out else [],
        **{
            name: {
                **_estimate("brier", found.brier), **_estimate("log_loss", found.log_loss),
                "error": found.calibration_error, "bins": [list(one) for one in found.bins],
            }
            for name, found in (("plain", quality(plain(some), some)), ("scaled", quality(scaled, some)))
        },
    }  # fmt: skip


def _estimate(name: str, value: Estimate) -> dict[str, float]:
    return {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
