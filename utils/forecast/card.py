"""The weather's part of a model card: what is shown to the network, and how far its probabilities hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from utils.comparison import Estimate
from utils.conf import make_conf
from utils.forecast.calibration import TRUSTED, calibrate, cross_fitted, plain, quality, trust
from utils.tasks.weather import Keys


def card(result: dict[str, Any]) -> dict[str, Any]:
    """Input, output, limits and further sections, as Markdown."""
    keys: Keys = make_conf(result["conf"], result["name"]).task.keys
    return {
        "input": f"RGB, {keys.image_size} x {keys.image_size} pixels.",
        "output": f"two logits, cloudy then sunny; what counts is their mean over\n{_views(keys)}.",
        "limits": "Two classes, so a night sky, snow or a wall is called sunny or cloudy too.",
        "sections": {"Calibration": _calibration(result)},
    }


def _calibration(result: dict[str, Any]) -> str:
    given, scaled = cross_fitted(result)
    how, (answered, right) = calibrate(result), trust(result)
    told = (
        f"it answered {answered:.1%} of the test photos, {right:.1%} of them right"
        if answered
        else "it never did"
    )
    rows = "\n".join(
        f"| {name} | {found.brier} | {found.log_loss} | {found.calibration_error:.3f} |"
        for name, found in (
            ("as the network says it", quality(plain(given), given)), ("scaled", quality(scaled, given))
        )
    )  # fmt: skip
    reliability = "\n".join(
        f"| {said:.2f} | {found:.2f} | {count} |" for said, found, count in quality(scaled, given).bins
    )
    return f"""Probabilities of sunny for test photos of all repeats, as they are and divided by a temperature
(Guo et al. 2017) that follows from the other folds; 95 % bootstrap intervals over photos.

| | Brier score | log loss, nats | calibration error |
|---|---|---|---|
{rows}

The forecast divides logits by {how.temperature:.3f}. It says sunny from {how.sunny_from:.3f} on,
cloudy up to {how.cloudy_to:.3f}, else that it cannot tell: even of the least sure answers that are said, at least
{TRUSTED:.0%} were right (isotonic regression). With temperature and thresholds from the other folds {told}.

| said, scaled | were sunny | answers |
|---|---|---|
{reliability}"""


def _views(keys: Keys) -> str:
    side = f"the photo's centre square at {keys.judged_side} x {keys.judged_side} pixels"
    if keys.judging == "whole":
        return f"{side} and its mirror image"
    return f"the four corners and the centre of {side}, two of them mirrored"


def told(result: Mapping[str, Any]) -> dict[str, Any]:
    """How well the probabilities of a run hold, as said and scaled, and what the forecast makes of them."""
    how, (given, scaled) = calibrate(result), cross_fitted(result)
    return {
        "temperature": how.temperature, "cloudy_to": how.cloudy_to, "sunny_from": how.sunny_from,
        **{
            name: {
                **_estimate("brier", found.brier), **_estimate("log_loss", found.log_loss),
                "error": found.calibration_error, "bins": [list(one) for one in found.bins],
            }
            for name, found in (("plain", quality(plain(given), given)), ("scaled", quality(scaled, given)))
        },
    }  # fmt: skip


def _estimate(name: str, value: Estimate) -> dict[str, float]:
    return {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
