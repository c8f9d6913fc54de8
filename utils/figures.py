"""Interactive figures and tables of results: Plotly pages and CSV, made from nothing but what the runs measured."""

from __future__ import annotations

import html
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.io import write_images
from plotly.offline import get_plotlyjs
from plotly.subplots import make_subplots

from utils.comparison import CALLED, Estimate, answers, compare, estimated, figures_of, is_number
from utils.conf import owner_name
from utils.files import atomic_write
from utils.results import values
from utils.studies import both, colour, title

Results = Mapping[str, Mapping[str, Any]]

COSTS = {
    "round": "round",
    "passes": "passes over the data held by the clients",
    "steps": "gradient steps, one after the other",
    "examples": "examples trained on",
    "seconds": "seconds (wall clock; repeats ran side by side)",
    "bytes": "bytes sent",
}
"""What a run cost so far: the axes on which its series may be drawn."""

SHADES = (
    "#7f8c9b", "#b8860b", "#2e8b57", "#7c5cf0", "#d6336c", "#1098ad", "#c8620c", "#1f6fb5", "#5c940d", "#ae3ec9",
)  # fmt: skip
"""Of classes, on light and dark grounds alike."""
LAYOUT: dict[str, Any] = {
    "template": "plotly_white",
    "font": {"family": "system-ui, sans-serif", "size": 14},
    "margin": {"l": 70, "r": 30, "t": 90, "b": 60},
    "hovermode": "closest",
}
_INDEX = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 66rem; margin: 2rem auto; padding: 0 1rem; }
ul { display: grid; gap: 2rem; grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)); padding: 0; }
li { list-style: none; }
.small { display: block; height: 12rem; overflow: hidden; border: 1px solid #ddd; border-radius: 8px; }
iframe { width: 1200px; height: 800px; border: 0; transform: scale(.26); transform-origin: 0 0; pointer-events: none; }
"""
"""Of the page that shows all figures, each as it is, small."""


def costs(result: Mapping[str, Any]) -> dict[str, list[float]]:
    """Where each round of a result lies on every axis of COSTS, mean over repeats."""
    repeats, rounds = result["repeats"], rounds_of(result)
    summed = {
        name: _mean([np.cumsum(values(repeat, name)) for repeat in repeats], rounds)
        for name in ("steps", "examples", "seconds", "bytes_up", "bytes_down")
    }
    held = [max(1, _held(repeat)) for repeat in repeats]
    passes = [np.cumsum(values(r, "examples")) / n for r, n in zip(repeats, held, strict=True)]
    found = {
        "round": np.arange(1, rounds + 1),
        "passes": _mean(passes, rounds),
        **{name: summed[name] for name in ("steps", "examples", "seconds")},
        "bytes": summed["bytes_up"] + summed["bytes_down"],
    }
    return {name: line.tolist() for name, line in found.items()}


def _held(repeat: Mapping[str, Any]) -> int:
    """How many examples clients have; who has columns of them has the same ones as others."""
    of: Any = max if any("columns" in owner for owner in repeat["owners"]) else sum
    return int(of(client["examples"] for client in repeat["clients"]))


def series(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every series that all repeats of a result have: name, unit, better direction, and after each round mean, 10 % and
    90 % point over the repeats.
    """
    repeats, rounds = result["repeats"], rounds_of(result)
    found = []
    for one in repeats[0]["series"]:
        lines = [values(repeat, one["name"]) for repeat in repeats]
        if not all(lines):
            continue
        table = _padded(lines, rounds)
        low, high = np.quantile(table, [0.1, 0.9], axis=0)
        found.append(
            {"name": one["name"], "unit": one["unit"], "better": one["better"],
             "mean": table.mean(axis=0).tolist(), "p10": low.tolist(), "p90": high.tolist()}
        )  # fmt: skip
    return found


def rounds_of(result: Mapping[str, Any]) -> int:
    """Rounds of the repeat that went on longest."""
    planned = len(result["acc"]) if "acc" in result else 0
    return max(planned, *(len(values(repeat, "seconds")) for repeat in result["repeats"]))


def curves_table(results: Results) -> pd.DataFrame:
    """One row per run and round: where it lies on every axis, and mean and spread over repeats of every series."""
    tables = []
    for name, result in results.items():
        table = pd.DataFrame({"run": name, **costs(result)})
        for one in series(result):
            known = f"{one['name']}_per_round" if one["name"] in COSTS else one["name"]
            table[known], table[f"{known}_p10"], table[f"{known}_p90"] = one["mean"], one["p10"], one["p90"]
        table["repeats"] = len(result["repeats"])
        tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def final_table(results: Results, doubtful: Collection[str]) -> pd.DataFrame:
    """One row per run: figures after the last round with 95 % intervals, with and without doubtful examples."""
    rows = []
    for name, result in results.items():
        given = answers(result)
        clear = answers(result, without=doubtful)
        row: dict[str, Any] = {"run": name, "repeats": len(result["repeats"]), "examples": len(given.ids)}
        for figure in figures_of(result):
            row.update(_columns(figure, estimated(given, figure)))
        if is_number(result):
            row["unit"] = result["unit"]
        else:
            without = estimated(clear, "accuracy") if clear.ids else None
            row.update(_columns("accuracy_without_doubtful", without), loss=result["loss"][-1])
        row.update(result["degree"])
        rows.append(row)
    return pd.DataFrame(rows)


def comparisons_table(results: Results) -> pd.DataFrame:
    """One row per pair of runs: difference of accuracy or RMSE, its interval, p-values, and what may be said."""
    rows = [
        {"a": one.a, "b": one.b, "figure": one.figure, **_columns("difference", one.difference),
         "p": one.p, "p_holm": one.p_holm, "seeds": one.seeds, "scenes": one.scenes, "tested": one.is_tested,
         "says": replace(one, a=f"“{title(one.a)}”", b=f"“{title(one.b)}”").sentence}
        for one in compare(results)
    ]  # fmt: skip
    columns = [
        "a",
        "b",
        "figure",
        "difference",
        "difference_low",
        "difference_high",
        "p",
        "p_holm",
        "seeds",
        "scenes",
        "tested",
        "says",
    ]
    return pd.DataFrame(rows, columns=columns)


def clients_table(results: Results) -> pd.DataFrame:
    """One row per run, repeat and client."""
    return pd.DataFrame(
        [
            {
                "run": name,
                **{key: repeat[key] for key in ("fold", "seed", "rotation")},
                "client": number,
                **_flat(client, result["classes"] or ()),
                "owners": " ".join(client["owners"]),
            }
            for name, result in results.items()
            for repeat in result["repeats"]
            for number, client in enumerate(repeat["clients"])
        ]
    )


def foretold_table(results: Results) -> pd.DataFrame:
    """One row per run of numbers, seed, rotation and test example: the truth, and what was said."""
    return pd.DataFrame(
        [
            {
                "run": name,
                **{key: repeat[key] for key in ("seed", "rotation")},
                "id": one,
                "truth": truth,
                "said": said,
            }
            for name, result in results.items()
            for repeat in result["repeats"]
            for one, truth, said in zip(
                *(repeat["test"][key] for key in ("id", "truth", "said")), strict=True
            )
        ]
    )


def partition_table(results: Results) -> pd.DataFrame:
    """One row per run, repeat and owner: how the examples fell."""
    return pd.DataFrame(
        [
            {
                "run": name,
                **{key: repeat[key] for key in ("fold", "seed", "rotation")},
                "owner": owner_name(number),
                **_flat(owner, result["classes"] or ()),
            }
            for name, result in results.items()
            for repeat in result["repeats"]
            for number, owner in enumerate(repeat["owners"])
        ]
    )


def _flat(entry: Mapping[str, Any], classes: Sequence[str]) -> dict[str, Any]:
    """The counts of an owner or client as columns: one a class, and the sources by name."""
    rest = {key: value for key, value in entry.items() if key not in ("counts", "sources")}
    counts = [None] * len(classes) if entry["counts"] is None else entry["counts"]  # withheld
    by_class = dict(zip(classes, counts, strict=True))
    sources = " ".join(f"{name}:{count}" for name, count in entry.get("sources", {}).items())
    return {**rest, **by_class, "sources": sources}


def curves_figure(results: Results) -> go.Figure:
    """Every series of all runs over every cost, both chosen in the page; band: 10th to 90th percentile of repeats."""
    figure = make_subplots(rows=1, cols=2)
    told = {name: {one["name"]: one for one in series(result)} for name, result in results.items()}
    lines = {name: costs(result) for name, result in results.items()}
    every = list(dict.fromkeys(one for found in told.values() for one in found))
    first = [next(iter(every), ""), "loss" if "loss" in every else next(iter(every[1:]), "")]
    units = {key: one["unit"] for found in told.values() for key, one in found.items()}
    for column, shown in enumerate(first, start=1):
        for name, found in told.items():
            x, one = lines[name]["round"], found.get(shown, {"mean": [], "p10": [], "p90": []})
            figure.add_trace(
                go.Scatter(
                    x=x + x[::-1], y=one["p90"] + one["p10"][::-1], fill="toself", fillcolor=colour(name),
                    opacity=0.12, mode="none", showlegend=False, hoverinfo="skip", legendgroup=name,
                ),
                row=1, col=column,
            )  # fmt: skip
            figure.add_trace(
                go.Scatter(
                    x=x, y=one["mean"], name=_label(name, len(results[name]["repeats"])), mode="lines+markers",
                    marker={"size": 4}, showlegend=column == 1, legendgroup=name, line={"color": colour(name)},
                ),
                row=1, col=column,
            )  # fmt: skip
    figure.update_layout(
        **{**LAYOUT, "margin": {**LAYOUT["margin"], "t": 155}},
        title={"text": "Curves of the runs: mean and middle 80 % of the repeats", "y": 0.96},
        height=600,
        updatemenus=[
            *(_series_menu(column, shown, every, units, told) for column, shown in enumerate(first)),
            _cost_menu(lines),
        ],
    )
    figure.update_xaxes(title_text=COSTS["round"])
    for column, shown in enumerate(first, start=1):
        figure.update_yaxes(title_text=series_title(shown, units.get(shown, "")), row=1, col=column)
    return figure


def _label(run: str, repeats: int) -> str:
    return f"{both(run)}, {repeats} repeat{'s' if repeats != 1 else ''}"


def series_title(name: str, unit: str) -> str:
    """A series as an axis calls it."""
    unit = {"": "", "fraction": " (0–1)"}.get(unit, f", {unit}")
    return f"{name.replace('_', ' ')}{unit}"


def _series_menu(
    column: int, shown: str, every: list[str], units: Mapping[str, str], told: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Which series a panel shows. Its traces are those after the panel before it: band and line of each run."""
    places = list(range(2 * column * len(told), 2 * (column + 1) * len(told)))
    buttons = []
    for key in every:
        ys: list[list[float]] = []
        for found in told.values():
            one = found.get(key, {"mean": [], "p10": [], "p90": []})
            ys += [one["p90"] + one["p10"][::-1], one["mean"]]
        axis = "yaxis2.title.text" if column else "yaxis.title.text"
        label = series_title(key, units[key])
        buttons.append({"label": label, "method": "update", "args": [{"y": ys}, {axis: label}, places]})
    active = every.index(shown) if shown in every else 0
    return {
        "buttons": buttons,
        "active": active,
        "x": 0.55 * column,
        "xanchor": "left",
        "y": 1.17,
        "yanchor": "top",
    }


def _cost_menu(lines: Mapping[str, Mapping[str, list[float]]]) -> dict[str, Any]:
    """Over which cost both panels show their series."""
    buttons = []
    for key, label in COSTS.items():
        xs = [line for found in lines.values() for line in (found[key] + found[key][::-1], found[key])]
        titles = {"xaxis.title.text": label, "xaxis2.title.text": label}
        buttons.append({"label": label, "method": "update", "args": [{"x": xs * 2}, titles]})
    return {"buttons": buttons, "x": 1, "xanchor": "right", "y": 1.36, "yanchor": "top"}


_OF_CLASSES = (
    ("accuracy", "all test examples", "circle", 0.22),
    ("balanced_accuracy", "balanced over the classes", "diamond", 0.0),
    ("accuracy_without_doubtful", "without the doubtful ones", "circle-open", -0.22),
)
_OF_NUMBERS = (("r2", "share of the variance that is explained, R²", "square", 0.0),)


def final_figure(table: pd.DataFrame) -> go.Figure:
    """Accuracy after the last round with 95 % intervals, with and without the doubtful examples; of numbers R²."""
    shown = table.iloc[::-1]
    places = np.arange(len(shown))
    figure = go.Figure()
    drawn = [one for one in (*_OF_CLASSES, *_OF_NUMBERS) if one[0] in shown]
    for column, label, symbol, above in drawn:
        figure.add_trace(
            go.Scatter(
                x=shown[column],
                y=places + above,
                mode="markers",
                name=label,
                text=[title(name) for name in shown["run"]],
                hovertemplate="%{text}: %{x:.3f}",
                marker={"symbol": symbol, "size": 10, "color": [colour(name) for name in shown["run"]]},
                error_x={
                    "array": shown[f"{column}_high"] - shown[column],
                    "arrayminus": shown[column] - shown[f"{column}_low"],
                    "thickness": 1.2,
                    "width": 3,
                },
            )
        )
    figure.update_layout(
        **LAYOUT, title="After the last round, with 95 % intervals", height=180 + 55 * len(shown)
    )
    what = [
        name
        for name, of in (("accuracy", _OF_CLASSES), ("R²", _OF_NUMBERS))
        if any(one in drawn for one in of)
    ]
    figure.update_xaxes(title_text=f"{' or '.join(what)} (0–1)", tickformat=".2f")
    figure.update_yaxes(
        automargin=True,
        tickvals=places,
        ticktext=[_label(*row) for row in zip(shown["run"], shown["repeats"], strict=True)],
        zeroline=False,
    )
    return figure


def comparisons_figure(table: pd.DataFrame) -> go.Figure:
    """Every pair of runs: difference of accuracy or RMSE on the same examples, with what may be said."""
    figure = go.Figure(
        go.Table(
            header={
                "values": ["a", "b", "figure", "a - b", "95 % interval", "p", "p (Holm)", "says"],
                "align": "left",
            },
            columnwidth=[2, 2, 1, 1, 1.8, 0.9, 0.9, 4],
            cells={
                "values": [
                    table["a"].map(both),
                    table["b"].map(both),
                    table["figure"].map(CALLED),
                    table["difference"].map("{:+.3f}".format),
                    [
                        f"{row.difference_low:+.3f} to {row.difference_high:+.3f}"
                        for row in table.itertuples()
                    ],
                    table["p"].map("{:.4f}".format).where(table["tested"], ""),
                    table["p_holm"].map("{:.4f}".format).where(table["tested"], ""),
                    table["says"],
                ],
                "align": "left",
                "height": 26,
            },
        )
    )
    figure.update_layout(
        **LAYOUT,
        title="Paired bootstrap over scenes and seeds, Holm-corrected",
        height=200 + 28 * len(table),
    )
    return figure


def clients_figure(table: pd.DataFrame) -> go.Figure:
    """How the final global model does on each client's own training examples, over all repeats."""
    shown = {"accuracy": "accuracy (0–1)", "rmse": "RMSE, each run in its unit"}
    of = [(name, figure) for figure in shown if figure in table for name, _ in _with(table, figure)]
    kinds = [figure for figure in shown if any(one == figure for _, one in of)]
    figure = make_subplots(
        rows=len(kinds), cols=1, row_heights=[sum(one == kind for _, one in of) for kind in kinds],
        vertical_spacing=min(0.3, 1.5 / max(len(of), 1)),
    )  # fmt: skip
    for line, kind in enumerate(kinds, start=1):
        for name, run in reversed(_with(table, kind)):
            box = go.Box(
                x=run[kind], name=both(name), marker_color=colour(name), boxpoints="all", jitter=0.5,
                marker={"size": 3, "opacity": 0.5}, orientation="h", showlegend=False,
            )  # fmt: skip
            figure.add_trace(box, row=line, col=1)
        figure.update_xaxes(
            title_text=f"on the client's own training examples: {shown[kind]}", row=line, col=1
        )
    figure.update_layout(
        **LAYOUT,
        title="Spread between clients: final model on each client's own examples",
        height=180 + 60 * table["run"].nunique(),
    )
    figure.update_yaxes(automargin=True)
    return figure


def _with(table: pd.DataFrame, figure: str) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each run that has the figure."""
    return list(table[table[figure].notna()].groupby("run", sort=False))


def foretold_figure(results: Results) -> go.Figure:
    """What runs of numbers said of each test example (mean over seeds and rotations) against the truth."""
    figure = go.Figure()
    for name, result in results.items():
        given = answers(result)
        said = given.truth + np.nanmean(given.outcome, axis=(0, 1))
        figure.add_trace(
            go.Scattergl(
                x=given.truth, y=said, mode="markers", name=both(name), marker={"size": 5, "opacity": 0.6},
                marker_color=colour(name), hovertemplate="true %{x:.4~g}, said %{y:.4~g}",
            )
        )  # fmt: skip
    ends = [float(end) for trace in figure.data for end in (np.min(trace.x), np.max(trace.x))]
    if ends:
        line = [min(ends), max(ends)]
        figure.add_trace(
            go.Scatter(
                x=line, y=line, mode="lines", name="as it is", line={"color": "#7f8c9b", "dash": "dot"}
            )
        )
    units = " or ".join(dict.fromkeys(str(result["unit"]) for result in results.values()))
    figure.update_layout(**LAYOUT, title="Numbers foretold, against the truth", height=600)
    figure.update_xaxes(title_text=f"truth, {units}")
    figure.update_yaxes(title_text=f"said, {units}")
    return figure


def partition_figure(table: pd.DataFrame, results: Results) -> go.Figure:
    """How the examples fell to the owners in the first repeat of each run."""
    firsts = [
        (name, run[(run["fold"] == 0) & (run["seed"] == 0) & (run["rotation"] == 0)])
        for name, run in table.groupby("run", sort=False)
    ]
    columns = min(2, len(firsts))
    lines = -(-len(firsts) // columns)
    figure = make_subplots(
        rows=lines, cols=columns, subplot_titles=[both(name) for name, _ in firsts],
        vertical_spacing=min(0.25, 0.4 / lines),
    )  # fmt: skip
    named: set[str] = set()
    for index, (run, owners) in enumerate(firsts):
        for label, shade in zip(results[run]["classes"] or ("examples",), cycle(SHADES)):
            fresh = label not in named
            named.add(label)
            figure.add_trace(
                go.Bar(
                    x=owners["owner"], y=owners[label], name=label, marker_color=shade, showlegend=fresh,
                    legendgroup=label,
                ),
                row=index // columns + 1, col=index % columns + 1,
            )  # fmt: skip
    figure.update_layout(
        **LAYOUT,
        barmode="stack",
        title="Examples of each owner (fold 0, first seed)",
        height=160 + 230 * lines,
    )
    return figure


def draw(
    results: Results, doubtful: Collection[str], folder: Path, images: Collection[str] = ()
) -> list[Path]:
    """Write all pages, tables and, for each format in `images` ("png", "svg"), pictures into `folder`.

    Returns the paths written. Raises RuntimeError, one line, when pictures are asked for and no Chromium is at
    hand; the pages are there all the same.
    """
    tables = {
        "curves": curves_table(results),
        "final": final_table(results, doubtful),
        "comparisons": comparisons_table(results),
        "clients": clients_table(results),
        "partition": partition_table(results),
    }
    figures = {
        "curves": curves_figure(results),
        "final": final_figure(tables["final"]),
        "comparisons": comparisons_figure(tables["comparisons"]),
        "clients": clients_figure(tables["clients"]),
        "partition": partition_figure(tables["partition"], results),
    }
    if numbers := {name: result for name, result in results.items() if is_number(result)}:
        tables["foretold"], figures["foretold"] = foretold_table(numbers), foretold_figure(numbers)
    written = []
    for name, table in tables.items():
        written.append(_write(folder / f"{name}.csv", table.to_csv(index=False, float_format="%.6g")))
    for name, figure in figures.items():
        page = figure.to_html(include_plotlyjs="directory", full_html=True, config={"displaylogo": False})
        written.append(_write(folder / f"{name}.html", page))
    written.append(_write(folder / "plotly.min.js", get_plotlyjs()))
    titles = {name: html.escape(str(figure.layout.title.text)) for name, figure in figures.items()}
    cards = "".join(
        f'<li><a href="{name}.html"><span class="small" aria-hidden="true"><iframe src="{name}.html" loading="lazy" '
        f'tabindex="-1" inert></iframe></span>{text}</a> (<a href="{name}.csv">CSV</a>)</li>'
        for name, text in titles.items()
    )
    runs = html.escape(", ".join(f"{title(name)} ({name})" for name in results))
    written.append(
        _write(
            folder / "index.html",
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>SkyFed figures</title>'
            f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_INDEX}</style>'
            f"<body><h1>SkyFed figures</h1><p>Runs: {runs}</p><ul>{cards}</ul></body></html>",
        )
    )
    with tempfile.TemporaryDirectory() as drafts:
        for kind in images:
            files = [Path(drafts) / f"{name}.{kind}" for name in figures]
            try:
                write_images(list(figures.values()), files, width=1200, scale=2)
            except Exception as error:  # kaleido raises many kinds when there is no browser
                reason = str(error).strip().splitlines() or [type(error).__name__]
                raise RuntimeError(f"no {kind} pictures: {reason[0]}") from None
            written += [_write(folder / file.name, file.read_bytes()) for file in files]
    return written


def _write(path: Path, content: str | bytes) -> Path:
    with atomic_write(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)
    return path


def _columns(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    if estimate is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _padded(curves: list[Any], rounds: int) -> Any:
    """(repeats, rounds): a repeat that stopped early keeps its last value."""
    return np.array([list(curve) + [curve[-1]] * (rounds - len(curve)) for curve in curves], dtype=np.float64)


def _mean(curves: list[Any], rounds: int) -> Any:
    return _padded(curves, rounds).mean(axis=0)
