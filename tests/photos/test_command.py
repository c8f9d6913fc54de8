"""The command answers at once, says in one line what is wrong, and ends with the right status."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.photos.conftest import ROOT, make_few
from tests.photos.test_folder_and_zip import run
from utils.photos.dataset import locked, read_manifest


def test_help_imports_nothing_slow() -> None:
    code = (
        "import sys, i0down_training_resource as command\n"
        "try: command.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('numpy', 'PIL', 'torch', 'requests', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    for source in ("folder", "mwd", "commons", "simulate"):
        assert source in done.stdout


def test_no_source_imports_torch() -> None:
    code = (
        "import sys\n"
        "import utils.photos.report, utils.photos.simulator, utils.forecast.looking\n"
        "from utils.photos.sources import archive, commons, folder, mwd, simulated\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["elsewhere"],
        ["simulate"],
        ["simulate", "0"],
        ["simulate", "-3"],
        ["simulate", "many"],
        ["simulate", "1" * 5000],
        ["simulate", "\u0663"],
        ["simulate", "5", "--seed", "-1"],
        ["simulate", "5", "--set", "../out"],
        ["simulate", "5", "--set", ""],
        ["simulate", "5", "--set", "a/b"],
        ["commons", "--label", "sunny"],
        ["commons", "--category", "Sky"],
        ["commons", "--category", "Sky", "--search", "sky", "--label", "sunny"],
        ["commons", "--category", "Sky", "--label", "rainy"],
        ["commons", "--category", "Sky", "--label", "sunny", "--contact", "\u2192"],
        ["commons", "--category", "Sky", "--label", "sunny", "--contact", "me\nHost: other"],
        ["folder", "{tmp}/nothing"],
        ["folder", "{tmp}/text.zip"],
        ["folder", "{tmp}/empty"],
        ["folder", "{tmp}", "--data", "{tmp}/data"],
        ["folder", "{tmp}/few", "--set", "simulated"],
        ["folder", "{tmp}/few", "--set", "broken"],
    ],
)
def test_what_a_person_gets_wrong_is_told_in_one_line_with_status_2(
    arguments: list[str], tmp_path: Path
) -> None:
    (tmp_path / "text.zip").write_text("no zip")
    (tmp_path / "empty").mkdir()
    make_few(tmp_path / "few", each=1)
    broken = tmp_path / "data" / "broken" / "manifest.csv"
    broken.parent.mkdir(parents=True)
    broken.write_text("not a manifest")
    if "simulated" in arguments:
        run("simulate", 2, "--data", tmp_path / "data")
    arguments = [argument.format(tmp=tmp_path) for argument in arguments]
    if arguments and arguments[0] in ("folder", "simulate", "commons") and "--data" not in arguments:
        arguments += ["--data", str(tmp_path / "data")]
    done = run(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr + done.stdout
    complaint = [line for line in done.stderr.splitlines() if not line.startswith(("usage:", " "))]
    assert len(complaint) == 1


def test_a_data_folder_that_cannot_be_written_fails_in_one_line(few: Path, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, no folder")
    done = run("folder", few, "--data", tmp_path / "data")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_a_set_that_is_being_built_is_left_alone(few: Path, tmp_path: Path) -> None:
    with locked(tmp_path / "data" / "few"):
        done = run("folder", few, "--data", tmp_path / "data")
    assert done.returncode == 2
    assert "another run" in done.stderr


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_says_how_to_go_on(tmp_path: Path, kind: signal.Signals) -> None:
    command = [sys.executable, "i0down_training_resource.py", "simulate", "400", "--data", str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    clean = tmp_path / "simulated" / ".work" / "clean"
    for _ in range(600):
        if clean.exists() and len(list(clean.iterdir())) > 5:
            break
        time.sleep(0.05)
    process.send_signal(kind)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors == "stopped; run the same command again to go on\n"
    assert not (tmp_path / "simulated" / "manifest.csv").exists()


def test_simulated_sets_grow_and_keep_their_photos(tmp_path: Path) -> None:
    assert run("simulate", 10, "--data", tmp_path).returncode == 0
    first = read_manifest(tmp_path / "simulated")
    done = run("simulate", 25, "--data", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    second = read_manifest(tmp_path / "simulated")
    assert (len(first), len(second)) == (10, 25)
    assert {row.sha256 for row in first} <= {row.sha256 for row in second}
    assert {row.source for row in second} == {"simulated"}
