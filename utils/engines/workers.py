"""Clients in worker processes on this machine, one thread each (more threads only slow torch down here).

What jobs read and what they write lies in memory that server and workers share; through the pipes go names and numbers.
A worker that dies is replaced and its job tried once more; if that kills the new one too, the job is a
Failure. Workers end when their parent does, however it ends.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import resource
import signal
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from multiprocessing import forkserver, reduction, resource_tracker
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from utils.engines import EngineError, worker
from utils.engines.begin import begin
from utils.engines.memory import POOL, Lease
from utils.engines.worker import know
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
    share_of,
)

Job = TrainJob | JudgeJob | Question

_FORKS = "forkserver" in multiprocessing.get_all_start_methods()
_CONTEXT: Any = multiprocessing.get_context("forkserver" if _FORKS else "spawn")
_MALLOC = ":".join(
    f"glibc.malloc.{name}" for name in ("hugetlb=1", "mmap_threshold=33554432", "trim_threshold=33554432")
)
"""Memory is asked of Linux in large pages and kept: a network of millions of weights trains a tenth faster with it."""
_TRIES = 2
_DESCRIPTORS = 65_536
_AHEAD_JOBS, _AHEAD_BYTES = 64, 2**26
"""How many outcomes may wait for one that comes before them; where these are more bytes, one a worker and two."""
_MESSAGE_SECONDS, _MOST_JOBS, _MOST_BYTES = 0.005, 32, 2**20
"""How long the jobs of one message should take at least, unless they are as many, or write as much."""


def usable_workers() -> int:
    """How many workers this machine has room for: one per core this process may run on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores)


def prepare_workers() -> None:
    """Begin to import torch where workers will be forked from, if that has not begun; it takes seconds.

    Ctrl-C reaches neither that nor those forked from it. The resource tracker goes first: up to Python 3.11 its start
    lets the signal through again.
    """
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    own = os.environ.get("GLIBC_TUNABLES")
    try:
        if own is None:
            os.environ["GLIBC_TUNABLES"] = _MALLOC
        if _FORKS:
            _CONTEXT.set_forkserver_preload(["numpy", "torch", "utils.engines.libraries"])
            forkserver.ensure_running()
    finally:
        if own is None:
            del os.environ["GLIBC_TUNABLES"]
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass(frozen=True)
class _Handful:
    """Jobs of one repeat for one worker, one after the other, and who waits for what comes of each.

    `reads` is the memory of what they read, by name; each writes into a place of its own of `writes`.
    """

    work: Work
    jobs: list[Job]
    futures: list[Future[Any]]
    reads: dict[str, Lease]
    writes: Lease | None


class _Call:
    """The jobs of one call, all of a kind: those admitted are dealt out, the largest first."""

    def __init__(self, work: Work, jobs: Sequence[Job], reads: dict[str, Lease]) -> None:
        self.work, self.kind = work, type(jobs[0])
        # Without links an update is as large as the weights it began from; what is larger goes through the pipe.
        self.each = reads[jobs[0].reads[0]].each if self.kind is TrainJob else 0
        self._jobs, self._reads = jobs, reads
        self._lock, self._open = threading.Lock(), list[tuple[int, int]]()
        self.futures: dict[int, Future[Any]] = {}

    def admit(self, place: int) -> None:
        """Let this job be dealt."""
        client = getattr(self._jobs[place], "client", None)
        size = 0 if client is None else len(self.work.shares.get(share_of(client), ()))
        self.futures[place] = Future()
        with self._lock:
            heappush(self._open, (-size, place))

    def take(self, most: int) -> _Handful | None:
        """At most so many of the admitted jobs, which read the same; they fail where there is no room for what comes of
        them.
        """
        with self._lock:
            if not self._open:
                return None
            names = self._jobs[self._open[0][1]].reads
            places = list[int]()
            while len(places) < most and self._open and self._jobs[self._open[0][1]].reads == names:
                places.append(heappop(self._open)[1])
        futures = [self.futures[place] for place in places]
        try:
            writes = POOL.lease(self.each, len(places)) if self.each else None
        except Exception as error:  # it is a worker's thread that takes, and that must go on
            _fail(futures, EngineError(f"no memory for updates: {error}"))
            return None
        reads = {name: self._reads[name] for name in names}
        return _Handful(self.work, [self._jobs[place] for place in places], futures, reads, writes)

    def drop(self, error: Exception | None = None) -> None:
        """Nobody wants what was not dealt yet; who waits for it all the same gets the error."""
        with self._lock:
            places, self._open = [place for _, place in self._open], []
        if error:
            _fail([self.futures[place] for place in places], error)


Where = tuple[int, int, int]
"""A block's number and size, and how much of it counts."""


class _Place:
    """The process of one place, the pipe to it, and which repeats and blocks of memory it knows."""

    def __init__(self, process: Any, connection: Connection) -> None:
        self.process, self.connection = process, connection
        self.knows: OrderedDict[str, None] = OrderedDict()
        self.maps: OrderedDict[int, None] = OrderedDict()

    def carry_out(self, handful: _Handful, done: int) -> Iterator[Any]:
        """Hand over all but the first `done` of the jobs, and give what comes of them, one by one."""
        work, jobs = handful.work, handful.jobs[done:]
        new = None if work.id in self.knows else work
        know(self.knows, work.id, None)
        leases = [*handful.reads.values(), *([handful.writes] if handful.writes else [])]
        fresh = []
        for lease in leases:  # one after the other, as the worker does, so that both forget the same
            if lease.block.number not in self.maps:
                fresh.append(lease.block)
            know(self.maps, lease.block.number, None, worker.MAPPED)
        reads = {name: _where(lease) for name, lease in handful.reads.items()}
        writes = _where(handful.writes) if handful.writes else None
        self.connection.send((jobs, work.id, new, reads, writes, done))
        for block in fresh:
            reduction.send_handle(self.connection, block.descriptor, self.process.pid)
        for number in range(done, len(handful.jobs)):
            result, length = self.connection.recv()
            if isinstance(result, Reply | Answer):
                if length is None:
                    payload: Bytes = self.connection.recv_bytes()
                else:
                    assert handful.writes is not None
                    payload = handful.writes.payload(number * handful.writes.each, length)
                result = replace(result, payload=payload)
            yield result
            del result  # who takes it is to be the last who has it


def _where(lease: Lease) -> Where:
    return lease.block.number, lease.block.size, lease.each


def _allow_descriptors() -> None:
    """Memory is passed on by descriptors, two each here; many workers with many repeats have more than is usual."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and (hard == resource.RLIM_INFINITY or soft < hard):
        with suppress(OSError, ValueError):
            wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


_TAKEN: Future[Any] = Future()
"""Stands for a future whose result is somebody else's to keep."""


def _fail(futures: list[Future[Any]], error: Exception) -> None:
    for future in futures:
        future.set_exception(error)


class Workers:
    """An engine of `count` processes. Use as a context manager, or call `close`."""

    def __init__(self, count: int, device: str = "cpu") -> None:
        self.count = count
        self._device = device
        _allow_descriptors()
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._seconds: OrderedDict[tuple[str, type], float] = OrderedDict()  # a job of a repeat took of late
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
        """Outcomes in the order of the jobs, which are of one kind. They are dealt out the largest first, as far ahead
        of the outcome that is wanted next as there is memory for those that wait.
        """
        if not jobs:
            return
        names = dict.fromkeys(name for job in jobs for name in job.reads)
        call = _Call(work, jobs, {name: POOL.holding(buffers[name]) for name in names})
        read = max((memoryview(buffers[name]).nbytes for name in jobs[0].reads), default=0)
        ahead, admitted = max(self.count + 2, min(_AHEAD_JOBS, _AHEAD_BYTES // max(read, 1))), 0
        try:
            for place in range(len(jobs)):
                while admitted < min(len(jobs), place + ahead):
                    with self._lock:
                        if self._closed.is_set():
                            raise EngineError("the workers were closed")
                        call.admit(admitted)
                        self._calls.put(call)
                    admitted += 1
                call.futures[place].result()
                yield call.futures.pop(place).result()  # who takes it is to be the last who has it
        finally:
            call.drop()

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
            self._calls.put(None)
        for thread in self._threads:
            thread.join()
        with suppress(queue.Empty):
            while True:
                if call := self._calls.get_nowait():
                    call.drop(EngineError("the workers were closed"))

    def _serve(self, number: int) -> None:
        """Thread of one worker: hand it one handful of jobs after the other, replace it when it dies."""
        while (call := self._calls.get()) is not None:
            if handful := call.take(self._at_once(call)):
                self._see_to(number, handful)
            del call, handful
        self._bury(number)

    def _at_once(self, call: _Call) -> int:
        """How many jobs of a call go into a message."""
        most = min(_MOST_JOBS, _MOST_BYTES // call.each if call.each else _MOST_JOBS)
        wanted = _MESSAGE_SECONDS / self._seconds.get((call.work.id, call.kind), _MESSAGE_SECONDS)
        return max(1, min(int(wanted), most))

    def _see_to(self, number: int, handful: _Handful) -> None:
        done, tries = 0, 0
        while done < len(handful.jobs):
            began = time.perf_counter()
            try:
                for result in self._place(number).carry_out(handful, done):
                    handful.futures[done].set_result(result)
                    del result
                    handful.futures[done] = _TAKEN
                    self._note((handful.work.id, type(handful.jobs[done])), time.perf_counter() - began)
                    done, tries, began = done + 1, 0, time.perf_counter()
            except (EOFError, OSError):
                code, tries = self._bury(number), tries + 1
                if self._closed.is_set():
                    return _fail(handful.futures[done:], EngineError("the workers were closed"))
                if tries == _TRIES:
                    client = getattr(handful.jobs[done], "client", -1)
                    reason = f"its worker died {_TRIES} times (exit status {code})"
                    handful.futures[done].set_result(Failure(client, reason))
                    done, tries = done + 1, 0
            except Exception as error:
                self._bury(number)  # what is half sent would be taken for the next job
                return _fail(handful.futures[done:], EngineError(f"a worker could not be used: {error}"))

    def _note(self, kind: tuple[str, type], seconds: float) -> None:
        """How long a job takes of late, so that those which take no time go several to a message."""
        with self._lock:
            know(self._seconds, kind, seconds, worker.MAPPED)
            self._seconds[kind] = 0.8 * self._seconds[kind] + 0.2 * seconds

    def _place(self, number: int) -> _Place:
        """The worker of this place, started where there is none.

        Ctrl-C goes to every process of a terminal. The calling thread holds it back, and a process started from it
        inherits that, so that none is interrupted while it is still importing.
        """
        with self._lock:
            if self._closed.is_set():
                raise EOFError
            if number not in self._places:
                ours, theirs = _CONTEXT.Pipe()
                process = _CONTEXT.Process(
                    target=begin, args=(theirs, self._device, dict(os.environ)), name=f"skyfed-worker-{number}",
                    daemon=True,
                )  # fmt: skip
                prepare_workers()
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
