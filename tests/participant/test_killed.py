"""Killed at any moment, the program goes on: each training is sent once, and nothing is sent that nobody wrote down."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from tests.conftest import ROOT
from tests.participant.killed import MOMENTS
from utils.participant.kept import Kept


def _killed(moment, home):
    done = subprocess.run(
        [sys.executable, "-m", "tests.participant.killed", moment, "train", "--yes", "--anyway"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
        env={**os.environ, "SKYFED_PARTICIPANT": str(home), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_training_is_sent_once_and_is_in_the_ledger(moment, run, board, joined, home):
    _killed(moment, home)
    status, out, errors = run("train", "--yes")
    assert (status, errors) == (0, ""), out
    kept = Kept(joined)
    assert len(board.bodies) == 1 and kept.pending is None
    ((id, (body, _)),) = board.bodies.items()
    sent = kept.ledger.sent()
    assert [one["id"] for one in sent] == [id] and sent[0]["state"] == "waiting"
    assert sent[0]["bytes"] == len(body)
    assert not list(joined.glob("*.safetensors")) and not (joined / "work").exists()


def test_what_was_trained_is_what_is_sent_after_a_kill(run, board, joined, home):
    _killed("trained", home)
    pending = Kept(joined).pending
    body = Kept(joined).update_of(pending).read_bytes()
    run("train", "--yes")
    assert board.bodies[pending.id][0] == body


def test_a_superseded_update_is_not_sent_and_another_is_trained(run, board, joined, home):
    _killed("trained", home)
    old = Kept(joined).pending.id
    for _ in range(board.call.limits.staleness + 1):
        board.publish()
    status, out, _ = run("train", "--yes")
    assert status == 0 and "superseded by version 3: not sent" in out
    assert old not in board.bodies and board.trainings[old]["state"] == "withdrawn"
    assert [board.trainings[id]["version"] for id in board.bodies] == [3]


def test_an_older_version_that_was_gone_back_to_is_no_older_one(run, board, joined, home):
    _killed("trained", home)
    pending = Kept(joined).pending
    board.publish()
    board.publish()
    board.publish(parent=1)
    status, _, _ = run("train", "--yes")
    assert status == 0 and board.trainings[pending.id]["state"] == "waiting"


def test_an_update_that_was_changed_on_the_disk_is_not_sent(run, board, joined, home):
    _killed("trained", home)
    path = Kept(joined).update_of(Kept(joined).pending)
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    status, _, errors = run("train", "--yes")
    assert status == 1 and "not the update that was trained" in errors and not board.bodies


def test_interrupted_it_says_so_in_one_line(board, joined, home):
    board.state = "paused"
    asked = threading.Event()
    board.then = lambda method, path: asked.set()
    env = {**os.environ, "SKYFED_PARTICIPANT": str(home), "OMP_NUM_THREADS": "1"}
    started = subprocess.Popen(
        [sys.executable, "-m", "utils.participant", "train", "--watch"],
        cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert asked.wait(60)
    assert "the task is paused" in started.stdout.readline()
    started.send_signal(signal.SIGINT)
    _, errors = started.communicate(timeout=30)
    assert started.returncode == 130 and errors == "interrupted; the same command goes on from here\n"
