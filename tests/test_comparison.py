"""Intervals and paired tests: they cover what they claim and find no more than is there."""

import copy

import numpy as np
import pytest

from tests.test_results import make_result
from utils.comparison import accuracy, answers, compare, grey_shift, holm


def _result(right, sunny=None, grey=None):
    """A result from a table of right answers (seeds, rotations, photos); one fold, hashes p0, p1, ..."""
    right = np.asarray(right)
    photos = right.shape[2]
    labels = [int(i % 2 == 0) if sunny is None else sunny[i] for i in range(photos)]
    result = make_result()
    template = result["repeats"][0]
    result["repeats"] = []
    for seed in range(right.shape[0]):
        for rotation in range(right.shape[1]):
            repeat = copy.deepcopy(template)
            probability = [
                0.9 if bool(r) == bool(label) else 0.1
                for r, label in zip(right[seed, rotation], labels, strict=True)
            ]
            repeat.update(seed=seed, rotation=rotation)
            repeat["test"] = {
                "hash": [f"p{i}" for i in range(photos)], "label": labels, "probability": probability,
                "probability_grey": probability if grey is None else grey,
            }  # fmt: skip
            result["repeats"].append(repeat)
    return result


def test_accuracy_is_the_share_of_right_answers_and_balanced_the_mean_recall():
    right = np.array([[[1, 1, 1, 0, 0, 1, 0, 0]]])
    sunny = [1, 1, 1, 1, 1, 1, 0, 0]
    result = _result(right, sunny)
    assert accuracy(answers(result)).value == pytest.approx(4 / 8)
    assert accuracy(answers(result), balanced=True).value == pytest.approx((4 / 6 + 0) / 2)


def test_photos_left_out_do_not_count():
    result = _result([[[1, 1, 0, 0]]])
    assert accuracy(answers(result, without={"p2", "p3"})).value == 1.0


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(200):
        estimate = accuracy(answers(_result(rng.random((1, 1, 150)) < 0.85)), resamples=400)
        inside += estimate.low <= 0.85 <= estimate.high
    assert 0.88 <= inside / 200 <= 0.99


def test_one_seed_more_gives_no_narrower_interval_than_the_photos_allow():
    rng = np.random.default_rng(2)
    difficulty = rng.random(150) < 0.85  # every seed agrees: there is one piece of evidence a photo
    one = accuracy(answers(_result(difficulty[None, None])))
    ten = accuracy(answers(_result(np.repeat(difficulty[None, None], 10, axis=0))))
    assert (ten.high - ten.low) == pytest.approx(one.high - one.low, rel=0.1)


def test_a_real_difference_is_found_and_equals_are_not():
    rng = np.random.default_rng(3)
    good = rng.random((3, 1, 300)) < 0.92
    poor = good & (rng.random((3, 1, 300)) < 0.85)
    twin = np.where(rng.random((3, 1, 300)) < 0.05, ~good, good)
    other = np.where(rng.random((3, 1, 300)) < 0.05, ~good, good)
    found = {(c.a, c.b): c for c in compare({"good": _result(good), "poor": _result(poor)})}
    assert found["good", "poor"].p_holm < 0.01
    assert found["good", "poor"].sentence == "good is better than poor"
    assert found["good", "poor"].difference.value == pytest.approx(good.mean() - poor.mean())
    (same,) = compare({"twin": _result(twin), "other": _result(other)})
    assert same.p_holm > 0.05 and same.sentence.startswith("no difference found")


def test_a_result_does_not_differ_from_itself():
    result = _result(np.random.default_rng(4).random((2, 2, 50)) < 0.8)
    (same,) = compare({"a": result, "b": result})
    assert same.difference.value == same.difference.low == same.difference.high == 0 and same.p == 1.0


def test_false_alarms_are_as_rare_as_promised():
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(150):
        a, b = (_result(rng.random((1, 1, 120)) < 0.85) for _ in range(2))
        (found,) = compare({"a": a, "b": b}, resamples=400)
        alarms += found.p < 0.05
    assert alarms / 150 < 0.11


def test_false_alarms_are_rare_where_seeds_differ_in_skill_and_photos_in_difficulty():
    rng = np.random.default_rng(6)
    alarms = 0
    for _ in range(120):
        ease = rng.random(330)
        a, b = (
            _result([[ease + rng.normal(0, 0.1, 330) < 0.85 + rng.normal(0, 0.02)] for _ in range(3)])
            for _ in range(2)
        )
        (found,) = compare({"a": a, "b": b}, resamples=400)
        alarms += found.p < 0.05
    assert alarms / 120 < 0.10


def test_one_common_seed_is_shown_but_nothing_is_claimed():
    rng = np.random.default_rng(7)
    good, poor = rng.random((3, 1, 200)) < 0.95, rng.random((1, 1, 200)) < 0.6
    found = compare({"good": _result(good), "poor": _result(poor), "other": _result(good)})
    by_pair = {(one.a, one.b): one for one in found}
    assert by_pair["good", "poor"].difference.low > 0.2
    assert by_pair["good", "poor"].sentence == "one common seed, too few to tell good from poor"
    assert by_pair["good", "other"].floor == pytest.approx(2 / 10_001)  # the only pair that was tested


def test_the_smallest_p_value_resamples_can_give_is_printed_as_a_bound():
    rng = np.random.default_rng(8)
    good, poor = rng.random((3, 1, 200)) < 0.95, rng.random((3, 1, 200)) < 0.6
    (found,) = compare({"good": _result(good), "poor": _result(poor)}, resamples=99)
    assert found.p_holm == found.floor and found.p_text == "p ≤ 0.020"


def test_results_over_other_photos_are_not_compared():
    a, b = _result([[[1, 0]]]), _result([[[1, 1]]])
    b["repeats"][0]["test"]["hash"] = ["q0", "q1"]
    assert compare({"a": a, "b": b}) == []


def test_holm_against_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_grey_shift_is_the_mean_rise_over_sunny_photos():
    result = _result([[[1, 1, 1, 1]]], sunny=[1, 1, 0, 0], grey=[0.5, 0.9, 0.0, 0.0])
    assert grey_shift(result).value == pytest.approx((0.4 + 0.0) / 2)
