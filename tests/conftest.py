"""A small set of drawn skies, enough to train on in seconds, and the confs that go with it."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image
from xdist.scheduler import LoadScopeScheduling

from app.vite import DIST
from tests.chromium import ARGUMENTS, CHROMIUM
from utils.conf import Conf, make_conf
from utils.data.examples import Examples
from utils.data.split import deck_of, fold_of, split_of
from utils.photos.dataset import COLUMNS
from utils.photos.store import open_photos

settings.register_profile(
    "skyfed", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("skyfed")
# With nohup or & Ctrl-C is ignored, and all that the tests start would inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent
TINY = {
    "model_name": "resnet18",
    "no_models": 3,
    "type": "weather",
    "global_epochs": 3,
    "local_epochs": 1,
    "k": 3,
    "batch_size": 8,
    "lr": 0.02,
    "momentum": 0.9,
    "lambda": 1.0,
    "data": "drawn",
    "image_size": 32,
    "width": 4,
    "norm": "group",
}

# Tests below these share what is slow to make, so when several processes share the tests, each group stays in one.
# Trainings keep two processors busy by themselves; so that no two run side by side, they are a group too.
GROUPS = {
    "tests/app/test_queue.py": "trainings",
    "tests/app/test_serving.py": "nginx",
    "tests/board/": "board",
    "tests/e2e/": "browser",
    "tests/forecast/test_sky_check.py": "skies",
    "tests/malware/test_wheels.py": "wheels",
    "tests/photos/test_dataset.py": "photos",
    "tests/photos/test_duplicates.py": "photos",
    "tests/test_questions.py": "trainings",
    "tests/test_resume.py": "trainings",
}


class Groups(LoadScopeScheduling):
    """Hands out groups, the largest first, then test by test; pytest-xdist's own groups need an older pytest."""

    def _split_scope(self, nodeid: str) -> str:
        return next((group for place, group in GROUPS.items() if nodeid.startswith(place)), nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    """Have tests handed out so."""
    return Groups(config, log)


def draw_set(folder: Path, count: int = 60) -> Path:
    """Write `count` drawn skies, half of them cloudy, as a clean set; returns `folder`."""
    rng = np.random.default_rng(7)
    rows = []
    for index in range(count):
        label = ("cloudy", "sunny")[index % 2]
        base = np.array([90, 140, 230] if label == "sunny" else [150, 150, 155], dtype=np.float64)
        rough = rng.normal(0, 6 if label == "sunny" else 30, (20, 20, 3)).repeat(8, axis=0).repeat(8, axis=1)
        pixels = np.clip(base + rough + rng.normal(0, 12), 0, 255).astype(np.uint8)
        sha = hashlib.sha256(pixels.tobytes()).hexdigest()
        deck = deck_of(sha)
        split = split_of(deck, 0)
        file = f"{split}/{label}/{sha}.png"
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / file)
        rows.append(
            [file, sha, label, sha, sha, deck, fold_of(deck), split, "", "drawn", f"{label}{index}.png"]
        )
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as table:
        csv.writer(table).writerows([COLUMNS, *sorted(rows, key=lambda row: row[1])])
    return folder


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser. One for all tests of a process: Playwright's interface cannot be opened twice at a time."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    if not DIST.exists():
        pytest.skip("front end not built (make install)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that holds the set `drawn`. Shared by all tests, so never changed by any."""
    folder = tmp_path_factory.mktemp("data")
    draw_set(folder / "drawn")
    return folder


@pytest.fixture(scope="session")
def photos(data: Path) -> Examples:
    """The drawn set, decoded at the size tiny confs need."""
    return open_photos(data / "drawn", make_conf(TINY, "test").task.keys.store_side, data / ".store")


@pytest.fixture
def tiny() -> Callable[..., Conf]:
    """Makes a conf small enough for a test, with any key changed."""
    return lambda **changes: make_conf({**TINY, **changes}, "test")


@pytest.fixture
def conf_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes such a conf to a file."""

    def write(name: str = "conf_tiny", **changes: Any) -> Path:
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({**TINY, **changes}))
        return path

    return write


@pytest.fixture
def script() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs one of the top-level scripts as a person would."""

    def run(*arguments: object, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    return run
