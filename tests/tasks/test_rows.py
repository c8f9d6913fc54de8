"""Tasks of rows: their examples are those of the package; every one trains, is kept and handed on like any other."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import torch

import i2main
from tests.conftest import ROOT
from tests.here import Here
from utils.comparison import answers
from utils.conf import make_conf
from utils.data.examples import DataError
from utils.data.scaling import Scaled, agree
from utils.federated.bench import Bench, Repeat, share_out
from utils.nets.build import build
from utils.nets.stored import as_onnx, load_model
from utils.parts import EXTRA
from utils.results import read_result, values
from utils.tasks import classes_of

SHORT = {
    "no_models": 5, "global_epochs": 3, "local_epochs": 1, "k": 5, "batch_size": 16, "lr": 0.05, "momentum": 0.9,
}  # fmt: skip
LOADERS = {
    "digits": "load_digits", "iris": "load_iris", "breast_cancer": "load_breast_cancer", "diabetes": "load_diabetes",
}  # fmt: skip
LEAST = {"digits": 0.9, "iris": 0.5, "breast_cancer": 0.9, "diabetes": 0.2}
SCENES = {"digits": 1797, "iris": 149, "breast_cancer": 569, "diabetes": 442}
ABROAD = """
from pathlib import Path
import numpy as np
from utils.data.rows import ANSWERS, Brought, Rows, as_judged, card_of, for_judging, for_training, told

ABOUT = ("above or below", "之上或之下")
CLASSES, LEARNS = ("below", "above"), "Tells above from below."
DATA, NETWORK, SCALED = "lines", {"network": "logistic"}, True
INPUT, INPUT_SAYS = "places", "x and y"

def _rows():
    rng = np.random.default_rng(0)
    places = rng.normal((1000, 5), (50, 0.01), (200, 2)).astype(np.float32)
    return Rows("here", "", places, (places[:, 0] > 1000).astype(np.int64))

_SET = Brought(DATA, _rows, (2,))
open_examples, outline = _SET.open_examples, _SET.outline
input_shape = judged_shape = _SET.input_shape

def card(result, left_out=None):
    return card_of("two numbers.", CLASSES, "None.")
"""


ASKED = """
from app import create_app
from app.config import demo
import sys
site = create_app(demo({f"SKYFED_{name}": sys.argv[1] for name in ("INSTANCE", "CACHE", "DATA")}))
print(*site.test_client().get("/api/v1/confs").json["tasks"])
"""


def _open(task, tmp_path, **changes):
    conf = make_conf({**SHORT, "type": task, **changes}, "test")
    return conf, conf.task.module.open_examples(conf, tmp_path)


@pytest.mark.parametrize("task", LOADERS)
def test_its_examples_are_those_of_scikit_learn_each_in_one_fold_with_those_like_it(task, tmp_path):
    from sklearn import datasets

    how = {"scaled": False} if task == "diabetes" else {}
    inputs, targets = getattr(datasets, LOADERS[task])(return_X_y=True, **how)
    conf, examples = _open(task, tmp_path)
    scale = 16 if task == "digits" else 1
    found = sorted(
        (np.round(row.ravel() * scale, 4).tolist(), int(target))
        for row, target in zip(examples.inputs, examples.targets, strict=True)
    )
    wanted = sorted(
        (np.round(row.astype(np.float32), 4).tolist(), int(target))
        for row, target in zip(inputs, targets, strict=True)
    )
    assert found == wanted and list(examples.ids) == sorted(examples.ids)
    by_row = {}
    for row, scene, deck in zip(examples.inputs, examples.scenes, examples.decks, strict=True):
        by_row.setdefault(row.tobytes(), set()).add((scene, int(deck)))
    assert all(len(found) == 1 for found in by_row.values())
    assert len(by_row) == len(set(examples.scenes)) == SCENES[task]
    every = conf.task.module.outline(conf, tmp_path)
    assert every.targets.tolist() == examples.targets.tolist() and every.scenes == list(examples.scenes)


@pytest.mark.parametrize("task", LOADERS)
def test_it_trains_and_is_kept_and_its_onnx_takes_what_its_examples_are(task, tmp_path):
    file = tmp_path / f"conf_{task}.json"
    file.write_text(json.dumps({**SHORT, "type": task, "global_epochs": 20}))
    assert (
        i2main.main(["-c", str(file), "--data", str(tmp_path), "--cache", str(tmp_path / "cache"), "--quiet"])
        == 0
    )
    result, conf, net = load_model(tmp_path / "cache", f"conf_{task}")
    classes, record = classes_of(conf), result["repeats"][0]
    assert result["conf"]["data"] == task and result["classes"] == (list(classes) or None)
    assert len(record.get("confusion", ())) == len(classes)
    assert values(record, "accuracy" if classes else "r2")[-1] > LEAST[task]
    assert not classes or (answers(result).truth < len(classes)).all()
    assert conf.task.module.LEARNS in (tmp_path / "cache" / f"conf_{task}.json.md").read_text()
    _, examples = _open(task, tmp_path)
    raw = np.array(examples.inputs[:9])
    session = onnxruntime.InferenceSession(as_onnx(net, conf, "x"))
    with torch.inference_mode():
        expected = net(torch.from_numpy(raw)).numpy()
    assert np.allclose(session.run(None, {conf.task.module.INPUT: raw})[0], expected, rtol=1e-5, atol=1e-3)


def test_what_owners_say_of_their_rows_scales_as_all_rows_together_would_and_is_counted(tmp_path):
    conf, examples = _open("breast_cancer", tmp_path, partition="quantity")
    bench, net = Bench(conf, Repeat(0, 0, 0), examples, Here()), build(conf, 0)
    assert isinstance(net, Scaled)
    mean, spread = agree(net, bench._ask_all)
    down, up = bench.asked()
    pooled = np.asarray(examples.inputs[np.concatenate(bench.shares.clients)], dtype=np.float64)
    assert np.abs(mean - pooled.mean(0)).max() <= 1e-12 * np.abs(mean).max()
    assert np.abs(spread / pooled.std(0) - 1).max() < 1e-12
    assert (down, up) == (5 * 30 * 8, 5 * (31 + 30) * 8)
    assert np.array_equal(net.mean.numpy(), mean.astype(np.float32))


def test_a_feature_that_nowhere_differs_says_nothing():
    net = Scaled(torch.nn.Identity(), (2,))
    told = {
        "sums": [np.array([2.0, 6.0, 2.0]), np.array([2.0, 6.0, 6.0])],
        "squares": [np.array([0.0, 2.0]), np.array([0.0, 2.0])],
    }
    agree(net, lambda name, _: iter(one.tobytes() for one in told[name]))
    assert net(torch.tensor([[7.0, 3.0]])).tolist() == [[pytest.approx(0, abs=1e-20), 1.0]]


def test_the_scaling_is_counted_in_round_one_and_stays_as_it_was_agreed(tmp_path):
    file = tmp_path / "conf_bc.json"
    file.write_text(json.dumps({**SHORT, "type": "breast_cancer"}))
    assert (
        i2main.main(["-c", str(file), "--data", str(tmp_path), "--cache", str(tmp_path / "cache"), "--quiet"])
        == 0
    )
    result, conf, net = load_model(tmp_path / "cache", "conf_bc")
    record = result["repeats"][0]
    for name, extra in (("bytes_down", 5 * 30 * 8), ("bytes_up", 5 * 61 * 8)):
        first, second, third = values(record, name)
        assert (first - second, third) == (extra, second)
    _, examples = _open("breast_cancer", tmp_path)
    trained = np.concatenate(share_out(conf, Repeat(0, 0, 0), examples).clients)
    rows = np.asarray(examples.inputs[trained], dtype=np.float64)
    assert np.array_equal(net.mean.numpy(), rows.mean(0).astype(np.float32))
    assert np.allclose(net.spread.numpy(), rows.std(0), rtol=1e-6)


def test_another_set_is_refused_in_one_line(tmp_path):
    with pytest.raises(DataError, match=r"^skies: this task has no such set, only iris$"):
        _open("iris", tmp_path, data="skies")


def test_a_task_is_one_file_and_goes_on_after_a_kill_as_if_nothing_had_been(tmp_path):
    (tmp_path / "parts" / "task").mkdir(parents=True)
    (tmp_path / "parts" / "task" / "lines.py").write_text(ABROAD)
    (tmp_path / "conf_lines.json").write_text(
        json.dumps({**SHORT, "type": "lines", "global_epochs": 8, "lr": 0.5})
    )
    there = {**os.environ, EXTRA: str(tmp_path / "parts"), "OMP_NUM_THREADS": "1"}

    def run(*command, **more):
        return subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, env=there, timeout=120, **more)

    common = ["-c", tmp_path / "conf_lines.json", "--data", tmp_path, "--quiet", "--folds", 2]
    assert run("i2main.py", *common, "--workers", 1, "--cache", tmp_path / "one").returncode == 0
    killed = [*common, "--workers", 2, "--cache", tmp_path / "killed"]
    assert run("-m", "tests.killed", "fold", 23, *killed).returncode == -signal.SIGKILL
    assert run("i2main.py", *killed[:-4], "--workers", 3, *killed[-2:], "--resume").returncode == 0
    found = [(tmp_path / run / "conf_lines.json.safetensors").read_bytes() for run in ("one", "killed")]
    curves = [read_result(tmp_path / run / "conf_lines.json.pkl")["acc"] for run in ("one", "killed")]
    assert found[0] == found[1] and curves[0] == curves[1] and curves[0][-1] > 0.9
    (tmp_path / "site").mkdir()
    form = run("-c", ASKED, tmp_path / "site", capture_output=True, text=True)
    assert "lines" in form.stdout.split(), form.stderr
