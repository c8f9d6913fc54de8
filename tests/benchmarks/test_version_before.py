"""The version before and this one train the same weights on this machine, bit for bit, in about the same time.

    make benchmark

The version before is checked out into a folder of its own: the commit named in SKYFED_BEFORE, else the first parent of
this one that touched `utils/` or `i2main.py`; where there is no repository, there is nothing to compare with.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time

import pytest
import safetensors.numpy

from tests.conftest import ROOT, TINY
from utils.results import read_result

CONFS = {
    "conf_group": {"partition": "dirichlet", "alpha": 0.3},
    "conf_batch": {"norm": "batch", "judging": "five_crop", "no_models": 5, "k": 3, "owners": 6},
    "conf_centre": {"no_models": 1, "k": 1, "owners": 3, "holds": [[0, 2]], "lambda": 0.5},
    "conf_noisy": {"weight_decay": 0.01, "schedule": "cosine", "warmup": 1, "lambda": 0.7},
}


def _git(*arguments):
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """A folder with the version before."""
    history = _git("log", "--format=%H", "-2", "--", "utils", "i2main.py").split()
    commit = os.environ.get("SKYFED_BEFORE") or (history[-1] if len(history) == 2 else "")
    if not shutil.which("git") or not commit:
        pytest.skip("needs the repository with its history")
    folder = tmp_path_factory.mktemp("before") / "skyfed"
    assert _git("worktree", "add", "--detach", str(folder), commit) is not None and folder.exists()
    yield folder
    _git("worktree", "remove", "--force", str(folder))


def _set_as_before(version, folder):
    """A set of drawn skies as the version before writes it."""
    code = f"from pathlib import Path; from tests.conftest import draw_set; draw_set(Path({str(folder)!r}), count=120)"
    subprocess.run([sys.executable, "-c", code], cwd=version, check=True)


def _train(version, conf, data, out):
    started = time.perf_counter()
    command = [
        sys.executable,
        "i2main.py",
        "-c",
        conf,
        "--data",
        data,
        "--out",
        out,
        "--workers",
        "2",
        "--quiet",
    ]
    done = subprocess.run(
        list(map(str, command)), cwd=version, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return time.perf_counter() - started


def test_both_versions_give_the_same_weights_bit_for_bit(before, tmp_path):
    _set_as_before(before, tmp_path / "data" / "drawn")
    ratios = []
    for name, changes in CONFS.items():
        conf = tmp_path / f"{name}.json"
        conf.write_text(json.dumps({**TINY, "global_epochs": 6, "local_epochs": 4, **changes}))
        seconds = [
            _train(version, conf, tmp_path / "data", tmp_path / place)
            for version, place in ((before, "before"), (ROOT, "now"))
        ]
        ratios.append(seconds[1] / seconds[0])
        models = [
            safetensors.numpy.load_file(tmp_path / place / f"{name}.json.safetensors")
            for place in ("before", "now")
        ]
        assert models[0].keys() == models[1].keys()
        assert all(models[0][key].tobytes() == models[1][key].tobytes() for key in models[0]), name
    print(f"\nwhole runs: {statistics.median(ratios):.2f} times the version before; weights bit-identical")


def test_a_run_that_the_version_before_began_goes_on_to_the_same_end(before, tmp_path):
    _set_as_before(before, tmp_path / "data" / "drawn")
    conf = tmp_path / "conf_begun.json"
    conf.write_text(json.dumps({**TINY, "global_epochs": 12, "local_epochs": 8}))
    _train(ROOT, conf, tmp_path / "data", tmp_path / "whole")
    arguments = [
        "-c",
        conf,
        "--data",
        tmp_path / "data",
        "--out",
        tmp_path / "begun",
        "--workers",
        "1",
        "--quiet",
    ]
    process = subprocess.Popen([sys.executable, "i2main.py", *map(str, arguments)], cwd=before)
    while not list((tmp_path / "begun" / ".unfinished").glob("*/*.npz")):
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    resumed = subprocess.run([sys.executable, "i2main.py", *map(str, arguments), "--resume"], cwd=ROOT)
    assert resumed.returncode == 0
    models = [(tmp_path / place / "conf_begun.json.safetensors") for place in ("whole", "begun")]
    tensors = [safetensors.numpy.load_file(model) for model in models]
    assert all(tensors[0][key].tobytes() == tensors[1][key].tobytes() for key in tensors[0])
    results = [read_result(tmp_path / place / "conf_begun.json.pkl") for place in ("whole", "begun")]
    assert results[0]["acc"] == results[1]["acc"]
