"""The four hospitals: tables with all the faults of the real ones become owners, or one line says what is wrong."""

import http.server
import json
import threading
import zipfile
from functools import partial

import numpy as np
import pytest

import i0down_training_resource
import i2main
from utils.conf import make_conf
from utils.data.hospitals import COLUMNS, FEATURES, HOSPITALS, table
from utils.results import read_result

SIZES = {"cleveland": 60, "hungarian": 50, "switzerland": 30, "va": 40}


def _lines(hospital, count, end="\n"):
    """Look-alikes: a header at one, CRLF at another, gaps of all kinds, cholesterol 0, a patient who is there twice."""
    rng = np.random.default_rng(sum(map(ord, hospital)))
    lines = [",".join((*COLUMNS[:-1], "target"))] if hospital == "cleveland" else []
    for number in range(count):
        sick = int(rng.random() < 0.9) if hospital == "switzerland" else number % 2
        chol = 0 if hospital == "switzerland" else 200 + 10 * sick + number
        lines.append(
            f"{40 + number % 30},{number % 2},{4 if sick else 1 + number % 3},{120 + number},{chol},0,{number % 3},"
            f"{170 - 40 * sick},{sick},{'-.5' if number == 3 else 2 * sick},?,,?,{sick * (1 + number % 4)}"
        )
    lines.append(lines[-1])
    lines += [
        "50,1,4,?,0,0,0,120,1,1,?,?,?,1",
        "50,1,4,120,,0,0,120,1,1,?,?,?,1",
        "50,1,4,120,-9,0,0,120,1,1,1,1,1,1",
    ]
    return end.join(lines) + end


@pytest.fixture
def tables(tmp_path):
    """A folder of such tables."""
    folder = tmp_path / "given"
    folder.mkdir()
    for hospital, count in SIZES.items():
        text = _lines(hospital, count, "\r\n" if hospital == "va" else "\n")
        (folder / f"{hospital}.csv").write_bytes(text.encode())
    (folder / "readme.txt").write_text("not a table")
    return folder


def _down(*arguments):
    return i0down_training_resource.main(["heart", *map(str, arguments)])


def _conf(**changes):
    return {
        "type": "heart", "data": "heart", "no_models": 4, "k": 4, "global_epochs": 3, "local_epochs": 2,
        "batch_size": 8, "lr": 0.05, "momentum": 0.9, "partition": "source", **changes,
    }  # fmt: skip


def test_a_table_is_read_as_it_should_be(tables):
    raw = (tables / "cleveland.csv").read_bytes()
    rows, sick = table(raw, "cleveland.csv")
    assert rows.shape == (61, 15) == (len(sick), len(FEATURES)) and set(sick) == {0, 1}
    first = dict(zip(FEATURES, rows[0].tolist(), strict=True))
    assert first["age"] == 40 and first["cp=1"] == 1 and first["cp=4"] == 0 and first["restecg=0"] == 1
    assert rows[3][FEATURES.index("oldpeak")] == -0.5
    assert len(table((tables / "va.csv").read_bytes(), "va")[1]) == 41


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_hospitals_are_the_owners_and_a_conf_trains_on_them(tables, tmp_path, packed, capsys):
    given = tables
    if packed:
        given = tmp_path / "heart.zip"
        with zipfile.ZipFile(given, "w") as archive:
            for hospital in HOSPITALS:
                archive.write(tables / f"{hospital}.csv", f"data/processed.{hospital}.data")
    assert _down(given, "--data", tmp_path / "data") == 0
    assert "cleveland 61, hungarian 51, switzerland 31, va 41" in capsys.readouterr().out
    (tmp_path / "conf_h.json").write_text(json.dumps(_conf()))
    common = ["--data", str(tmp_path / "data"), "--cache", str(tmp_path / "cache"), "--quiet"]
    assert i2main.main(["-c", str(tmp_path / "conf_h.json"), *common]) == 0
    result = read_result(tmp_path / "cache" / "conf_h.json.pkl")
    assert [list(owner["sources"]) for owner in result["repeats"][0]["owners"]] == [
        [one] for one in HOSPITALS
    ]
    assert result["acc"][-1] > 0.8


def test_the_same_patient_twice_is_one_scene(tables, tmp_path):
    _down(tables, "--data", tmp_path / "data")
    conf = make_conf(_conf(), "x")
    examples = conf.task.module.open_examples(conf, tmp_path / "data")
    assert len(set(examples.scenes)) == len(examples.ids) - 4 and len(set(examples.ids)) == len(examples.ids)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "va.csv").unlink(), "no table of va in it"),
        (lambda folder: (folder / "va.csv").write_text("1,2,3\n"), "va: line 1 has 3 columns, expected 14"),
        (lambda folder: (folder / "va.csv").write_text("x" + ",1" * 13), "va: line 1 has a cell that is no number"),
        (lambda folder: (folder / "va.csv").write_text("1,1,9" + ",1" * 11), "va: line 1 has cp 9, expected one of"),
        (lambda folder: (folder / "va.csv").write_bytes(b"\xff\xfe\x00"), "va: not a CSV file"),
        (lambda folder: (folder / "va.csv").write_text(""), "va: no row without a gap"),
    ],
    ids=["missing", "columns", "number", "code", "bytes", "empty"],
)  # fmt: skip
def test_what_is_no_such_table_is_one_line_and_nothing_is_written(tables, tmp_path, capsys, spoil, says):
    spoil(tables)
    assert _down(tables, "--data", tmp_path / "data") == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1
    assert not list((tmp_path / "data" / "heart").glob("*.csv"))


def test_without_the_tables_or_with_other_owners_one_line_says_so(tables, tmp_path, capsys):
    (tmp_path / "conf_h.json").write_text(json.dumps(_conf()))
    common = ["--data", str(tmp_path / "data"), "--cache", str(tmp_path / "cache"), "--quiet"]
    assert i2main.main(["-c", str(tmp_path / "conf_h.json"), *common]) == 2
    assert "cleveland.csv: no such file" in capsys.readouterr().err
    _down(tables, "--data", tmp_path / "data")
    (tmp_path / "conf_h.json").write_text(json.dumps(_conf(no_models=5, k=5)))
    capsys.readouterr()
    assert i2main.main(["-c", str(tmp_path / "conf_h.json"), *common]) == 2
    error = capsys.readouterr().err
    assert "4" in error and "switzerland" in error and error.count("\n") == 1


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_it_is_fetched_where_it_lies_and_where_it_does_not_one_line_says_how_to_go_on(
    tables, tmp_path, capsys
):
    (tmp_path / "web").mkdir()
    with zipfile.ZipFile(tmp_path / "web" / "heart.zip", "w") as archive:
        for hospital in HOSPITALS:
            archive.write(tables / f"{hospital}.csv", f"processed.{hospital}.data")
    handler = partial(_Quiet, directory=str(tmp_path / "web"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    site = f"http://127.0.0.1:{server.server_port}"
    assert _down("--url", f"{site}/gone.zip", "--data", tmp_path / "data") == 1
    error = capsys.readouterr().err
    assert "get it by hand" in error and error.count("\n") == 1
    assert _down("--url", f"{site}/heart.zip", "--data", tmp_path / "data") == 0
    assert (tmp_path / "data" / "heart" / "va.csv").read_bytes() == (tables / "va.csv").read_bytes()
    server.shutdown()
