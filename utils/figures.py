"""Interactive figures and tables of results: Plotly pages and CSV, made from nothing but what the runs measured."""

from __future__ import annotations

import html
import tempfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.io import write_images
from plotly.offline import get_plotlyjs
from plotly.subplots import make_subplots

from utils.comparison import Estimate, accuracy, answers, compare, grey_shift
from utils.conf import owner_name
from utils.files import atomic_write

Results = Mapping[str, Mapping[str, Any]]

AXES = {
    "round": "round",
    "passes": "passes over the data held by the clients",
    "steps": "gradient steps, one after the other",
    "photos_seen": "photos trained on",
    "seconds": "seconds (wall clock; repeats ran side by side)",
    "megabytes": "megabytes sent",
}
_FIXED_COLOURS = {
    "conf_alone": "#8a8f98",
    "conf_centralized1_1": "#f2b880",
    "conf_centralized1_2": "#e8923f",
    "conf_centralized1_3": "#c8620c",
    "conf_f5": "#7db8e8",
    "conf_f10": "#1f6fb5",
    "conf_f10_noniid": "#6a51a3",
    "conf_f10_full": "#0b3c66",
    "conf_centralized_all": "#2e8b57",
    "conf_centralized_all_full": "#145a32",
}
_OTHER_COLOURS = ("#d6336c", "#0ca678", "#f08c00", "#7048e8", "#1098ad", "#e03131", "#74b816", "#ae3ec9")
_LAYOUT = {
    "template": "plotly_white",
    "font": {"family": "system-ui, sans-serif", "size": 14},
    "margin": {"l": 70, "r": 30, "t": 90, "b": 60},
    "hovermode": "closest",
}


def colour(name: str) -> str:
    """The colour of a run: always the same for the same name."""
    return _FIXED_COLOURS.get(name) or _OTHER_COLOURS[zlib.crc32(name.encode()) % len(_OTHER_COLOURS)]


def title(name: str) -> str:
    """A run's name as figures show it."""
    return name.removeprefix("conf_")


def curves_table(results: Results) -> pd.DataFrame:
    """One row per run and round: mean and spread over repeats, and where the round lies on every axis."""
    rows = []
    for name, result in results.items():
        repeats, rounds = result["repeats"], len(result["acc"])
        held = [sum(client["photos"] for client in repeat["clients"]) for repeat in repeats]
        sums = {
            key: _mean([np.cumsum(repeat[key]) for repeat in repeats], rounds)
            for key in ("steps", "photos_seen", "seconds", "bytes_up", "bytes_down")
        }
        passes = _mean([np.cumsum(r["photos_seen"]) / n for r, n in zip(repeats, held, strict=True)], rounds)
        spread = {key: _padded([repeat[key] for repeat in repeats], rounds) for key in ("acc", "loss")}
        for index in range(rounds):
            row: dict[str, Any] = {"run": name, "round": index + 1, "passes": passes[index]}
            row.update({key: sums[key][index] for key in ("steps", "photos_seen", "seconds")})
            row["megabytes"] = (sums["bytes_up"][index] + sums["bytes_down"][index]) / 1e6
            for key, table in spread.items():
                row[key] = result[key][index]
                row[f"{key}_p10"], row[f"{key}_p90"] = np.quantile(table[:, index], [0.1, 0.9])
            row["repeats"] = len(repeats)
            rows.append(row)
    return pd.DataFrame(rows)


def final_table(results: Results, ambiguous: Collection[str]) -> pd.DataFrame:
    """One row per run: figures after the last round with 95 % intervals, with and without ambiguous photos."""
    rows = []
    for name, result in results.items():
        given = answers(result)
        clear = answers(result, without=ambiguous)
        row: dict[str, Any] = {"run": name, "repeats": len(result["repeats"]), "photos": len(given.hashes)}
        for column, estimate in (
            ("acc", accuracy(given)),
            ("balanced_acc", accuracy(given, balanced=True)),
            ("acc_without_ambiguous", accuracy(clear) if clear.hashes else None),
            ("grey_shift", grey_shift(result)),
        ):
            row.update(_columns(column, estimate))
        row["loss"] = result["loss"][-1]
        row["jensen_shannon"] = result["degree"]["jensen_shannon"]
        row["gini"] = result["degree"]["gini"]
        rows.append(row)
    return pd.DataFrame(rows)


def comparisons_table(results: Results) -> pd.DataFrame:
    """One row per pair of runs: difference of accuracy, its interval, p-values, and what may be said."""
    rows = [
        {"a": one.a, "b": one.b, **_columns("difference", one.difference), "p": one.p, "p_holm": one.p_holm,
         "seeds": one.seeds, "says": one.sentence}
        for one in compare(results)
    ]  # fmt: skip
    columns = ["a", "b", "difference", "difference_low", "difference_high", "p", "p_holm", "seeds", "says"]
    return pd.DataFrame(rows, columns=columns)


def clients_table(results: Results) -> pd.DataFrame:
    """One row per run, repeat and client."""
    return pd.DataFrame(
        [
            {
                "run": name,
                **{key: repeat[key] for key in ("fold", "seed", "rotation")},
                "client": number,
                **{**client, "owners": " ".join(client["owners"])},
            }
            for name, result in results.items()
            for repeat in result["repeats"]
            for number, client in enumerate(repeat["clients"])
        ]
    )


def partition_table(results: Results) -> pd.DataFrame:
    """One row per run, repeat and owner: how the photos fell."""
    return pd.DataFrame(
        [
            {
                "run": name,
                **{key: repeat[key] for key in ("fold", "seed", "rotation")},
                "owner": owner_name(number),
                **owner,
            }
            for name, result in results.items()
            for repeat in result["repeats"]
            for number, owner in enumerate(repeat["owners"])
        ]
    )


def curves_figure(table: pd.DataFrame) -> go.Figure:
    """Accuracy and loss of all runs; the axis is chosen in the page; band: 10th to 90th percentile of repeats."""
    figure = make_subplots(
        rows=1, cols=2, subplot_titles=("accuracy on test photos", "loss (cross-entropy, nats)")
    )
    xs: dict[str, list[list[float]]] = {axis: [] for axis in AXES}
    for name, run in table.groupby("run", sort=False):
        for column, key in enumerate(("acc", "loss"), start=1):
            band = run[f"{key}_p90"].tolist() + run[f"{key}_p10"].tolist()[::-1]
            shared = {"legendgroup": name, "line": {"color": colour(name)}}
            for axis in AXES:
                line = run[axis].tolist()
                xs[axis] += [line + line[::-1], line]
            turned = run["round"].tolist() + run["round"].tolist()[::-1]
            figure.add_trace(
                go.Scatter(
                    x=turned, y=band, fill="toself", fillcolor=colour(name), opacity=0.12, mode="none",
                    showlegend=False, hoverinfo="skip", legendgroup=name,
                ),
                row=1, col=column,
            )  # fmt: skip
            figure.add_trace(
                go.Scatter(
                    x=run["round"], y=run[key], name=title(name), mode="lines+markers", marker={"size": 4},
                    showlegend=column == 1, **shared,
                ),
                row=1, col=column,
            )  # fmt: skip
    buttons = [
        {
            "label": label,
            "method": "update",
            "args": [{"x": xs[axis]}, {"xaxis.title.text": label, "xaxis2.title.text": label}],
        }
        for axis, label in AXES.items()
    ]
    figure.update_layout(
        **_LAYOUT,
        title="Accuracy and loss of the runs",
        updatemenus=[{"buttons": buttons, "x": 1, "xanchor": "right", "y": 1.17, "yanchor": "top"}],
        height=560,
    )
    figure.update_xaxes(title_text=AXES["round"])
    return figure


def final_figure(table: pd.DataFrame) -> go.Figure:
    """Accuracy after the last round with 95 % intervals, with and without the ambiguous photos."""
    shown = table.iloc[::-1]
    places = np.arange(len(shown))
    figure = go.Figure()
    for column, label, symbol, above in (
        ("acc", "all test photos", "circle", 0.22),
        ("balanced_acc", "balanced over the classes", "diamond", 0.0),
        ("acc_without_ambiguous", "without the ambiguous photos", "circle-open", -0.22),
    ):
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
        **_LAYOUT, title="After the last round, with 95 % intervals", height=180 + 55 * len(shown)
    )
    figure.update_xaxes(title_text="accuracy", tickformat=".2f")
    figure.update_yaxes(
        automargin=True, tickvals=places, ticktext=[title(name) for name in shown["run"]], zeroline=False
    )
    return figure


def comparisons_figure(table: pd.DataFrame) -> go.Figure:
    """Every pair of runs: difference of accuracy on the same photos, with what may be said."""
    figure = go.Figure(
        go.Table(
            header={
                "values": ["a", "b", "accuracy a - b", "95 % interval", "p", "p (Holm)", "says"],
                "align": "left",
            },
            columnwidth=[2, 2, 1.2, 1.8, 0.9, 0.9, 4],
            cells={
                "values": [
                    table["a"].map(title),
                    table["b"].map(title),
                    table["difference"].map("{:+.3f}".format),
                    [
                        f"{row.difference_low:+.3f} to {row.difference_high:+.3f}"
                        for row in table.itertuples()
                    ],
                    table["p"].map("{:.4f}".format).where(table["seeds"] > 1, ""),
                    table["p_holm"].map("{:.4f}".format).where(table["seeds"] > 1, ""),
                    table["says"].str.replace("conf_", "", regex=False),
                ],
                "align": "left",
                "height": 26,
            },
        )
    )
    figure.update_layout(
        **_LAYOUT,
        title="Paired bootstrap over photos and seeds, Holm-corrected",
        height=200 + 28 * len(table),
    )
    return figure


def clients_figure(table: pd.DataFrame) -> go.Figure:
    """How the final global model does on each client's own training photos, over all repeats."""
    figure = go.Figure(
        [
            go.Box(
                x=run["accuracy"], name=title(name), marker_color=colour(name), boxpoints="all", jitter=0.5,
                marker={"size": 3, "opacity": 0.5}, orientation="h", showlegend=False,
            )
            for name, run in reversed(list(table.groupby("run", sort=False)))
        ]
    )  # fmt: skip
    figure.update_layout(
        **_LAYOUT,
        title="Spread between clients: final model on each client's own photos",
        height=180 + 60 * table["run"].nunique(),
    )
    figure.update_xaxes(title_text="accuracy on the client's own training photos")
    figure.update_yaxes(automargin=True)
    return figure


def partition_figure(table: pd.DataFrame) -> go.Figure:
    """How the photos fell to the owners in the first repeat of each run."""
    firsts = [
        (name, run[(run["fold"] == 0) & (run["seed"] == 0) & (run["rotation"] == 0)])
        for name, run in table.groupby("run", sort=False)
    ]
    columns = min(2, len(firsts))
    lines = -(-len(firsts) // columns)
    figure = make_subplots(
        rows=lines, cols=columns, subplot_titles=[title(name) for name, _ in firsts],
        vertical_spacing=min(0.25, 0.4 / lines),
    )  # fmt: skip
    for index, (_, owners) in enumerate(firsts):
        for label, shade in (("cloudy", "#7f8c9b"), ("sunny", "#f5b82e")):
            figure.add_trace(
                go.Bar(x=owners["owner"], y=owners[label], name=label, marker_color=shade, showlegend=index == 0),
                row=index // columns + 1, col=index % columns + 1,
            )  # fmt: skip
    figure.update_layout(
        **_LAYOUT,
        barmode="stack",
        title="Photos of each owner (fold 0, first seed)",
        height=160 + 230 * lines,
    )
    return figure


def draw(
    results: Results, ambiguous: Collection[str], folder: Path, images: Collection[str] = ()
) -> list[Path]:
    """Write all pages, tables and, for each format in `images` ("png", "svg"), pictures into `folder`.

    Returns the paths written. Raises RuntimeError, one line, when pictures are asked for and no Chromium is at
    hand; the pages are there all the same.
    """
    tables = {
        "curves": curves_table(results),
        "final": final_table(results, ambiguous),
        "comparisons": comparisons_table(results),
        "clients": clients_table(results),
        "partition": partition_table(results),
    }
    figures = {
        "curves": curves_figure(tables["curves"]),
        "final": final_figure(tables["final"]),
        "comparisons": comparisons_figure(tables["comparisons"]),
        "clients": clients_figure(tables["clients"]),
        "partition": partition_figure(tables["partition"]),
    }
    written = []
    for name, table in tables.items():
        written.append(_write(folder / f"{name}.csv", table.to_csv(index=False, float_format="%.6g")))
    for name, figure in figures.items():
        page = figure.to_html(include_plotlyjs="directory", full_html=True, config={"displaylogo": False})
        written.append(_write(folder / f"{name}.html", page))
    written.append(_write(folder / "plotly.min.js", get_plotlyjs()))
    titles = {name: html.escape(str(figure.layout.title.text)) for name, figure in figures.items()}
    links = "".join(
        f'<li><a href="{name}.html">{text}</a> (<a href="{name}.csv">CSV</a>)</li>'
        for name, text in titles.items()
    )
    runs = html.escape(", ".join(results))
    written.append(
        _write(
            folder / "index.html",
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>SkyFed figures</title>'
            f'<body style="font:16px system-ui;max-width:50rem;margin:2rem auto"><h1>SkyFed figures</h1>'
            f"<p>Runs: {runs}</p><ul>{links}</ul></body></html>",
        )
    )
    with tempfile.TemporaryDirectory() as drafts:
        for kind in images:
            files = [Path(drafts) / f"{name}.{kind}" for name in figures]
            try:
                write_images(list(figures.values()), files, width=1200)
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
