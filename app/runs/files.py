"""What a run leaves that is no JSON: its model as ONNX, made once."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.config import ROOT
from utils.nets.stored import ONNX_FORMAT

_PATIENCE = 120  # seconds one conversion may take
_KEPT = 20  # converted models


class ModelFiles:
    """Models of one cache folder converted to ONNX, kept by the hash of what they were made of.

    A child process converts: PyTorch costs the site neither memory nor a start. Safe to use from several threads.
    """

    def __init__(self, cache: Path, folder: Path) -> None:
        self.cache, self.folder = cache, folder
        self._lock = threading.Lock()

    def onnx(self, name: str, result: Mapping[str, Any]) -> Path | None:
        """The model of the run `name`, whose result is given, as a file; None when it cannot be made."""
        model = result.get("model")
        if not model:
            return None
        made = self.folder / f"{model['sha256']}-{ONNX_FORMAT}.onnx"
        with self._lock:  # one conversion at a time is load enough
            if not made.is_file():
                program = [sys.executable, "-m", "utils.nets.stored", "--cache"]
                try:
                    subprocess.run(
                        [*program, self.cache.resolve(), name, "-o", made.resolve()], cwd=ROOT, check=True,
                        timeout=_PATIENCE, stdin=subprocess.DEVNULL,
                    )  # fmt: skip
                except (OSError, subprocess.SubprocessError):
                    return None
                for old in sorted(self.folder.glob("*.onnx"), key=lambda path: -path.stat().st_mtime)[_KEPT:]:
                    old.unlink()
        return made
