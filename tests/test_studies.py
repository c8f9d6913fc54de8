"""The weather story, the first study: one place knows its runs by name."""

import re

import pytest

from tests.conftest import ROOT
from utils.conf import load_conf
from utils.studies import (
    about_set,
    colour,
    conf_name,
    doubtful_ids,
    first,
    left_out,
    left_out_of,
    studies,
    study_runs,
    title,
)


@pytest.mark.parametrize("name", studies())
def test_a_study_is_whole(name):
    study = studies()[name]
    names = [run.run for run in (*study.runs, *study.elsewhere)]
    confs = {path.stem: load_conf(path) for path in (ROOT / "utils").glob("conf_*.json")}
    assert sorted(names) == sorted(run for run, conf in confs.items() if conf.task.name == study.task)
    assert first().task == "weather" and {conf.task.name for conf in confs.values()} <= {
        one.task for one in studies().values()
    }
    assert all({a, b} <= set(names) for a, b in study.questions)
    assert {study.by_role(role).run for role in study.headlines} <= set(names)
    assert all(study_runs()[run].does for pair in study.story for run in pair)
    assert all(study.by_role(role).run in names for role in study.models)
    assert all(re.fullmatch("#[0-9a-f]{6}", run.colour) for run in study_runs().values())
    assert len({run.colour for run in (*study.runs, *study.elsewhere)}) == len(names)
    assert all(run.of in names for run in study.elsewhere)
    assert {run.left_out for run in study.runs if run.left_out} <= {run.run for run in study.elsewhere}
    said = [text for run in study_runs().values() for text in (run.name, run.does) if text]
    assert all(text["en"] and any(ord(letter) > 0x2E80 for letter in text["zh"]) for text in said)


def test_every_run_has_one_name_in_plain_words_that_a_legend_has_room_for():
    for language, most in (("en", 52), ("zh", 26)):
        names = [title(run, language) for run in study_runs()]
        assert len(set(names)) == len(names) and max(map(len, names)) <= most
        assert not any(
            run.removeprefix("conf_") == name for run, name in zip(study_runs(), names, strict=True)
        )
    assert title("conf_f10") == title("conf_f10", "en") == "Ten owners, federated"
    assert title("conf_f10", "zh") == "十位所有者，联邦学习" and conf_name("conf_f10") == "f10"
    assert title("conf_f10@2") == "Ten owners, federated @2" and conf_name("conf_f10@2") == "f10@2"


def test_no_other_file_knows_its_runs_by_name():
    names = [run.run for run in first().runs]
    for folder in ("utils", "app"):
        for path in (ROOT / folder).rglob("*.py"):
            told = path.read_text()
            listed = [name for name in names if re.search(rf'"{name}"', told)]
            assert len(listed) < 2, (path, listed)


def test_a_repetition_is_judged_elsewhere_as_the_shipped_run_is():
    head = first().by_role("federated")
    assert left_out_of(head.run) == left_out_of(f"{head.run}@2") == head.left_out != ""
    assert left_out_of("conf_mine") == "" and left_out(ROOT / "nowhere", head.run) is None


def test_what_is_not_in_a_study_has_a_colour_and_a_name_too():
    assert colour("conf_mine") == colour("conf_mine") and colour("conf_mine").startswith("#")
    assert title("conf_mine") == title("conf_mine", "zh") == "mine" and conf_name("conf_mine") == ""
    assert "conf_mine" not in study_runs()
    assert "gathered on the machine" in about_set("mine").about
    assert 30 < len(doubtful_ids()) < 80
