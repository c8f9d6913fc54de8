"""Intervals and paired tests: they cover what they claim and find no more than is there."""

import copy
import tracemalloc

import numpy as np
import pytest

from tests.test_results import make_result
from utils.comparison import Answers, absent, answers, compare, estimated, holm


def _result(right, sunny=None, scenes=None):
    """A result from a table of right answers (seeds, rotations, examples); one fold, ids p0, p1, ..."""
    right = np.asarray(right)
    count = right.shape[2]
    truth = [int(i % 2 == 0) if sunny is None else sunny[i] for i in range(count)]
    result = make_result()
    template = result["repeats"][0]
    result["repeats"] = []
    ids = [f"p{i}" for i in range(count)]
    for seed in range(right.shape[0]):
        for rotation in range(right.shape[1]):
            repeat = copy.deepcopy(template)
            good = [bool(r) for r in right[seed, rotation]]
            of_truth = [0.9 if r else 0.1 for r in good]
            repeat.update(seed=seed, rotation=rotation)
            repeat["test"] = {
                "id": ids, "scene": scenes or ids, "source": ["s"] * count, "truth": truth,
                "said": [label if r else 1 - label for r, label in zip(good, truth, strict=True)],
                "probability": [0.9] * count, "probability_of_truth": of_truth,
            }  # fmt: skip
            result["repeats"].append(repeat)
    return result


def test_accuracy_is_the_share_of_right_answers_and_balanced_the_mean_recall():
    right = np.array([[[1, 1, 1, 0, 0, 1, 0, 0]]])
    sunny = [1, 1, 1, 1, 1, 1, 0, 0]
    result = _result(right, sunny)
    assert estimated(answers(result), "accuracy").value == pytest.approx(4 / 8)
    assert estimated(answers(result), "balanced_accuracy").value == pytest.approx((4 / 6 + 0) / 2)


def test_examples_left_out_do_not_count():
    result = _result([[[1, 1, 0, 0]]])
    assert estimated(answers(result, without={"p2", "p3"}), "accuracy").value == 1.0


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(200):
        estimate = estimated(answers(_result(rng.random((1, 1, 150)) < 0.85)), "accuracy", resamples=400)
        inside += estimate.low <= 0.85 <= estimate.high
    assert 0.88 <= inside / 200 <= 0.99


def test_one_seed_more_gives_no_narrower_interval_than_the_scenes_allow():
    rng = np.random.default_rng(2)
    difficulty = rng.random(150) < 0.85  # every seed agrees: there is one piece of evidence a photo
    one = estimated(answers(_result(difficulty[None, None])), "accuracy")
    ten = estimated(answers(_result(np.repeat(difficulty[None, None], 10, axis=0))), "accuracy")
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


def test_results_over_other_examples_are_not_compared():
    a, b = _result([[[1, 0]]]), _result([[[1, 1]]])
    b["repeats"][0]["test"]["id"] = ["q0", "q1"]
    assert compare({"a": a, "b": b}) == []


def test_holm_against_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_evidence_is_by_scenes_so_copies_of_a_scene_count_once():
    rng = np.random.default_rng(9)
    once = rng.random((3, 1, 120)) < 0.85
    of_one = estimated(answers(_result(once, sunny=[1] * 120)), "accuracy")
    eightfold = np.repeat(once, 8, axis=2)
    scenes = [f"scene{i // 8}" for i in range(960)]
    by_scene = estimated(answers(_result(eightfold, sunny=[1] * 960, scenes=scenes)), "accuracy")
    by_example = estimated(answers(_result(eightfold, sunny=[1] * 960)), "accuracy")
    assert by_scene.high - by_scene.low == pytest.approx(of_one.high - of_one.low, rel=0.05)
    assert by_example.high - by_example.low < 0.75 * (by_scene.high - by_scene.low)


def test_false_alarms_stay_rare_where_examples_of_a_scene_are_alike():
    rng = np.random.default_rng(10)
    scenes = [f"scene{i // 10}" for i in range(600)]
    alarms = {"scenes": 0, "examples": 0}
    for _ in range(100):
        # What a model gets right depends on the scene; the models differ by chance alone.
        a, b = (np.repeat(rng.random((1, 1, 60)) < 0.8, 10, axis=2) for _ in range(2))
        for name, of in (("scenes", scenes), ("examples", None)):
            (found,) = compare({"a": _result(a, scenes=of), "b": _result(b, scenes=of)}, resamples=400)
            alarms[name] += found.p < 0.05
    assert alarms["scenes"] <= 12 and alarms["examples"] > 30, alarms


def test_it_is_the_bootstrap_written_out(monkeypatch):
    """An independent computation: every resample drawn, laid out and averaged one by one."""
    rng = np.random.default_rng(11)
    right = rng.random((3, 2, 40)) < 0.8
    scenes = [f"s{rng.integers(25):02}" for _ in range(40)]
    given = answers(_result(right, scenes=scenes))
    found = estimated(given, "accuracy", resamples=300)
    order = [int(one[1:]) for one in given.ids]
    names = sorted(set(scenes))
    draws = np.random.default_rng([20260101, 0]).integers(len(names), size=(300, len(names)))
    seeds_rng, turns_rng = (np.random.default_rng([20260101, stream]) for stream in (1, 2))
    seeds = seeds_rng.multinomial(3, [1 / 3] * 3, size=300)
    turns = turns_rng.multinomial(2, [1 / 2] * 2, size=(300, 3))
    drawn = []
    for number in range(300):
        examples = [i for scene in draws[number] for i in order if scenes[i] == names[scene]]
        everywhere = right[:, :, examples].mean()
        some = [
            right[seed, turn, examples]
            for seed in range(3) for turn in range(2)
            for _ in range(seeds[number][seed] * turns[number][seed][turn])
        ]  # fmt: skip
        scened = right.mean() + np.sqrt(len(names) / (len(names) - 1)) * (everywhere - right.mean())
        drawn.append(scened + np.sqrt(3 / 2) * (np.mean(some) - everywhere))
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert found.value == pytest.approx(right.mean())
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


def test_what_is_together_on_either_side_of_a_pair_is_together_whichever_comes_first():
    rng = np.random.default_rng(14)
    fine, coarse = (rng.random((3, 1, 120)) < share for share in (0.9, 0.8))
    scenes = [f"scene{i // 12}" for i in range(120)]
    a, b = _result(fine), _result(coarse, scenes=scenes)
    (there,), (back,) = compare({"a": a, "b": b}), compare({"b": b, "a": a})
    assert there.p == back.p and there.scenes == back.scenes == 10
    assert there.difference.low == pytest.approx(-back.difference.high)
    chained = _result(fine, scenes=[f"other{(i + 6) // 12}" for i in range(120)])
    (one,) = compare({"a": chained, "b": b})
    assert one.scenes == 1 and one.sentence == "one common scene, too few to tell a from b"


def test_a_pair_says_the_same_alone_and_among_others():
    rng = np.random.default_rng(15)
    scenes = [f"scene{i // 12}" for i in range(120)]
    a, b, c = (_result(rng.random((3, 1, 120)) < 0.8, scenes=of) for of in (None, scenes, scenes))
    (alone,) = compare({"b": b, "c": c})
    among = {(one.a, one.b): one for one in compare({"a": a, "b": b, "c": c})}["b", "c"]
    assert (among.p, among.difference) == (alone.p, alone.difference)


def test_many_scenes_are_dealt_to_blocks_and_the_interval_stays_what_it_was(monkeypatch):
    rng = np.random.default_rng(12)
    given = answers(_result(rng.random((2, 1, 3000)) < 0.9))
    whole = estimated(given, "accuracy", resamples=4000)
    monkeypatch.setattr("utils.comparison.MAX_BLOCKS", 500)
    blocks = estimated(given, "accuracy", resamples=4000)
    assert blocks.value == whole.value
    assert blocks.high - blocks.low == pytest.approx(whole.high - whole.low, rel=0.12)


def test_a_million_examples_take_seconds_and_little_memory():
    rng = np.random.default_rng(13)
    count = 1_000_000
    ids = tuple(f"{i:07}" for i in range(count))
    scenes = rng.integers(400_000, size=count)
    tracemalloc.start()
    right = (rng.random((1, 1, count)) < 0.9).astype(np.int8)
    estimate = estimated(
        Answers(ids, np.unique(scenes, return_inverse=True)[1], rng.integers(10, size=count), right),
        "accuracy",
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert estimate.low < 0.9 < estimate.high and estimate.high - estimate.low < 0.002
    assert peak < 300_000_000, peak


def test_classes_that_were_not_there_are_named():
    result = make_result()
    assert absent(result) == []
    other = copy.deepcopy(result["repeats"][0])
    other["fold"] = 3
    other["test"]["truth"] = [1, 1]
    other["clients"][0]["counts"] = [0, 4]
    result["repeats"].append(other)
    assert absent(result) == [
        {"where": "test", "what": "cloudy", "folds": [3]},
        {"where": "training", "what": "cloudy", "folds": [3]},
    ]
