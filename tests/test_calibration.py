"""Temperature, thresholds, and what is said of them, on answers whose truth is known."""

import numpy as np
import pytest

from tests.conftest import ROOT
from utils.calibration import (
    answers_of,
    calibrate,
    cross_fitted,
    fit_temperature,
    plain,
    quality,
    trust,
)
from utils.results import read_result

TRUSTED = 0.8


def _result(logits, labels, folds):
    """A result whose networks say `logits` of examples with `labels`, one repeat per fold."""
    repeats = []
    for fold in np.unique(folds):
        here = folds == fold
        said = 1 / (1 + np.exp(-logits[here]))
        names = [f"{i}" for i in np.flatnonzero(here)]
        sure = np.maximum(said, 1 - said)
        of_truth = np.where(labels[here] == 1, said, 1 - said)
        test = {
            "id": names, "scene": names, "source": ["x"] * len(names),
            "truth": labels[here].tolist(), "said": (said > 0.5).astype(int).tolist(),
            "probability": sure.tolist(), "probability_of_truth": of_truth.tolist(),
        }  # fmt: skip
        repeats.append({"fold": int(fold), "test": test})
    return {"repeats": repeats}


@pytest.fixture
def overconfident():
    """4,000 answers that are right as often as they say once their logits are divided by 3."""
    rng = np.random.default_rng(2)
    true = rng.normal(0, 2, 4000)
    labels = (rng.random(4000) < 1 / (1 + np.exp(-true))).astype(int)
    return _result(3 * true, labels, rng.integers(0, 5, 4000))


def test_the_temperature_is_found(overconfident):
    assert fit_temperature(answers_of(overconfident)) == pytest.approx(3, rel=0.1)


def test_scaling_mends_what_was_overconfident_and_touches_no_answer(overconfident):
    given = answers_of(overconfident)
    said = cross_fitted(given)
    before, after = quality(plain(given), given), quality(said, given)
    assert after.log_loss.high < before.log_loss.low
    assert after.calibration_error < 0.03 < before.calibration_error
    assert ((said > 0.5) == (given.logits > 0)).all()


def test_even_the_least_sure_answers_that_are_said_are_mostly_right(overconfident):
    given = answers_of(overconfident)
    how = calibrate(given, TRUSTED)
    said = np.array([how.probability(logit) for logit in given.logits])
    assert 0 < how.low < 0.5 < how.high < 1
    assert how.high == pytest.approx(TRUSTED, abs=0.07)  # as these logits, scaled, say the truth
    assert how.low == pytest.approx(1 - TRUSTED, abs=0.07)
    near = (said >= how.high) & (said < how.high + 0.1)
    assert given.labels[near].mean() >= TRUSTED
    (expected,) = trust(overconfident, None, TRUSTED)
    assert expected.answers == 4000 and 0.5 < expected.answered < 0.9 and expected.right > 0.85
    answers = {how.answer(p) for p in said}
    assert answers == {1, 0, None}
    assert (how.answer(how.high), how.answer(how.low), how.answer(0.5)) == (1, 0, None)


def test_a_source_left_out_weighs_as_much_as_the_folds_together(overconfident):
    """400 answers of a source on which the networks are three times as overconfident, against 4,000 of the folds."""
    rng = np.random.default_rng(4)
    true = rng.normal(0, 2, 400)
    labels = (rng.random(400) < 1 / (1 + np.exp(-true))).astype(int)
    left_out = _result(9 * true, labels, np.zeros(400, int))
    given = answers_of(overconfident, left_out)
    assert given.weights[given.elsewhere].sum() == pytest.approx(given.weights[~given.elsewhere].sum())
    alone, both = fit_temperature(answers_of(overconfident)), fit_temperature(given)
    assert alone == pytest.approx(3, rel=0.1) and 4 < both < 8
    folds, elsewhere = trust(overconfident, left_out, TRUSTED)
    assert (folds.answers, elsewhere.answers) == (4000, 400)
    strict, lax = (calibrate(one, TRUSTED) for one in (given, answers_of(overconfident)))
    assert strict.probability(6.0) < lax.probability(6.0)


def test_no_answer_is_judged_by_what_its_own_fold_or_scene_taught():
    """One part whose labels are turned round changes nothing that is said of it, but what is said of the others."""
    rng = np.random.default_rng(5)
    logits, folds = rng.normal(0, 2, 600), rng.integers(0, 3, 600)
    labels = (logits + rng.normal(0, 1, 600) > 0).astype(int)
    turned = np.where(folds == 0, 1 - labels, labels)
    given, other = (answers_of(_result(logits, said, folds)) for said in (labels, turned))
    plainly, otherwise = cross_fitted(given), cross_fitted(other)
    here = given.parts == 0
    assert np.allclose(plainly[here], otherwise[here]) and not np.allclose(plainly[~here], otherwise[~here])


def test_a_network_that_knows_nothing_says_so():
    rng = np.random.default_rng(3)
    given = answers_of(_result(rng.normal(0, 3, 500), rng.integers(0, 2, 500), rng.integers(0, 5, 500)))
    how = calibrate(given, TRUSTED)
    assert how.temperature > 5 and how.answer(0.5) is how.answer(how.probability(2.0)) is None


def test_brier_and_log_loss_by_hand():
    result = _result(np.array([0.0, np.log(3)]), np.array([1, 0]), np.array([0, 1]))
    given = answers_of(result)
    found = quality(plain(given), given)
    assert found.brier.value == pytest.approx((0.5**2 + 0.75**2) / 2)
    assert found.log_loss.value == pytest.approx(-(np.log(0.5) + np.log(0.25)) / 2)


@pytest.mark.parametrize("name", ["conf_f10", "conf_centralized_all", "conf_centralized1_3", "conf_alone"])
def test_shipped_models_are_better_calibrated_for_it(name):
    """Those of three seeds: of one seed, 390 answers, the folds differ by more than calibration does."""
    given = answers_of(read_result(ROOT / "cache" / f"{name}.json.pkl"))
    said = cross_fitted(given)
    with_it, without = quality(said, given), quality(plain(given), given)
    assert with_it.brier.value < without.brier.value and with_it.log_loss.value < without.log_loss.value


def test_false_and_missed_alarms_by_hand_and_without_what_is_left_out():
    """Of four sure answers about each class one is wrong; beside them two that say nothing."""
    logits = np.tile([-9.0, -9, -9, 9, 9, 9, 9, -9, 0, 0], 100) * np.linspace(1, 1.1, 1000)
    labels = np.tile([0, 0, 0, 0, 1, 1, 1, 1, 0, 1], 100)
    result = _result(logits, labels, np.tile(np.arange(5), 200)[np.argsort(np.tile(np.arange(100), 10))])
    (all_of_it,) = trust(result, None, 0.7)
    assert all_of_it.answers == 1000 and all_of_it.right == pytest.approx(0.75, abs=0.01)
    assert (all_of_it.answered, all_of_it.false_alarms) == pytest.approx((0.8, 0.2), abs=0.02)
    assert all_of_it.missed == pytest.approx(0.2, abs=0.02)
    unsure = {str(one) for one in np.flatnonzero(logits == 0)}
    (told,) = trust(result, None, 0.7, unsure)
    assert told.answers == 800 and told.answered == pytest.approx(1, abs=0.02)
    assert (told.false_alarms, told.missed) == pytest.approx((0.25, 0.25), abs=0.02)
