"""Memory that server and workers share: used again, never under somebody's hands, gone with the last process."""

import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import numpy as np
import pytest

from tests.conftest import ROOT
from utils.conf import make_conf
from utils.engines import memory, worker, workers
from utils.engines.memory import Block, Memory
from utils.engines.workers import Workers
from utils.federated.update import Failure, JudgeJob, Reply, TrainJob, Work
from utils.nets.build import build
from utils.nets.layout import read_weights

CLIENTS = 300


@pytest.fixture
def digits(tmp_path):
    """Work of many clients of a few digits, of which one has none; its jobs; the weights they begin from."""
    conf = make_conf(
        {
            "type": "digits", "network": "logistic", "no_models": CLIENTS, "global_epochs": 1, "local_epochs": 1,
            "k": CLIENTS, "batch_size": 16, "lr": 0.1, "momentum": 0.9,
        },
        "x",
    )  # fmt: skip
    examples = conf.task.module.open_examples(conf, tmp_path)
    shares = {f"client/{number}": np.arange(5 * number, 5 * number + 5) for number in range(CLIENTS)}
    shares["client/7"] = np.arange(0)
    work = Work("digits", conf, 0, str(examples.store), examples.targets, shares)
    jobs = [TrainJob(0, client, 0.1, ("weights",), f"update/{client}") for client in range(CLIENTS)]
    return work, jobs, {"weights": read_weights(build(conf, 0)).tobytes()}


def _told(outcomes):
    return [bytes(one.payload) if isinstance(one, Reply) else one.reason for one in outcomes]


def test_a_block_is_used_again_when_nobody_holds_it_and_no_sooner():
    shared = Memory()
    first = shared.holding(np.arange(10, dtype=np.float32))
    held, number = np.frombuffer(first.payload(0, 40), np.float32), first.block.number
    del first
    other = shared.lease(40)
    assert other.block.number != number
    other.payload(0, 40)[:] = bytes(40)
    assert held.tolist() == list(range(10))
    del held, other
    gc.collect()
    assert {shared.lease(30).block.number, shared.lease(39).block.number} <= {number, number + 1}
    assert shared.lease(2**23).block.size == 2**23 < shared.lease(2**22, 3).block.size


def test_a_vector_of_the_pool_need_not_be_copied_to_be_shared():
    shared = Memory()
    vector = shared.vector(1000)
    vector[:] = np.arange(1000)
    lease = shared.holding(vector.data)
    assert np.array_equal(np.frombuffer(lease.payload(0, 4000), np.float32), vector)
    vector[3] = -1
    assert np.frombuffer(lease.payload(0, 4000), np.float32)[3] == -1, "the same memory"
    for other in (vector[:10], vector[1:], vector.copy()):
        copied = shared.holding(other.data)
        assert copied.block.number != lease.block.number
        assert np.array_equal(np.frombuffer(copied.payload(0, other.nbytes), np.float32), other)
    number = lease.block.number
    del vector, lease
    gc.collect()
    assert number in {shared.lease(4000).block.number for _ in range(4)}, "free again"
    assert not shared._vectors


def test_a_block_that_comes_back_while_another_is_looked_for_waits_for_nobody():
    shared = Memory()
    lease = shared.lease(10)
    with shared._lock:  # as if the garbage collector found it just then
        del lease
        gc.collect()
    assert shared.lease(10).block.number >= 0


def test_both_ends_forget_the_same_blocks(digits, monkeypatch):
    work, jobs, buffers = digits
    monkeypatch.setattr(worker, "MAPPED", 2)
    monkeypatch.setattr(workers, "begin", _with_two)
    with Workers(2) as engine:
        first = _told(engine.train(work, jobs[:40], buffers))
        for _ in range(5):
            engine.judge(work, [JudgeJob("client/1", 0, 1, ("weights",))], buffers)
            assert _told(engine.train(work, jobs[:40], buffers)) == first


def _with_two(connection, device, environment):
    worker.MAPPED = 2
    worker.work(connection, device)


def test_a_block_that_cannot_be_had_leaves_no_descriptor(monkeypatch):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises((OSError, ValueError, OverflowError)):
            Block(2**62)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_where_there_is_no_memory_without_a_name_a_file_without_one_serves(monkeypatch, tmp_path):
    monkeypatch.setattr(memory.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(
        os, "memfd_create", lambda name: (_ for _ in ()).throw(OSError("forbidden")), raising=False
    )
    block = Block(100)
    block.view(0, 3)[:] = b"abc"
    assert os.pread(block.descriptor, 3, 0) == b"abc" and not list(tmp_path.iterdir())
    descriptor = block.descriptor
    del block
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_updates_that_are_kept_stay_what_they_were_and_memory_does_not_grow_with_clients(digits):
    work, jobs, buffers = digits
    with Workers(2) as engine:
        kept = _told(engine.train(work, jobs, buffers))
        held = list(engine.train(work, jobs, buffers))
        assert _told(held) == kept and len(set(kept)) == CLIENTS and "no example" in kept[7]
        assert sum(isinstance(one, Failure) for one in held) == 1
        made = []
        for _ in range(4):
            before = next(Block._numbers)
            for outcome in engine.train(work, jobs, buffers):
                assert outcome.client >= 0
            made.append(next(Block._numbers) - before)
        assert max(made) < workers._AHEAD_JOBS + 9 < CLIENTS // 4
    with Workers(1) as engine:
        assert _told(engine.train(work, jobs, buffers)) == kept


def test_workers_killed_at_any_moment_change_nothing(digits):
    work, jobs, buffers = digits
    with Workers(2) as engine:
        expected = _told(engine.train(work, jobs, buffers))
        done, killed, found = threading.Semaphore(0), [], []

        def kill():
            chance = random.Random(0)
            while len(killed) < 4 and done.acquire(timeout=60):
                time.sleep(chance.uniform(0, 0.1))
                for pid in engine.pids()[:1]:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        killed.append(pid)
                done.acquire(
                    timeout=60
                )  # twice in the same round may be twice at the same job, which is a failure

        killer = threading.Thread(target=kill)
        killer.start()
        while killer.is_alive():
            found.append(_told(engine.train(work, jobs, buffers)))
            done.release()
        killer.join()
    assert len(killed) == 4 and all(one == expected for one in found)


def test_a_worker_killed_while_it_writes_its_update_changes_nothing(digits, monkeypatch, tmp_path):
    work, jobs, buffers = digits
    with Workers(2) as engine:
        expected = _told(engine.train(work, jobs[:40], buffers))
    monkeypatch.setattr(workers, "begin", _dying_once)
    monkeypatch.setenv("DIED", str(tmp_path / "died"))
    with Workers(2) as engine:
        assert _told(engine.train(work, jobs[:40], buffers)) == expected
    assert (tmp_path / "died").read_text() == "half of 650"


def _dying_once(connection, device, environment):
    """A worker; the first of its kind is killed with half of its second update written."""
    os.environ.update(environment)
    from utils.federated import client

    train, trained = client.train, []

    def half(job, work, buffers, device):
        reply = train(job, work, buffers, device)
        trained.append(job.client)
        if len(trained) == 2:
            update = np.frombuffer(buffers[job.writes], np.float32)
            update[len(update) // 2 :] = np.nan
            with suppress(FileExistsError), open(environment["DIED"], "x") as file:
                file.write(f"half of {len(update)}")
                file.flush()
                os.kill(os.getpid(), signal.SIGKILL)
            return train(job, work, buffers, device)
        return reply

    client.train = half
    worker.work(connection, device)


def test_a_server_that_is_killed_leaves_nothing_behind():
    code = (
        "import time\n"
        "import numpy as np\n"
        "from utils.engines.workers import Workers\n"
        "from utils.federated.update import Question, Work\n"
        "asked = Work('w', None, 0, '', None, {}), [Question('strategy', 'none', 'x', 0, 0, ('big',))]\n"
        "if __name__ == '__main__':\n"
        "    engine = Workers(1)\n"
        "    outcome = list(engine.ask(*asked, {'big': np.ones(10**6)}))\n"
        "    print(*engine.pids(), flush=True)\n"
        "    time.sleep(600)\n"
    )
    before = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
    server = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    (worker,) = (int(pid) for pid in server.stdout.readline().split())
    server.send_signal(signal.SIGKILL)
    server.wait()
    deadline = time.monotonic() + 30
    while os.path.exists(f"/proc/{worker}") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not os.path.exists(f"/proc/{worker}")
    assert not (set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()) - before
