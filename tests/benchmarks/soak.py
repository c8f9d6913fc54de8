"""Fifty readers and one run in training for two minutes: nobody is turned away, and memory stays where it is.

make soak       (SOAK_SECONDS=600 make soak for longer)
"""

import http.client
import os
import random
import shutil
import statistics
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from tests.app.conftest import begin_training
from tests.benchmarks.test_site import served
from tests.conftest import ROOT

SECONDS = float(os.environ.get("SOAK_SECONDS", "120"))
READERS, STREAMS = 50, 4  # so many of the readers follow the live run
WARM = 0.25  # share of the time after which memory has to be flat
GROWTH = 1.05
PAGES = (
    "/home", "/why", "/login", "/runs/conf_f10", "/api/v1/runs", "/api/v1/story", "/api/v1/live", "/messages.json",
    "/api/v1/runs/conf_f10", "/api/v1/runs/conf_f10/curves", "/api/v1/runs/conf_alone/curves.csv",
)  # fmt: skip


def memory_of(pid):
    """Resident memory of a process and all that came of it, MB."""
    total, pids = 0.0, [pid]
    while pids:
        folder = Path(f"/proc/{pids.pop()}")
        with suppress(OSError):  # it has just ended
            total += int((folder / "statm").read_text().split()[1]) * 4096 / 1e6
            pids += [int(one) for task in folder.glob("task/*/children") for one in task.read_text().split()]
    return total


def test_fifty_readers_and_a_live_run(tmp_path):
    cache = tmp_path / "cache"
    shutil.copytree(ROOT / "cache", cache, ignore=shutil.ignore_patterns(".unfinished"))
    checkpoints, rounds = begin_training(cache, "conf_soak")
    answers, slowest, events, lock = Counter(), [], Counter(), threading.Lock()
    with served(tmp_path, cache) as (port, pid):
        end = time.monotonic() + SECONDS

        def read(number):
            chosen = random.Random(number)
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            while time.monotonic() < end:
                started = time.perf_counter()
                connection.request("GET", chosen.choice(PAGES))
                answer = connection.getresponse()
                answer.read()
                with lock:
                    answers[answer.status] += 1
                    slowest.append(time.perf_counter() - started)
                time.sleep(chosen.uniform(0.2, 1.0))

        def follow(number):
            while time.monotonic() < end:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                connection.request("GET", "/api/v1/live/events")
                answer = connection.getresponse()
                with lock:
                    answers[answer.status] += 1
                while time.monotonic() < end and (line := answer.readline()):
                    events[number] += line.startswith(b"data:")
                connection.close()

        readers = [
            threading.Thread(target=follow if number < STREAMS else read, args=(number,))
            for number in range(READERS)
        ]
        for reader in readers:
            reader.start()
        memory, acc = [], []
        while time.monotonic() < end:
            acc.append(0.5)
            if len(acc) > 5:
                acc = [0.5]
            rounds(0, acc)
            memory.append(memory_of(pid))
            time.sleep(1)
        for reader in readers:
            reader.join()
    checkpoints.remove()
    warm = memory[int(len(memory) * WARM) :]
    third = max(1, len(warm) // 3)
    before, after = statistics.median(warm[:third]), statistics.median(warm[-third:])
    slowest.sort()
    print(
        f"\n{sum(answers.values())} answers {dict(answers)}, median {1000 * statistics.median(slowest):.0f} ms, "
        f"p99 {1000 * slowest[int(0.99 * len(slowest))]:.0f} ms; memory {before:.0f} MB, later {after:.0f} MB"
    )
    assert set(answers) == {200}
    assert len(events) == STREAMS and min(events.values()) > 3
    assert after <= GROWTH * before
