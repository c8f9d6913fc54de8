"""Unfinished runs: what was done so far, kept on disk so that any run that was killed can go on.

`cache/.unfinished/NAME/` holds the plan of the run and one file per repeat, each written atomically after
every round. A lock says that a live process works on it.
"""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from utils.conf import ConfError, make_conf
from utils.files import atomic_write
from utils.photos.format1 import lift_plan, lift_repeat
from utils.results import UNITS, ResultError, result_path, values

if TYPE_CHECKING:
    from utils.federated.bench import Repeat, State
    from utils.nets.layout import Layout

_VECTOR = "vector/"
_ORDER = "order"  # of the values in a vector; files without it are from before convolutions had their channels last


class Checkpoints:
    """The checkpoints of one run. Holds its lock until `release` or `remove`."""

    def __init__(self, folder: Path, lock: FileLock) -> None:
        self.folder = folder
        self._lock = lock

    @property
    def name(self) -> str:
        """Name of the result the run will have."""
        return self.folder.name

    def save(self, repeat: Repeat, state: State, keep_weights: bool = True) -> None:
        """Write the state of a repeat, vectors by name; they are left out where nobody needs them any more."""
        record = np.frombuffer(json.dumps(state.record).encode(), dtype=np.uint8)
        vectors = {f"{_VECTOR}{name}": value for name, value in state.vectors.items()} if keep_weights else {}
        of = {_ORDER: np.int64(2), "round": np.int64(state.round)}
        with atomic_write(self.folder / f"{repeat}.npz") as file:
            np.savez(file, allow_pickle=False, record=record, **of, **vectors)

    def load(self, repeat: Repeat, layout_of: Callable[[], Layout]) -> State | None:
        """The state of a repeat, None when it has not got through its first round. Raises ResultError."""
        from utils.federated.bench import State  # imports torch, which the site's queue has no use for

        path = self.folder / f"{repeat}.npz"
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as packed:
                record, round_, vectors = _unpacked(packed)
                if vectors and _ORDER not in packed:
                    layout = layout_of()
                    vectors = {
                        name: layout.from_row_major(value) if value.shape == (layout.size,) else value
                        for name, value in vectors.items()
                    }
            state = State(vectors, record, round_)
            _check(state)
            if (state.record["fold"], state.record["seed"], state.record["rotation"]) != astuple(repeat):
                raise ValueError
        except Exception as error:  # a damaged archive can raise anything
            raise ResultError(
                f"{path}: a damaged checkpoint ({type(error).__name__}); delete it to do this repeat again"
            ) from None
        return state

    def home(self, repeat: Repeat) -> Path:
        """The folder of what clients keep between the rounds of a repeat; only they write there."""
        return self.folder / f"{repeat}-clients"

    def release(self) -> None:
        """Leave the checkpoints for a later `--resume`."""
        self._lock.release()

    def remove(self) -> None:
        """The run is finished: its checkpoints are of no more use."""
        with suppress(OSError):  # without its plan the rest is never used, however this ends
            (self.folder / "plan.json").unlink()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()


def start(cache: Path, conf_name: str, plan: dict[str, Any], overwrite: bool) -> Checkpoints:
    """Claim a free name for a new run of conf `conf_name`: NAME, then NAME@2, NAME@3, ...

    A name is taken by a result or by an unfinished run; with `overwrite` NAME is used whatever result it has.
    """
    number = 1
    while True:
        name = conf_name if number == 1 else f"{conf_name}@{number}"
        number += 1
        folder = _root(cache) / name
        if result_path(cache, name).exists() and not overwrite:
            continue
        lock = _lock(cache, name)
        if lock is None:
            continue
        # Looked at again under the lock: another process may have finished in between.
        if not overwrite and ((folder / "plan.json").exists() or result_path(cache, name).exists()):
            lock.release()
            continue
        if folder.exists():  # perhaps half removed by a run that was killed: nothing of it may be used
            shutil.rmtree(folder)
        with atomic_write(folder / "plan.json") as file:
            file.write(json.dumps(plan, indent=1).encode())
        return Checkpoints(folder, lock)


def resume(cache: Path, conf_name: str, plan: dict[str, Any]) -> Checkpoints | None:
    """The newest unfinished run of conf `conf_name` with this plan, None when there is no unfinished run.

    Raises ResultError when all there are have another plan (conf, examples, folds or seeds), or when another
    process is at it.
    """
    numbered = [(_number(folder.name, conf_name), folder) for folder in _root(cache).glob(f"{conf_name}*")]
    refusal = None
    for number, folder in sorted(numbered, reverse=True):
        if not number or not (folder / "plan.json").exists():
            continue
        try:
            found = lift_plan(json.loads((folder / "plan.json").read_bytes()))
            # Keys that came into being since the run began take their defaults.
            with suppress(KeyError, TypeError, ConfError):
                found["conf"] = make_conf(found["conf"], "plan").as_json()
        except (OSError, ValueError):
            found = None
        different = [key for key in plan if not isinstance(found, dict) or found.get(key) != plan[key]]
        if different:
            refusal = refusal or ResultError(
                f"{folder}: the unfinished run has another {' and '.join(different)}; "
                "delete the folder or start without --resume"
            )
            continue
        lock = _lock(cache, folder.name)
        if lock is None:
            raise ResultError(f"{folder}: another process is working on this run")
        return Checkpoints(folder, lock)
    if refusal:
        raise refusal
    return None


def folder_of(cache: Path, name: str) -> Path:
    """Where the checkpoints of the run `name` lie while it is unfinished."""
    return _root(cache) / name


def is_busy(cache: Path, name: str) -> bool:
    """Whether a live process works on the run `name`. Takes the lock for a moment, which others wait for."""
    lock = _lock(cache, name, patience=0)
    if lock is not None:
        lock.release()
    return lock is None


def _number(name: str, conf_name: str) -> int:
    """1 for NAME, N for NAME@N, 0 for a folder that is none of this conf's runs."""
    match = re.fullmatch(re.escape(conf_name) + r"(?:@([1-9][0-9]{0,5}))?", name)
    return int(match[1] or 1) if match else 0


def _root(cache: Path) -> Path:
    return cache / ".unfinished"


def _lock(cache: Path, name: str, patience: float = 1.0) -> FileLock | None:
    """The lock of a run; None when a live process has it for more than `patience` seconds."""
    _root(cache).mkdir(parents=True, exist_ok=True)
    lock = FileLock(_root(cache) / f"{name}.lock", thread_local=False)
    try:
        lock.acquire(timeout=patience, poll_interval=0.02)
    except Timeout:
        return None
    return lock


def _check(state: State) -> None:
    """Raises ValueError or KeyError when a state could not have been saved by a run."""
    record = state.record
    if state.round < 1 or len(values(record, "seconds")) != state.round or not record["clients"]:
        raise ValueError
    if "test" not in record and (state.weights.dtype != np.float32 or state.weights.ndim != 1):
        raise ValueError


def _unpacked(packed: Any) -> tuple[dict[str, Any], int, dict[str, Any]]:
    """Record, round and vectors of an open checkpoint, of whatever format."""
    record = json.loads(packed["record"].tobytes())
    if "round" not in packed:
        record = lift_repeat(record, UNITS)
        vectors = {"weights": packed["weights"]} if len(packed["weights"]) else {}
        return record, len(values(record, "accuracy")), vectors
    vectors = {name.removeprefix(_VECTOR): packed[name] for name in packed.files if name.startswith(_VECTOR)}
    return record, int(packed["round"]), vectors


def peek(path: Path) -> dict[str, Any] | None:
    """Accuracy and loss, or RMSE and R², after each round so far, from a checkpoint; None where it cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as packed:
            record, _, _ = _unpacked(packed)
        series = {"acc": "accuracy", "loss": "loss", "rmse": "rmse", "r2": "r2"}
        told = {key: [float(value) for value in values(record, name)] for key, name in series.items()}
        return told if all(math.isfinite(value) for values in told.values() for value in values) else None
    except Exception:  # a damaged archive can raise anything
        return None
