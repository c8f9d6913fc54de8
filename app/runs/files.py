"""What a run leaves that is no JSON: its model as ONNX, made once, and the photos of its set on this machine."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.config import ROOT
from utils.nets.stored import ONNX_FORMAT
from utils.photos.dataset import MANIFEST, DataError, read_manifest

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


class PhotoFiles:
    """The cleaned photos of the sets in one data folder, by SHA-256. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, tuple[int, dict[str, Path]]] = {}

    def of(self, name: str) -> dict[str, Path]:
        """SHA-256 to file for the set `name`; empty when it is not on this machine or cannot be read."""
        folder = self.folder / name
        if Path(name).name != name:
            return {}
        try:
            stamp = (folder / MANIFEST).stat().st_mtime_ns
            if self._known.get(name, (0, {}))[0] != stamp:
                rows = {row.sha256: folder / row.file for row in read_manifest(folder) if row.file}
                self._known[name] = (stamp, rows)
        except (OSError, DataError):
            return {}
        return self._known[name][1]
