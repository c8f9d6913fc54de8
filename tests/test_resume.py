"""Runs that are interrupted or killed go on as if nothing had happened; others are never mixed up with them."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT, TINY, draw_set
from utils.checkpoints import resume, start
from utils.engines.workers import Workers
from utils.experiment import run_repeat
from utils.federated.bench import Repeat, State
from utils.nets.build import build
from utils.nets.layout import Layout, read_weights
from utils.results import ResultError, append, read_result
from utils.runs import carry_out, prepare

ROUNDS = 4
NAMES = ("conf_tiny.json.pkl", "conf_tiny.json.safetensors")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, data):
    """The result and model of a run that nothing disturbed, and the arguments that made it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    conf = folder / "conf_tiny.json"
    conf.write_text(json.dumps({**TINY, "global_epochs": ROUNDS, "local_epochs": 5}))
    arguments = ["-c", conf, "--data", data, "--folds", "2", "--workers", "2", "--quiet"]
    _start("i2main.py", *arguments, "--out", folder).wait_for(0)
    return arguments, *_outcome(folder)


class _Process(subprocess.Popen):
    def wait_for(self, status):
        output, _ = self.communicate(timeout=300)
        assert self.returncode == status, output
        return output


def _start(*arguments):
    return _Process(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _outcome(out, name="conf_tiny"):
    """Result without clock times, and the bytes of the model."""
    result = read_result(out / f"{name}.json.pkl")
    result.pop("finished")
    for repeat in result["repeats"]:
        clocks = ("seconds", "training_seconds")
        repeat["series"] = [one for one in repeat["series"] if one["name"] not in clocks]
        for client in repeat["clients"]:
            client.pop("seconds")
    return result, (out / f"{name}.json.safetensors").read_bytes()


def _rounds_on_disk(out):
    done = 0
    for path in (out / ".unfinished" / "conf_tiny").glob("*.npz"):
        with np.load(path) as packed:
            done += int(packed["round"])
    return done


def _resume_and_compare(undisturbed, out):
    arguments, result, model = undisturbed
    assert _rounds_on_disk(out) > 0
    assert not (out / NAMES[0]).exists()
    _start("i2main.py", *arguments, "--out", out, "--resume").wait_for(0)
    again, model_again = _outcome(out)
    assert again == result
    assert model_again == model
    leftovers = [path.name for path in out.rglob("*") if path.suffix in (".npz", ".draft")]
    assert not leftovers


@pytest.mark.parametrize(
    ("moment", "count"),
    [("fold", 8), ("fold", 17), ("write", 5), ("write", 9), ("write", 10), ("after-write", 6)],
    ids=[
        "aggregation",
        "late-aggregation",
        "checkpoint-half-written",
        "last-checkpoint",
        "model-half-written",
        "between-writes",
    ],
)
def test_killed_at_any_moment_the_resumed_run_is_bit_identical(undisturbed, tmp_path, moment, count):
    arguments, *_ = undisturbed
    _start("-m", "tests.killed", moment, count, *arguments, "--out", tmp_path).wait_for(-signal.SIGKILL)
    _resume_and_compare(undisturbed, tmp_path)


@pytest.mark.parametrize(
    "rounds",
    [
        {"name": "buffered", "buffer": 2, "duration": "lognormal"},
        {"name": "gossip", "graph": "full"},
        {"name": "relay", "order": "random"},
        {"name": "selective", "upload": 0.5},
    ],
    ids=lambda rounds: rounds["name"],
)
def test_rounds_of_every_kind_go_on_when_killed_between_two(data, tmp_path, rounds):
    conf = tmp_path / "conf_tiny.json"
    keys = {key: TINY[key] for key in ("local_epochs", "batch_size", "lr", "momentum")}
    told = {"type": "iris", "no_models": 4, "k": 4, "global_epochs": ROUNDS, "rounds": rounds}
    conf.write_text(json.dumps({**keys, **told}))
    arguments = ["-c", conf, "--data", data, "--folds", "2", "--workers", "2", "--quiet"]
    _start("i2main.py", *arguments, "--out", tmp_path / "whole").wait_for(0)
    undisturbed = arguments, *_outcome(tmp_path / "whole")
    out = tmp_path / "killed"
    _start("-m", "tests.killed", "write", 6, *arguments, "--out", out).wait_for(-signal.SIGKILL)
    _resume_and_compare(undisturbed, out)


@pytest.mark.parametrize(
    ("kind", "status"), [(signal.SIGKILL, -9), (signal.SIGTERM, 130), (signal.SIGINT, 130)]
)
def test_killed_or_stopped_in_training_no_orphan_stays_and_the_run_goes_on(
    undisturbed, tmp_path, kind, status
):
    arguments, *_ = undisturbed
    process = _start("i2main.py", *arguments, "--out", tmp_path)
    while _rounds_on_disk(tmp_path) < 1:
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)
    if kind == signal.SIGINT:
        os.killpg(process.pid, kind)  # as a terminal does: to everyone in the group
    else:
        process.send_signal(kind)
    output = process.wait_for(status)
    assert "Traceback" not in output
    assert status < 0 or output.count("\n") == 1
    assert _nobody_left(process.pid)
    _resume_and_compare(undisturbed, tmp_path)


@pytest.mark.long
def test_twenty_kills_at_random_moments_change_nothing(conf_file, data, tmp_path):
    conf = conf_file(global_epochs=8, local_epochs=20)
    arguments = ["-c", conf, "--data", data, "--folds", "2", "--workers", "2", "--quiet"]
    shared = Path("/dev/shm")
    before = {path.name for path in shared.glob("*")}
    began = time.monotonic()
    _start("i2main.py", *arguments, "--out", tmp_path / "whole").wait_for(0)
    whole, expected = time.monotonic() - began, _outcome(tmp_path / "whole")
    chance, hits = random.Random(15), {"server": 0, "worker": 0, "both": 0}
    for number in range(60):
        who, out = min(hits, key=hits.get), tmp_path / str(number)
        if sum(hits.values()) == 20:
            break
        process = _start("i2main.py", *arguments, "--out", out, "--resume")
        time.sleep(whole * chance.uniform(0.3, 1))
        victims = [] if who == "server" else _workers(process.pid)[: 1 if who == "worker" else None]
        if process.poll() is None and (victims or who == "server"):
            hits[who] += 1
            for pid in victims if who == "worker" else [*victims, process.pid]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if process.wait(300) == -signal.SIGKILL:
            assert _nobody_left(process.pid)
            _start("i2main.py", *arguments, "--out", out, "--resume").wait_for(0)
        assert _outcome(out) == expected, (who, hits)
    assert sum(hits.values()) == 20, hits
    assert {path.name for path in shared.glob("*")} <= before


def _workers(server):
    """The workers of a run: its session has the server, what that began (which they are forked from), and them."""
    return [pid for pid in _members(server) if pid != server and _parent(pid) not in (server, os.getpid(), 0)]


def _parent(pid):
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupt_does_not_wait_for_the_run_to_end(conf_file, data, tmp_path, kind):
    out = tmp_path / "out"
    conf = conf_file(global_epochs=50_000)
    process = _start(
        "i2main.py", "-c", conf, "--data", data, "--folds", "5", "--workers", "2", "--out", out, "--quiet"
    )
    while _rounds_on_disk(out) < 2:
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)
    process.send_signal(kind)
    output = process.wait_for(130)
    assert output.count("\n") == 1
    assert 2 <= _rounds_on_disk(out) < 50_000
    assert not (out / NAMES[0]).exists()
    assert _nobody_left(process.pid)


def _nobody_left(session):
    deadline = time.monotonic() + 60
    while _members(session) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not _members(session)


def _members(session):
    """Live processes of a session."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    state, _, _, its_session = file.read().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if int(its_session) == session and state != "Z":
                found.append(int(entry))
    return found


def test_resume_with_another_conf_or_other_photos_is_refused_with_status_2(
    undisturbed, tmp_path, conf_file, data
):
    arguments, *_ = undisturbed
    _start("-m", "tests.killed", "after-write", 3, *arguments, "--out", tmp_path).wait_for(-signal.SIGKILL)
    other = conf_file(global_epochs=ROUNDS, local_epochs=5, lr=0.01)
    output = _start("i2main.py", "-c", other, *arguments[2:], "--out", tmp_path, "--resume").wait_for(2)
    assert output.count("\n") == 1 and "another conf" in output
    more = tmp_path / "data"
    draw_set(more / "drawn", count=62)
    changed = [more if argument == data else argument for argument in arguments]
    output = _start("i2main.py", *changed, "--out", tmp_path, "--resume").wait_for(2)
    assert output.count("\n") == 1 and "another examples" in output
    output = _start("i2main.py", *arguments, "--seeds", "2", "--out", tmp_path, "--resume").wait_for(2)
    assert "another seeds" in output


def test_a_finished_run_is_not_done_again_and_never_overwritten_unasked(
    undisturbed, tmp_path, conf_file, data
):
    conf = conf_file(global_epochs=1)
    arguments = ["-c", conf, "--data", data, "--out", tmp_path / "out", "--workers", "1"]
    _start("i2main.py", *arguments).wait_for(0)
    first = (tmp_path / "out" / NAMES[0]).read_bytes()
    assert "finished already" in _start("i2main.py", *arguments, "--resume").wait_for(0)
    assert "conf_tiny@2" in _start("i2main.py", *arguments).wait_for(0)
    assert (tmp_path / "out" / NAMES[0]).read_bytes() == first
    assert (tmp_path / "out" / "conf_tiny@2.json.pkl").exists()
    _start("i2main.py", *arguments, "--overwrite").wait_for(0)
    assert (tmp_path / "out" / NAMES[0]).read_bytes() != first
    assert not (tmp_path / "out" / "conf_tiny@3.json.pkl").exists()


def test_checkpoints_without_their_plan_are_never_used(tmp_path):
    folder = tmp_path / ".unfinished" / "conf_tiny"
    folder.mkdir(parents=True)
    (folder / "fold0-seed0-rotation0.npz").write_bytes(b"of another run")
    checkpoints = start(tmp_path, "conf_tiny", {"conf": {}}, overwrite=False)
    assert [path.name for path in checkpoints.folder.iterdir()] == ["plan.json"]
    checkpoints.release()


def test_the_newest_unfinished_run_of_the_same_plan_is_resumed_others_are_left_alone(tmp_path):
    def unfinished(name, **plan):
        folder = tmp_path / ".unfinished" / name
        folder.mkdir(parents=True)
        (folder / "plan.json").write_text(json.dumps(plan))

    unfinished("conf_tiny", lr=1)
    unfinished("conf_tiny@2", lr=1)
    unfinished("conf_tiny@3", lr=2)
    unfinished("conf_tiny@old", lr=1)
    unfinished("conf_tiny2", lr=3)
    (tmp_path / ".unfinished" / "conf_tiny@10").mkdir()
    found = resume(tmp_path, "conf_tiny", {"lr": 1})
    assert found.name == "conf_tiny@2"
    with pytest.raises(ResultError, match="another process"):
        resume(tmp_path, "conf_tiny", {"lr": 1})
    found.remove()
    assert resume(tmp_path, "conf_tiny", {"lr": 1}).name == "conf_tiny"
    with pytest.raises(ResultError, match=r"conf_tiny@3.*another lr"):
        resume(tmp_path, "conf_tiny", {"lr": 3})
    assert resume(tmp_path, "conf_none", {"lr": 1}) is None


def test_a_run_begun_before_a_key_came_into_being_goes_on_with_its_default(tmp_path, tiny):
    plan = {"conf": tiny().as_json(), "examples": "some"}
    before = {key: value for key, value in plan["conf"].items() if key not in ("min_crop", "judging")}
    start(tmp_path, "conf_tiny", {**plan, "conf": before}, overwrite=False).release()
    other = {**plan, "conf": tiny(judging="five_crop").as_json()}
    with pytest.raises(ResultError, match="another conf"):
        resume(tmp_path, "conf_tiny", other)
    assert resume(tmp_path, "conf_tiny", plan).name == "conf_tiny"


@pytest.mark.parametrize("damage", ["empty", "half", "other repeat", "no record", "method"])
def test_a_damaged_checkpoint_is_named_in_one_line(tmp_path, damage):
    checkpoints = start(tmp_path, "conf_tiny", {}, overwrite=False)
    repeat, path = Repeat(0, 0, 0), checkpoints.folder / "fold0-seed0-rotation0.npz"
    record = {"fold": 0, "seed": 1 if damage == "other repeat" else 0, "rotation": 0}
    checkpoints.save(
        repeat, State({"weights": np.zeros(9, np.float32)}, {} if damage == "no record" else record, 1)
    )
    if damage in ("empty", "half"):
        path.write_bytes(path.read_bytes()[: 0 if damage == "empty" else 200])
    if damage == "method":  # one bit of the archive's directory: a compression nobody knows
        raw = bytearray(path.read_bytes())
        raw[raw.index(b"PK\1\2") + 10] ^= 64
        path.write_bytes(raw)
    with pytest.raises(ResultError) as error:
        checkpoints.load(repeat, lambda: None)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    checkpoints.remove()


def test_weights_kept_before_convolutions_had_their_channels_last_are_read_as_they_were_meant(tiny, tmp_path):
    checkpoints = start(tmp_path, "conf_tiny", {}, overwrite=False)
    net = build(tiny(norm="batch"), 0)
    layout, weights = Layout.of(net), read_weights(net)
    record = {"fold": 0, "seed": 0, "rotation": 0, "clients": [1], "series": []}
    append(record, "seconds", 1.0)
    vectors = {
        "weights": weights,
        "strategy/velocity": weights.astype(np.float64),
        "selection/seen": np.arange(3),
    }
    checkpoints.save(Repeat(0, 0, 0), State(vectors, record, 1))
    path = checkpoints.folder / "fold0-seed0-rotation0.npz"
    with np.load(path) as kept:
        former = {name: kept[name] for name in kept.files if name != "order"}
    row_major = np.concatenate([array.ravel() for array in layout.named(weights).values()])
    assert not np.array_equal(row_major, weights)
    for name in ("weights", "strategy/velocity"):
        former[f"vector/{name}"] = row_major.astype(vectors[name].dtype)
    for write in (lambda: None, lambda: np.savez(path, **former)):
        write()
        found = checkpoints.load(Repeat(0, 0, 0), lambda: layout).vectors
        assert found.keys() == vectors.keys()
        for name, vector in vectors.items():
            assert found[name].dtype == vector.dtype and np.array_equal(found[name], vector)
    checkpoints.remove()


def test_a_run_one_repeat_of_which_an_earlier_version_began_has_the_degrees_that_all_have(
    photos, tiny, tmp_path, monkeypatch
):
    run = prepare("conf_tiny", tiny(global_epochs=1), photos, folds=2, seeds=1, cache=tmp_path)

    def one_without(conf, repeat, *others):
        state = run_repeat(conf, repeat, *others)
        if repeat.fold == 1:
            del state.record["degree"]["l1"]
        return state

    monkeypatch.setattr("utils.runs.run_repeat", one_without)
    with Workers(1) as engine:
        carry_out([run], engine, 1, lambda *_: None)
    degree = read_result(tmp_path / NAMES[0])["degree"]
    assert list(degree) == ["jensen_shannon", "hellinger", "gini"]


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_run_that_trained_to_weights_beyond_half_precision_fails_in_one_line(
    data, photos, tiny, tmp_path, monkeypatch
):
    conf = tiny(global_epochs=1)
    run = prepare("conf_tiny", conf, photos, folds=1, seeds=1, cache=tmp_path)

    def diverged(*arguments):
        state = run_repeat(*arguments)
        state.vectors["weights"] = state.weights * 1e6
        return state

    monkeypatch.setattr("utils.runs.run_repeat", diverged)
    with Workers(1) as engine:
        outcome = carry_out([run], engine, 1, lambda *_: None)
    assert outcome == {
        "conf_tiny": "the weights are beyond half precision: training diverged, a smaller lr may help"
    }
    assert not list(tmp_path.glob("conf_tiny*")) and resume(tmp_path, "conf_tiny", {}) is not None
