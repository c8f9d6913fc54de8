"""Few labels: whose they are, what is hidden from whom, and what clients make of the rest."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.conftest import TINY
from tests.here import Here, watched
from utils.conf import ConfError, make_conf
from utils.engines.nodes import check
from utils.engines.workers import Workers
from utils.experiment import run_repeat
from utils.federated.bench import Bench, Repeat, share_out
from utils.federated.clock import NO_LABEL, UNSURE
from utils.federated.labels import drawn, known
from utils.federated.local.pseudo_label import Keys, Local, stronger
from utils.nets.build import layout_of
from utils.results import values

FIRST = Repeat(0, 0, 0)
DIGITS = {
    "type": "digits", "no_models": 4, "k": 4, "global_epochs": 4, "local_epochs": 3, "batch_size": 16, "lr": 0.2,
    "momentum": 0.9, "network": "logistic",
}  # fmt: skip
SURE = {"name": "pseudo_label", "keep": 0.3}
WAYS = {
    "clients": {"labels": 0.1, "local": SURE},
    "some": {"labels": 0.25, "labels_at": "some", "min_clients": 0, "local": SURE},
    "server": {"labels": 0.1, "labels_at": "server", "min_clients": 0, "local": SURE},
}


def conf_of(**changes):
    return make_conf({**DIGITS, **changes}, "x")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    conf = conf_of()
    return conf.task.module.open_examples(conf, tmp_path_factory.mktemp("data"))


def told(record, *less):
    return [one for one in record["series"] if "seconds" not in one["name"] and one["name"] not in less]


def test_classes_have_labels_in_proportion_and_somebody_always_has_one():
    targets = np.repeat([0, 1, 2], [50, 30, 20])
    for seed in range(20):
        found = drawn(targets, 0.2, np.random.default_rng(seed))
        assert len(found) == 20 and (np.diff(found) > 0).all()
        assert np.abs(np.bincount(targets[found]) - [10, 6, 4]).max() <= 1
    assert len(drawn(targets[:3], 0.01, np.random.default_rng(0))) == 1


def test_who_has_labels(digits):
    everybody = share_out(conf_of(), FIRST, digits)
    at_clients = share_out(conf_of(**WAYS["clients"]), FIRST, digits)
    for mine, labelled, before in zip(
        at_clients.clients, at_clients.labelled, everybody.clients, strict=True
    ):
        assert np.array_equal(mine, before) and len(labelled) == round(len(mine) / 10)
        assert np.isin(labelled, mine).all()
    of_some = share_out(conf_of(**WAYS["some"]), FIRST, digits)
    assert sorted(map(len, of_some.labelled))[:3] == [0, 0, 0]
    assert sum(map(len, of_some.labelled)) == max(map(len, of_some.labelled)) > 200
    with_server = share_out(conf_of(**WAYS["server"]), FIRST, digits)
    whole = np.concatenate(everybody.clients)
    assert len(with_server.server) == round(len(whole) / 10) and not any(map(len, with_server.labelled))
    assert np.array_equal(np.sort(np.concatenate([*with_server.clients, with_server.server])), np.sort(whole))
    others = share_out(conf_of(**WAYS["clients"]), Repeat(0, 1, 0), digits)
    assert not np.array_equal(others.labelled[0], at_clients.labelled[0])
    supervised = share_out(conf_of(labels=0.1), FIRST, digits)
    for mine, labelled in zip(supervised.clients, at_clients.labelled, strict=True):
        assert np.array_equal(mine, labelled)  # the same labels, and nothing else
    assert supervised.labelled is None


def test_with_all_labels_it_is_plain_sgd_to_the_bit(digits):
    plain, same = (run_repeat(conf_of(**one), FIRST, digits, Here()) for one in ({}, {"local": SURE}))
    assert np.array_equal(plain.weights, same.weights)
    assert told(plain.record) == told(same.record)


class Asked:
    """What a part is asked with."""

    def __init__(self, targets, probabilities):
        self.targets, self._logits = np.array(targets), np.log(np.array(probabilities, np.float32))

    def logits(self, weights):
        return self._logits


class Start:
    sent = np.zeros(3, np.float32)


def test_what_it_is_sure_of_is_kept_and_its_labels_are_taken_as_they_are():
    asked = Asked([-1, 1, -1, -1], [[0.05, 0.95], [0.99, 0.01], [0.06, 0.94], [0.96, 0.04]])
    for keep, expected in (
        (0.945, ([0, 1, 3], [1, 1, 0])),
        (0.97, ([1], [1])),
        (0.0, ([0, 1, 2, 3], [1, 1, 1, 0])),
    ):
        places, taken = Local(Keys(keep=keep), Start()).taught(asked)
        assert (places.tolist(), taken.tolist()) == expected
    nobody = Local(Keys(keep=0.99), Start()).taught(Asked([-1], [[0.5, 0.5]]))
    assert [len(one) for one in nobody] == [0, 0]


class Flipped(Here):
    """The truth of unlabelled examples is another one."""

    def _work(self, work):
        labelled = [work.shares[name] for name in work.shares if name.startswith("labelled/")]
        clients = [work.shares[name] for name in work.shares if name.startswith("client/")]
        unknown = np.setdiff1d(np.concatenate(clients), np.concatenate([*labelled, [-1]]).astype(np.int64))
        targets = work.targets.copy()
        if work.conf.local.name == "pseudo_label":
            targets[unknown] = (targets[unknown] + 1) % 10
        return replace(work, targets=targets)

    def train(self, work, jobs, buffers):
        return super().train(self._work(work), jobs, buffers)

    def ask(self, work, questions, buffers):
        return super().ask(self._work(work), questions, buffers)


@pytest.mark.parametrize("way", WAYS)
def test_no_truth_leaks_from_unlabelled_examples(way, digits):
    conf = conf_of(**WAYS[way])
    first, other = (run_repeat(conf, FIRST, digits, engine) for engine in (Here(), Flipped()))
    assert np.array_equal(first.weights, other.weights)
    measured = ("pseudo_labels_right", "training_loss") if way == "server" else ("pseudo_labels_right",)
    assert told(first.record, *measured) == told(other.record, *measured)
    right = [values(one.record, "pseudo_labels_right")[-1] for one in (first, other)]
    assert right[0] > 0.5 > right[1]


def test_targets_are_hidden_where_a_client_does_not_know_them(digits):
    bench = Bench(conf_of(**WAYS["clients"]), FIRST, digits, Here())
    mine, labelled = bench.shares.clients[1], bench.shares.labelled[1]
    found = known(bench.work, 1)
    assert (found[np.isin(mine, labelled)] == digits.targets[labelled]).all()
    assert (found[~np.isin(mine, labelled)] == -1).all()


def test_the_server_learns_first_and_who_is_unsure_skips(digits):
    """A round in which nobody is sure leaves what the server learnt from its labels alone."""
    shy = {
        **WAYS["server"],
        "local": {"name": "pseudo_label", "keep": 1.0, "server_epochs": 7},
        "global_epochs": 1,
    }
    state = run_repeat(conf_of(**shy), FIRST, digits, Here())
    server = share_out(conf_of(**shy), FIRST, digits).server
    assert [reason for _, _, reason in state.record["failures"]] == [UNSURE] * 4
    assert values(state.record, "pseudo_labels") == values(state.record, "pseudo_labels_right") == [0.0]
    bench = Bench(conf_of(**shy), FIRST, digits, Here())
    begun = bench.start()
    led = bench.led(begun, 0)
    assert np.array_equal(state.weights, led) and not np.array_equal(led, begun)
    from utils.federated import client
    from utils.federated.update import TrainJob, Work

    own = Work("x", conf_of(local_epochs=7), 0, str(digits.store), digits.targets, {"client/4": server})
    reply = client.train(
        TrainJob(0, 4, 0.2, ("weights",), "w"), own, {"weights": begun.tobytes()}, torch.device("cpu")
    )
    assert np.array_equal(np.frombuffer(reply.payload, np.float32), led)


def test_the_server_and_the_owners_agree_on_a_scaling(tmp_path):
    """It comes to the same as where no label is at the server, as they have the same rows together."""
    iris = {
        "type": "iris",
        "no_models": 3,
        "k": 3,
        "global_epochs": 1,
        "local_epochs": 1,
        "batch_size": 8,
        "lr": 0.1,
    }
    iris |= {"momentum": 0.0}
    examples = make_conf(iris, "x").task.module.open_examples(make_conf(iris, "x"), tmp_path)
    found = []
    for way in ({}, {**WAYS["server"], "labels": 0.4}):
        bench = Bench(make_conf({**iris, **way}, "x"), FIRST, examples, Here())
        layout = layout_of(bench.conf)
        found.append(layout.named(bench.start()))
    for name in ("mean", "spread"):
        assert np.allclose(found[0][name], found[1][name], rtol=1e-6) and found[0][name].any()


def test_without_pseudo_labels_who_has_no_label_skips(digits):
    state = run_repeat(conf_of(labels=0.5, labels_at="some", min_clients=0), FIRST, digits, Here())
    assert {reason for _, _, reason in state.record["failures"]} == {NO_LABEL}
    assert len(state.record["failures"]) == 8 and not values(state.record, "pseudo_labels")


@pytest.mark.parametrize("way", WAYS)
def test_a_run_goes_on_to_the_bit_and_is_the_same_on_any_number_of_workers(way, digits):
    conf = conf_of(**WAYS[way])
    whole, seen = watched(conf, FIRST, digits)
    with Workers(2) as engine:
        state = run_repeat(conf, FIRST, digits, engine, seen[1])
    assert np.array_equal(state.weights, whole.weights) and told(state.record) == told(whole.record)
    assert state.record["failures"] == whole.record["failures"]
    assert 0 < values(whole.record, "pseudo_labels")[-1] <= 1


def test_strong_augmentation_of_pictures_and_of_rows():
    rng = np.random.default_rng(0)
    pictures = torch.from_numpy(rng.random((4, 3, 8, 8), np.float32))
    assert torch.allclose(stronger(pictures, 0.0, rng), pictures, atol=1e-6)
    changed = stronger(pictures, 0.5, np.random.default_rng(1))
    assert changed.shape == pictures.shape
    for one in changed:
        _, counts = one[0].unique(return_counts=True)
        assert counts.max() == 16  # a square of half the side has one value
    rows = torch.arange(40.0).reshape(4, 10)
    swapped = stronger(rows, 0.5, rng)
    assert (swapped % 10 == rows % 10).all() and not torch.equal(swapped, rows)  # each in its own column
    assert torch.equal(stronger(rows, 0.0, rng), rows)
    tokens = torch.arange(40).reshape(4, 10)
    assert stronger(tokens, 0.5, rng).dtype == torch.int64


def test_only_what_it_labelled_itself_is_augmented():
    rows = torch.arange(400.0).reshape(4, 100)
    own = np.array([False, True, False, True])
    shown = Local(Keys(strong=0.9), Start()).shown(rows, own, np.random.default_rng(0))
    assert torch.equal(shown[~own], rows[~own]) and not torch.equal(shown[own], rows[own])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"labels": 0}, r"labels: expected a value in \(0.0, 1.0\], found 0"),
        ({"labels_at": "server", "min_clients": 0}, "labels_at: server needs local pseudo_label, found sgd"),
        ({"labels_at": "some"}, "labels_at: some needs min_clients 0, found 1"),
        (
            {**WAYS["server"], "rounds": "selective"},
            "labels_at: server needs rounds synchronous, found selective",
        ),
        (
            {"local": SURE, "selection": "power_of_choice"},
            "local: pseudo_label does not go with selection power",
        ),
        ({"type": "diabetes", "labels": 0.5}, "type: diabetes does not go with labels 0.5"),
        ({"type": "diabetes", "local": SURE}, "local: pseudo_label does not go with type diabetes"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(changes, says):
    with pytest.raises(ConfError, match=says):
        conf_of(**changes)


def test_nodes_keep_their_labels_to_themselves():
    conf = make_conf({**TINY, "labels": 0.5}, "x")
    with pytest.raises(ConfError, match="labels: what this asks for needs"):
        check(conf, "x", ["a", "b", "c"])
    check(make_conf(TINY, "x"), "x", ["a", "b", "c"])
