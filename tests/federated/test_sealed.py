"""Links of which nothing but a sum is opened: exact to the quantisation, blind to single updates, and not stopped by
clients that vanish."""

import itertools
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.here import Here
from utils.conf import ConfError, make_conf
from utils.experiment import run_repeat
from utils.federated.bench import Repeat
from utils.federated.links import UnopenedError
from utils.federated.links._fixed import quantised, summed
from utils.federated.links._shamir import PRIME, recovered, shared, value_at
from utils.federated.update import Answer, Failure, Question, Work
from utils.nets.layout import Layout
from utils.parts import checked_part
from utils.results import values

FIRST = Repeat(0, 0, 0)
RNG = np.random.default_rng(0)


def test_fixed_point_values_add_up_exactly():
    both = [np.array(one) for one in ([0.5, -1], [2, 3], [-0.25, 0.75])]
    whole = sum(quantised(one, 8.0, 2**22, RNG) for one in both)
    assert whole.tolist() == [6881280, 7012352]
    assert summed(whole, 3, 8.0, 2**22).tolist() == [2.25, 2.75]
    many = quantised(np.full(100_000, 1e-7), 8.0, 2**22, np.random.default_rng(1))
    assert abs(summed(many, 1, 8.0, 2**22).mean() - 1e-7) < 5 * 1.6 * 16 / 2**22 / 2 / np.sqrt(100_000)
    assert summed(quantised(np.array([9.0, -9.0]), 8.0, 2**22, RNG), 1, 8.0, 2**22).tolist() == [8, -8]


def test_any_three_shares_give_the_secret_and_two_do_not():
    prime = 2**127 - 1
    shares = {place: value_at([123456789, 1111, 2222], place, prime) for place in (1, 2, 3, 4, 5)}
    assert [shares[place] for place in (1, 2, 3)] == [123460122, 123467899, 123480120]
    for three in itertools.combinations(shares, 3):
        assert recovered({place: shares[place] for place in three}, prime) == 123456789
    secret = int.from_bytes(os.urandom(32), "big")
    drawn = shared(secret, 4, range(1, 8))
    assert max(drawn.values()) < PRIME
    for four in itertools.combinations(drawn, 4):
        assert recovered({place: drawn[place] for place in four}) == secret
    assert recovered({place: drawn[place] for place in (1, 2, 3)}) != secret


def line(size):
    return Layout(("w",), ((size,),), 1)


class Round:
    """One round of secure aggregation over some clients, of whom some vanish at a stage; all that the server sees."""

    def __init__(self, home, updates, sizes, gone=None, **keys):
        pytest.importorskip("cryptography")
        self.part = checked_part("link", {"name": "secure_aggregation", **keys}, "x")
        self.home, self.updates, self.sizes = home, updates, sizes
        self.gone = gone or {}
        self.seen: list[bytes] = []

    def ask(self, name, clients, of):
        for client in clients:
            if client in self.gone.get(name, ()):
                yield Failure(client, "gone")
                continue
            asked = _Asked(client, of(client), str(self.home))
            payload = self.part.module.ANSWERS[name](asked)
            self.seen.append(payload)
            yield Answer(client, payload)

    def play(self):
        size = len(self.updates[0])
        server = self.part.module.Link(self.part.keys, line(size))
        self.server = server
        clients, buffers = server.prepare(list(range(len(self.updates))), self.sizes, self.ask)
        self.payloads, sent = {}, []
        for client in clients:
            if client in self.gone.get("train", ()):
                continue
            link = self.part.module.Link(self.part.keys, line(size))
            link.join(client, str(self.home), buffers)
            payload = link.encode(self.updates[client], self.sizes[client], np.random.default_rng(client))
            self.payloads[client] = payload
            self.seen.append(payload)
            server.fold(payload, client)
            sent.append(client)
        return sent, server.open(sum(self.sizes[client] for client in sent))


class _Asked:
    def __init__(self, client, buffers, home):
        self.buffers = buffers
        self.question = Question("link", "secure_aggregation", "", client, 0)
        self.work = Work("x", None, 0, "", np.zeros(0), {}, home)


def drawn(clients, size=50, seed=3):
    rng = np.random.default_rng(seed)
    updates = [rng.standard_normal(size).astype(np.float32) for _ in range(clients)]
    return updates, rng.integers(5, 50, clients).tolist()


STEP = 16 / 2**22


@pytest.mark.parametrize(
    "gone",
    [{}, {"keys": [1]}, {"shares": [0, 4]}, {"train": [2]}, {"unmask": [3]},
     {"keys": [0], "shares": [1], "train": [2], "unmask": [3]}],
)  # fmt: skip
def test_the_sum_is_exact_whoever_vanishes_at_each_stage(tmp_path, gone):
    updates, sizes = drawn(9)
    played = Round(tmp_path, updates, sizes, gone, threshold=0.51)
    sent, mean = played.play()
    vanished = {client for stage in ("keys", "shares", "train") for client in gone.get(stage, [])}
    assert sent == [client for client in range(9) if client not in vanished]
    expected = np.average(
        [updates[client] for client in sent], axis=0, weights=[sizes[client] for client in sent]
    )
    most = max(
        sizes[client] for client in range(9) if client not in {*gone.get("keys", []), *gone.get("shares", [])}
    )
    within = len(sent) * STEP * most / sum(sizes[client] for client in sent) + 1e-6
    assert np.abs(mean - expected).max() < within
    assert not list(Path(tmp_path).rglob("secure_aggregation.*")) or gone  # secrets serve once


def test_the_example_of_three_clients_is_exact(tmp_path):
    updates = [np.array(one, np.float32) for one in ([0.5, -1], [2, 3], [-0.25, 0.75])]
    _, mean = Round(tmp_path, updates, [10, 10, 10]).play()
    assert np.allclose(mean * 3, [2.25, 2.75], atol=1e-6)


@pytest.mark.parametrize("stage", ["keys", "shares", "train", "unmask"])
def test_too_few_are_left_and_nothing_is_opened(tmp_path, stage):
    updates, sizes = drawn(6)
    with pytest.raises(UnopenedError, match="not opened: 3 clients were left, 4 are needed"):
        Round(tmp_path, updates, sizes, {stage: [1, 3, 5]}, threshold=0.6).play()


def test_the_server_sees_no_single_update(tmp_path):
    """All that it saw, read: masked values are uniform, have nothing to do with the update, and no subset of them
    but the whole cohort is anything but noise."""
    size = 4000
    updates, sizes = drawn(5, size)
    played = Round(tmp_path, updates, sizes)
    sent, _ = played.play()
    whole = {
        client: quantised(updates[client] * np.float32(sizes[client] / max(sizes)), 8.0, 2**22, RNG)
        for client in sent
    }
    for client in sent:
        masked = np.frombuffer(played.payloads[client], "<u4").astype(np.float64) / 2**32
        counts = np.histogram(masked, 16, (0, 1))[0]
        assert ((counts - size / 16) ** 2 / (size / 16)).sum() < 50  # chi-squared, 15 degrees: p < 1e-5
        assert abs(np.corrcoef(masked, whole[client])[0, 1]) < 0.08
    for some in itertools.chain(*(itertools.combinations(sent, n) for n in range(2, 5))):
        added = sum(np.frombuffer(played.payloads[client], "<u4") for client in some).astype(np.uint32)
        truth = sum(whole[client] for client in some)
        assert abs(np.corrcoef(added.astype(np.float64), truth.astype(np.float64))[0, 1]) < 0.08
    everything = b"".join(played.seen)
    for client in sent:
        plain = (whole[client][:3].tobytes(), updates[client][:3].tobytes())
        assert not any(piece in everything for piece in plain)


def test_a_client_opens_its_shares_once(tmp_path):
    updates, sizes = drawn(4)
    played = Round(tmp_path, updates, sizes)
    played.play()
    asked = _Asked(0, played.server._to_unmask(0), str(tmp_path))
    with pytest.raises(ValueError, match="no secret of this round"):
        played.part.module.ANSWERS["unmask"](asked)


def test_answers_that_are_none_are_those_of_clients_that_vanished(tmp_path):
    updates, sizes = drawn(7)
    played = Round(tmp_path, updates, sizes, threshold=0.51)
    honest = played.ask

    def ask(name, clients, of):
        bad = {"keys": 0, "shares": 1, "unmask": 2}[name]
        for answer in honest(name, clients, of):
            yield Answer(bad, answer.payload[:-7]) if answer.client == bad else answer

    played.ask = ask
    sent, mean = played.play()
    assert sent == [2, 3, 4, 5, 6]
    expected = np.average([updates[one] for one in sent], axis=0, weights=[sizes[one] for one in sent])
    assert np.abs(mean - expected).max() < 5 * STEP * max(sizes) / sum(sizes[one] for one in sent) + 1e-6


def test_what_cannot_be_read_is_a_client_that_failed_and_the_run_goes_on(tmp_path):
    pytest.importorskip("tenseal")

    class Spoiling(Here):
        def train(self, work, jobs, buffers):
            for reply in super().train(work, jobs, buffers):
                payload = bytearray(reply.payload)
                payload[len(payload) // 2] ^= 0xFF
                yield (
                    replace(reply, payload=b"" if reply.client == 0 else bytes(payload))
                    if reply.client < 2
                    else reply
                )

    for link in ("ckks", "secure_aggregation"):
        state = run_of(tmp_path, Spoiling(), k=6, link=[link], global_epochs=1)
        assert 0 in [client for _, client, _ in state.record["failures"]]
        assert state.round == 1


class Leaving(Here):
    """An engine from which clients vanish: by round, stage and number."""

    def __init__(self, gone):
        self.gone = gone

    def ask(self, work, questions, buffers):
        for question in questions:
            if question.client in self.gone.get((question.round, question.name), ()):
                yield Failure(question.client, "gone")
            else:
                yield from super().ask(work, [question], buffers)

    def train(self, work, jobs, buffers):
        for job in jobs:
            if job.client in self.gone.get((job.round, "train"), ()):
                yield Failure(job.client, "gone")
            else:
                yield from super().train(work, [job], buffers)


IRIS = {
    "type": "iris", "no_models": 6, "k": 5, "global_epochs": 4, "local_epochs": 2, "batch_size": 8, "lr": 0.05,
    "momentum": 0.0,
}  # fmt: skip


def run_of(tmp_path, engine, **changes):
    conf = make_conf({**IRIS, **changes}, "x")
    examples = conf.task.module.open_examples(conf, tmp_path)
    return run_repeat(conf, FIRST, examples, engine)


@pytest.mark.parametrize(
    ("name", "package", "rounds"),
    [("secure_aggregation", "cryptography", 4), ("ckks", "tenseal", 4), ("paillier", "lightphe", 1)],
)
def test_a_run_equals_the_plain_one_within_the_quantisation_and_itself(tmp_path, name, package, rounds):
    pytest.importorskip(package)
    plain = run_of(tmp_path, Here(), global_epochs=rounds)
    link = {"name": name, **({"together": 60} if name == "paillier" else {})}
    sealed, again = (run_of(tmp_path, Here(), global_epochs=rounds, link=[link]) for _ in range(2))
    assert np.abs(plain.weights - sealed.weights).max() < rounds * 5 * STEP
    assert values(plain.record, "accuracy") == values(sealed.record, "accuracy")
    assert np.array_equal(sealed.weights, again.weights)
    up, down = (values(sealed.record, name)[0] for name in ("bytes_up", "bytes_down"))
    assert up > values(plain.record, "bytes_up")[0] and down > values(plain.record, "bytes_down")[0]


def test_a_run_goes_on_when_a_round_is_not_opened(tmp_path):
    pytest.importorskip("cryptography")
    gone = {(1, "unmask"): {0, 1, 2, 3, 4, 5}, (2, "shares"): {0, 1, 2, 3, 4, 5}, (3, "train"): {0}}
    state = run_of(tmp_path, Leaving(gone), k=6, link=["secure_aggregation"])
    reasons = [(round_, client, why) for round_, client, why in state.record["failures"]]
    assert [one[1] for one in reasons if one[0] == 1] == list(range(6))
    assert {one[2] for one in reasons if one[0] == 1} == {"not opened: 0 clients were left, 5 are needed"}
    assert [one[1] for one in reasons if one[0] == 2] == list(range(6))
    assert (3, 0, "gone") in reasons
    accuracies = values(state.record, "accuracy")
    assert accuracies[0] == accuracies[1] == accuracies[2] and len(accuracies) == 4


def test_ciphertexts_are_read_by_none_but_who_holds_the_key(tmp_path):
    tenseal = pytest.importorskip("tenseal")
    part = checked_part("link", "ckks", "x")
    server, client = (part.module.Link(part.keys, line(5000)) for _ in range(2))
    try:
        _, buffers = server.prepare([0, 1, 2], [10, 10, 10], None)
        client.join(0, "", buffers)
        update = np.random.default_rng(1).standard_normal(5000).astype(np.float32)
        payload = client.encode(update, 10, RNG)
        for number in range(3):
            server.fold(payload, number)
        context = tenseal.context_from(buffers["public"])
        assert context.is_public() and not context.has_secret_key()
        with pytest.raises(ValueError, match="secret"):
            server._total[0].decrypt()
        assert np.abs(server.open(30) - update).max() <= STEP
        with pytest.raises(ValueError, match="cut off"):
            server.fold(payload[:-5], 0)
        server.prepare([0, 1], [10, 10], None)
        server.fold(payload, 0)
        with pytest.raises(UnopenedError, match="1 clients gave to the sum, 3 are needed"):
            server.open(10)
    finally:
        server.close()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"k": 2, "link": ["secure_aggregation"]}, "link: secure_aggregation needs k at least 3, found 2"),
        ({"type": "digits", "link": ["paillier"]}, "link: paillier needs network of at most 10000 weights"),
        ({"k": 2, "link": ["ckks"]}, "link: ckks needs k at least 3, found 2"),
        ({"no_models": 1, "k": 1, "link": ["topk"]}, "link: topk does not go with no_models 1"),
        ({"strategy": "median", "link": ["ckks"]}, "strategy: median does not go with link ckks"),
    ],
)
def test_what_does_not_go_with_a_sum(changes, says):
    with pytest.raises(ConfError, match=says):
        make_conf({**IRIS, **changes}, "x")
