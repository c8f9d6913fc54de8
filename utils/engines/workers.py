"""Clients in worker processes on this machine, one thread each (more threads only slow torch down here).

A worker that dies is replaced and its job tried once more; if that kills the new one too, the job is a
Failure. Workers end when their parent does, however it ends.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np
from numpy.typing import NDArray

from utils.engines import EngineError
from utils.federated.update import (
    Answer,
    Buffers,
    Bytes,
    Failure,
    JudgeJob,
    Question,
    Reply,
    TrainJob,
    Work,
)

Job = TrainJob | JudgeJob | Question

_SPAWN = multiprocessing.get_context("spawn")
_TRIES = 2
_KNOWN = 8  # repeats a worker remembers; the oldest is forgotten and handed over again when it is needed


def usable_workers() -> int:
    """How many workers this machine has room for: one per core this process may run on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores)


@dataclass(frozen=True)
class _Task:
    work: Work
    job: Job
    buffers: Buffers
    future: Future[Any]


class _Place:
    """The process of one place, the pipe to it, and which repeats it knows."""

    def __init__(self, process: Any, connection: Connection) -> None:
        self.process, self.connection = process, connection
        self.knows: OrderedDict[str, None] = OrderedDict()

    def carry_out(self, task: _Task) -> Any:
        """Hand the task over and wait for what comes of it. Buffers travel as they are, everything else is small."""
        new = None if task.work.id in self.knows else task.work
        _know(self.knows, task.work.id, None)
        self.connection.send((task.job, task.work.id, new))
        for name in task.job.reads:
            self.connection.send_bytes(task.buffers[name])
        result = self.connection.recv()
        if isinstance(result, Reply | Answer):
            return replace(result, payload=self.connection.recv_bytes())
        return result


def _know(known: OrderedDict[str, Any], name: str, value: Any) -> None:
    """Remember `name` as the latest of at most _KNOWN; both ends of a pipe do the same."""
    known.setdefault(name, value)
    known.move_to_end(name)
    while len(known) > _KNOWN:
        known.popitem(last=False)


class Workers:
    """An engine of `count` processes. Use as a context manager, or call `close`."""

    def __init__(self, count: int, device: str = "cpu") -> None:
        self.count = count
        self._device = device
        self._jobs: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._places: dict[int, _Place] = {}
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._serve, args=(place,), daemon=True) for place in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def train(self, work: Work, jobs: Sequence[TrainJob], buffers: Buffers) -> Iterator[Reply | Failure]:
        """See `Engine.train`."""
        return self._in_turn(work, jobs, buffers)

    def judge(self, work: Work, jobs: Sequence[JudgeJob], buffers: Buffers) -> list[NDArray[np.float32]]:
        """See `Engine.judge`."""
        results = list(self._in_turn(work, jobs, buffers))
        for result in results:
            if isinstance(result, Failure):
                raise EngineError(f"examples could not be judged: {result.reason}")
        return results

    def ask(self, work: Work, questions: Sequence[Question], buffers: Buffers) -> Iterator[Answer | Failure]:
        """See `Engine.ask`."""
        return self._in_turn(work, questions, buffers)

    def _in_turn(self, work: Work, jobs: Sequence[Job], buffers: Buffers) -> Iterator[Any]:
        """Outcomes in the order of the jobs. One job more than there are workers is out, so that none waits for the
        server, and at most `count` outcomes wait to be taken.
        """
        coming = iter(jobs)
        window = deque(self._submit(work, job, buffers) for job in islice(coming, self.count + 1))
        while window:
            outcome = window.popleft().result()
            window.extend(self._submit(work, job, buffers) for job in islice(coming, 1))
            yield outcome

    def pids(self) -> list[int]:
        """Process ids of the live workers."""
        with self._lock:
            return [place.process.pid for place in self._places.values()]

    def close(self) -> None:
        """End all workers at once; whoever still waits for a result gets an EngineError."""
        with self._lock:
            self._closed.set()  # under the lock, so that no job comes in behind the last one drained
            for place in self._places.values():
                place.process.kill()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        with suppress(queue.Empty):
            while True:
                if item := self._jobs.get_nowait():
                    item.future.set_exception(EngineError("the workers were closed"))

    def _submit(self, work: Work, job: Job, buffers: Buffers) -> Future[Any]:
        future: Future[Any] = Future()
        with self._lock:
            if self._closed.is_set():
                raise EngineError("the workers were closed")
            self._jobs.put(_Task(work, job, buffers, future))
        return future

    def _serve(self, number: int) -> None:
        """Thread of one worker: hand it one job after the other, replace it when it dies."""
        while (task := self._jobs.get()) is not None:
            for attempt in range(1, _TRIES + 1):
                try:
                    result = self._place(number).carry_out(task)
                except (EOFError, OSError):
                    code = self._bury(number)
                    if self._closed.is_set():
                        task.future.set_exception(EngineError("the workers were closed"))
                        break
                    if attempt == _TRIES:
                        client = getattr(task.job, "client", -1)
                        reason = f"its worker died {_TRIES} times (exit status {code})"
                        task.future.set_result(Failure(client, reason))
                except Exception as error:
                    self._bury(number)  # what is half sent would be taken for the next job
                    task.future.set_exception(EngineError(f"a worker could not be used: {error}"))
                    break
                else:
                    task.future.set_result(result)
                    break
        self._bury(number)

    def _place(self, number: int) -> _Place:
        """The worker of this place, started where there is none.

        Ctrl-C goes to every process of a terminal. The calling thread holds it back, and a process started from it
        inherits that, so that none is interrupted while it is still importing. The resource tracker goes first: up to
        Python 3.11 its start lets the signal through again.
        """
        with self._lock:
            if self._closed.is_set():
                raise EOFError
            if number not in self._places:
                ours, theirs = _SPAWN.Pipe()
                process = _SPAWN.Process(
                    target=_work, args=(theirs, self._device), name=f"skyfed-worker-{number}", daemon=True
                )
                resource_tracker.ensure_running()
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
                process.start()
                theirs.close()
                self._places[number] = _Place(process, ours)
            return self._places[number]

    def _bury(self, number: int) -> int | None:
        with self._lock:
            buried = self._places.pop(number, None)
        if buried is None:
            return None
        buried.connection.close()
        buried.process.kill()
        buried.process.join()
        return int(buried.process.exitcode)


def _work(connection: Connection, device_name: str) -> None:
    """Main function of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    from utils.federated import client

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    device = torch.device(device_name)
    verbs: dict[type, Any] = {TrainJob: client.train, JudgeJob: client.judge, Question: client.answer}
    known: OrderedDict[str, Work] = OrderedDict()
    while True:
        try:
            job, work_id, new = connection.recv()
            buffers: dict[str, Bytes] = {name: connection.recv_bytes() for name in job.reads}
        except (EOFError, OSError):
            return
        _know(known, work_id, new)
        result: Any
        payload: Bytes | None = None
        try:
            result = verbs[type(job)](job, known[work_id], buffers, device)
            if isinstance(result, Reply | Answer):
                payload, result = result.payload, replace(result, payload=b"")
        except Exception as error:
            text = " ".join(str(error).split())[:200]
            result = Failure(getattr(job, "client", -1), f"{type(error).__name__}: {text}")
        try:
            connection.send(result)
            if payload is not None:
                connection.send_bytes(payload)
        except OSError:
            return


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
