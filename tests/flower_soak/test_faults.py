"""Faults while three owners train: cables, processes, disks and clocks that fail. Whatever happens, the training ends
as a whole one, every round has the participants and the reasons that are right, and no update counts twice.

Where nothing may be lost, the result is the very same, to the last bit, as that of this machine, where nothing happens.
"""

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.flower_soak.net import ran
from tests.flower_soak.test_curves import WEATHER, is_the_same
from tests.flower_soak.world import here, until

VICTIM = "north"
CLIENT = 1
"""Which client that is."""
DEADLINE = 150
LONG = {
    **WEATHER, "width": 16, "local_epochs": 30, "global_epochs": 3, "min_clients": 2,
    "rounds": {"name": "synchronous", "deadline": DEADLINE},
}  # fmt: skip
"""Trainings of some ten seconds, updates of 2.8 MB."""
NOT_THERE, NO_CLIENT = "the node was not there", "the node's client process ended"


@pytest.fixture
def ready(sky):
    """The world, whole before and after."""
    _mend(sky)
    yield sky
    _mend(sky)


def _mend(sky):
    if sky.flower_process.poll() is not None:
        sky.serve_flower()
    for name in sky.owners:
        sky.net.join(name)
        sky.net.slow(name)
    until(lambda: sky.online() == set(sky.owners), "all nodes online", 150)


@pytest.fixture(scope="session")
def undisturbed(place, drawn):
    """The same training on this machine."""
    (place / "undisturbed").mkdir()
    return here(place / "undisturbed", LONG, drawn[0])


class Watched:
    """A training under way, and when which message of it came about."""

    def __init__(self, sky, conf=LONG):
        self.sky, self.began = sky, time.time()
        self.number = sky.submit(conf)

    def ended(self, round_, name=VICTIM):
        """Whether this round of an owner's is over."""
        return any(one["node"] == name and one["round"] == round_ for one in self.trained())

    def trained(self):
        """What became of messages that ask to train."""
        return [one for one in self.sky.rounds(self.began) if one["verb"] == "train"]

    def until_training(self, round_=1, name=VICTIM):
        """Wait until the owner's process has worked at this round for a while."""
        until(lambda: self.ended(round_ - 1, name), f"the end of round {round_}", 200, 0.1)
        (process,) = self.sky.net.processes(name, "node serve")
        before = _worked(process)
        until(lambda: _worked(process) - before > 1.0, f"training of round {round_ + 1}", 100, 0.05)

    def until_sending(self, round_=1, name=VICTIM):
        """Wait until the owner's update of this round has begun to go out."""
        until(lambda: self.ended(round_ - 1, name), f"the end of round {round_}", 200, 0.1)
        until(lambda: len(self.updates(name)) > round_, f"the update of round {round_ + 1}", 200, 0.05)
        time.sleep(4)

    def updates(self, name=VICTIM):
        """The rounds of which an owner's ledger has an update of this training."""
        runs = {one["run"] for one in self.trained()}
        lines = self.sky.ledger(name)
        return [
            one["round"]
            for one in lines
            if one["event"] == "sent" and one["run"] in runs and one["what"] == "update"
        ]

    def whole(self, patience=540):
        """The result, and that its rounds are told rightly: (result, model), failures of the victim by round."""
        result, model = self.sky.whole(self.number, patience)
        repeat = result["repeats"][0]
        series = {one["name"]: one["values"] for one in repeat["series"]}
        failures = {round_: why for round_, client, why in repeat["failures"] if client == CLIENT}
        others = [one for one in repeat["failures"] if one[1] != CLIENT]
        rounds = len(series["loss"])
        assert not others, others
        assert [one["rounds"] for one in repeat["clients"]] == [rounds, rounds - len(failures), rounds]
        noted = self.trained()
        told = [(one["node"], one["round"], one["failure"]) for one in noted]
        print("\nseconds a round", [round(one, 1) for one in series["seconds"]], "failures", failures)
        print("messages", [(one["node"], one["round"], one["seconds"], one["failure"]) for one in noted])
        assert len({one[:2] for one in told}) == len(told) == 3 * rounds, told  # each once
        for node, round_, failure in told:
            assert failure == (failures.get(round_, "") if node == VICTIM else ""), told
        assert max(one["seconds"] for one in noted) < DEADLINE + 10
        assert max(series["seconds"]) < DEADLINE + 30
        return (result, model), failures


def _worked(process):
    """Seconds of processor time that a process has had."""
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _cut(sky, seconds):
    sky.net.cut(VICTIM)
    time.sleep(seconds)
    sky.net.join(VICTIM)


def _owner_reads(sky, words, since=0):
    """The line of the owner's program that has these words."""
    line = until(
        lambda: next((one for one in sky.said(VICTIM)[since:].splitlines() if words in one), ""), words, 150
    )
    print("the owner reads:", line)
    return line


@pytest.mark.parametrize("line", ["100 ms there and back", "one frame in fifty lost"])
def test_a_slow_or_lossy_line_costs_time_only(ready, undisturbed, line):
    way = ready.net.delayed(VICTIM, 0.05) if "ms" in line else ready.net.losing(VICTIM, 50)
    with way:
        whole, failures = Watched(ready).whole()
    assert not failures
    is_the_same(whole, undisturbed)


def test_a_cut_of_20_seconds_in_training_costs_time_only(ready, undisturbed):
    run = Watched(ready)
    run.until_training()
    _cut(ready, 20)
    whole, failures = run.whole()
    assert not failures
    is_the_same(whole, undisturbed)


def test_a_cut_of_20_seconds_while_an_update_goes_out_costs_time_only(ready, undisturbed):
    ready.net.slow(VICTIM, 2)
    run = Watched(ready)
    run.until_sending()
    _cut(ready, 20)
    whole, failures = run.whole()
    assert not failures
    is_the_same(whole, undisturbed)


@pytest.mark.parametrize("moment", ["in training", "while an update goes out"])
def test_a_cut_of_90_seconds_costs_the_rounds_in_which_it_falls(ready, moment):
    if moment != "in training":
        ready.net.slow(VICTIM, 2)
    run = Watched(ready, {**LONG, "global_epochs": 5})
    run.until_training() if moment == "in training" else run.until_sending()
    cut = time.monotonic()
    ready.net.cut(VICTIM)
    until(lambda: run.ended(1), "the end of round 2", DEADLINE + 30)
    print(f"\nnoticed {time.monotonic() - cut:.1f} s after the cut")
    time.sleep(max(0.0, cut + 90 - time.monotonic()))
    ready.net.slow(VICTIM)
    ready.net.join(VICTIM)
    joined = time.monotonic()
    _, failures = run.whole()
    assert 1 in failures and all(why.startswith((NOT_THERE, "no answer within")) for why in failures.values())
    until(lambda: VICTIM in ready.online(), "the node online again")
    print(f"online again at most {time.monotonic() - joined:.0f} s after the cable")


def test_a_node_that_is_killed_and_started_again_misses_rounds_and_comes_back(ready):
    run = Watched(ready, {**LONG, "global_epochs": 4})
    run.until_training()
    since, killed = len(ready.said(VICTIM)), time.monotonic()
    assert ready.net.kill(VICTIM)
    ready.start_node(VICTIM)
    until(lambda: run.ended(1), "the end of round 2", DEADLINE + 30)
    print(f"\nnoticed {time.monotonic() - killed:.1f} s after the kill")
    _, failures = run.whole()
    assert 1 in failures and all(why.startswith(NOT_THERE) for why in failures.values())
    _owner_reads(ready, "still takes the process before for online", since)
    _owner_reads(ready, "connected, as number", since)


def test_a_client_process_that_is_killed_costs_its_round(ready):
    run = Watched(ready)
    run.until_training()
    killed = time.monotonic()
    assert ready.net.kill(VICTIM, "flwr-clientapp")
    until(lambda: run.ended(1), "the end of round 2", DEADLINE + 30)
    print(f"\nnoticed {time.monotonic() - killed:.1f} s after the kill")
    _, failures = run.whole()
    assert set(failures) == {1} and failures[1].startswith(NO_CLIENT)


def test_a_superlink_that_is_killed_goes_on_where_it_was(ready, undisturbed):
    run = Watched(ready)
    run.until_training()
    assert len(ready.net.kill("server", "flower-superlink", "--database")) == 1
    whole, failures = run.whole()
    assert not failures
    is_the_same(whole, undisturbed)


def test_a_site_that_is_killed_goes_on_where_it_was(ready, undisturbed):
    run = Watched(ready)
    run.until_training()
    killed = [
        pid for words in ("i4wsgi.py", "app.jobs", "i2main.py") for pid in ready.net.kill("server", words)
    ]
    assert len(killed) >= 3
    time.sleep(5)
    ready.serve_site()
    result, model = ready.whole(run.number, 540)
    told = [(one["node"], one["round"], one["seconds"], one["failure"]) for one in run.trained()]
    print("\nmessages", told)
    assert not result["repeats"][0]["failures"]
    is_the_same((result, model), undisturbed)


def test_a_full_disk_is_a_reason_and_a_disk_with_room_again_goes_on(small_disk):
    sky, room = small_disk
    run = Watched(sky, {**LONG, "global_epochs": 4})
    run.until_training()
    filled = room / "filled"
    with suppress(OSError), filled.open("wb") as file:
        while True:
            file.write(bytes(2**16))
    until(lambda: run.ended(2), "the end of round 3", 2 * DEADLINE)
    filled.unlink()
    _, failures = run.whole()
    print("reasons:", failures)
    assert set(failures) <= {1, 2, 3} and failures[2] == "its disk is full" and 3 not in failures


@pytest.fixture
def small_disk(ready):
    """The owner's folder on a disk of its own of 200 MB."""
    home = ready.folder / VICTIM
    kept = ready.folder / "kept"
    ready.stop_node(VICTIM)
    shutil.move(home, kept)
    home.mkdir()

    ran("mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", home)
    try:
        shutil.copytree(kept / "nodes", home / "nodes", ignore=shutil.ignore_patterns("*.sock"))
        since = len(ready.said(VICTIM))
        ready.start_node(VICTIM)
        ready.until_back(VICTIM, since)
        yield ready, home
    finally:
        ready.stop_node(VICTIM)
        ran("umount", "-l", home)
        home.rmdir()
        shutil.move(kept, home)
        since = len(ready.said(VICTIM))
        ready.start_node(VICTIM)
        ready.until_back(VICTIM, since)


WRONG = """import datetime, time
AHEAD = {ahead}
_time, _datetime = time.time, datetime.datetime
time.time = lambda: _time() + AHEAD
class Wrong(_datetime):
    @classmethod
    def now(cls, tz=None):
        return _datetime.fromtimestamp(_time() + AHEAD, tz)
datetime.datetime = Wrong
"""


@pytest.mark.parametrize("ahead", [3600, -3600], ids=["ahead", "behind"])
def test_a_clock_that_is_an_hour_wrong_is_what_the_owner_reads(ready, tmp_path, ahead):
    (tmp_path / "sitecustomize.py").write_text(WRONG.format(ahead=ahead))
    run = Watched(ready)
    run.until_training()
    since = len(ready.said(VICTIM))
    ready.stop_node(VICTIM)
    ready.start_node(VICTIM, {"PYTHONPATH": str(tmp_path)})
    try:
        _, failures = run.whole()
        assert set(failures) == {1, 2} and all(why.startswith(NOT_THERE) for why in failures.values())
        _owner_reads(
            ready, f"the clock here is 3600 s {'ahead of' if ahead > 0 else 'behind'} the site's", since
        )
        _owner_reads(ready, "the clock here is wrong", since)
        assert VICTIM not in ready.online()
    finally:
        ready.stop_node(VICTIM)
        since = len(ready.said(VICTIM))
        ready.start_node(VICTIM)
        ready.until_back(VICTIM, since)
