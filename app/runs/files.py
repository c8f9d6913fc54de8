"""What a run leaves that is no JSON: its model as ONNX, made once, by one child process at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.api.busy import PATIENCE, come_back
from app.config import ROOT
from utils.nets import ONNX_FORMAT

_PATIENCE = 120  # seconds one conversion may take
_KEPT = 20  # converted models
_WAITING = 20  # models that wait to be converted


class ModelFiles:
    """Models of one cache folder converted to ONNX, kept by the hash of what they were made of.

    What cannot be converted is remembered by that hash, so that it costs its time once. A child process converts, at
    low priority and with limits (`--limited`): PyTorch costs the site neither memory nor a start. Safe to use from
    several threads.
    """

    def __init__(self, cache: Path, folder: Path) -> None:
        self.cache, self.folder = cache, folder
        self._lock = threading.Lock()
        self._waiting: dict[Path, tuple[str, threading.Event]] = {}
        self._failed: set[Path] = set()

    def onnx(self, name: str, result: Mapping[str, Any], may_make: bool) -> Path | None:
        """The model of the run `name`, whose result is given, as a file; None when it cannot be, or is not, made.

        With `may_make` it is; 503 until that is done.
        """
        made = place_of(self.folder, result)
        if made is None or made in self._failed:
            return None
        if not made.is_file():
            done = self.prepare(name, result) if may_make else self._waiting.get(made, ("", None))[1]
            if done is None:
                return None
            if not done.wait(PATIENCE):
                come_back(5)
        with suppress(OSError):
            os.utime(made)  # the latest that were asked for are kept
            return made
        return None

    def prepare(self, name: str, result: Mapping[str, Any]) -> threading.Event | None:
        """Have a model converted soon; set when that is done, None where there is nothing to do."""
        made = place_of(self.folder, result)
        if made is None or made in self._failed or made.is_file():
            return None
        with self._lock:
            if made in self._waiting:
                return self._waiting[made][1]
            if len(self._waiting) >= _WAITING:
                come_back(60)
            done = threading.Event()
            self._waiting[made] = (name, done)
            if len(self._waiting) == 1:
                threading.Thread(target=self._make_all, daemon=True).start()
        return done

    def _make_all(self) -> None:
        while True:
            with self._lock:
                made, (name, done) = next(iter(self._waiting.items()))
            if not convert(self.cache, name, made):
                self._failed.add(made)
            with self._lock:
                del self._waiting[made]
                done.set()
                if not self._waiting:
                    return


def place_of(folder: Path, result: Mapping[str, Any]) -> Path | None:
    """Where the converted model of a result lies below `folder`; None where it has none."""
    model = result.get("model")
    return folder / f"{model['sha256']}-{ONNX_FORMAT}.onnx" if model else None


def convert(cache: Path, name: str, made: Path) -> bool:
    """Write the model of the run `name` as ONNX to `made`; whether that could be done."""
    arguments = ["--cache", str(cache.resolve()), name, "-o", str(made.resolve()), "--limited"]
    try:
        subprocess.run(
            [sys.executable, "-m", "utils.nets.stored", *arguments], cwd=ROOT, check=True, timeout=_PATIENCE,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return False
    for old in sorted(made.parent.glob("*.onnx"), key=_used_at)[:-_KEPT]:
        old.unlink(missing_ok=True)
    return True


def _used_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
