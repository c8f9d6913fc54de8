"""The main figure of a study as a small picture for its card, drawn from the numbers; a template shows it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from app.language import brief
from app.studies.service import COLOURS
from utils.studies.evidence import Evidence
from utils.studies.questions import BYTES, Cell

WIDTH, HEIGHT = 240, 120
_LEFT, _EDGE = 34, 8  # room for the ends of the scale
Point = tuple[float, float]


def small(told: Evidence) -> dict[str, Any]:
    """Lines, dots with intervals, and tiles, by coordinates in WIDTH x HEIGHT; colours by number of the second axis."""
    question = told.question
    shown = _shown(told)
    picture: dict[str, Any] = {"lines": [], "dots": [], "tiles": [], "top": "", "bottom": ""}
    if not shown:
        return picture
    if question.picture == "curves":
        lines, low, high = _curves(told)
        return picture | {"lines": lines, **_marked(told, low, high)}
    low, high = _ends([end for _, _, *ends in shown.values() for end in ends])
    columns = len(question.axes[0].values)
    if question.picture == "heat":
        return picture | {"tiles": _tiles(told, {key: one[1] for key, one in shown.items()}, low, high)}
    picture |= _marked(told, low, high)
    if question.picture == "costs":
        return picture | {"dots": _costs(told, shown, low, high)}
    first_panel = question.axes[2].values[0].name if len(question.axes) > 2 else None
    points: dict[str, list[Point]] = {}
    groups = [one.name for one in question.axes[1].values] if len(question.axes) > 1 else [""]
    for cell, value, below, above in shown.values():
        if first_panel is not None and cell.values[2] != first_panel:
            continue
        group = cell.values[1] if len(cell.values) > 1 else ""
        column = [one.name for one in question.axes[0].values].index(cell.values[0])
        number = groups.index(group)
        x = _along(column + 0.5 + 0.12 * (number - (len(groups) - 1) / 2), columns)
        y, top, bottom = (_up(one, low, high) for one in (value, above, below))
        points.setdefault(group, []).append((x, y))
        picture["dots"].append({"x": x, "y": y, "top": top, "bottom": bottom, **_ink(number)})
    if question.picture == "lines":
        picture["lines"] = [
            {"points": _points(of), **_ink(groups.index(group))} for group, of in points.items()
        ]
    return picture


def _shown(told: Evidence) -> dict[str, tuple[Cell, float, float, float]]:
    """By key of each cell the main figure with its ends."""
    name, found = told.question.figures[0].name, {}
    for key, one in told.found.items():
        if one.estimate:
            found[key] = (one.cell, one.estimate.value, one.estimate.low, one.estimate.high)
        elif over := one.figures.get(name):
            found[key] = (one.cell, over.mean, over.low, over.high)
    return found


def _tiles(told: Evidence, values: dict[str, float], low: float, high: float) -> list[dict[str, Any]]:
    axes = told.question.axes
    panels = [one.name for one in axes[2].values] if len(axes) > 2 else [""]
    columns, rows = len(axes[0].values), len(axes[1].values)
    wide = (WIDTH - 4 * (len(panels) - 1)) / len(panels)
    found = []
    for key, value in values.items():
        cell = told.question.cells[key]
        column = [one.name for one in axes[0].values].index(cell.values[0])
        row = [one.name for one in axes[1].values].index(cell.values[1])
        panel = panels.index(cell.values[2]) if len(axes) > 2 else 0
        found.append({
            "x": round(panel * (wide + 4) + column * wide / columns, 1), "y": round(row * HEIGHT / rows, 1),
            "width": round(wide / columns - 1, 1), "height": round(HEIGHT / rows - 1, 1),
            "share": round(100 * (value - low) / (high - low)),
        })  # fmt: skip
    return found


def _costs(
    told: Evidence, shown: dict[str, tuple[Cell, float, float, float]], low: float, high: float
) -> list[dict[str, Any]]:
    """Dots with intervals by what each costs, on a scale of powers of ten; what has no price is left out."""
    question, prices = told.question, {}
    for key in shown:
        figure = told.found[key].figures.get(question.across)
        price = told.found[key].bytes if question.across == BYTES else figure.mean if figure else 0.0
        if price > 0:
            prices[key] = math.log10(price)
    first, last = _ends(list(prices.values()))
    groups = [one.name for one in question.axes[1].values] if len(question.axes) > 1 else [""]
    found = []
    for key, price in prices.items():
        cell, value, below, above = shown[key]
        y, top, bottom = (_up(one, low, high) for one in (value, above, below))
        x = _along(0.05 + 0.9 * (price - first) / (last - first), 1)
        number = groups.index(cell.values[1]) if len(cell.values) > 1 else 0
        found.append({"x": x, "y": y, "top": top, "bottom": bottom, **_ink(number)})
    return found


def _curves(told: Evidence) -> tuple[list[dict[str, Any]], float, float]:
    name, lines = told.question.figures[0].name, []
    for key, one in told.found.items():
        repeats = told.result.cells[told.question.trained_as[key]].repeats
        known = [repeat.series[name] for repeat in repeats if name in repeat.series]
        if known and not one.failed:
            rounds = min(map(len, known))
            lines.append([sum(float(line[at]) for line in known) / len(known) for at in range(rounds)])
    low, high = _ends([value for line in lines for value in line])
    drawn = []
    for number, line in enumerate(lines):
        steps = max(1, len(line) - 1)
        of = [(_along(at, steps), _up(value, low, high)) for at, value in enumerate(line)]
        drawn.append({"points": _points(of), **_ink(number)})
    return drawn, low, high


def _marked(told: Evidence, low: float, high: float) -> dict[str, str]:
    """The ends of the scale, in words."""
    unit = told.result.series.get(told.question.figures[0].name, ("", ""))[0]
    ends = (f"{100 * one:.0f} %" if unit == "fraction" else brief(one) for one in (high, low))
    return dict(zip(("top", "bottom"), ends, strict=True))


def _ink(number: int) -> dict[str, str]:
    light, dark = COLOURS[number % len(COLOURS)]
    return {"light": light, "dark": dark}


def _ends(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _along(value: float, steps: float) -> float:
    return round(_LEFT + value / steps * (WIDTH - _LEFT - _EDGE), 1)


def _up(value: float, low: float, high: float) -> float:
    return round(HEIGHT - _EDGE - (value - low) / (high - low) * (HEIGHT - 2 * _EDGE), 1)


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{x},{y}" for x, y in points)
