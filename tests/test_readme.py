"""The README says what is true, and every command in it works."""

import re
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.tasks.test_malware import text as programs
from utils.readme import CHINESE, PROTOCOL, README, keys_table, protocol, render, shipped_results

BOTH = pytest.mark.parametrize(("path", "language"), [(README, "en"), (CHINESE, "zh")], ids=["en", "zh"])
OTHERS = [
    (ROOT / "docs" / f"{name}.md", ROOT / "docs" / f"{name}.zh-CN.md") for name in ("machines", "columns")
]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _commands():
    lines = "".join(BLOCK.findall(README.read_text())).replace("\\\n", "").splitlines()
    return [line.partition("#")[0].strip() for line in lines if line.strip()]


@pytest.fixture(scope="module")
def results():
    """The shipped results, read once."""
    return shipped_results()


@BOTH
def test_keys_and_findings_are_those_of_the_code_and_the_results(path, language, results):
    text = path.read_text(encoding="utf-8")
    assert (keys_table() in text) == (language == "en")
    assert render(text, results, language) == text, "run python3 -m utils.readme"


@pytest.mark.parametrize("path", PROTOCOL, ids=lambda path: path.name)
def test_the_page_on_tasks_has_the_states_that_the_site_goes_by(path):
    text = path.read_text(encoding="utf-8")
    assert protocol(text) == text, "run python3 -m utils.readme"
    assert "| `training` | `submit` | `waiting` |" in text


def _shape(path):
    """What no language changes: commands, programs, headings by level, tables, their figures and code, links."""
    text = path.read_text(encoding="utf-8")
    code = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
    blocks = [
        (kind, re.sub(r" +# .*", "", body) if kind == "sh" else body) for kind, body in code.findall(text)
    ]
    prose = code.sub("", text)
    rows = [line for line in prose.splitlines() if line.startswith("|")]
    return {
        "code": blocks,
        "headings": [line.partition(" ")[0] for line in prose.splitlines() if line.startswith("#")],
        "cells": [row.count(" | ") for row in rows],
        "figures": [re.findall(r"(?<=\| )[][(),.\d +%e-]+(?= \|)", row) for row in rows],
        "names": [re.findall(r"(?<=\| )`[^`]*`(?= \|)", row) for row in rows],
        "findings": re.findall(r"^- .*?(\[[^]]*\]).*\*\*", prose, re.MULTILINE),
        "items": [line[:2] for line in prose.splitlines() if re.match(r"- |\d\. ", line)],
        "links": [one for one in re.findall(r"\]\(([^)]+)\)", prose) if not one.startswith("README")],
        "settings": sorted(set(re.findall(r"SKYFED_[A-Z_]+|--[a-z-]+", prose))),
        "marks": re.findall(r"<!-- .* -->", prose),
    }


def test_both_languages_have_the_same_commands_headings_tables_and_pictures():
    english, chinese = _shape(README), _shape(CHINESE)
    for what in english:
        assert english[what] == chinese[what], what
    english, chinese = map(_shape, PROTOCOL)
    for what in ("headings", "cells", "names", "marks"):
        assert english[what] == chinese[what], what
    for pair in OTHERS:
        english, chinese = map(_shape, pair)
        for what in ("code", "headings", "cells", "items", "settings"):
            assert english[what] == chinese[what], what
    assert len(re.findall(r"^!\[", README.read_text(), re.MULTILINE)) == 3
    assert "](README.zh-CN.md)" in README.read_text() and "](README.md)" in CHINESE.read_text(
        encoding="utf-8"
    )


def test_the_chinese_one_is_in_chinese():
    prose = re.sub(
        r"```.*?```|`[^`]*`|\[[^]]*\]|\([^)]*\)|<!--.*?-->",
        "",
        CHINESE.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    for line in prose.splitlines():
        words = re.findall(r"[A-Za-z]{3,}", line)
        letters = re.findall(r"[\u4e00-\u9fff]", line)
        assert len(words) < 4 or len(letters) > len(words) or re.fullmatch(r"\|.*\|", line), line


@BOTH
def test_pictures_and_files_it_names_exist(path, language):
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r"\]\(((?!http)[^)]+)\)", text) + re.findall(
        r"`((?:utils|cache|tests)/[\w./]+\.\w+)`", text
    ):
        if "@" not in name:
            assert (ROOT / name).exists(), name


def test_make_has_the_targets_it_names():
    for target in set(re.findall(r"(?:^|`)make (\w+)", README.read_text(), re.MULTILINE)):
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    """A copy of the project with a few drawn photos where the README expects the reader's own."""
    folder = tmp_path_factory.mktemp("newcomer") / "skyfed"
    anywhere = shutil.ignore_patterns(
        ".git", ".venv", ".hypothesis", ".*_cache", "__pycache__", "figures", "node_modules"
    )

    def ignored(place, names):
        return anywhere(place, names) | ({"data"} if place == str(ROOT) else set())

    shutil.copytree(ROOT, folder, ignore=ignored)
    shutil.copytree(ROOT / "cache", folder / "cache", dirs_exist_ok=True)
    _run(folder, "python3 i0down_training_resource.py simulate 40 --set drawn")
    for index, path in enumerate(sorted((folder / "data" / "drawn").glob("*/*/*.png"))):
        target = folder / "my_photos" / path.parent.name / f"photo{index}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for name in ("my_mwd/cloudy1.png", "my_mwd/shine1.png", "my_opensky/7/1.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / name)
    (folder / "my_clamp.csv").write_text(programs())
    (folder / "my_opensky/7/info.json").write_text('{"percentage_of_clouds": "10"}')
    return folder


def _run(folder, command, status=0):
    words = [sys.executable if word == "python3" else word for word in shlex.split(command)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=500)
    assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def test_every_command_works(sandbox):
    for command in _commands():
        if command.startswith(("make ", "python3 -m utils.participant")):  # these in tests/board
            continue
        if "--only" in command:
            # The reader has the two sources; here there are other photos, so all are refused, and it says so.
            done = _run(sandbox, command, status=2)
            assert "no usable photo" in done.stderr
        elif "--folds" in command or "--seeds" in command:
            # Hours of training on photos that are not here: it is understood, and the missing set is named.
            done = _run(sandbox, command, status=2)
            assert "skies" in done.stderr and done.stderr.count("\n") == 1
        else:
            _run(sandbox, command)
    assert (sandbox / "figures" / "index.html").exists()
    assert (sandbox / "cache" / "demo.json.pkl").exists()
    assert (sandbox / "data" / "mine" / "report.html").exists()
