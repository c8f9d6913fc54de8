"""Worker processes: results in order, whoever dies is replaced, nobody outlives the parent."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.conftest import ROOT
from utils.engines import EngineError
from utils.engines.workers import Workers
from utils.federated.update import Failure, JudgeJob, TrainJob, Update
from utils.nets.layout import read_weights
from utils.nets.resnet import build


def _jobs(conf, photos, clients, **changes):
    weights = read_weights(build(conf, 0))
    for client in clients:
        mine = np.arange(client * 5, client * 5 + 5)
        yield TrainJob(
            **{
                "conf": conf, "seed": 0, "round": 0, "client": client, "lr": conf.lr, "weights": weights,
                "store": str(photos.path), "photos": mine, "labels": photos.labels[mine], **changes,
            }
        )  # fmt: skip


def test_outcomes_come_in_order_and_a_failing_client_is_a_value(tiny, photos):
    conf = tiny()
    jobs = list(_jobs(conf, photos, range(6)))
    jobs[3] = next(_jobs(conf, photos, [3], store="/nowhere.npy"))
    with Workers(2) as engine:
        outcomes = list(engine.train(jobs))
        assert [outcome.client for outcome in outcomes] == list(range(6))
        assert isinstance(outcomes[3], Failure) and "FileNotFoundError" in outcomes[3].reason
        assert sum(isinstance(outcome, Update) for outcome in outcomes) == 5
        with pytest.raises(EngineError, match="could not be judged"):
            engine.judge([JudgeJob(conf, jobs[0].weights, "/nowhere.npy", np.arange(3))])


def test_jobs_are_taken_no_faster_than_workers_finish(tiny, photos):
    taken = []

    def jobs():
        for job in _jobs(tiny(), photos, range(8)):
            taken.append(job.client)
            yield job

    with Workers(2) as engine:
        for outcome in engine.train(jobs()):
            assert len(taken) <= outcome.client + 1 + 3


def test_a_worker_that_is_killed_is_replaced_and_its_job_done_again(tiny, photos):
    conf = tiny(local_epochs=100)
    with Workers(1) as engine:
        expected = list(engine.train(_jobs(conf, photos, [0])))[0]
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(lambda: list(engine.train(_jobs(conf, photos, [0]))))
            time.sleep(0.3)
            assert not future.done()
            (victim,) = engine.pids()
            os.kill(victim, signal.SIGKILL)
            again = future.result(timeout=120)[0]
        assert engine.pids() != [victim]
    assert isinstance(again, Update) and np.array_equal(again.weights, expected.weights)


def test_a_job_that_kills_every_worker_is_a_failure(tiny, photos):
    conf = tiny(local_epochs=1000)
    with Workers(1) as engine:
        list(engine.train(_jobs(tiny(), photos, [0])))
        stop = threading.Event()

        def kill():
            seen = set()
            while not stop.is_set() and len(seen) < 2:
                time.sleep(0.2)
                for pid in set(engine.pids()) - seen:
                    os.kill(pid, signal.SIGKILL)
                    seen.add(pid)

        killer = threading.Thread(target=kill)
        killer.start()
        outcome = list(engine.train(_jobs(conf, photos, [0])))[0]
        stop.set()
        killer.join()
        assert isinstance(outcome, Failure) and "died 2 times" in outcome.reason
        assert isinstance(list(engine.train(_jobs(tiny(), photos, [1])))[0], Update)


def test_closing_ends_those_who_wait(tiny, photos):
    engine = Workers(1)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(lambda: list(engine.train(_jobs(tiny(local_epochs=1000), photos, range(3)))))
        while not engine.pids():
            time.sleep(0.05)
        pids = engine.pids()
        engine.close()
        with pytest.raises(EngineError):
            future.result(timeout=60)
    assert not any(_alive(pid) for pid in pids)
    with pytest.raises(EngineError):
        list(engine.train(_jobs(tiny(), photos, [0])))


def test_ctrl_c_at_a_starting_worker_says_nothing():
    code = (
        "import os, signal, time\n"
        "from utils.engines.workers import Workers\n"
        "if __name__ == '__main__':\n"
        "    signal.signal(signal.SIGINT, lambda *_: None)\n"
        "    with Workers(1) as engine:\n"
        "        future = engine._submit(None)\n"
        "        while not engine.pids(): time.sleep(0.001)\n"
        "        for _ in range(300):\n"
        "            os.killpg(0, signal.SIGINT)\n"
        "            time.sleep(0.01)\n"
        "        print(type(future.result()).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, start_new_session=True
    )
    assert (done.stdout, done.stderr, done.returncode) == ("Failure\n", "", 0)


def test_workers_end_when_the_parent_is_killed():
    code = (
        "import time\n"
        "from utils.engines.workers import Workers\n"
        "from utils.federated.update import TrainJob\n"
        "if __name__ == '__main__':\n"
        "    engine = Workers(2)\n"
        "    [engine._submit(None) for _ in range(2)]\n"
        "    while len(engine.pids()) < 2: time.sleep(0.05)\n"
        "    print(*engine.pids(), flush=True)\n"
        "    time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2 and all(_alive(pid) for pid in pids)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 60
    while any(_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(_alive(pid) for pid in pids)


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
