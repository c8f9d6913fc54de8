"""A thousand owners of ten digits each train together without a word of trouble."""

import json
import os
import subprocess
import sys

from tests.conftest import ROOT
from utils.parts import EXTRA
from utils.results import read_result, values

OWNERS, EACH, ROUNDS = 1000, 10, 2
CROWD = """
import numpy as np
from utils.data.rows import Brought, Rows, as_judged, card_of, for_judging, for_training, told

ABOUT = ("digits that many people drew", "许多人画的数字")
CLASSES, LEARNS = tuple("0123456789"), "Tells ten drawn digits apart."
DATA, NETWORK = "crowd", {"network": "logistic"}
INPUT, INPUT_SAYS = "pixels", "8 x 8"

def _rows():
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 10, 14_300)
    inputs = rng.random((10, 1, 8, 8))[targets] + rng.normal(0, 0.3, (len(targets), 1, 8, 8))
    return Rows("here", "", inputs.astype(np.float32), targets.astype(np.int64))

_SET = Brought(DATA, _rows, (1, 8, 8))
open_examples, outline = _SET.open_examples, _SET.outline
input_shape = judged_shape = _SET.input_shape

def card(result, left_out=None):
    return card_of("a picture, 8 x 8.", CLASSES, "None.")
"""


def test_a_thousand_owners_of_ten_digits_each_train_as_few_do(tmp_path):
    (tmp_path / "parts" / "task").mkdir(parents=True)
    (tmp_path / "parts" / "task" / "crowd.py").write_text(CROWD)
    conf = {
        "type": "crowd", "no_models": OWNERS, "k": OWNERS, "global_epochs": ROUNDS, "local_epochs": 2,
        "batch_size": 5, "lr": 0.5, "momentum": 0.9,
    }  # fmt: skip
    (tmp_path / "conf_crowd.json").write_text(json.dumps(conf))
    done = subprocess.run(
        [sys.executable, "i2main.py", "-c", tmp_path / "conf_crowd.json", "--data", tmp_path, "--cache",
         tmp_path / "cache", "--workers", "2", "--quiet"],
        cwd=ROOT, env={**os.environ, EXTRA: str(tmp_path / "parts"), "OMP_NUM_THREADS": "1"}, timeout=300,
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    result = read_result(tmp_path / "cache" / "conf_crowd.json.pkl")
    (repeat,) = result["repeats"]
    assert len(repeat["clients"]) == OWNERS and repeat["failures"] == []
    assert {one["examples"] for one in repeat["clients"]} <= {EACH - 1, EACH, EACH + 1}
    update = 4 * (64 + 1) * 10
    assert values(repeat, "bytes_up") == values(repeat, "bytes_down") == [OWNERS * update] * ROUNDS
    assert result["acc"][-1] > 0.9
