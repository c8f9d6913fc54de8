"""What travels comes out as it went in, whatever it is; what is none of it is refused in one line."""

import json
import socket
import struct
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.conf import make_conf
from utils.engines import wire
from utils.engines.flower_app.skyfed_flower import frames
from utils.federated.update import Answer, Failure, Question, Reply, TrainJob, Work

CONF = make_conf(
    {
        "type": "digits", "network": "logistic", "no_models": 5, "k": 5, "global_epochs": 1, "local_epochs": 1,
        "batch_size": 16, "lr": 0.1, "momentum": 0.9,
    },
    "test",
)  # fmt: skip
WORK = Work("run", CONF, 3, "", None, {}, fold=2)
NAMES = st.text(max_size=20)
JOBS = st.builds(
    TrainJob, st.integers(0, 10**6), st.integers(0, 4), st.floats(0, 10), st.just(("weights", "told")), NAMES,
    st.floats(0, 100), st.integers(-1, 1000),
)  # fmt: skip
QUESTIONS = st.builds(
    Question, NAMES, NAMES, NAMES, st.integers(0, 4), st.integers(0, 1000), st.just(("weights",))
)
METRICS = st.dictionaries(st.text(max_size=20), st.floats(allow_nan=False, allow_infinity=False), max_size=9)


def _there(head):
    return json.loads(json.dumps(head, allow_nan=False))


@given(st.one_of(JOBS, QUESTIONS), st.binary(max_size=100), st.floats(0.1, 1e6))
def test_what_is_asked_arrives_as_it_was(job, content, within):
    buffers = dict.fromkeys(job.reads, content)
    order = wire.order_of(_there(wire.asked(WORK, job, "m", within, "a run", "why")), buffers)
    assert (order.job, order.conf, order.seed, order.fold) == (job, CONF, 3, 2)
    assert (order.message, order.run, order.within) == ("m", wire.run_of(WORK), within)
    assert (order.name, order.refused) == ("a run", "why")
    assert dict(order.buffers) == buffers


@given(JOBS, st.binary(max_size=100), st.integers(1, 10**9), METRICS)
def test_what_is_said_arrives_as_it_was(job, content, samples, metrics):
    asked = wire.asked(WORK, job, "m", 1.0)
    reply = Reply(job.client, content, samples, {**metrics, "steps": 2.0, "seconds": 0.5})
    head, buffers = wire.said(asked, reply)
    assert wire.outcome_of(_there(head), buffers, "m", wire.run_of(WORK), job) == reply


@given(QUESTIONS, st.binary(max_size=100))
def test_an_answer_arrives_as_it_was(question, content):
    head, buffers = wire.said(wire.asked(WORK, question, "m", 1.0), Answer(question.client, content))
    assert wire.outcome_of(_there(head), buffers, "m", wire.run_of(WORK), question) == Answer(
        question.client, content
    )


@given(
    st.lists(st.lists(st.integers(0, 1000), min_size=2, max_size=2), min_size=1, max_size=10), st.booleans()
)
def test_a_description_arrives_as_it_was(decks, told):
    one = wire.Described(
        tuple(tuple(deck) if told else (sum(deck),) for deck in decks), told, "f" * 64, "2.13.0"
    )
    head, _ = wire.said(wire.described(CONF, "m", 1.0), one)
    assert wire.outcome_of(_there(head), {}, "m", "", None) == one


@given(NAMES.filter(str.strip))
def test_a_failure_is_one_line(text):
    head, _ = wire.said({"message": "m", "run": "r"}, Failure(-1, text))
    outcome = wire.outcome_of(_there(head), {}, "m", "r", Question("a", "b", "c", 2, 0))
    assert outcome.client == 2 and outcome.reason and outcome.reason.isprintable()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=200)
@given(st.data())
def test_whatever_else_comes_is_refused_and_nothing_else_is_raised(data):
    job = data.draw(JOBS)
    head = _there(wire.asked(WORK, job, "m", 1.0))
    name = data.draw(st.sampled_from(sorted(head)))
    head[name] = data.draw(JSON)
    said, buffers = wire.said(head, Reply(job.client, b"1234", 1, {"steps": 1.0, "seconds": 1.0}))
    answer = {**_there(said), data.draw(st.sampled_from(sorted(said))): data.draw(JSON)}
    for read in (
        lambda: wire.order_of(head, dict.fromkeys(job.reads, b"")),
        lambda: wire.order_of(data.draw(JSON), {}),
        lambda: wire.outcome_of(answer, buffers, "m", wire.run_of(WORK), job),
        lambda: wire.outcome_of(data.draw(JSON), {}, "m", "r", None),
    ):
        try:
            read()
        except wire.WireError as error:
            assert "\n" not in str(error)


def _both(act, other):
    left, right = socket.socketpair()
    for one in (left, right):
        one.settimeout(5)
    thread = threading.Thread(target=other, args=(right,))
    thread.start()
    try:
        return act(left)
    finally:
        left.close()
        thread.join()
        right.close()


HEADS = st.dictionaries(st.text(max_size=9).filter(lambda name: name != "buffers"), JSON, max_size=4)


@settings(max_examples=50, deadline=None)
@given(HEADS, st.dictionaries(st.text(max_size=20), st.binary(max_size=300_000), max_size=5))
def test_a_frame_comes_out_as_it_went_in(head, buffers):
    found = _both(frames.receive, lambda peer: frames.send(peer, head, buffers))
    assert found == (head, buffers)


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HT", b"SKY1\xff\xff\xff\xff", b"SKY1\x02\0\0\0[]", b"SKY1\x02\0\0\0{}", b"SKY1\x09\0\0\0{",
        b'SKY1\x19\0\0\0{"buffers":[["a",1e300]]}', b'SKY1\x14\0\0\0{"buffers":[["a",5]]}123'[:-1], b"SKY1",
    ],
)  # fmt: skip
def test_what_is_no_frame_is_refused(raw):
    def other(peer):
        peer.sendall(raw)
        peer.shutdown(socket.SHUT_WR)

    with pytest.raises(frames.FrameError):
        _both(frames.receive, other)


@pytest.mark.parametrize(
    "listed",
    [
        [["a", 1], ["a", 1]], [["a", -1]], [["a", 2**40]], [[1, 1]], [["a"]], "a", [["a" * 200, 1]], [["a", True]],
    ],
)  # fmt: skip
def test_buffers_that_cannot_be_are_refused(listed):
    text = json.dumps({"buffers": listed}).encode()
    with pytest.raises(frames.FrameError):
        _both(
            frames.receive, lambda peer: peer.sendall(b"SKY1" + struct.pack("<I", len(text)) + text + b"12")
        )


def test_only_who_has_the_key_is_let_in_and_the_key_does_not_travel():
    def caller(peer):
        frames.greet(peer, b"k" * 32, called=False)

    _both(lambda peer: frames.greet(peer, b"k" * 32, called=True), caller)
    seen = []

    def with_another(peer):
        seen.append(peer.recv(32))
        peer.sendall(b"x" * 32)
        seen.append(peer.recv(32))
        peer.sendall(b"y" * 32)

    with pytest.raises(frames.FrameError, match="does not have the key"):
        _both(lambda peer: frames.greet(peer, b"k" * 32, called=True), with_another)
    assert all(b"k" * 8 not in one for one in seen)

    def echoes(peer):  # what was sent, sent back, proves nothing
        for _ in range(2):
            peer.sendall(peer.recv(32))

    with pytest.raises(frames.FrameError, match="does not have the key"):
        _both(lambda peer: frames.greet(peer, b"k" * 32, called=True), echoes)
