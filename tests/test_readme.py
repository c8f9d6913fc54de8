"""The README says what is true, and every command in it works."""

import re
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from utils.readme import README, keys_table, render, shipped_results

BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _commands():
    lines = "".join(BLOCK.findall(README.read_text())).replace("\\\n", "").splitlines()
    return [line.partition("#")[0].strip() for line in lines if line.strip()]


def test_keys_and_findings_are_those_of_the_code_and_the_results():
    text = README.read_text()
    assert keys_table() in text
    assert render(text, shipped_results()) == text, "run python3 -m utils.readme"


def test_pictures_and_files_it_names_exist():
    text = README.read_text()
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
        if command.startswith("make "):
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
