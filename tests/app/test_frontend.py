"""The front end's own unit tests (Vitest), run with the rest."""

import subprocess
import sys

import pytest

from app.frontend import FOLDER
from tests.conftest import ROOT


@pytest.mark.skipif(not (FOLDER / "node_modules").exists(), reason="front end not installed (make install)")
def test_the_front_ends_unit_tests_pass():
    done = subprocess.run(
        [sys.executable, "-m", "app.frontend", "test"], cwd=ROOT, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
