"""What a worker process does: carry out the jobs that come through its pipe, in memory it shares with the server."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import signal
import threading
from collections import OrderedDict
from dataclasses import replace
from multiprocessing import reduction
from multiprocessing.connection import Connection, wait
from typing import Any

from utils.federated.update import Answer, Bytes, Failure, JudgeJob, Question, Reply, Skipped, TrainJob, Work

KNOWN = 8  # repeats a worker remembers; the oldest is forgotten and handed over again when it is needed
MAPPED = 64  # blocks of shared memory that it keeps mapped, likewise


def know(known: OrderedDict[Any, Any], name: Any, value: Any, most: int = KNOWN) -> None:
    """Remember `name` as the latest of at most `most`; both ends of a pipe do the same."""
    known.setdefault(name, value)
    known.move_to_end(name)
    while len(known) > most:
        known.popitem(last=False)


def work(connection: Connection, device_name: str) -> None:
    """What a worker process does until it is no longer wanted."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    from utils.federated import client

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    device = torch.device(device_name)
    verbs: dict[type, Any] = {TrainJob: client.train, JudgeJob: client.judge, Question: client.answer}
    known: OrderedDict[str, Work] = OrderedDict()
    maps: OrderedDict[int, mmap.mmap] = OrderedDict()
    while True:
        try:
            jobs, work_id, new, reads, writes, first = connection.recv()
            for number, size, _ in (*reads.values(), *([writes] if writes else [])):
                know(maps, number, maps.get(number) or _mapped(connection, size), MAPPED)
        except (EOFError, OSError):
            return
        know(known, work_id, new)
        read = {name: memoryview(maps[number])[:length] for name, (number, _, length) in reads.items()}
        for place, job in enumerate(jobs, first):
            buffers = dict(read)
            if writes:
                number, _, each = writes
                buffers[job.writes] = memoryview(maps[number])[place * each : (place + 1) * each]
            result: Any
            payload: Bytes | None = None
            try:
                result = verbs[type(job)](job, known[work_id], buffers, device)
                if isinstance(result, Reply | Answer):
                    payload, result = result.payload, replace(result, payload=b"")
            except Skipped as error:
                result = Failure(job.client, str(error))
            except Exception as error:
                text = " ".join(str(error).split())[:200]
                result = Failure(getattr(job, "client", -1), f"{type(error).__name__}: {text}")
            length = None if payload is None else _written(payload, buffers.get(getattr(job, "writes", "")))
            try:
                connection.send((result, length))
                if payload is not None and length is None:
                    connection.send_bytes(payload)
            except OSError:
                return
            del buffers, payload, result
        del read


def _mapped(connection: Connection, size: int) -> mmap.mmap:
    """The block whose descriptor comes next."""
    descriptor = reduction.recv_handle(connection)
    try:
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)


def _written(payload: Bytes, place: memoryview | None) -> int | None:
    """Have the payload in its place, where it fits there: its length, else None."""
    length = memoryview(payload).nbytes
    if place is None or length > place.nbytes:
        return None
    if payload is not place:
        place[:length] = memoryview(payload).cast("B")
    return length


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
