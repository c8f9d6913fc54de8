"""Whatever is killed, cut or sent twice: of every training the site has one update or none, in one clear state, and
versions are whole and follow one from another.
"""

import contextlib
import hashlib
import json
import random
import signal
import threading
import time
import uuid

import numpy as np
import pytest

from tests.board.proxy import DOWN, UP
from tests.board.site import below, kill, until
from tests.board.tables import small
from tests.board.visits import DATA, DIGITS
from tests.participant.killed import MOMENTS
from utils.calls.weights import read, written

FINAL_OR_WAITING = {"waiting", "folded", "refused", "withdrawn"}


def _joined(person, site, name="one", task="small", **more):
    """Somebody who takes part in the small task, where nothing is folded as nobody else sends."""
    one = person(name, site, **more)
    one.join(site.number(task), "--table", small(one.home.parent / f"{name}.csv", sum(name.encode())))
    return one


def _of(one):
    """What the site has of this person's trainings."""
    return one.site.rows(
        "select t.* from trainings t join participations p on p.id = t.participation_id "
        "join users u on u.id = p.user_id where u.email = ? and t.call_id = ? order by t.id", one.email, one.task,
    )  # fmt: skip


def _each_once(one):
    """The site and the ledger know the same updates, each once and all with it; returns the site's rows."""
    there, sent = _of(one), one.sent()
    assert [row["uuid"] for row in there] == [line["id"] for line in sent]
    assert [row["sha256"] for row in there] == [line["sha256"] for line in sent]
    assert len({row["sha256"] for row in there}) == len(there)
    assert {row["state"] for row in there} <= FINAL_OR_WAITING, there
    assert one.kept.pending is None and not list(one.kept.folder.glob("*.safetensors"))
    return there


def _bytes_kept(site, row):
    path = site.instance / "demo-calls" / str(row["call_id"]) / "updates" / f"{row['id']}.safetensors"
    return path.read_bytes()


@pytest.fixture(scope="module")
def quiet(new_site):
    """A site whose small task is folded by hand, so that what waits goes on waiting."""
    site = new_site()
    site.publish("by hand", aggregation={"mode": "manual", "least": 2, "goal": 2})
    return site


def _alone(person, site, name="one", **more):
    return _joined(person, site, name, "by hand", **more)


def test_a_participant_killed_at_any_moment_goes_on_with_the_same_training(person, quiet):
    one, drawn = _alone(person, quiet), random.Random(20261127)
    started = time.monotonic()
    assert one.train()[0] == 0
    usual = time.monotonic() - started
    for moment in MOMENTS:
        status, said = one.run(moment, "train", "--yes", "--anyway", module="tests.participant.killed")
        # What was trained before the kill is sent by whoever comes next, so some moments do not come again.
        assert status in (0, -signal.SIGKILL), said
    for _ in range(4):
        process = one.start("train", "--yes", "--anyway")
        time.sleep(usual * drawn.uniform(0.3, 1.1))  # a moment somewhere in it, not one that is waited for
        process.kill()
        process.communicate(timeout=60)
    assert one.train()[0] == 0
    there = _each_once(one)
    assert len(there) >= 2 and {row["state"] for row in there} == {"waiting"}


@pytest.mark.parametrize("moment", ["training", "trained", "sent"])
def test_one_kill_one_update(person, quiet, moment):
    one = _alone(person, quiet)
    assert (
        one.run(moment, "train", "--yes", "--anyway", module="tests.participant.killed")[0] == -signal.SIGKILL
    )
    body = one.kept.update_of(one.kept.pending).read_bytes() if moment != "training" else None
    assert one.train()[0] == 0
    [row] = _each_once(one)
    assert row["state"] == "waiting"
    kept = _bytes_kept(quiet, row)
    assert hashlib.sha256(kept).hexdigest() == row["sha256"]
    assert body in (None, kept)


def test_a_line_that_breaks_while_an_update_is_sent_costs_nothing(person, quiet):
    """The program tries four times by itself; each list is how one training's tries but the last break."""
    one, drawn = _alone(person, quiet, proxied=True), random.Random(4)
    longest = _update_bytes(quiet, one.task)
    broken = 0
    for count, cuts in enumerate(
        (
            [(UP, 0), (DOWN, 0), (UP, 50)],  # nothing arrives; it arrives, and no answer comes; half a head
            [(UP, 400 + drawn.randrange(longest)), (DOWN, 15), (DOWN, 90)],  # half a body; half an answer
        ),
        1,
    ):
        one.line.cuts += cuts
        status, said = one.train()
        assert status == 0, said
        broken += len(cuts)
        assert one.line.broken == broken
        assert len(_each_once(one)) == count
    # Broken whenever it is tried: it is kept here, and sent when the line holds.
    one.line.cuts += [(UP, drawn.randrange(200)) for _ in range(4)]
    status, said = one.train()
    assert status == 1 and "cannot be reached" in said
    assert one.kept.pending.trained
    status, said = one.train()
    assert status == 0 and "was not sent" in said
    assert len(_each_once(one)) == 3


def _update_bytes(site, task):
    [row] = site.rows("select bytes from versions where call_id = ? and number = 1", task)
    return row["bytes"]


def test_the_same_sent_many_times_at_once_is_one_update(person, quiet):
    one = _alone(person, quiet)
    at = f"/calls/{one.task}"
    name = str(uuid.uuid4())
    assert quiet.ask("POST", f"{at}/trainings", one.token, {"id": name})[0] == 200
    shapes = json.loads(quiet.rows("select shapes from calls where id = ?", one.task)[0]["shapes"])
    _, raw = quiet.ask("GET", f"{at}/versions/1/model.safetensors", one.token)
    body = written({key: np.full_like(value, 0.01) for key, value in read(raw, shapes).items()})
    other = written({key: np.full_like(value, 0.02) for key, value in read(raw, shapes).items()})
    put, answers = f"{at}/trainings/{name}?samples=20&steps=3&loss=0.5", []

    def send(what):
        status = 503
        while status == 503:  # no place for one more at this moment
            status, _ = quiet.ask("PUT", put, one.token, what)
        answers.append((status, what == body))

    senders = [threading.Thread(target=send, args=(what,)) for what in [body, other] * 6]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    [row] = _of(one)
    won = row["sha256"] == hashlib.sha256(body).hexdigest()
    assert sorted(answers) == sorted([(200, won)] * 6 + [(409, not won)] * 6)
    assert row["state"] == "waiting" and _bytes_kept(quiet, row) == (body if won else other)


SHIFTED = """
import datetime, time
_time, _ns, _whole = time.time, time.time_ns, datetime.datetime
time.time = lambda: _time() + {0}
time.time_ns = lambda: _ns() + {0} * 10**9
class Shifted(_whole):
    @classmethod
    def now(cls, tz=None):
        return _whole.now(tz) + datetime.timedelta(seconds={0})
    @classmethod
    def utcnow(cls):
        return _whole.utcnow() + datetime.timedelta(seconds={0})
datetime.datetime = Shifted
"""


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_an_hour_off_makes_no_difference(person, quiet, hours, tmp_path):
    one = _alone(person, quiet)
    (tmp_path / "sitecustomize.py").write_text(SHIFTED.format(3600 * hours))
    one.env["PYTHONPATH"] = str(tmp_path)
    status, said = one.train()
    assert status == 0, said
    [row] = _each_once(one)
    off = (np.datetime64(one.sent()[0]["sent"][:19]) - np.datetime64(row["sent"][:19])).astype(int)
    assert abs(off - 3600 * hours) < 1200, "the clock was not off"
    assert row["state"] == "waiting"


def test_two_at_once_with_one_token_are_one_participant(person, board):
    """The demo's tasks take one update of a version."""
    one = person("one")
    data = DATA[DIGITS](one.home.parent / "data", 0)
    one.join(board.number(DIGITS), *data)
    two = person("two", token=one.token)
    two.email = one.email
    two.join(one.task, *data)
    begun = [who.start("train", "--yes", "--anyway") for who in (one, two)]
    said = [process.communicate(timeout=120)[0] for process in begun]
    assert sorted(process.returncode for process in begun) == [0, 1], said
    [loser] = [text for process, text in zip(begun, said, strict=True) if process.returncode]
    assert "wait for the next version" in loser and "Traceback" not in loser
    [row] = _of(one)
    assert row["state"] == "waiting"
    assert len(one.sent()) + len(two.sent()) == 1
    [participation] = board.rows("select count(*) n from participations where call_id = ? and user_id = "
                                 "(select id from users where email = ?)", one.task, one.email)  # fmt: skip
    assert participation["n"] == 1
    one.run("leave")


def test_two_at_once_at_one_home_wait_for_nobody(person, quiet):
    one = _alone(person, quiet)
    begun = [one.start("train", "--yes", "--anyway") for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in begun]
    states = sorted(process.returncode for process in begun)
    assert states in ([0, 0], [0, 1]), said
    if states == [0, 1]:
        assert "another process works on this task" in "".join(said)
    assert len(_each_once(one)) == states.count(0)


def _lineage(site, task):
    """Versions are whole, and follow one from another without a gap; returns them."""
    versions = site.versions(task)
    assert [one["number"] for one in versions] == list(range(1, len(versions) + 1))
    assert [one["parent"] for one in versions] == [None, *range(1, len(versions))]
    [call] = site.rows("select version, shapes from calls where id = ?", task)
    assert call["version"] == len(versions)
    folder = site.instance / "demo-calls" / str(task) / "versions"
    for one in versions:
        raw = (folder / f"{one['number']}.safetensors").read_bytes()
        assert hashlib.sha256(raw).hexdigest() == one["sha256"]
        read(raw, json.loads(call["shapes"]))
    folded = [row["version_after"] for row in site.trainings(task) if row["state"] == "folded"]
    for one in versions[1:]:
        assert folded.count(one["number"]) == one["updates"] == 2
    assert len(folded) == 2 * (len(versions) - 1)
    return versions


def _folds(site, task):
    """Whether a fold of the task is under way, its process at work."""
    found = site.rows(
        "select j.state from calls c join jobs j on j.id = c.folding where c.id = ? and j.state = 'running'",
        task,
    )
    return bool(found)


@contextlib.contextmanager
def _watched(person, site, task):
    """Two people who train whenever there is a version, and what it takes to wait for the next."""
    people = [_joined(person, site, name, "killed") for name in ("one", "two")]
    watching = [one.watch() for one in people]

    def next_version():
        before = len(site.versions(task))
        until(
            lambda: len(site.versions(task)) > before,
            f"version {before + 1}: {[one.said for one in watching]}",
        )

    try:
        yield people, next_version
        assert all(one.is_alive() for one in watching), [one.said for one in watching]
        assert [one.end() for one in watching] == [130, 130], [one.said for one in watching]
    finally:
        for one in watching:
            one.kill()


def _in_a_fold(site, task):
    until(lambda: _folds(site, task), "a fold", each=0.02)


def _ended_well(site, task, people):
    """Nobody trains any more: whoever was interrupted ends it, and all is as if nothing had happened."""
    for one in people:
        if one.kept.pending:
            one.train()
    until(
        lambda: not site.rows("select id from calls where id = ? and folding is not null", task)
        and site.waiting(task) < 2, "the last fold",
    )  # fmt: skip
    _lineage(site, task)
    trainings = site.trainings(task)
    assert {row["state"] for row in trainings} <= FINAL_OR_WAITING, trainings
    assert len({row["uuid"] for row in trainings}) == len(trainings)
    for one in people:
        one.run("status")  # reads what became of them
        there = {row["uuid"]: row for row in _of(one) if row["sha256"]}
        assert {line["id"]: line["state"] for line in one.sent()} == {
            name: row["state"] for name, row in there.items()
        }


PER_VERSION = {"limits": {"examples": 2, "per_version": 1, "trainings": 1000}}


def test_a_site_that_is_killed_in_a_fold_goes_on_and_so_do_its_participants(person, new_site):
    site = new_site()
    task = site.publish("killed", **PER_VERSION)
    with _watched(person, site, task) as (people, next_version):
        _in_a_fold(site, task)
        site.kill()
        site.start()
        next_version()
        next_version()
    _ended_well(site, task, people)


@pytest.mark.long
def test_a_site_that_is_killed_at_any_moment_goes_on(person, new_site):
    site, drawn = new_site(), random.Random(7)
    task = site.publish("killed", **PER_VERSION)
    with _watched(person, site, task) as (people, next_version):
        _in_a_fold(site, task)
        kill(site.supervisors())  # alone; the server begins another
        next_version()
        _in_a_fold(site, task)
        kill(pid for supervisor in site.supervisors() for pid in below(supervisor))  # whoever folds
        next_version()
        for _ in range(6):  # whatever they are at
            time.sleep(drawn.uniform(0, 5))
            site.kill()
            time.sleep(drawn.uniform(0, 1))
            site.start()
            next_version()
        # No beginning of a fold is waited for that another kill does not end: five in a row give it up for a while.
        for _ in range(3):
            _in_a_fold(site, task)
            time.sleep(drawn.uniform(0, 3))
            site.kill()
            site.start()
        next_version()
    _ended_well(site, task, people)
