"""Results of format 1, which knew sunny and cloudy photos only, read as results of today's format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from utils.tasks.weather import CLASSES

_SERIES = {
    "acc": "accuracy",
    "loss": "loss",
    "balanced_acc": "balanced_accuracy",
    "val_acc": "validation_accuracy",
    "val_loss": "validation_loss",
    "seconds": "seconds",
    "train_seconds": "training_seconds",
    "bytes_up": "bytes_up",
    "bytes_down": "bytes_down",
    "steps": "steps",
    "photos_seen": "examples",
    "train_loss": "training_loss",
}


Units = Mapping[str, tuple[str, str]]
"""Of each series the unit and which way is better, as `utils.results.UNITS` has them."""


def lift(result: dict[str, Any], units: Units) -> dict[str, Any]:
    """A result of format 1 in format 2; what was never checked may raise KeyError, TypeError, ValueError and the like.

    Every photo is a scene by itself: format 1 kept one of each group of near-duplicates.
    """
    data, source = dict(result["data"]), str(result["data"].get("set", ""))
    counts = [int(data["photos"]) - int(data["sunny"]), int(data.pop("sunny"))] if "sunny" in data else []
    data = {"set": source, **data, "examples": data.pop("photos", 0), "counts": counts}
    lifted = {
        **result,
        "format": 2,
        "classes": list(CLASSES),
        "data": data,
        "repeats": [lift_repeat(repeat, units, source) for repeat in result["repeats"]],
    }
    if result.get("model"):
        lifted["model"] = {
            **result["model"],
            **{part: _figures(result["model"][part]) for part in ("test", "val") if part in result["model"]},
        }
    return lifted


def lift_plan(plan: Any) -> Any:
    """The plan of an unfinished run, which called its fingerprint that of photos."""
    if isinstance(plan, dict) and "photos" in plan:
        plan.setdefault("examples", plan.pop("photos"))
    return plan


def lift_repeat(repeat: dict[str, Any], units: Units, source: str = "") -> dict[str, Any]:
    """The record of one repeat, finished or not."""
    lifted = {key: value for key, value in repeat.items() if key not in (*_SERIES, "test")}
    lifted["series"] = [
        {"name": name, "unit": units[name][0], "better": units[name][1], "values": repeat[old]}
        for old, name in _SERIES.items()
    ]
    for whose in ("owners", "clients"):
        lifted[whose] = [_counted(entry, source) for entry in repeat[whose]]
    if "test" in repeat:
        lifted["test"] = _lift_test(repeat["test"], source)
    return lifted


def _counted(entry: dict[str, Any], source: str) -> dict[str, Any]:
    rest = {key: value for key, value in entry.items() if key not in ("photos", *CLASSES)}
    counts = [entry[name] for name in CLASSES]
    return {"examples": entry["photos"], "counts": counts, "sources": {source: entry["photos"]}, **rest}


def _lift_test(test: dict[str, Any], source: str) -> dict[str, Any]:
    sunny, truth = test["probability"], test["label"]
    said = [int(p > 0.5) for p in sunny]
    return {
        "id": test["hash"],
        "scene": test["hash"],
        "source": [source] * len(truth),
        "truth": truth,
        "said": said,
        "probability": [max(p, 1 - p) for p in sunny],
        "probability_of_truth": _of_truth(sunny, truth),
    }


def _of_truth(sunny: list[float], truth: list[int]) -> list[float]:
    return [p if label == 1 else 1 - p for p, label in zip(sunny, truth, strict=True)]


def _figures(part: dict[str, Any]) -> dict[str, Any]:
    names = {"photos": "examples", "acc": "accuracy", "balanced_acc": "balanced_accuracy", "loss": "loss"}
    return {name: part[old] for old, name in names.items()}
