"""The round loop: what it computes, with how many workers it may, and how it fails."""

from dataclasses import replace

import numpy as np
import pytest

from tests.here import Here, trained, watched
from utils.data.examples import DataError
from utils.engines.workers import Workers
from utils.experiment import plan_repeats, run_repeat
from utils.federated import RunError
from utils.federated.bench import Repeat, scores, share_out
from utils.federated.client import vector
from utils.federated.schedule import round_lr
from utils.federated.selection.uniform import Selection
from utils.federated.update import Failure
from utils.nets.build import build
from utils.nets.layout import read_weights
from utils.results import values

FIRST = Repeat(0, 0, 0)
TIMES = ("seconds", "training_seconds")


class Failing(Here):
    """Clients in `bad` fail in every round."""

    def __init__(self, bad):
        self.bad = bad

    def train(self, work, jobs, buffers):
        for job in jobs:
            bad = job.client in self.bad
            yield Failure(job.client, "no power") if bad else next(super().train(work, [job], buffers))


class Caught(Here):
    """An exception on a client is its failure, as on any engine."""

    def train(self, work, jobs, buffers):
        for job in jobs:
            try:
                yield next(super().train(work, [job], buffers))
            except ValueError as error:
                yield Failure(job.client, str(error))


def _without_times(record):
    clients = [{k: v for k, v in one.items() if k != "seconds"} for one in record["clients"]]
    series = [one for one in record["series"] if one["name"] not in TIMES]
    return {**record, "series": series, "clients": clients}


def test_a_round_is_fedavg_by_number(tiny, photos):
    conf = tiny(global_epochs=1, partition="quantity", **{"lambda": 0.5})
    state = run_repeat(conf, FIRST, photos, Here())
    start = read_weights(build(conf, 0)).astype(np.float64)
    shares = share_out(conf, FIRST, photos)
    total = sum(len(mine) for mine in shares.clients)
    mean = np.zeros_like(start)
    for number, mine in enumerate(shares.clients):
        reply = trained(conf, photos, mine, start.astype(np.float32), number=number)
        mean += len(mine) / total * vector(reply.payload)
    assert np.allclose(state.weights, start + 0.5 * (mean - start), atol=1e-7)


def test_one_client_with_all_photos_is_the_centralized_loop(tiny, photos):
    conf = tiny(no_models=1, k=1, owners=3, holds=[[0, 1, 2]], global_epochs=3)
    state = run_repeat(conf, FIRST, photos, Here())
    train = photos.split(0, "train")
    order = share_out(conf, FIRST, photos).clients[0]
    assert sorted(order) == sorted(train)
    weights = read_weights(build(conf, 0))
    for round_ in range(3):  # plain centralized training: no server, no mean, no update
        weights = vector(trained(conf, photos, order, weights, round=round_).payload)
    assert np.array_equal(state.weights, weights)


def test_the_curve_and_model_are_the_same_on_any_number_of_workers(tiny, photos):
    conf = tiny(no_models=5, k=4, global_epochs=3)
    states = []
    for count in (1, 2, 3):
        with Workers(count) as engine:
            states.append(run_repeat(conf, FIRST, photos, engine))
    for state in states[1:]:
        assert np.array_equal(state.weights, states[0].weights)
        assert _without_times(state.record) == _without_times(states[0].record)


def test_going_on_from_any_round_gives_the_same_end(tiny, photos):
    conf = tiny(global_epochs=3)
    whole, seen = watched(conf, FIRST, photos)
    resumed = run_repeat(conf, FIRST, photos, Here(), state=seen[0])
    assert np.array_equal(resumed.weights, whole.weights)
    assert _without_times(resumed.record) == _without_times(whole.record)


def test_whole_test_sets_are_judged_once_and_never_trained_on(tiny, photos):
    conf = tiny(global_epochs=1)
    judged = []
    for repeat in plan_repeats(conf, folds=5, seeds=1):
        shares = share_out(conf, repeat, photos)
        held = np.concatenate(shares.clients)
        assert not set(held) & (set(shares.test) | set(shares.val)) and not set(shares.test) & set(shares.val)
        assert len(held) == len(set(held)) == len(photos.targets) - len(shares.test) - len(shares.val)
        judged.extend(shares.test)
    assert sorted(judged) == list(range(len(photos.targets)))
    record = run_repeat(conf, FIRST, photos, Here()).record
    test = record["test"]
    assert len(test["id"]) == len(share_out(conf, FIRST, photos).test)
    right = np.mean([said == truth for said, truth in zip(test["said"], test["truth"], strict=True)])
    assert values(record, "accuracy")[-1] == pytest.approx(right)
    assert sum(map(sum, record["confusion"])) == len(test["id"])
    assert record["confusion"][0][0] + record["confusion"][1][1] == pytest.approx(right * len(test["id"]))


def test_bytes_are_those_of_weights_or_of_collected_photos(tiny, photos):
    size = 4 * len(read_weights(build(tiny(), 0)))
    federated = run_repeat(tiny(no_models=4, k=2, global_epochs=2), FIRST, photos, Here()).record
    assert values(federated, "bytes_up") == values(federated, "bytes_down") == [2 * size] * 2
    centre = tiny(no_models=1, k=1, owners=3, holds=[[0, 2]], global_epochs=2)
    collected = photos.sizes[share_out(centre, FIRST, photos).clients[0]].sum()
    assert values(run_repeat(centre, FIRST, photos, Here()).record, "bytes_up") == [collected, 0]
    alone = tiny(no_models=1, k=1, owners=3, holds=[[1]], global_epochs=2)
    assert values(run_repeat(alone, FIRST, photos, Here()).record, "bytes_up") == [0, 0]


def test_a_failed_client_is_recorded_and_the_round_goes_on(tiny, photos):
    state = run_repeat(tiny(global_epochs=2), FIRST, photos, Failing({1}))
    assert state.record["failures"] == [[0, 1, "no power"], [1, 1, "no power"]]
    assert [one["failures"] for one in state.record["clients"]] == [0, 2, 0]
    assert [one["rounds"] for one in state.record["clients"]] == [2, 0, 2]


def test_a_round_with_too_few_updates_fails_the_run_with_one_line(tiny, photos):
    with pytest.raises(RunError, match=r"round 1 has 1 updates, min_clients is 2; last failure: no power"):
        run_repeat(tiny(min_clients=2), FIRST, photos, Failing({0, 2}))


def test_early_stop_waits_for_validation_and_ends(tiny, photos):
    conf = tiny(early_stop=1, lr=1e-9, global_epochs=50, augment="none", momentum=0.0)
    state = run_repeat(conf, FIRST, photos, Here())
    losses = values(state.record, "validation_loss")
    assert state.round < 50 and losses[-1] >= min(losses[:-1]) and "test" in state.record


def test_cohorts_are_drawn_evenly_and_follow_the_seed(tiny):
    rule = Selection(tiny(no_models=10, k=3), [5] * 10)

    def drawn(seed):
        return [rule.select(np.random.default_rng([seed, round_]), 3, None) for round_ in range(300)]

    cohorts = drawn(0)
    assert all(len(set(cohort)) == 3 and cohort == sorted(cohort) for cohort in cohorts)
    counts = np.bincount(np.concatenate(cohorts), minlength=10)
    assert counts.min() > 60 and counts.max() < 120
    assert cohorts == drawn(0) != drawn(1)


def test_schedules(tiny):
    constant, cosine = tiny(global_epochs=10), tiny(global_epochs=10, schedule="cosine")
    assert {round_lr(constant, r) for r in range(10)} == {0.02}
    rates = [round_lr(cosine, r) for r in range(10)]
    assert rates[0] == 0.02 and rates[5] == pytest.approx(0.01) and 0 < rates[9] < 0.001
    warm = [round_lr(tiny(global_epochs=13, schedule="cosine", warmup=3), r) for r in range(13)]
    assert warm[:3] == pytest.approx([0.005, 0.01, 0.015]) and warm[3:] == rates


def test_scores_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
    found = scores(probabilities, np.array([0, 0, 0, 1]))
    assert found["accuracy"] == 0.5 and found["balanced_accuracy"] == pytest.approx((1 / 3 + 1) / 2)
    assert found["loss"] == pytest.approx(-np.log([0.9, 0.4, 0.2, 0.7]).mean())


def test_more_owners_than_photos_is_one_line(tiny, photos):
    with pytest.raises(ValueError, match="cannot fall to 500 owners"):
        share_out(tiny(no_models=500, k=3), FIRST, photos)


def test_a_fold_without_test_photos_is_one_line(tiny, photos):
    none_left = replace(photos, decks=np.full_like(photos.decks, 9))
    with pytest.raises(DataError, match="fold 0 has no test examples"):
        share_out(tiny(), FIRST, none_left)


def test_what_is_doubtful_is_judged_and_never_trained_on(tiny, photos):
    whole = share_out(tiny(), FIRST, photos)
    taught = photos.taught.copy()
    doubtful = [whole.owners[1][2], whole.test[0], whole.val[0]]
    taught[doubtful] = False
    shares = share_out(tiny(), FIRST, replace(photos, taught=taught))
    assert set(np.concatenate(whole.owners)) - set(np.concatenate(shares.owners)) == {doubtful[0]}
    assert np.array_equal(shares.owners[0], whole.owners[0])
    assert np.array_equal(shares.test, whole.test) and np.array_equal(shares.val, whole.val)


def test_the_owner_of_an_unreadable_photo_goes_on_without_it_and_the_others_keep_theirs(tiny, photos):
    whole = share_out(tiny(), FIRST, photos)
    lost = whole.owners[1][2]
    readable = photos.usable.copy()
    readable[[lost, whole.test[0], whole.val[0]]] = False
    shares = share_out(tiny(), FIRST, replace(photos, usable=readable))
    assert np.array_equal(shares.owners[0], whole.owners[0]) and np.array_equal(
        shares.owners[2], whole.owners[2]
    )
    assert set(shares.owners[1]) == set(whole.owners[1]) - {lost}
    assert np.array_equal(shares.test, whole.test[1:]) and np.array_equal(shares.val, whole.val[1:])
    nothing = photos.usable.copy()
    nothing[whole.owners[1]] = False
    state = run_repeat(tiny(global_epochs=1), FIRST, replace(photos, usable=nothing), Caught())
    assert state.record["failures"] == [[0, 1, "it has no example to train on"]]
    assert state.record["clients"][1]["accuracy"] is None
