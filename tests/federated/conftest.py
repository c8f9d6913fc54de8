"""Parts dropped into their folders, and a task so small that what comes of it can be worked out."""

import importlib
import sys

import numpy as np
import pytest

from utils import parts
from utils.conf import make_conf
from utils.data.examples import Examples
from utils.data.split import DECKS, split_of


@pytest.fixture
def dropped(tmp_path, monkeypatch):
    """Puts a part into a folder on its family's path, for this process."""

    def drop(family, name, text):
        package = importlib.import_module(parts.FAMILIES[family])
        folder = tmp_path / family
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
        monkeypatch.delitem(sys.modules, f"{package.__name__}.{name}", raising=False)
        parts.load.cache_clear()
        assert name in parts.names(family)

    yield drop
    for name in [name for name in sys.modules if getattr(sys.modules[name], "__file__", "") or ""]:
        if str(tmp_path) in (sys.modules[name].__file__ or ""):
            del sys.modules[name]


TRAINED = next(deck for deck in range(DECKS) if split_of(deck, 0) == "train")
TASK = """
from utils.data.rows import as_judged, for_judging, for_training, told
ABOUT, LEARNS, UNIT, INPUT, INPUT_SAYS = ("x", "x"), "x", "x", "x", "x"
NETWORK = {"lines": 1}
open_examples = outline = card = None
def input_shape(conf): return (1,)
judged_shape = input_shape
"""
NETWORK = """
from dataclasses import dataclass
from utils.parts import key
ABOUT = ("x", "x")

@dataclass(frozen=True)
class Keys:
    lines: int = key("x", zh="x", low=1, high=1)

def told(keys): return "x", ""

def build(keys, inputs, outputs):
    import torch

    class Line(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.w = torch.nn.Parameter(torch.zeros(1))
        def forward(self, given): return given * self.w
    return Line()
"""


@pytest.fixture
def valleys(dropped, tmp_path):
    """Makes clients i whose loss is curvature_i / 2 (w - bottom_i)², and a conf by which they learn the number w."""
    dropped("task", "valleys", TASK)
    dropped("network", "line", NETWORK)

    def make(curvatures, bottoms, **changes):
        count = len(curvatures)
        scale = np.sqrt(np.array([*curvatures, 1.0]) / 2)
        inputs = scale[:, None].astype(np.float32)
        path = tmp_path / "valleys.npy"
        np.save(path, inputs)
        names = tuple(f"{number}" for number in range(count + 1))
        every = np.ones(count + 1, bool)
        examples = Examples(
            "valleys", path, names, scale * np.array([*bottoms, 0.0]), names, (*names[:-1], "0"),
            np.array([TRAINED] * count + [0]), np.ones(count + 1, np.int64), inputs, every, every, every, "x", (), {},
        )  # fmt: skip
        conf = {
            "type": "valleys", "lines": 1, "no_models": count, "k": count, "global_epochs": 4, "local_epochs": 10,
            "batch_size": 1, "lr": 0.1, "momentum": 0.0, "partition": "source",
        }  # fmt: skip
        return examples, make_conf({**conf, **changes}, "x")

    return make
