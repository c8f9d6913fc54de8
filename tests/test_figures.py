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
from tests.test_results import make_result
from utils.figures import AXES, colour, curves_figure, curves_table, draw, final_table
from utils.results import result_path, write_result


def _results():
    other = make_result(name="conf_y")
    other["repeats"][0]["test"]["probability"] = [0.9, 0.9]
    return {"conf_x": make_result(), "conf_y": other}


def test_curves_hold_the_measured_values_on_every_axis():
    result = make_result()
    result["repeats"][0].update(
        steps=[3, 3], photos_seen=[40, 40], seconds=[1.5, 2.5], bytes_up=[1e6, 1e6], bytes_down=[5e5, 5e5]
    )
    table = curves_table({"conf_x": result})
    assert table["acc"].tolist() == result["acc"] and table["loss"].tolist() == result["loss"]
    assert table["round"].tolist() == [1, 2]
    assert table["passes"].tolist() == [10, 20]  # 40 photos a round, 4 held
    assert table["steps"].tolist() == [3, 6]
    assert table["seconds"].tolist() == [1.5, 4.0]
    assert table["megabytes"].tolist() == [1.5, 3.0]
    figure = curves_figure(table)
    lines = [trace for trace in figure.data if trace.mode == "lines+markers"]
    assert np.array_equal(lines[0].y, result["acc"]) and np.array_equal(lines[1].y, result["loss"])
    buttons = figure.layout.updatemenus[0].buttons
    assert [button.label for button in buttons] == list(AXES.values())
    for axis, button in zip(AXES, buttons, strict=True):
        xs = button.args[0]["x"]
        assert len(xs) == len(figure.data) and list(xs[1]) == table[axis].tolist()


def test_the_final_table_gives_accuracy_with_and_without_ambiguous_photos():
    table = final_table(_results(), ambiguous={"aa"}).set_index("run")
    assert table.loc["conf_x", "acc"] == 1.0 and table.loc["conf_y", "acc"] == 0.5
    assert table.loc["conf_y", "acc_without_ambiguous"] == 1.0


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
