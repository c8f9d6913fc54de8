"""What is said of a question rests on tests that an independent computation confirms, and on nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from tests.asked import IRIS, SKEW, TINY_QUESTION, made_up, tiny_question, value, write_made_up
from utils.comparison import holm
from utils.studies.evidence import evidence
from utils.studies.measured import collated, study_path, write_study
from utils.studies.sentences import answer, difference, sentences, verdict

TWO_AXES = [SKEW, TINY_QUESTION["axes"][0]]
THREE = [*TINY_QUESTION["axes"][0]["values"], value("prox", "Prox", lr=0.04)]
SKILL = {"plain": 0.7, "momentum": 0.85, "prox": 0.7}


def _three(tmp_path, **changes):
    return tiny_question(tmp_path, axes=[{**TINY_QUESTION["axes"][0], "values": THREE}], **changes)


def test_differences_and_p_values_are_those_of_a_bootstrap_written_anew(tmp_path):
    question = _three(tmp_path)
    result = write_made_up(tmp_path, question, SKILL.get)
    told = evidence(question, result)
    right = {key: cell.answers().outcome[:, 0] for key, cell in result.cells.items()}
    rng, p_values = np.random.default_rng(5), []
    seeds, examples = right["plain"].shape
    for key in ("momentum", "prox"):
        of = (right[key] - right["plain"]).astype(float)  # every example a scene of its own
        drawn = []
        for _ in range(4000):
            scenes, times = rng.integers(examples, size=examples), rng.integers(seeds, size=seeds)
            every = of[:, scenes].mean()
            over_scenes = np.sqrt(examples / (examples - 1)) * (every - of.mean())
            over_seeds = np.sqrt(seeds / (seeds - 1)) * (of[times][:, scenes].mean() - every)
            drawn.append(of.mean() + over_scenes + over_seeds)
        one = next(one for one in told.tested if one.cell.key == key).comparison
        assert one.difference.value == pytest.approx(of.mean())
        low, high = np.quantile(drawn, [0.025, 0.975])
        assert (one.difference.low, one.difference.high) == pytest.approx((low, high), abs=0.012)
        p_values.append(one.p)
        share = min(np.mean(np.array(drawn) <= 0), np.mean(np.array(drawn) >= 0))
        assert one.p == pytest.approx(min(1, 2 * share), abs=0.05)
        mean = right[key].mean()
        assert told.found[key].estimate.value == pytest.approx(mean)
        assert told.found[key].estimate.low < mean < told.found[key].estimate.high
    assert [one.comparison.p_holm for one in told.tested] == pytest.approx(holm(p_values))
    assert [verdict(one.comparison) for one in told.tested] == ["better", "none"]


def test_what_is_said_follows_from_the_numbers_in_both_languages(tmp_path):
    question = _three(tmp_path)
    told = evidence(question, write_made_up(tmp_path, question, SKILL.get))
    by = difference(told.tested[0].comparison, "en")
    assert by.endswith("], p < 0.001")
    assert sentences(told, "en")[:2] == [
        f"“Momentum” is better than “Plain mean”, by {by}.",
        f"No difference found between “Prox” and “Plain mean”: {difference(told.tested[1].comparison, 'en', True)}.",
    ]
    assert answer(told, "en").startswith("Better than “Plain mean”: “Momentum” (+")
    assert answer(told, "en").endswith("no difference from “Plain mean” was found for “Prox”.")
    assert "优于“Plain mean（中）”" in answer(told, "zh") and answer(told, "zh").endswith("。")
    turned = _three(tmp_path, against=[{"server": "momentum"}])
    told = evidence(turned, write_made_up(tmp_path, turned, SKILL.get))
    assert sentences(told, "en")[0].startswith("“Plain mean” is worse than “Momentum”, by ")


def test_a_difference_that_was_not_found_says_which_way_it_went(tmp_path):
    question = _three(tmp_path)
    told = evidence(
        question, write_made_up(tmp_path, question, {"plain": 0.7, "momentum": 0.69, "prox": 0.71}.get)
    )
    for one in told.tested:
        said = difference(one.comparison, "en", signed=True)
        assert said.startswith("+" if one.comparison.difference.value > 0 else "−") and " [−" in said


def test_where_nothing_helps_the_answer_is_short(tmp_path):
    values = [*THREE, value("more", "More", lr=0.03)]
    question = tiny_question(tmp_path, axes=[{**TINY_QUESTION["axes"][0], "values": values}])
    told = evidence(question, write_made_up(tmp_path, question, lambda key: 0.7))
    assert answer(told, "en") == "None of 3 others was found to differ from “Plain mean”."


def test_with_several_values_of_skew_the_answer_counts_and_methods_are_summed_up(tmp_path):
    question = tiny_question(tmp_path, axes=TWO_AXES)
    skill = {"even-plain": 0.8, "even-momentum": 0.8, "skewed-plain": 0.6, "skewed-momentum": 0.85}
    told = evidence(question, write_made_up(tmp_path, question, skill.get))
    assert answer(told, "en").startswith(
        "Of 2 comparisons with “Plain mean”, 1 came out better and 0 worse; in 1 no difference was found. "
        "The largest gain: “Momentum”, Skew: alpha 0.1, "
    )
    assert sentences(told, "en")[0].startswith(
        "“Momentum” against “Plain mean”: better in 1 of 2 (Skew: alpha 0.1: +"
    )
    same = evidence(question, write_made_up(tmp_path, question, lambda key: 0.7))
    assert answer(same, "en") == "In none of 2 comparisons with “Plain mean” was a difference found."
    assert sentences(same, "en")[0].startswith(
        "“Momentum” against “Plain mean”: no difference found in any of 2"
    )


def test_nothing_is_claimed_without_a_test(tmp_path):
    question = _three(tmp_path)
    told = evidence(question, write_made_up(tmp_path, question, SKILL.get, seeds=1))
    assert answer(told, "en") == "One seed was trained: nothing is claimed."
    assert not told.is_tested and "better" not in " ".join(sentences(told, "en"))
    untested = replace(question, figures=question.figures[1:])
    told = evidence(untested, write_made_up(tmp_path, untested, SKILL.get))
    assert told.tested == () and told.found["plain"].estimate is None
    assert answer(told, "en").startswith("Loss is measured without a test: nothing is claimed")
    assert sentences(told, "en")[1].startswith("Loss, the mean over 3 seeds and not tested, goes from ")
    over = told.found["plain"].figures["loss"]
    lines = [one.series["loss"][-1] for one in told.result.cells["plain"].repeats]
    assert (over.mean, over.low, over.high) == pytest.approx((np.mean(lines), min(lines), max(lines)))


def test_what_failed_and_what_is_not_measured_is_said(tmp_path):
    question = _three(tmp_path)
    outcome = made_up(question, SKILL.get, failed={"prox": "the loss came to nan"})
    result = write_study(study_path(tmp_path, "tiny"), collated(question, "tiny", outcome))
    assert "Prox failed: the loss came to nan." in sentences(evidence(question, result), "en")
    changed = _three(
        tmp_path, conf=IRIS | {"lr": 0.06}
    )  # measured with another conf: as good as not measured
    told = evidence(changed, result)
    assert set(told.found) == {"prox"}
    assert "2 of 3 cells are not measured." in sentences(told, "en")
    assert answer(told, "en") == "What was measured leaves nothing to compare."


def test_a_key_that_came_into_being_since_at_its_default_is_no_other_conf(tmp_path):
    question = _three(tmp_path)
    result = write_made_up(tmp_path, question, SKILL.get)
    assert set(evidence(_three(tmp_path, conf=IRIS | {"weight_decay": 0.0}), result).found) == set(SKILL)


def test_whose_updates_were_left_out_is_told(tmp_path):
    question = _three(tmp_path)
    kept = {"plain": [1.0, 1.0, 1.0], "momentum": [0.1, 1.0, 0.9], "prox": [0.3, 1.0, 1.0]}
    told = evidence(question, write_made_up(tmp_path, question, SKILL.get, left_out=kept.get))
    out = told.found["momentum"].left_out
    assert out.clients == pytest.approx((0.1, 1.0, 0.9)) and out.hostile_clients == (0,)
    assert (out.hostile, out.honest) == pytest.approx((0.1, 0.95))
    assert told.found["plain"].left_out is None
    said = (
        "Where the server left updates out or shortened them, it took 20 % of those of hostile clients as they came, "
        "and 98 % of the others'."
    )
    assert said in sentences(told, "en")


def test_cells_of_one_conf_share_what_was_found(tmp_path):
    axes = [{**SKEW, "values": [value("first", "first"), value("again", "again")]}, TINY_QUESTION["axes"][0]]
    question = tiny_question(tmp_path, axes=axes)
    told = evidence(
        question, write_made_up(tmp_path, question, lambda key: 0.9 if "momentum" in key else 0.6)
    )
    assert len(told.tested) == 2 and told.tested[0].comparison is told.tested[1].comparison
    assert told.found["again-plain"].estimate == told.found["first-plain"].estimate
    assert told.found["again-plain"].cell.key == "again-plain"
