"""Programs kept running: they end, hang, talk, and leave children behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.flower.fakes import alive
from utils import supervision
from utils.supervision import Kept, Meaning, Program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="as Linux does it")


@pytest.fixture
def keep(tmp_path, monkeypatch):
    """Keeps scripts of sh running; what was said of them."""
    monkeypatch.setattr(supervision, "GRACE", 1.0)
    kept = []

    def keep_(script, **options):
        path = tmp_path / f"program{len(kept)}"
        path.write_text(f"#!/bin/sh\ncd {tmp_path}\n{script}\n")
        path.chmod(0o755)
        said = []
        options = {"least": 0.05, "most": 0.2, **options}
        one = Kept(
            [Program("it", [str(path)], dict(os.environ), tmp_path / "logs" / "it.log", **options)],
            said.append,
        )
        kept.append(one)
        one.start()
        return said, one

    yield keep_
    for one in kept:
        one.end()


def until(holds, seconds=10.0):
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    assert holds()


def test_what_ends_is_started_again_later_each_time(keep):
    said, kept = keep("exit 3")
    until(lambda: sum("ended with status 3" in line for line in said) == 4)
    kept.end()
    assert [line.rpartition("again in ")[2] for line in said if "again" in line][:4] == [
        "0.05 s",
        "0.1 s",
        "0.2 s",
        "0.2 s",
    ]


def test_what_cannot_be_started_is_said_and_tried_again(tmp_path):
    said = []
    kept = Kept([Program("it", [str(tmp_path / "none")], {}, tmp_path / "log", least=0.05)], said.append)
    kept.start()
    until(lambda: len(said) >= 2)
    kept.end()
    assert said[0] == "it: cannot be started (no none there); again in 0.05 s"


def test_all_ends_together_with_what_it_started(keep, tmp_path):
    _, kept = keep("sleep 1000 & echo $! > child\nwait")
    _, other = keep("trap '' TERM\necho $$ > deaf\nwhile true; do sleep 0.1; done")
    until(lambda: (tmp_path / "child").exists() and (tmp_path / "deaf").exists())
    time.sleep(0.1)
    child, deaf = (int((tmp_path / name).read_text()) for name in ("child", "deaf"))
    assert alive(child) and alive(deaf)
    kept.end()
    other.end()
    assert not alive(child) and not alive(deaf)


def test_of_what_died_nothing_stays_before_it_is_started_again(keep, tmp_path):
    said, _ = keep("sleep 1000 & echo $! >> children\nexit 1")
    until(lambda: sum("again" in line for line in said) >= 2)
    children = [int(line) for line in (tmp_path / "children").read_text().split()]
    assert not alive(children[0])


def test_its_words_go_to_its_log_and_what_they_mean_is_said_once(keep, tmp_path):
    def tells(line):
        return Meaning("it is broken") if "code 7" in line else None

    said, kept = keep("printf '\\033[91mERROR\\033[0m code 7\\n'; exit 1", tells=tells)
    log = tmp_path / "logs" / "it.log"
    until(lambda: log.exists() and log.read_text().count("ERROR code 7") >= 4)
    kept.end()
    assert said.count("it: it is broken") == 1
    assert sum("again in" in line for line in said) == 1 and sum("started" in line for line in said) == 1


def test_whoever_makes_it_talk_does_not_fill_the_log(keep, tmp_path):
    said, kept = keep("for i in $(seq 500); do echo $i; done\necho > done\nsleep 1000", tells=Meaning)
    until(lambda: (tmp_path / "done").exists())
    until(lambda: "it: more of that; its log has it all" in said)
    kept.end()
    assert len(said) < 100


def test_it_is_patient_before_it_waits_longer(keep):
    said, _ = keep("exit 1", patience=3)
    until(lambda: sum("again in" in line for line in said) >= 5)
    waits = [line.rpartition("again in ")[2] for line in said if "again" in line]
    assert waits[:5] == ["0.05 s", "0.05 s", "0.05 s", "0.1 s", "0.2 s"]


def test_what_is_stuck_is_ended(keep, tmp_path):
    said, _ = keep(
        "echo $$ >> pids\necho stuck\nexec sleep 1000", tells=lambda _: Meaning("it hangs", is_stuck=True)
    )
    until(lambda: (tmp_path / "pids").exists() and len((tmp_path / "pids").read_text().split()) >= 2)
    assert "it: it hangs" in said and not alive(int((tmp_path / "pids").read_text().split()[0]))


def test_a_log_does_not_grow_for_ever(keep, tmp_path, monkeypatch):
    monkeypatch.setattr(supervision, "LONGEST_LOG", 2000)
    _, kept = keep("for i in $(seq 200); do echo a line of some length; done\nsleep 1000")
    until(lambda: (tmp_path / "logs" / "it.log.1").exists())
    time.sleep(0.3)
    kept.end()
    assert (tmp_path / "logs" / "it.log").stat().st_size < 2200


@pytest.mark.skipif(not Path("/usr/bin/setpriv").exists(), reason="no setpriv (util-linux) on this machine")
def test_where_the_keeper_is_killed_its_programs_end_too(tmp_path):
    code = (
        "import os, sys, time\nfrom pathlib import Path\nfrom utils.supervision import Kept, Program\n"
        "kept = Kept([Program('it', ['sleep', '1000'], dict(os.environ), Path(sys.argv[1]))], print)\n"
        "kept.start()\ntime.sleep(1000)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code, tmp_path / "log"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    number = int(process.stdout.readline().rpartition(" ")[2])
    until(lambda: b"sleep" in Path(f"/proc/{number}/cmdline").read_bytes()[:6])
    process.send_signal(signal.SIGKILL)
    process.communicate()
    until(lambda: not alive(number))
