"""Worker processes: results in order, whoever dies is replaced, nobody outlives the parent."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.here import Here
from utils.engines import EngineError, workers
from utils.engines.memory import Memory
from utils.engines.workers import Workers
from utils.federated.update import Answer, Failure, JudgeJob, Question, Reply, TrainJob, Work
from utils.nets.build import build
from utils.nets.layout import read_weights


def _jobs(clients, **changes):
    return [
        TrainJob(
            **{"round": 0, "client": client, "lr": 0.02, "reads": ("weights",), "writes": "w", **changes}
        )
        for client in clients
    ]


def _work(conf, photos, clients=8, name="work"):
    shares = {f"client/{client}": np.arange(client * 5, client * 5 + 5) for client in range(clients)}
    return Work(name, conf, 0, str(photos.store), photos.targets, shares)


def _buffers(conf):
    return {"weights": read_weights(build(conf, 0)).tobytes()}


def test_outcomes_come_in_order_and_a_failing_client_is_a_value(tiny, photos):
    conf = tiny()
    work, buffers = _work(conf, photos, clients=5), _buffers(conf)
    with Workers(2) as engine:
        outcomes = list(engine.train(work, _jobs([0, 1, 2, 9, 4, 3]), buffers))
        assert [outcome.client for outcome in outcomes] == [0, 1, 2, 9, 4, 3]
        assert isinstance(outcomes[3], Failure) and "KeyError" in outcomes[3].reason
        assert sum(isinstance(outcome, Reply) for outcome in outcomes) == 5
        with pytest.raises(EngineError, match="could not be judged"):
            engine.judge(work, [JudgeJob("nobody", 0, 1, ("weights",))], buffers)


def test_jobs_of_one_call_may_begin_from_different_weights(tiny, photos):
    conf = tiny()
    work, first = _work(conf, photos, clients=5), read_weights(build(conf, 0))
    buffers = {f"weights/{place}": (first * (1 + place)).tobytes() for place in range(3)}
    jobs = [replace(job, reads=(f"weights/{job.client % 3}",)) for job in _jobs(range(5))]
    with Workers(2) as engine:
        outcomes = list(engine.train(work, jobs, buffers))
    for job, outcome in zip(jobs, outcomes, strict=True):
        alone = next(Here().train(work, [job], buffers))
        assert outcome.client == job.client and bytes(outcome.payload) == bytes(alone.payload)


def test_no_more_outcomes_wait_than_there_is_memory_for(tiny, photos, monkeypatch):
    conf, admitted = tiny(), []
    admit = workers._Call.admit
    monkeypatch.setattr(workers, "_AHEAD_BYTES", 1)
    monkeypatch.setattr(
        workers._Call, "admit", lambda call, place: (admitted.append(place), admit(call, place))
    )
    with Workers(2) as engine:
        for outcome in engine.train(_work(conf, photos, 12), _jobs(range(12)), _buffers(conf)):
            assert len(admitted) <= outcome.client + 4
    assert admitted == list(range(12))


def test_the_largest_clients_are_dealt_first_and_come_back_in_their_order(tiny, photos):
    conf, sizes = tiny(), [3, 1, 9, 4, 9, 2]
    shares = {f"client/{client}": np.arange(size) for client, size in enumerate(sizes)}
    work = Work("unequal", conf, 0, str(photos.store), photos.targets, shares)
    call = workers._Call(work, _jobs(range(6)), {"weights": Memory().holding(bytes(4))})
    for place in range(5):
        call.admit(place)
    dealt = [job.client for most in (1, 2) for job in call.take(most).jobs]
    call.admit(5)
    dealt += [job.client for job in call.take(9).jobs]
    assert dealt == [2, 4, 3, 0, 5, 1] and call.take(1) is None
    with Workers(2) as engine:
        outcomes = list(engine.train(work, _jobs(range(6)), _buffers(conf)))
    assert [(outcome.client, outcome.samples) for outcome in outcomes] == list(enumerate(sizes))


def test_where_there_is_no_room_for_updates_that_is_one_line_and_the_engine_goes_on(
    tiny, photos, monkeypatch
):
    conf = tiny()
    work, buffers = _work(conf, photos), _buffers(conf)

    lease = workers.POOL.lease

    def refuse(each, places):
        raise OSError("Cannot allocate memory")

    with Workers(2) as engine:
        monkeypatch.setattr(
            workers.POOL, "lease", lambda each, places=0: refuse(each, places) if places else lease(each)
        )
        with pytest.raises(EngineError, match="no memory for updates: Cannot allocate"):
            list(engine.train(work, _jobs(range(4)), buffers))
        monkeypatch.undo()
        assert len(list(engine.train(work, _jobs(range(4)), buffers))) == 4


def test_what_nobody_waits_for_any_more_is_not_done(tiny, photos, monkeypatch):
    dealt, take = [], workers._Call.take

    def noted(call, most):
        handful = take(call, most)
        dealt.extend(handful.jobs if handful else [])
        return handful

    monkeypatch.setattr(workers._Call, "take", noted)
    with Workers(1) as engine:
        outcomes = engine.train(_work(tiny(), photos, 60), _jobs(range(60)), _buffers(tiny()))
        next(outcomes)
        outcomes.close()
        (last,) = engine.train(_work(tiny(), photos, name="next"), _jobs([3]), _buffers(tiny()))
        assert isinstance(last, Reply)
    assert len(dealt) < 30


def test_more_repeats_than_a_worker_remembers_are_handed_over_again(tiny, photos):
    conf = tiny()
    works = [_work(conf, photos, name=f"work{number}") for number in range(12)]
    with Workers(1) as engine:
        for work in [*works, *works[:3], works[-1]]:
            (outcome,) = engine.train(work, _jobs([2]), _buffers(conf))
            assert isinstance(outcome, Reply), outcome


def test_a_repeat_is_handed_over_once_jobs_are_small_and_weights_do_not_travel(tiny, photos):
    conf, sizes = tiny(), []
    with Workers(1) as engine:
        list(engine.train(_work(conf, photos), _jobs([0]), _buffers(conf)))
        connection = engine._places[0].connection
        engine._places[0].connection = _Measured(connection, sizes)
        list(engine.train(_work(conf, photos), _jobs([1, 2]), _buffers(conf)))
    small = [size for kind, size in sizes if kind == "send"]
    assert len(small) == 2 and max(small) < 400
    assert not [size for kind, size in sizes if kind == "send_bytes"]


class _Measured:
    """A connection that notes how much goes through it."""

    def __init__(self, connection, sizes):
        self._connection, self._sizes = connection, sizes

    def send(self, value):
        self._sizes.append(("send", len(pickle.dumps(value))))
        self._connection.send(value)

    def send_bytes(self, value):
        self._sizes.append(("send_bytes", memoryview(value).nbytes))
        self._connection.send_bytes(value)

    def __getattr__(self, name):
        return getattr(self._connection, name)


def test_questions_are_answered_in_order(tiny, photos, tmp_path, monkeypatch):
    part = tmp_path / "selection" / "asking.py"
    part.parent.mkdir()
    part.write_text(
        "import numpy as np\n"
        "ABOUT = ('asks', 'x')\n"
        "def counts(asked):\n"
        "    return np.bincount(asked.targets, minlength=2).astype('<i8').tobytes()\n"
        "ANSWERS = {'counts': counts}\n"
        "class Selection: pass\n"
    )
    monkeypatch.setenv("SKYFED_PARTS", str(tmp_path))
    conf = tiny()
    work = _work(conf, photos, clients=4)
    with Workers(2) as engine:
        questions = [Question("selection", "asking", "counts", client, 0) for client in (0, 3, 7, 1)]
        found = list(engine.ask(work, questions, {}))
    assert [one.client for one in found] == [0, 3, 7, 1] and isinstance(found[2], Failure)
    for one in (found[0], found[1], found[3]):
        assert isinstance(one, Answer)
        expected = np.bincount(photos.targets[work.shares[f"client/{one.client}"]], minlength=2)
        assert np.frombuffer(one.payload, "<i8").tolist() == expected.tolist()


def test_a_worker_that_is_killed_is_replaced_and_its_job_done_again(tiny, photos):
    conf = tiny(local_epochs=100)
    work, buffers = _work(conf, photos), _buffers(conf)
    with Workers(1) as engine:
        expected = next(engine.train(work, _jobs([0]), buffers))
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(lambda: list(engine.train(work, _jobs([0]), buffers)))
            time.sleep(0.3)
            assert not future.done()
            (victim,) = engine.pids()
            os.kill(victim, signal.SIGKILL)
            again = future.result(timeout=120)[0]
        assert engine.pids() != [victim]
    assert isinstance(again, Reply) and again.payload == expected.payload


def test_a_job_that_kills_every_worker_is_a_failure(tiny, photos):
    conf = tiny(local_epochs=1000)
    with Workers(1) as engine:
        few, many = (_work(one, photos, name=str(one.local_epochs)) for one in (tiny(), conf))
        list(engine.train(few, _jobs([0]), _buffers(conf)))
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
        outcome = next(engine.train(many, _jobs([0]), _buffers(conf)))
        stop.set()
        killer.join()
        assert isinstance(outcome, Failure) and "died 2 times" in outcome.reason
        assert isinstance(next(engine.train(few, _jobs([1]), _buffers(conf))), Reply)


def test_closing_ends_those_who_wait(tiny, photos):
    conf, engine = tiny(local_epochs=1000), Workers(1)
    work, buffers = _work(conf, photos), _buffers(conf)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(lambda: list(engine.train(work, _jobs(range(3)), buffers)))
        while not engine.pids():
            time.sleep(0.05)
        pids = engine.pids()
        engine.close()
        with pytest.raises(EngineError):
            future.result(timeout=60)
    assert not any(_alive(pid) for pid in pids)
    with pytest.raises(EngineError):
        list(engine.train(work, _jobs([0]), buffers))


def test_ctrl_c_at_a_starting_worker_says_nothing():
    code = (
        "import os, signal, time\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from utils.engines.workers import Workers\n"
        "from utils.federated.update import Question, Work\n"
        "asked = Work('w', None, 0, '', None, {}), [Question('strategy', 'none', 'x', 0, 0)], {}\n"
        "if __name__ == '__main__':\n"
        "    signal.signal(signal.SIGINT, lambda *_: None)\n"
        "    with Workers(1) as engine, ThreadPoolExecutor(1) as pool:\n"
        "        future = pool.submit(lambda: list(engine.ask(*asked)))\n"
        "        while not engine.pids(): time.sleep(0.001)\n"
        "        for _ in range(300):\n"
        "            os.killpg(0, signal.SIGINT)\n"
        "            time.sleep(0.01)\n"
        "        print(type(future.result()[0]).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, start_new_session=True
    )
    assert (done.stdout, done.stderr, done.returncode) == ("Failure\n", "", 0)


def test_workers_end_when_the_parent_is_killed():
    code = (
        "import threading, time\n"
        "from utils.engines.workers import Workers\n"
        "from utils.federated.update import Question, Work\n"
        "asked = Work('w', None, 0, '', None, {}), [Question('strategy', 'none', 'x', 0, 0)], {}\n"
        "if __name__ == '__main__':\n"
        "    engine = Workers(2)\n"
        "    for _ in range(2):\n"
        "        threading.Thread(target=lambda: list(engine.ask(*asked)), daemon=True).start()\n"
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
