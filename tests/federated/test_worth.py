"""What updates are worth: games whose values are known, and runs with clients that are at fault."""

from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import TINY
from tests.here import Here, watched
from utils.conf import ConfError, make_conf
from utils.engines.nodes import check
from utils.engines.workers import Workers
from utils.experiment import run_repeat
from utils.federated.bench import Repeat, share_out
from utils.federated.update import Update
from utils.federated.valued import FREE_RIDER, NO_FLAG, Valued
from utils.federated.worth import ROUND_SKIP, Groups, flags, gtg, leave_one_out, shapley
from utils.packing import WORTH, table_of
from utils.results import ResultError, check_result, read_result, result_path, values
from utils.runs import carry_out, prepare

FIRST = Repeat(0, 0, 0)
DIGITS = {
    "type": "digits", "no_models": 8, "k": 8, "global_epochs": 3, "local_epochs": 1, "batch_size": 16, "lr": 0.1,
    "momentum": 0.9, "network": "logistic", "worth": 60,
}  # fmt: skip


def conf_of(**changes):
    return make_conf({**DIGITS, **changes}, "x")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    conf = conf_of()
    return conf.task.module.open_examples(conf, tmp_path_factory.mktemp("data"))


def table(record):
    return table_of(record["worth"], WORTH)


def told(record):
    return [one for one in record["series"] if "seconds" not in one["name"]]


def duplicates(group):
    """Players 0 and 1 are duplicates, 2 is a null."""
    return 0.8 if group & {0, 1} else 0.5


def never():
    return False


def test_shapley_shares_between_duplicates_and_leave_one_out_misses_both():
    np.testing.assert_allclose(
        shapley(3, duplicates, np.random.default_rng(0), never).values, [0.15, 0.15, 0]
    )
    np.testing.assert_allclose(leave_one_out(3, duplicates), [0, 0, 0])


def test_gtg_comes_to_the_same_within_its_errors():
    found = gtg(3, duplicates, np.random.default_rng(1), never)
    assert found.settled and found.permutations >= 30
    np.testing.assert_array_less(np.abs(found.values - [0.15, 0.15, 0]), 3.5 * found.errors + 1e-9)
    assert found.values.sum() == pytest.approx(0.3)


def test_gtg_of_an_additive_game_is_exact_and_of_a_round_that_changes_nothing_zero():
    worth = np.array([0.05, 0.1, 0.02, 0.2, 0.01, 0.03, 0.07])
    found = shapley(7, lambda group: worth[list(group)].sum(), np.random.default_rng(0), never)
    np.testing.assert_allclose(found.values, worth, atol=2e-3)  # WITHIN cuts the last steps off
    still = gtg(7, lambda group: 0.5 + 0.001 * len(group), np.random.default_rng(0), never)
    assert still.permutations == 0 and not still.values.any()


def test_when_the_time_is_over_it_says_so():
    found = gtg(8, lambda group: len(group) ** 2 / 64, np.random.default_rng(0), lambda: True)
    assert not found.settled and found.permutations == 1 and found.values.sum() == pytest.approx(1, abs=0.01)


def test_copies_and_those_who_did_nothing_are_flagged():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 500)).astype(np.float32)
    assert flags([one, other, one * 1.5, np.zeros_like(one), one * 1e-6]) == [
        "", "", "duplicate 0", "free rider", "free rider",
    ]  # fmt: skip


def test_a_group_is_the_mean_of_its_updates_moved_by_lambda_and_judged_once():
    before, asked = np.array([1.0, 2.0], np.float32), []
    changes = [np.array([4.0, 0.0], np.float32), np.array([0.0, 8.0], np.float32)]

    def judged(weights):
        asked.append(weights.tolist())
        return float(weights.sum())

    groups = Groups(before, changes, [1, 3], judged, step=0.5)
    assert [groups.value(frozenset(one)) for one in ((), (0,), (0, 1), (0, 1))] == [3.0, 5.0, 6.5, 6.5]
    assert asked == [[1, 2], [3, 2], [1.5, 5]] and groups.count == 3


def valued(changes, judged, samples=None, **keys):
    """One round of hand-made updates of as many clients."""
    conf = conf_of(no_models=len(changes), k=len(changes), **keys)
    of_run = Valued(conf, 0, [])
    sent = np.zeros(len(changes[0]), np.float32)
    of_run.begin()
    for client, change in enumerate(changes):
        of_run.fold(Update(client, sent + np.float32(change), (samples or [1] * len(changes))[client]), sent)
    return of_run, of_run.finish(sent, 0, judged)


def test_duplicates_share_what_leave_one_out_denies_both_and_a_null_has_nothing():
    """The first two send the same; any model with that in it is right 80 times of 100, another 50 times."""
    of_run, series = valued([[1, 0], [1, 0], [0, 1]], lambda weights: 0.8 if weights[0] else 0.5)
    assert [row.shapley for row in of_run.rows] == pytest.approx([0.15, 0.15, 0])
    assert [row.leave_one_out for row in of_run.rows] == [0, 0, 0]
    assert [row.flag for row in of_run.rows] == [NO_FLAG, 0, NO_FLAG]
    assert series["worth_models"][0] == 8 and series["worth_others"][0] == pytest.approx(0.1)


def test_a_round_that_changes_nothing_is_skipped_after_two_models():
    of_run, series = valued(
        [[1, 0], [0, 1], [0, 0]], lambda weights: 0.5 + 0.9 * ROUND_SKIP * (weights[0] > 0)
    )
    assert series["worth_models"][0] == 2 and not any(row.counted for row in of_run.rows)
    one = of_run.told({})[2]
    assert (one["rounds"], one["skipped"], one["shapley"], one["leave_one_out"]) == (0, 1, 0, 0)
    assert [row.flag for row in of_run.rows] == [NO_FLAG, NO_FLAG, FREE_RIDER]


def test_few_are_valued_exactly_where_the_budget_allows_and_else_by_permutations():
    rng = np.random.default_rng(0)
    changes = rng.normal(size=(5, 12))
    worth = lambda weights: float(np.tanh(weights).sum())  # noqa: E731
    exact, all_of_them = valued(changes, worth)
    drawn, some = valued(changes, worth, worth=20)
    assert all_of_them["worth_models"][0] == 32 and some["worth_models"][0] <= 20
    assert not any(row.error for row in exact.rows) and any(row.error for row in drawn.rows)
    for of_run in (exact, drawn):  # efficiency: values sum to what all of them changed
        whole = worth(np.mean(changes.astype(np.float32), axis=0))
        assert sum(row.shapley for row in of_run.rows) == pytest.approx(whole, abs=0.01)


def test_valuing_changes_nothing_and_keeps_to_its_budget(digits):
    plain, with_worth = (run_repeat(conf_of(worth=worth), FIRST, digits, Here()) for worth in (0, 60))
    assert np.array_equal(plain.weights, with_worth.weights)
    assert values(plain.record, "accuracy") == values(with_worth.record, "accuracy")
    models = values(with_worth.record, "worth_models")
    assert values(with_worth.record, "worth_models_all") == np.cumsum(models).tolist()
    assert max(models) <= 60 and models[0] > 16 and not values(plain.record, "worth_models")
    assert "worth" not in plain.record and "worth" not in plain.record["clients"][0]


def test_test_examples_have_no_say(digits):
    conf = conf_of()
    test = share_out(conf, FIRST, digits).test
    targets = digits.targets.copy()
    targets[test] = (targets[test] + 1) % 10
    first, other = (
        run_repeat(conf, FIRST, one, Here()).record for one in (digits, replace(digits, targets=targets))
    )
    assert first["worth"] == other["worth"] and values(first, "accuracy") != values(other, "accuracy")


def test_what_is_told_of_a_client_is_the_sum_of_its_rounds(digits):
    record = run_repeat(conf_of(k=5, worth=40), FIRST, digits, Here()).record
    rows = table(record)
    assert len(rows["round"]) == 15
    for client, one in enumerate(record["clients"]):
        mine = rows["client"] == client
        assert one["worth"]["shapley"] == pytest.approx(rows["shapley"][mine].sum())
        assert one["worth"]["error"] == pytest.approx(np.sqrt((rows["error"][mine] ** 2).sum()))
        assert one["worth"]["leave_one_out"] == pytest.approx(rows["leave_one_out"][mine].sum())
        counted = int(rows["counted"][mine].sum())
        assert (one["worth"]["rounds"], one["worth"]["skipped"]) == (counted, mine.sum() - counted)
    others = np.mean([one["worth"]["shapley"] for one in record["clients"]])
    assert values(record, "worth_others")[-1] == pytest.approx(others)
    assert not values(record, "worth_hostile")


def test_who_flips_labels_is_worth_least_and_less_than_nothing(digits):
    record = run_repeat(conf_of(attack="label_flip"), FIRST, digits, Here()).record
    worth = [one["worth"]["shapley"] for one in record["clients"]]
    assert np.argmin(worth) == 0 and worth[0] < 0 < np.mean(worth[1:])
    assert values(record, "worth_hostile")[-1] == pytest.approx(worth[0])
    alone = [one["worth"]["leave_one_out"] for one in record["clients"]]
    assert values(record, "leave_one_out_hostile")[-1] == pytest.approx(alone[0])
    assert values(record, "leave_one_out_others")[-1] == pytest.approx(np.mean(alone[1:]))
    assert values(record, "worth_others")[-1] == pytest.approx(np.mean(worth[1:]))


def test_a_copy_is_the_same_update_and_is_told_with_whose(digits):
    record = run_repeat(conf_of(attack={"name": "copycat", "of": 5}), FIRST, digits, Here()).record
    assert [one["worth"]["flag"] for one in record["clients"]] == [*[""] * 5, "duplicate 0", "", ""]
    updates = table_of(record["updates"])
    norms = {client: updates["norm"][updates["client"] == client].tolist() for client in range(8)}
    assert norms[0] == norms[5] and norms[0] != norms[4]
    plain = run_repeat(conf_of(), FIRST, digits, Here()).record
    first = table_of(plain["updates"])
    assert first["norm"][first["client"] == 5][0] == norms[5][0]  # whom it copies trains as ever
    last = run_repeat(conf_of(attack="copycat", global_epochs=1), FIRST, digits, Here()).record
    assert last["clients"][7]["worth"]["flag"] == "duplicate 0"


def test_who_sends_back_what_came_is_told(digits):
    record = run_repeat(conf_of(attack="free_rider"), FIRST, digits, Here()).record
    assert [one["worth"]["flag"] for one in record["clients"]] == ["free rider", *[""] * 7]
    worth = [one["worth"]["shapley"] for one in record["clients"]]
    assert worth[0] < np.mean(worth[1:])


def test_a_run_goes_on_to_the_bit_and_is_the_same_on_any_number_of_workers(digits):
    conf = conf_of(k=7, attack="label_flip")
    whole, seen = watched(conf, FIRST, digits)
    with Workers(2) as engine:
        state = run_repeat(conf, FIRST, digits, engine, seen[0])
    assert np.array_equal(state.weights, whole.weights) and told(state.record) == told(whole.record)
    assert state.record["worth"] == whole.record["worth"]
    worth = [[one["worth"] for one in record["clients"]] for record in (state.record, whole.record)]
    assert worth[0] == worth[1]


def test_of_numbers_it_is_the_share_that_is_explained(tmp_path):
    conf = make_conf(
        {"type": "diabetes", "no_models": 4, "k": 4, "global_epochs": 2, "local_epochs": 2, "batch_size": 16,
         "lr": 0.05, "momentum": 0.0, "worth": 20}, "x",
    )  # fmt: skip
    record = run_repeat(conf, FIRST, conf.task.module.open_examples(conf, tmp_path), Here()).record
    assert values(record, "worth_models") == [16, 16]
    assert 0 < sum(one["worth"]["shapley"] for one in record["clients"]) < 1


def test_it_lies_in_the_cache_and_what_is_none_is_refused(digits, tmp_path):
    run = prepare("conf_worth", conf_of(global_epochs=1), digits, folds=1, seeds=1, cache=tmp_path)
    carry_out([run], Here(), 1, lambda *_: None)
    result = read_result(result_path(tmp_path, "conf_worth"))
    repeat = result["repeats"][0]
    assert len(table(repeat)["client"]) == 8 and repeat["clients"][3]["worth"]["rounds"] == 1
    good = repeat["clients"][3]["worth"]
    for bad in ({**good, "flag": "thief"}, {**good, "error": -1.0}, {"shapley": 0.0}, 3):
        repeat["clients"][3]["worth"] = bad
        with pytest.raises(ResultError, match=r"repeats\[0\].clients"):
            check_result(result, "x")
    repeat["clients"][3]["worth"] = good
    repeat["worth"] = {**repeat["worth"], "flag": ""}
    with pytest.raises(ResultError, match=r"repeats\[0\].worth: expected packed columns"):
        check_result(result, "x")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"strategy": "median"}, "worth: 60 needs strategy fedavg, found median"),
        ({"rounds": "selective"}, "worth: 60 needs rounds synchronous, found selective"),
        ({"link": ["secure_aggregation"]}, "worth: 60 does not go with link secure_aggregation"),
        ({"local": "feddyn", "momentum": 0.0}, "worth: 60 does not go with local feddyn"),
        ({"worth": 15}, "worth: expected at least 16, found 15"),
        ({"no_models": 101, "k": 101, "worth": 300}, "k: expected at most 100, found 101"),
        ({"attack": {"name": "copycat", "of": 8}}, r"attack.of: expected a value in \[1, 7\], found 8"),
        ({"attack": {"name": "copycat", "of": 0}}, r"attack.of: expected a value in \[1, 7\], found 0"),
        ({"attack": {"name": "copycat", "hostile": 8}}, r"attack.of: expected a value in \[8, 7\], found -1"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(changes, says):
    with pytest.raises(ConfError, match=says):
        conf_of(**changes)


def test_there_must_be_something_to_judge_on(digits):
    from utils.data.examples import DataError

    none = replace(digits, judged=np.isin(np.arange(len(digits.targets)), digits.split(0, "test")))
    with pytest.raises(DataError, match="digits: worth needs validation examples, fold 0 has none"):
        share_out(conf_of(), FIRST, none)


def test_nodes_have_nothing_to_judge_on():
    with pytest.raises(ConfError, match="worth: what this asks for needs"):
        check(make_conf({**TINY, "worth": 10}, "x"), "x", ["a", "b", "c"])
