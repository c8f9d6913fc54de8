"""Questions as data: read and checked, answered by ordinary runs, collated into one file that is read safely."""

import json
import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest

from tests.asked import (
    IRIS,
    SKEW,
    TINY_QUESTION,
    both,
    made_up,
    tiny_question,
    value,
    write_made_up,
    write_question,
)
from tests.conftest import ROOT
from utils.conf import make_conf
from utils.packing import packed
from utils.results import ResultError, parse_plain_pickle
from utils.studies.measured import collated, read_study, study_path, study_results, write_study
from utils.studies.questions import (
    QuestionError,
    changed,
    question_names,
    read_question,
    read_questions,
    studies_folder,
)

SHIPPED = studies_folder({})


@pytest.mark.parametrize("name", question_names(SHIPPED))
def test_a_shipped_question_can_be_asked(name):
    question = read_question(SHIPPED, name)
    confs = list(question.confs())
    assert confs and question.compared()
    texts = [question.title, question.question, question.equal, question.decided_by]
    texts += [one.label for axis in question.axes for one in (axis, *axis.values)]
    texts += [figure.label for figure in question.figures]
    assert all(one["en"].strip() and one["zh"].strip() for one in texts)
    assert question.number in {one.number for one in read_questions(SHIPPED)}


def test_cells_are_the_product_of_the_axes_and_those_of_one_conf_are_trained_once(tmp_path):
    attack = {
        "name": "attack",
        "label": both("Attack"),
        "values": [value("flip", lr=0.1), value("noise", lr=0.2)],
    }
    share = {
        "name": "share",
        "label": both("Share"),
        "values": [value("0", lr=0.3), value("20"), value("40", k=2)],
    }
    question = tiny_question(
        tmp_path,
        axes=[attack, share],
        against=[{"share": "0"}],
        without=[{"attack": ["noise"], "share": ["40"]}],
    )
    assert list(question.cells) == ["flip-0", "flip-20", "flip-40", "noise-0", "noise-20"]
    assert [cell.key for cell in question.trained()] == ["flip-0", "flip-20", "flip-40", "noise-20"]
    assert question.trained_as["noise-0"] == "flip-0"
    assert question.compared() == [("flip-20", "flip-0"), ("flip-40", "flip-0"), ("noise-20", "noise-0")]
    assert question.cells["flip-40"].conf == IRIS | {"lr": 0.1, "k": 2}
    assert question.label(question.cells["flip-20"], "zh") == "flip（中）, 20（中）"


def test_cells_may_have_keys_that_were_fitted_to_them(tmp_path):
    share = {"name": "share", "label": both("Share"), "values": [value("0"), value("20", lr=0.3)]}
    fitted = [
        {"cells": {"share": ["20"], "server": ["plain"]}, "set": {"lr": 0.7}},
        {"cells": {"server": ["momentum"]}, "set": {"k": 2}},
    ]
    question = tiny_question(tmp_path, axes=[share, TINY_QUESTION["axes"][0]], fitted=fitted, against=[])
    confs = {key: (cell.conf["lr"], cell.conf["k"]) for key, cell in question.cells.items()}
    usual = IRIS["lr"], IRIS["k"]
    assert confs == {
        "0-plain": usual, "0-momentum": (usual[0], 2), "20-plain": (0.7, usual[1]), "20-momentum": (0.3, 2),
    }  # fmt: skip


def test_a_value_changes_a_key_of_a_part_takes_its_place_or_takes_it_away():
    base = {"strategy": {"name": "a", "x": 1}, "attack": "noise", "lr": 1}
    assert changed(base, {"strategy": {"x": 2}})["strategy"] == {"name": "a", "x": 2}
    assert changed(base, {"strategy": {"name": "b"}})["strategy"] == {"name": "b"}
    assert changed(base, {"attack": {"share": 0.2}})["attack"] == {"name": "noise", "share": 0.2}
    assert changed(base, {"attack": None, "lr": 2}) == {"strategy": {"name": "a", "x": 1}, "lr": 2}
    assert base["lr"] == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"number": "one"}, "number: expected a whole number from 1 to 999, found one"),
        ({"title": {"en": "x"}}, "title: expected texts en and zh"),
        ({"colour": "red"}, "question: expected keys .*, found colour"),
        ({"picture": "pie"}, "picture: expected one of lines, heat, bars, curves, costs, found pie"),
        ({"picture": "heat"}, "picture: expected two or three axes for heat"),
        ({"axes": []}, "axes: expected a list of 1 to 3, found 0"),
        ({"axes": [TINY_QUESTION["axes"][0]] * 2}, "axes: expected names that differ, found server twice"),
        (
            {"axes": [{**SKEW, "values": [value("A-b")]}]},
            r"axes\[0\].values\[0\].name: expected a name .* found A-b",
        ),
        (
            {"against": [{"server": "other"}]},
            r"against\[0\].server: expected one of plain, momentum, found other",
        ),
        ({"against": [{"who": "plain"}]}, r"against\[0\]: expected one of server, found who"),
        ({"without": [{"server": ["plain", "momentum"]}]}, "axes: expected 1 to 400 cells, found 0"),
        ({"figures": [{"name": "accuracy"}]}, r"figures\[0\]: expected a key label, found none"),
        ({"fitted": [{"set": {}}]}, r"fitted\[0\]: expected a key cells, found none"),
        ({"answers": "best"}, "answers: expected one of said, own, found best"),
    ],
)
def test_a_wrong_question_is_refused_in_one_line(tmp_path, changes, said):
    path = write_question(tmp_path, **changes)
    with pytest.raises(QuestionError, match=said) as error:
        read_question(tmp_path, "tiny")
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


def test_a_question_that_is_no_json_or_not_there_is_refused_in_one_line(tmp_path):
    path = write_question(tmp_path)
    path.write_text("{")
    with pytest.raises(QuestionError, match=r"question\.json"):
        read_question(tmp_path, "tiny")
    with pytest.raises(QuestionError, match=r"expected one of tiny, found \.\./tiny"):
        read_question(tmp_path, "../tiny")
    write_question(tmp_path)
    write_question(tmp_path, "other")
    with pytest.raises(QuestionError, match="number: 1 is another question's too"):
        read_questions(tmp_path)


@pytest.fixture
def study(tmp_path):
    """Runs i2main.py on the tiny question in `tmp_path`, with a module before it where that is wanted."""
    write_question(tmp_path)

    def run(*arguments, before=("i2main.py",), status=0, out="cache"):
        done = subprocess.run(
            [sys.executable, *map(str, before), "--study", "tiny", "--workers", "1", "--cache", tmp_path / out,
             *map(str, arguments)],
            cwd=ROOT, capture_output=True, text=True, timeout=240,
            env={**os.environ, "OMP_NUM_THREADS": "1", "SKYFED_STUDIES": str(tmp_path)},
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        return done

    return run


def _measured(path):
    """A file without its clock times."""
    told = parse_plain_pickle(path.read_bytes(), "test")
    told.pop("finished")
    for cell in told["cells"]:
        for repeat in cell["repeats"]:
            repeat.pop("seconds")
    return told


def test_a_study_is_trained_collated_and_goes_on_after_a_kill_as_if_nothing_had_happened(study, tmp_path):
    done = study()
    assert "tiny: 2 cells, 2 seeds" in done.stdout
    path = study_path(tmp_path / "cache", "tiny")
    whole = _measured(path)
    assert [cell["key"] for cell in whole["cells"]] == ["plain", "momentum"]
    assert not list((tmp_path / "cache").rglob("*.npz")) and path.stat().st_size < 50_000
    assert [one.name for one in (tmp_path / "cache").iterdir()] == ["studies"]

    first = path.read_bytes()
    assert "finished already" in study("--resume").stdout
    assert "tiny@2" in study().stdout and path.read_bytes() == first
    assert study_results(tmp_path / "cache", "tiny") == ["tiny", "tiny@2"]
    assert _measured(study_path(tmp_path / "cache", "tiny@2")) == {**whole, "name": "tiny@2"}
    study("--overwrite", "--seeds", 1)
    assert read_study(path).seeds == 1 and path.read_bytes() != first

    for moment, count in (("fold", 9), ("after-write", 5)):
        out = f"killed-{moment}-{count}"
        study("--quiet", before=("-m", "tests.killed", moment, count), status=-signal.SIGKILL, out=out)
        assert not study_path(tmp_path / out, "tiny").exists()
        study("--resume", out=out)
        assert _measured(study_path(tmp_path / out, "tiny")) == whole
        assert not list((tmp_path / out).rglob("*.npz"))


def test_what_cannot_be_trained_is_refused_before_any_training(study, tmp_path):
    assert "--folds: a study holds out one fold" in study("--folds", 5, status=2).stderr
    write_question(tmp_path, conf=IRIS | {"lr": -1})
    refused = study(status=2).stderr
    assert "tiny: plain" in refused and "lr" in refused and refused.count("\n") == 1
    write_question(tmp_path, picture="pie")
    assert study(status=2).stderr.count("\n") == 1
    write_question(tmp_path, conf=IRIS | {"type": "weather", "data": "none", "model_name": "resnet18"})
    assert study("--data", tmp_path, status=2).stderr.count("\n") == 1
    assert not list(tmp_path.rglob("*.pkl"))


def test_a_study_asked_for_by_number_makes_that_one(study, tmp_path):
    write_question(tmp_path, conf=IRIS | {"global_epochs": 1}, seeds=1)
    study("--study", "tiny@7")
    assert read_study(study_path(tmp_path / "cache", "tiny@7")).name == "tiny@7"
    assert "has this name" in study("--study", "tiny@7", status=2).stderr


def test_all_studies_are_run_one_after_the_other(tmp_path, script, monkeypatch):
    short = {"conf": IRIS | {"global_epochs": 1}, "seeds": 1}
    write_question(tmp_path, **short)
    write_question(tmp_path, "other", number=2, **short)
    monkeypatch.setenv("SKYFED_STUDIES", str(tmp_path))
    done = script("i2main.py", "--all-studies", "--workers", 1, "--cache", tmp_path / "cache", "--quiet")
    assert done.returncode == 0, done.stderr
    for name in ("tiny", "other"):
        assert len(read_study(study_path(tmp_path / "cache", name)).cells) == 2


def test_what_is_collated_is_what_the_runs_said(tmp_path):
    question = tiny_question(tmp_path, axes=[TINY_QUESTION["axes"][0], SKEW])
    outcome = made_up(
        question, lambda key: 0.9, failed={"momentum-even": "lost\nits way"}, left_out=lambda key: [0.2, 1.0]
    )
    result = write_study(study_path(tmp_path, "tiny"), collated(question, "tiny", outcome))
    assert (
        read_study(study_path(tmp_path, "tiny")).cells["plain-even"].conf == result.cells["plain-even"].conf
    )
    cell, run = result.cells["plain-skewed"], outcome["plain-skewed"]
    for told, repeat in zip(cell.repeats, run["repeats"], strict=True):
        said = dict(zip(repeat["test"]["id"], repeat["test"]["said"], strict=True))
        assert [said[one] for one in cell.tests.ids] == told.said.tolist()
        assert told.series["accuracy"].tolist() == pytest.approx(repeat["series"][0]["values"])
        assert (told.arrived.tolist(), told.kept.tolist(), told.hostile) == ([10, 10], [2, 10], (0,))
        assert (told.bytes_up, told.seconds) == (8.0, 8.0)
    right = cell.answers().outcome.mean()
    assert right == pytest.approx(np.mean([repeat["series"][0]["values"][-1] for repeat in run["repeats"]]))
    assert result.cells["momentum-even"].failed == "lost its way" and result.series["loss"] == (
        "nats",
        "lower",
    )
    assert {len(result.cells), len(read_study(study_path(tmp_path, "tiny")).cells)} == {4}


def test_answers_of_ones_own_model_are_taken_where_the_question_says_so_and_clients_have_one(tmp_path):
    own = tiny_question(tmp_path, answers="own", conf={**TINY_QUESTION["conf"], "local": "ditto"})
    result = write_made_up(tmp_path, own, lambda key: 0.5)
    assert result.cells["plain"].answers().outcome.mean() == 1.0
    outcome = made_up(own, lambda key: 0.5)
    del outcome["plain"]["repeats"][0]["test"]["own"]
    with pytest.raises(ResultError, match="no answers called own"):
        collated(own, "tiny", outcome)
    common = write_made_up(tmp_path / "common", tiny_question(tmp_path, answers="own"), lambda key: 0.5)
    assert common.cells["plain"].answers().outcome.mean() < 1.0


def _broken(told, place, value):
    *way, last = place
    for step in way:
        told = told[step]
    told[last] = value


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("format",), 2, "format: expected 1"),
        (("name",), "../x", "name: expected NAME"),
        (("answers",), [], "answers: expected one of"),
        (("cells", 0, "tests"), 1, r"cells\[0\].tests: expected the number"),
        (("cells", 1, "key"), "plain", r"cells\[1\].key: expected a key of its own"),
        (
            ("cells", 0, "repeats", 0, "said"),
            packed(np.full(120, 3, np.uint8)),
            "said: expected numbers of classes",
        ),
        (("cells", 0, "repeats", 0, "said"), "AA==", "said: expected 120 values"),
        (("cells", 0, "repeats", 0, "said"), "!", "said: packed: not base64"),
        (("cells", 0, "repeats", 1, "seed"), 0, "repeats: expected every seed and rotation just once"),
        (
            ("cells", 0, "repeats", 0, "series", "loss"),
            packed(np.float32([np.nan])),
            "series loss: expected a number",
        ),
        (("cells", 0, "repeats", 0, "kept"), packed(np.uint32([1])), "kept: expected for each client"),
        (("cells", 0, "repeats", 0, "hostile"), [-1], "hostile: expected numbers of clients"),
        (("cells", 0, "repeats", 0, "bytes_up"), -1, "bytes_up: expected a number from 0"),
        (("tests", 0, "id", 0), "e9999", "id: expected sorted texts"),
        (("tests", 0, "scene"), packed(np.full(120, 5, np.uint32)), "scene: expected numbers from 0"),
        (("series", "loss"), 3, "series loss: expected a unit"),
        (("cells",), [], "cells: expected a list of 1 to 400"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path, place, value, said):
    write_made_up(tmp_path, tiny_question(tmp_path), lambda key: 0.9)
    path = study_path(tmp_path, "tiny")
    told = parse_plain_pickle(path.read_bytes(), "test")
    _broken(told, place, value)
    path.write_bytes(pickle.dumps(json.loads(json.dumps(told)), protocol=4))
    with pytest.raises(ResultError, match=said) as error:
        read_study(path)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


def test_a_hostile_pickle_builds_nothing(tmp_path):
    path = study_path(tmp_path, "tiny")
    path.parent.mkdir()
    path.write_bytes(pickle.dumps({"format": make_conf}))
    with pytest.raises(ResultError, match="refused"):
        read_study(path)
