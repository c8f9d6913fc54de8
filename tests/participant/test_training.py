"""One training: what is sent, what is asked before, and what stops it; and one for each version."""

import hashlib
import json
import multiprocessing

import numpy as np
import pytest

from tests.participant.fake_board import TOKEN, FakeBoard
from utils.calls.home import Home
from utils.federated import privacy
from utils.participant import ledger, machine
from utils.participant.kept import Kept


def _send_of(board):
    ((_, (body, about)),) = board.bodies.items()
    return body, about


def test_a_training_sends_what_the_ledger_shows_and_nothing_else(run, board, joined):
    status, out, errors = run("train", "--yes")
    assert (status, errors) == (0, "")
    body, about = _send_of(board)
    (one,) = Kept(joined).ledger.sent()
    assert one["sha256"] == hashlib.sha256(body).hexdigest() and one["bytes"] == len(body)
    assert about == {"samples": 40, "steps": 10, "loss": pytest.approx(one["loss"])}
    assert (one["samples"], one["version"], one["task"], one["site"]) == (40, 1, 3, board.site)
    exact = np.concatenate([part.ravel() for part in board.update(one["id"]).values()])
    assert one["norm"] == pytest.approx(float(np.linalg.norm(exact)), rel=1e-5)
    assert one["state"] == "waiting"
    assert f"{len(body):,} bytes" in out and "40 examples" in out
    written = [path for method, path in board.asked if method not in ("GET", "DELETE")]
    assert [path.rpartition("/calls/3")[2].split("/")[1] for path in written] == [
        "join",
        "trainings",
        "trainings",
    ]


def test_no_example_is_in_what_is_sent(run, board, joined):
    run("train", "--yes")
    body, _ = _send_of(board)
    assert len(body) < 8 + 1000 + 4 * board.layout.size
    inputs = np.load(next(joined.glob("data-*/inputs.npy")))
    assert inputs.shape == (40, 2) and inputs.astype(np.float32)[0].tobytes() not in body


def test_the_ledger_is_written_before_anything_is_sent(run, board, joined):
    seen = []

    def look(method, path):
        if method == "PUT":
            seen.append([one["id"] for one in Kept(joined).ledger.sent()])

    board.then = look
    run("train", "--yes")
    assert seen == [list(board.bodies)]


def test_asked_and_not_allowed_nothing_is_sent(run, board, joined):
    status, out, _ = run("train", says=["n"])
    assert status == 0 and "Send this? [y/N]" in out and "not sent, and deleted" in out
    assert not board.bodies and [one["state"] for one in board.trainings.values()] == ["withdrawn"]
    assert Kept(joined).pending is None and Kept(joined).ledger.sent() == []
    assert run("train", says=["y"])[0] == 0 and len(board.bodies) == 1


def test_without_anybody_to_ask_nothing_begins(run, board, joined):
    status, _, errors = run("train")
    assert status == 2 and "--yes" in errors and not board.trainings


def test_clip_and_noise_are_what_the_link_does_and_epsilon_adds_up(run, board, joined):
    pytest.importorskip("dp_accounting")
    for expected in (1, 2):
        status, out, errors = run("train", "--yes", "--clip", "0.5", "--noise", "4")
        assert (status, errors) == (0, "")
        epsilon = privacy.epsilon("rdp", 2.0, 1.0, expected, ledger.DELTA)
        assert f"epsilon {epsilon:.4g} of {expected} training" in out
        assert "replace one update" in out and "delta 1e-05" in out
        board.publish()
    about = [about for _, about in board.bodies.values()]
    assert [(one["clip"], one["noise"]) for one in about] == [(0.5, 4.0)] * 2
    noises = [
        np.concatenate([part.ravel() for part in board.update(id).values()]) for id in board.bodies
    ]  # all but noise
    assert abs(np.concatenate(noises)).max() > 1 and not np.array_equal(*noises)


def test_clipped_updates_are_no_longer_than_that(run, board, joined):
    run("train", "--yes", "--clip", "0.01")
    (one,) = Kept(joined).ledger.sent()
    assert one["norm"] == pytest.approx(0.01, rel=1e-4)


def test_epsilon_of_different_noises_is_that_of_their_composition():
    dp = pytest.importorskip("dp_accounting")
    from dp_accounting.rdp import RdpAccountant

    events = [dp.GaussianDpEvent(noise / 2) for noise in (3.0, 5.0, 8.0)]
    accountant = RdpAccountant()
    for event in events:
        accountant.compose(event)
    found, says = ledger.spent([(1.0, 3.0), (0.1, 5.0), (2.0, 8.0)])
    assert found == pytest.approx(accountant.get_epsilon(1e-5), rel=1e-6)
    assert "3 trainings" in says and "replace one update" in says


def test_one_training_without_noise_leaves_no_bound():
    found, says = ledger.spent([(1.0, 3.0), (1.0, 0.0), (0.0, 0.0)])
    assert found is None and "2 of 3 trainings without noise" in says


def test_without_dp_accounting_it_says_so_and_trains(run, board, joined, monkeypatch):
    monkeypatch.setattr(ledger, "find_spec", lambda name: None)
    status, out, _ = run("train", "--yes", "--clip", "1", "--noise", "1")
    assert status == 0 and len(board.bodies) == 1
    assert "dp-accounting, which adds it up, is not installed; python3 -m pip install" in out
    assert Kept(joined).ledger.sent()[0]["epsilon"] is None


@pytest.mark.parametrize(
    "arguments", [["--noise", "1"], ["--clip", "0"], ["--clip", "x"], ["--clip", "1", "--noise", "-1"]]
)
def test_clip_and_noise_that_make_no_sense_are_refused(run, joined, arguments):
    status, _, errors = run("train", "--yes", *arguments)
    assert status == 2 and "Traceback" not in errors


def test_the_seed_of_the_noise_cannot_be_tried_out(run, joined, monkeypatch):
    seeds, whole = [], Home.train

    def train(self, weights, seed, *rest):
        seeds.append(seed)
        return whole(self, weights, seed, *rest)

    monkeypatch.setattr(Home, "train", train)
    run("train", "--yes")
    run("train", "--yes")
    assert len(set(seeds)) == 2 and max(seeds).bit_length() > 100


def test_a_norm_that_would_be_refused_is_not_sent(run, table, home):
    board = FakeBoard(limits={"norm": 0.001, "examples": 4})
    run("join", board.url, "--token", TOKEN, "--accept", "2", "--table", table)
    status, _, errors = run("train", "--yes")
    assert status == 1 and "at most 0.001; --clip 0.001 makes it fit" in errors and not board.bodies
    assert run("train", "--yes", "--clip", "0.0009")[0] == 0 and len(board.bodies) == 1
    board.close()


def test_a_refused_update_is_told_with_its_reason(run, board, joined):
    board.call = FakeBoard(limits={"norm": 1e-6}).call  # by now
    status, out, _ = run("train", "--yes")
    assert status == 1 and "refused (norm too large)" in out
    (one,) = Kept(joined).ledger.sent()
    assert (one["state"], one["reason"]) == ("refused", "norm too large")


def test_a_diverging_training_is_one_line(run, board, joined, monkeypatch):
    def diverge(*_):
        raise FloatingPointError("training loss is not finite at learning rate 0.1")

    monkeypatch.setattr(Home, "train", diverge)
    status, _, errors = run("train", "--yes")
    assert status == 1 and errors.count("\n") == 1 and "not finite" in errors
    assert [one["state"] for one in board.trainings.values()] == ["withdrawn"]


@pytest.mark.parametrize("spoilt", ["short", "nan", "wrong names", "long"])
def test_a_model_that_is_none_is_not_trained_on(run, board, joined, spoilt):
    from utils.calls.weights import written

    right = board.layout.named(np.zeros(board.layout.size, np.float32))
    board.weights[1] = {
        "short": board.weights[1][:-4],
        "nan": written({name: part * np.nan for name, part in right.items()}),
        "wrong names": written({f"x{name}": part for name, part in right.items()}),
        "long": bytes(300_000),
    }[spoilt]
    status, _, errors = run("train", "--yes")
    assert status == 1 and errors.count("\n") == 1 and "cannot be used" in errors and not board.bodies


def test_changed_consent_is_not_trained_under_until_accepted_again(run, board, joined, table):
    board.consent = 3
    status, _, errors = run("train", "--yes")
    assert (
        status == 1 and "version 3 by now, version 2 was accepted" in errors and f"join {board.url}" in errors
    )
    assert not board.trainings
    assert run("join", board.url, "--accept", "2")[0] == 2
    status, out, _ = run("join", board.url, "--accept", "3")
    assert status == 0 and "40 examples" in out
    assert run("train", "--yes")[0] == 0 and len(board.bodies) == 1


def test_an_update_trained_under_another_consent_is_not_sent(run, board, joined):
    board.failures = [("PUT", "", "cut")] * 4
    assert run("train", "--yes")[0] == 1 and Kept(joined).pending.trained
    board.consent = 3
    assert run("train", "--yes")[0] == 1 and not board.bodies


def test_another_network_than_was_accepted_is_not_trained(run, board, joined):
    board.described = {**board.described, "training": {**board.described["training"], "local_epochs": 99}}
    status, _, errors = run("train", "--yes")
    assert status == 1 and "training is another than was accepted" in errors and not board.trainings


@pytest.mark.parametrize(
    ("why", "says"),
    [("paused", "ask again in 300 s"), ("over the limit", "over the limit"), ("too busy", "10 s")],
)
def test_not_now_is_one_line_with_its_reason(run, board, joined, why, says):
    board.away = why
    status, _, errors = run("train", "--yes")
    assert status == 1 and errors.count("\n") == 1 and says in errors and Kept(joined).pending is None


def test_a_weak_machine_declines_and_says_what_it_lacks(run, board, joined, monkeypatch):
    low = machine.Found("battery", "12 %, draining", "at least 40 % where it drains", False)
    monkeypatch.setattr(machine, "_battery", lambda _: low)
    status, _, errors = run("train", "--yes")
    assert status == 1 and "battery (12 %, draining, at least 40 %" in errors and not board.trainings
    assert run("train", "--yes", "--anyway")[0] == 0 and len(board.bodies) == 1


def test_too_few_examples_begin_nothing(run, board, joined):
    board.described = {**board.described, "limits": {**board.described["limits"], "examples": 41}}
    status, _, errors = run("train", "--yes")
    assert status == 1 and "updates of 41 or more" in errors and not board.trainings


def test_paused_here_nothing_is_trained_until_resume(run, board, joined):
    assert run("pause")[0] == 0
    status, _, errors = run("train", "--yes")
    assert status == 1 and "resume" in errors and not board.trainings
    assert run("resume")[0] == 0 and run("train", "--yes")[0] == 0


def test_watch_trains_each_version_once_and_ends_with_the_task(run, board, joined, waits):
    polls = []

    def then(method, path):
        if (method, path) == ("GET", "/api/v1/calls/3"):
            polls.append(board.version)
            if len(polls) in (4, 7):
                board.publish()
            if len(polls) == 10:
                board.state = "finished"

    board.then = then
    status, out, _ = run("train", "--watch")
    assert status == 0 and "finished" in out
    assert [board.trainings[id]["version"] for id in board.bodies] == [1, 2, 3]
    assert sum(waits) >= 5 * (len(polls) - 1)  # never busy


def test_watch_waits_as_long_as_it_is_asked_and_survives_a_site_that_fails(run, board, joined, waits):
    busy = (503, {"Retry-After": "700"}, {})
    board.failures = [("GET", "/calls/3", busy), ("GET", "/calls/3", "cut"), ("POST", "/trainings", (409, {}, {
        "error": {"code": 409, "message": "later", "detail": ""}, "why": "too busy", "retry_after": 123,
    }))]  # fmt: skip

    def then(method, path):
        if method == "PUT":
            board.state = "cancelled"

    board.then = then
    status, _, _ = run("train", "--watch")
    assert status == 0 and len(board.bodies) == 1
    assert sum(waits) > 700 + 123


def test_watch_is_never_busy_however_little_it_is_asked_to_wait(run, board, joined, waits):
    hasty = (409, {}, {"error": {"code": 409, "message": "later"}, "why": "too busy", "retry_after": 0.001})
    board.failures = [("POST", "/trainings", hasty)] * 3

    def then(method, path):
        if method == "PUT":
            board.state = "finished"

    board.then = then
    assert run("train", "--watch")[0] == 0 and len(board.bodies) == 1
    assert sum(waits) >= 4 * 5


def test_watch_stops_for_pause_and_ends_when_the_task_is_left(run, board, joined, monkeypatch):
    from utils.participant import waiting

    kept, steps = Kept(joined), []

    def sleep(_):
        steps.append(len(board.bodies))
        if len(steps) == 1:
            kept.mark(paused=True)
            board.publish()
        if len(steps) == 30:
            assert len(board.bodies) == 1
            kept.mark(paused=False)
        if len(board.bodies) == 2:
            kept.mark(left=True)

    monkeypatch.setattr(waiting, "_sleep", sleep)
    status, out, _ = run("train", "--watch")
    assert status == 0 and len(board.bodies) == 2 and "paused here" in out and "you have left" in out


def test_a_second_process_says_so(run, board, joined):
    queue = multiprocessing.get_context("spawn").Queue()
    end = multiprocessing.get_context("spawn").Event()
    other = multiprocessing.get_context("spawn").Process(target=_hold, args=(joined, queue, end))
    other.start()
    assert queue.get(timeout=30)
    status, _, errors = run("train", "--yes")
    end.set()
    other.join(30)
    assert status == 1 and "another process" in errors
    assert run("train", "--yes")[0] == 0


def _hold(folder, queue, end):
    with Kept(folder).locked():
        queue.put(True)
        end.wait(60)


def test_what_became_of_an_update_is_noted_later(run, board, joined):
    run("train", "--yes")
    (id,) = board.bodies
    board.trainings[id].update(state="folded", version_after=2)
    board.publish()
    status, out, _ = run("status")
    assert status == 0 and "1 folded" in out and "version 2, 1 of 4 updates wait" in out
    status, out, _ = run("ledger", "--json")
    told = json.loads(out)
    assert [one["event"] for one in told] == ["accepted", "training"]
    assert (told[1]["state"], told[1]["version_after"], told[1]["id"]) == ("folded", 2, id)


def test_a_token_that_may_not_read_trains_all_the_same(run, board, joined):
    denied = ("GET", "/trainings", (403, {}, {}))
    assert run("train", "--yes")[0] == 0
    board.failures = [denied]
    assert run("train", "--yes")[0] == 0 and len(board.bodies) == 2 and not board.failures
    board.failures = [denied]
    assert "may not read" in run("status")[1]
