"""Figures and tables say what the results hold, and the script that draws them is safe to call on anything."""

import csv
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

import i3experiment_drawing
from tests.conftest import ROOT
from tests.test_results import make_result, series
from utils.figures import COSTS, curves_figure, curves_table, draw, final_figure, final_table, series_title
from utils.results import UNITS, result_path, values, write_result
from utils.studies import colour


def _results():
    other = make_result(name="conf_y")
    other["repeats"][0]["test"].update(said=[1, 1], probability_of_truth=[0.1, 0.9])
    return {"conf_x": make_result(), "conf_y": other}


def _costly():
    result = make_result()
    result["repeats"][0]["series"] = series(
        accuracy=result["acc"], loss=result["loss"], steps=[3, 3], examples=[40, 40], seconds=[1.5, 2.5],
        bytes_up=[1e6, 1e6], bytes_down=[5e5, 5e5], epsilon=[0.25, 0.5],
    )  # fmt: skip
    return result


@pytest.mark.parametrize("acc", [[0.75], [0.5, float("nan"), 0.75], [float("nan"), 0.5, float("nan")]])
def test_a_single_point_is_drawn(acc):
    result = make_result()
    result["acc"] = result["loss"] = acc
    result["repeats"][0]["series"] = series(
        accuracy=acc, loss=acc, steps=[1.0] * len(acc), examples=[4.0] * len(acc), seconds=[1.0] * len(acc),
        bytes_up=[1.0] * len(acc), bytes_down=[1.0] * len(acc),
    )  # fmt: skip
    lines = [
        trace
        for trace in curves_figure({"conf_x": result}).data
        if trace.showlegend is not False or trace.marker.size
    ]
    assert lines and all("markers" in trace.mode and trace.marker.size for trace in lines)
    assert np.array_equal(lines[0].y, acc, equal_nan=True)


def test_every_series_and_every_cost_is_in_the_table_and_in_the_menus():
    result = _costly()
    table = curves_table({"conf_x": result})
    assert table["accuracy"].tolist() == result["acc"] and table["loss"].tolist() == result["loss"]
    assert table["epsilon"].tolist() == [0.25, 0.5], "a series that a part brought"
    assert table["round"].tolist() == [1, 2]
    assert table["passes"].tolist() == [10, 20]  # 40 examples a round, 4 held
    assert table["steps"].tolist() == [3, 6] and table["steps_per_round"].tolist() == [3, 3]
    assert table["seconds"].tolist() == [1.5, 4.0]
    assert table["bytes"].tolist() == [1.5e6, 3e6]
    figure = curves_figure({"conf_x": result, "conf_y": _costly()})
    lines = [trace for trace in figure.data if trace.mode == "lines+markers"]
    assert np.array_equal(lines[0].y, result["acc"]) and np.array_equal(lines[2].y, result["loss"])
    left, right, across = figure.layout.updatemenus
    assert [button.label for button in across.buttons] == list(COSTS.values())
    for axis, button in zip(COSTS, across.buttons, strict=True):
        xs = button.args[0]["x"]
        assert len(xs) == len(figure.data) and list(xs[1]) == table[axis].tolist()
    names = [one["name"] for one in result["repeats"][0]["series"]]
    for menu, places in ((left, [0, 1, 2, 3]), (right, [4, 5, 6, 7])):
        assert [button.label for button in menu.buttons] == [
            series_title(name, UNITS.get(name, ("",))[0]) for name in names
        ]
        for name, button in zip(names, menu.buttons, strict=True):
            ys, _, traces = button.args
            assert list(traces) == places and list(ys["y"][1]) == values(result["repeats"][0], name)


def test_figures_say_of_whom_and_of_how_many_repeats_they_are_and_in_which_units(tmp_path):
    results = {"conf_f10": make_result(name="conf_f10"), "conf_x": make_result()}
    names = [trace.name for trace in curves_figure(results).data if trace.showlegend is not False]
    small = '<span style="font-size: 0.8em">f10</span>'
    assert names == [f"Ten owners, federated {small}, 1 repeat", "x, 1 repeat"]
    figure = final_figure(final_table(results, doubtful=()))
    assert list(figure.layout.yaxis.ticktext) == names[::-1]
    assert figure.layout.xaxis.title.text == "accuracy (0–1)" and figure.layout.title.text
    assert (
        series_title("accuracy", "fraction") == "accuracy (0–1)"
        and series_title("loss", "nats") == "loss, nats"
    )


def test_the_index_shows_every_figure_small(tmp_path):
    draw(_results(), set(), tmp_path)
    index = (tmp_path / "index.html").read_text()
    for name in ("curves", "final", "comparisons", "clients", "partition"):
        assert f'<iframe src="{name}.html" loading="lazy" tabindex="-1" inert>' in index


def test_a_run_that_lacks_a_series_is_left_out_of_its_picture():
    figure = curves_figure({"conf_x": _costly(), "conf_y": make_result()})
    (button,) = [one for one in figure.layout.updatemenus[0].buttons if one.label == "epsilon"]
    assert [list(y) for y in button.args[0]["y"]][2:] == [[], []]


def test_the_final_table_gives_accuracy_with_and_without_doubtful_examples():
    table = final_table(_results(), doubtful={"aa"}).set_index("run")
    assert table.loc["conf_x", "accuracy"] == 1.0 and table.loc["conf_y", "accuracy"] == 0.5
    assert table.loc["conf_y", "accuracy_without_doubtful"] == 1.0


def test_the_colour_of_a_run_is_always_the_same():
    assert colour("conf_f10") == colour("conf_f10") != colour("conf_f5")
    assert colour("conf_of_mine").startswith("#")


def test_drawing_writes_pages_and_tables_that_need_no_network(tmp_path):
    written = draw(_results(), set(), tmp_path)
    names = {path.name for path in written}
    for name in ("curves", "final", "comparisons", "clients", "partition"):
        assert {f"{name}.html", f"{name}.csv"} <= names
        page = (tmp_path / f"{name}.html").read_text()
        assert 'src="plotly.min.js"' in page and "https://cdn" not in page
        with (tmp_path / f"{name}.csv").open() as file:
            assert len(list(csv.reader(file))) > 1


@pytest.fixture
def cache(tmp_path):
    folder = tmp_path / "cache"
    for name, result in _results().items():
        write_result(result_path(folder, name), result)
    return folder


def test_the_script_draws_all_or_a_chosen_few_and_lists_what_it_cannot_read(cache, tmp_path, script):
    (cache / "conf_bad.json.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    done = script("i3experiment_drawing.py", "--cache", cache, "--out", tmp_path / "all")
    assert done.returncode == 0 and "conf_bad.json.pkl: refused" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "conf_y" in (tmp_path / "all" / "final.csv").read_text()
    done = script("i3experiment_drawing.py", "conf_x", "--cache", cache, "--out", tmp_path / "one")
    assert done.returncode == 0
    assert "conf_y" not in (tmp_path / "one" / "final.csv").read_text()


@pytest.mark.parametrize("name", ["conf_missing", "../conf_x", "conf_bad"])
def test_a_run_that_cannot_be_drawn_is_one_line_and_status_2(cache, tmp_path, script, name):
    (cache / "conf_bad.json.pkl").write_bytes(b"")
    done = script("i3experiment_drawing.py", name, "--cache", cache, "--out", tmp_path / "out")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_says_so_in_one_line_with_status_130(tmp_path, kind):
    pipe = tmp_path / "conf_x.json.pkl"
    os.mkfifo(pipe)
    command = [sys.executable, "i3experiment_drawing.py", "conf_x", "--cache", str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    with pipe.open("wb"):  # opens when the script does, which then waits for bytes that never come
        process.send_signal(kind)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "interrupted; the same command draws all again\n"


def test_an_empty_cache_says_how_to_go_on(tmp_path, script):
    done = script("i3experiment_drawing.py", "--cache", tmp_path, "--out", tmp_path / "out")
    assert done.returncode == 2 and "i2main.py" in done.stderr and done.stderr.count("\n") == 1


def test_pictures_where_a_chromium_is_at_hand(cache, tmp_path, script):
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))):
        pytest.skip("needs a Chromium")
    done = script(
        "i3experiment_drawing.py",
        "--cache",
        cache,
        "--out",
        tmp_path / "out",
        "--images",
        "png",
        "--images",
        "svg",
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "final.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "out" / "curves.svg").read_text()


def test_without_a_chromium_the_pages_are_there_and_one_line_says_what_is_not(
    cache, tmp_path, monkeypatch, capsys
):
    def no_browser(*args, **kwargs):
        raise RuntimeError("Kaleido requires Google Chrome\nto be installed")

    monkeypatch.setattr("utils.figures.write_images", no_browser)
    assert (
        i3experiment_drawing.main(["--cache", str(cache), "--out", str(tmp_path / "out"), "--images", "png"])
        == 1
    )
    assert capsys.readouterr().err.count("\n") == 1
    assert (tmp_path / "out" / "final.html").exists()
