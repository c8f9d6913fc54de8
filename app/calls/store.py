"""Where the files of calls lie: weights of versions, updates while they are kept, starter packs."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from flask import current_app

from utils.files import atomic_write


def calls_folder() -> Path:
    """Where those of all calls lie; the demo has a database, and so a folder, of its own."""
    return Path(current_app.config["INSTANCE"]) / ("demo-calls" if current_app.config["DEMO"] else "calls")


def folder_of(call: int) -> Path:
    """Those of one call."""
    return calls_folder() / str(call)


def versions_of(call: int) -> Path:
    """Its versions: N.safetensors, and N.npz with what its strategy remembers."""
    return folder_of(call) / "versions"


def model_of(call: int, version: int) -> Path:
    """The weights of a version."""
    return versions_of(call) / f"{version}.safetensors"


def update_of(call: int, training: int) -> Path:
    """The update of a training, by the number of its row."""
    return folder_of(call) / "updates" / f"{training}.safetensors"


def fold_of(call: int, job: int) -> Path:
    """Where a fold has what it was asked and what it makes, until that is a version."""
    return folder_of(call) / "folds" / str(job)


def starter_of(call: int) -> Path:
    """The pack of examples to try a call with."""
    return folder_of(call) / "starter.zip"


def put(path: Path, raw: bytes) -> str:
    """Write a file whole; returns its SHA-256."""
    with atomic_write(path) as file:
        file.write(raw)
    return hashlib.sha256(raw).hexdigest()


def forget(call: int) -> None:
    """Delete all files of a call."""
    shutil.rmtree(folder_of(call), ignore_errors=True)
