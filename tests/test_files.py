"""A file is written whole or not at all, and an error says which."""

import errno
import json
import os
import subprocess
import sys

import pytest

from app.config import demo
from tests.conftest import ROOT, TINY
from utils.files import atomic_write, place


def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_an_error_of_the_disk_names_the_file(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(OSError, match="No space") as error, atomic_write(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert error.value.filename == str(path)


def test_all_programs_find_data_and_results_where_the_environment_says(tmp_path):
    environment = {**os.environ, "SKYFED_DATA": str(tmp_path / "d"), "SKYFED_CACHE": str(tmp_path / "c")}

    def run(*arguments):
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    conf = tmp_path / "conf_t.json"
    conf.write_text(json.dumps({**TINY, "data": "simulated", "global_epochs": 1}))
    run("i0down_training_resource.py", "simulate", "20")
    assert (tmp_path / "d" / "simulated" / "manifest.csv").exists()
    run("i2main.py", "-c", conf, "--workers", "1")
    assert (tmp_path / "c" / "conf_t.json.pkl").exists()
    assert "conf_t" in "".join(path.name for path in (tmp_path / "c").iterdir())
    run("i3experiment_drawing.py", "--out", tmp_path / "f")
    assert (tmp_path / "f" / "index.html").exists()
    config = demo(environment)
    assert (config["DATA"], config["CACHE"]) == (tmp_path / "d", tmp_path / "c")
    assert place("data", {"SKYFED_DATA": ""}) == ROOT / "data"
