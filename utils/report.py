"""What a training, or the gathering of a set, tells programs that watch it: where it stands, and a log. `--report DIR`.

`status.json` is written anew, whole, at most once a second; `log.jsonl` grows by a line of JSON for each thing that
happened: `at` (UTC), `level` (info, warning or error) and `text`.
"""

from __future__ import annotations

import datetime
import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from utils.conf import owners_held
from utils.files import atomic_write
from utils.results import standing, values

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from utils.engines import Engine
    from utils.federated.bench import Repeat, State
    from utils.federated.update import Answer, Buffers, Failure, JudgeJob, Question, Reply, TrainJob, Work
    from utils.runs import Run

STATUS, LOG = "status.json", "log.jsonl"
LEVELS = ("info", "warning", "error")
_WRITE_EVERY_SECONDS = 1.0
Item = TypeVar("Item")


def write_log(folder: Path, level: str, text: str) -> None:
    """Add a line to the log in `folder`; several processes may do so at a time."""
    at = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    line = json.dumps({"at": at, "level": level, "text": text}) + "\n"
    handle = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


class Counted(Sequence[Item]):
    """Items that tell, while one goes through them, in the status in `folder` how many have been taken."""

    def __init__(self, items: Sequence[Item], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._items, self._folder = items, folder

    def __len__(self) -> int:
        """How many there are."""
        return len(self._items)

    def __getitem__(self, place: Any) -> Any:
        """As of any sequence."""
        return self._items[place]

    def __iter__(self) -> Iterator[Item]:
        """Each in turn."""
        started = written = time.monotonic()
        for done, item in enumerate(self._items):
            moment = time.monotonic()
            if done == 0 or moment - written >= _WRITE_EVERY_SECONDS:
                written = moment
                self._write(done, moment - started)
            yield item
        self._write(len(self), time.monotonic() - started)

    def _write(self, done: int, seconds: float) -> None:
        rate = done / seconds if done else 0.0
        status = {
            "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "examples": len(self),
            "examples_done": done, "examples_per_second": rate,
            "seconds_left": (len(self) - done) / rate if rate else None,
        }  # fmt: skip
        with suppress(OSError), atomic_write(self._folder / STATUS) as file:
            file.write(json.dumps(status).encode())


class Report:
    """A hook for `carry_out` that reports the runs into a folder; `watched` makes it see the clients too.

    `called` is what the runs make together, where they do.
    """

    def __init__(self, folder: Path, runs: list[Run], called: Sequence[str] = ()) -> None:
        from utils.progress import Tally  # imports torch, which the site's queue has no use for

        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._tally = Tally(runs)
        self._lock = threading.Lock()
        self._written = 0.0
        self._failures: dict[tuple[str, Repeat], int] = {}
        self._repeats: dict[str, dict[str, Any]] = {}
        self._names = list(called) or [run.name for run in runs]
        for run in runs:
            repeats, workers = (
                f"{count} {what}{'s' * (count > 1)}"
                for count, what in ((len(run.repeats), "repeat"), (run.workers, "worker"))
            )
            self._log("info", f"{run.name}: {repeats} on {workers}, {run.device}")
            for file in run.examples.unreadable:
                self._log("warning", f"{run.name}: {file} cannot be decoded, left out")
        self._write()

    def __call__(self, run: Run, repeat: Repeat, state: State) -> None:
        """Called after every round, from any thread."""
        record, key = state.record, (run.name, repeat)
        with self._lock:
            self._tally.add(run, repeat, state)
            where = f"{run.name} {repeat}"
            if state.resumed:
                self._log("info", f"{where}: goes on after round {state.round}")
            else:
                held = owners_held(run.conf, repeat.rotation)
                for round_, client, reason in record["failures"][self._failures.get(key, 0) :]:
                    self._log("warning", f"{where} round {round_ + 1}: owner {held[client]}: {reason}")
                self._log("info",
                    f"{where} round {state.round} of {run.conf.global_epochs}: {standing(record)}, "
                    f"{values(record, 'seconds')[-1]:.1f} s",
                )  # fmt: skip
            self._failures[key] = len(record["failures"])
            one = self._repeats.setdefault(
                f"{run.name} {repeat}", {"rounds": run.conf.global_epochs, "clients": {}}
            )
            one.update(round=state.round, done="test" in record)
            if one["done"]:
                one["clients"] = {}
            self._write(now="test" in record)

    def watched(self, run: Run, repeat: Repeat, engine: Engine) -> Engine:
        """`engine`, telling which of the repeat's clients is at work."""
        held = owners_held(run.conf, repeat.rotation)

        def begin(round_: int, cohort: list[int]) -> None:
            waiting = {client: {"owners": held[client], "state": "waiting"} for client in cohort}
            with self._lock:
                self._repeats[f"{run.name} {repeat}"] = {
                    "round": round_, "rounds": run.conf.global_epochs, "done": False, "clients": waiting
                }  # fmt: skip

        def tell(client: int, **what: Any) -> None:
            with self._lock:
                self._repeats[f"{run.name} {repeat}"]["clients"][client] = {"owners": held[client], **what}
                self._write()

        return _Watched(engine, run.workers, begin, tell)

    def close(self) -> None:
        """Write where the runs stand at the end."""
        with self._lock:
            self._write(now=True)

    def _write(self, now: bool = False) -> None:
        if not now and time.monotonic() - self._written < _WRITE_EVERY_SECONDS:
            return
        self._written = time.monotonic()
        tally = self._tally
        status = {
            "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "runs": self._names,
            "examples": tally.total, "examples_done": tally.done, "examples_per_second": tally.rate,
            "seconds_left": tally.left, "seconds_measured": tally.measured, "repeats": self._repeats,
        }  # fmt: skip
        with suppress(OSError), atomic_write(self._folder / STATUS) as file:
            file.write(json.dumps(status).encode())

    def _log(self, level: str, text: str) -> None:
        with suppress(OSError):  # whoever watches must not end the work
            write_log(self._folder, level, text)


class _Watched:
    def __init__(self, engine: Engine, workers: int, begin: Any, tell: Any) -> None:
        self._engine, self._workers, self._begin, self._tell = engine, workers, begin, tell

    def train(self, work: Work, jobs: Sequence[TrainJob], buffers: Buffers) -> Iterator[Reply | Failure]:
        from utils.federated.update import Failure, share_of

        def at_work(place: int) -> None:
            """Engines take a job more than they have workers; that one waits."""
            if place < len(jobs):
                client = jobs[place].client
                self._tell(client, state="training", examples=len(work.shares[share_of(client)]))

        if jobs:
            self._begin(jobs[0].round, [job.client for job in jobs])
        for place in range(self._workers):
            at_work(place)
        for number, outcome in enumerate(self._engine.train(work, jobs, buffers)):
            at_work(number + self._workers)
            if isinstance(outcome, Failure):
                self._tell(outcome.client, state="failed", reason=outcome.reason)
            else:
                seconds = outcome.metrics.get("seconds", 0.0)
                self._tell(outcome.client, state="done", examples=outcome.samples, seconds=round(seconds, 3))
            yield outcome

    def judge(self, work: Work, jobs: Sequence[JudgeJob], buffers: Buffers) -> list[NDArray[np.float32]]:
        return self._engine.judge(work, jobs, buffers)

    def ask(self, work: Work, questions: Sequence[Question], buffers: Buffers) -> Iterator[Answer | Failure]:
        return self._engine.ask(work, questions, buffers)

    def close(self) -> None:
        self._engine.close()
