"""The front end's own unit tests (Vitest), run with the rest."""

import os
import subprocess
import sys

import pytest

from app.frontend import FOLDER
from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(
    not (FOLDER / "node_modules").exists(), reason="front end not installed (make install)"
)


def _passes(**environment):
    done = subprocess.run(
        [sys.executable, "-m", "app.frontend", "test"], cwd=ROOT, capture_output=True, text=True, timeout=900,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


def test_the_front_ends_unit_tests_pass():
    _passes()


@pytest.mark.long
def test_they_pass_with_a_hundred_thousand_headers_changed_by_chance():
    _passes(VITE_HEADERS="100000")
