"""The weather story, the first study: one place knows its runs by name."""

import re

from tests.conftest import ROOT
from utils.studies import about_set, colour, doubtful_ids, first, studies, study_runs, texts, title


def test_a_study_is_whole():
    study = first()
    assert study.task == "weather" and set(studies()) == {"weather"}
    names = [run.run for run in study.runs]
    assert sorted(names) == sorted(path.stem for path in (ROOT / "utils").glob("conf_*.json"))
    assert all({a, b} <= set(names) for a, b in study.questions)
    assert all(study.by_role(role).headline for role in study.headlines)
    assert all(study.by_role(role).run in names for role in study.models)
    assert all(re.fullmatch("#[0-9a-f]{6}", run.colour) for run in study.runs)
    assert len({run.colour for run in study.runs}) == len(names)
    for english, chinese in texts().items():
        assert english and any(ord(letter) > 0x2E80 for letter in chinese), english


def test_no_other_file_knows_its_runs_by_name():
    names = [run.run for run in first().runs]
    for folder in ("utils", "app"):
        for path in (ROOT / folder).rglob("*.py"):
            told = path.read_text()
            listed = [name for name in names if re.search(rf'"{name}"', told)]
            assert len(listed) < 2, (path, listed)


def test_what_is_not_in_a_study_has_a_colour_and_a_name_too():
    assert colour("conf_mine") == colour("conf_mine") and colour("conf_mine").startswith("#")
    assert title("conf_mine") == "mine" and "conf_mine" not in study_runs()
    assert "gathered on the machine" in about_set("mine").about
    assert 30 < len(doubtful_ids()) < 80
