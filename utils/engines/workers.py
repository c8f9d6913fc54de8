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
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np
from numpy.typing import NDArray

from utils.engines import EngineError
from utils.federated.update import Failure, JudgeJob, TrainJob, Update

_SPAWN = multiprocessing.get_context("spawn")
_TRIES = 2


def usable_workers() -> int:
    """How many workers this machine has room for: one per core this process may run on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores)


class Workers:
    """An engine of `count` processes. Use as a context manager, or call `close`."""

    def __init__(self, count: int, device: str = "cpu") -> None:
        self.count = count
        self._device = device
        self._jobs: queue.SimpleQueue[tuple[TrainJob | JudgeJob, Future[Any]] | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._processes: dict[int, tuple[Any, Connection]] = {}
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

    def train(self, jobs: Iterable[TrainJob]) -> Iterator[Update | Failure]:
        """See `Engine.train`. One job more than there are workers is out, so that none waits for the server.

        Outcomes come in the order of the jobs, so at most `count` of them wait to be taken.
        """
        coming = iter(jobs)
        window = deque(self._submit(job) for job in islice(coming, self.count + 1))
        while window:
            outcome = window.popleft().result()
            window.extend(self._submit(job) for job in islice(coming, 1))
            yield outcome

    def judge(self, jobs: Iterable[JudgeJob]) -> list[NDArray[np.float32]]:
        """See `Engine.judge`."""
        results = [future.result() for future in [self._submit(job) for job in jobs]]
        for result in results:
            if isinstance(result, Failure):
                raise EngineError(f"photos could not be judged: {result.reason}")
        return results

    def pids(self) -> list[int]:
        """Process ids of the live workers."""
        with self._lock:
            return [process.pid for process, _ in self._processes.values()]

    def close(self) -> None:
        """End all workers at once; whoever still waits for a result gets an EngineError."""
        with self._lock:
            self._closed.set()  # under the lock, so that no job comes in behind the last one drained
            for process, _ in self._processes.values():
                process.kill()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        with suppress(queue.Empty):
            while True:
                if item := self._jobs.get_nowait():
                    item[1].set_exception(EngineError("the workers were closed"))

    def _submit(self, job: TrainJob | JudgeJob) -> Future[Any]:
        future: Future[Any] = Future()
        with self._lock:
            if self._closed.is_set():
                raise EngineError("the workers were closed")
            self._jobs.put((job, future))
        return future

    def _serve(self, place: int) -> None:
        """Thread of one worker: hand it one job after the other, replace it when it dies."""
        while (item := self._jobs.get()) is not None:
            job, future = item
            for attempt in range(1, _TRIES + 1):
                try:
                    connection = self._connection(place)
                    connection.send(job)
                    result = connection.recv()
                except (EOFError, OSError):
                    code = self._bury(place)
                    if self._closed.is_set():
                        future.set_exception(EngineError("the workers were closed"))
                        break
                    if attempt == _TRIES:
                        client = job.client if isinstance(job, TrainJob) else -1
                        future.set_result(
                            Failure(client, f"its worker died {_TRIES} times (exit status {code})")
                        )
                except Exception as error:
                    future.set_exception(EngineError(f"a worker could not be used: {error}"))
                    break
                else:
                    future.set_result(result)
                    break
        self._bury(place)

    def _connection(self, place: int) -> Connection:
        """The pipe to the worker of this place, started where there is none.

        Ctrl-C goes to every process of a terminal. The calling thread holds it back, and a process started from it
        inherits that, so that none is interrupted while it is still importing. The resource tracker goes first: up to
        Python 3.11 its start lets the signal through again.
        """
        with self._lock:
            if self._closed.is_set():
                raise EOFError
            if place not in self._processes:
                ours, theirs = _SPAWN.Pipe()
                process = _SPAWN.Process(
                    target=_work, args=(theirs, self._device), name=f"skyfed-worker-{place}", daemon=True
                )
                resource_tracker.ensure_running()
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
                process.start()
                theirs.close()
                self._processes[place] = (process, ours)
            return self._processes[place][1]

    def _bury(self, place: int) -> int | None:
        with self._lock:
            buried = self._processes.pop(place, None)
        if buried is None:
            return None
        process, connection = buried
        connection.close()
        process.kill()
        process.join()
        return int(process.exitcode)


def _work(connection: Connection, device_name: str) -> None:
    """Main function of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    from utils.federated import client

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    device = torch.device(device_name)
    while True:
        try:
            job = connection.recv()
        except (EOFError, OSError):
            return
        result: Any
        try:
            result = client.train(job, device) if isinstance(job, TrainJob) else client.judge(job, device)
        except Exception as error:
            text = " ".join(str(error).split())[:200]
            result = Failure(getattr(job, "client", -1), f"{type(error).__name__}: {text}")
        try:
            connection.send(result)
        except OSError:
            return


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
