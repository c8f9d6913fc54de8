"""Is it a sky? The shipped check: skies pass, kinds of pictures it was not tuned on are refused."""

import json

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.forecast.non_skies import HELD_OUT, TUNING
from utils.forecast.pixels import SIDE, square_of
from utils.forecast.sky_check import ACCEPTED, FILE, fit, fit_with_threshold, main, shipped, statistics
from utils.photos.simulator import simulate

COUNT = 60


def _refused(kind):
    rng = np.random.default_rng(5)
    return np.mean([shipped().strangeness(square_of(kind(rng))) > 1 for _ in range(COUNT)])


@pytest.fixture(scope="module")
def table():
    return {name: _refused(kind) for name, kind in {**TUNING, **HELD_OUT}.items()}


def test_kinds_that_tuned_nothing_are_refused(table):
    told = ", ".join(f"{name} {share:.0%}" for name, share in table.items())
    assert f"Refused, of {COUNT} drawn pictures each: {told}." in " ".join(
        (ROOT / "README.md").read_text().split()
    )
    assert np.mean([table[name] for name in HELD_OUT]) >= 0.8, table
    assert min(table[name] for name in TUNING) >= 0.9, table


def test_the_worst_kind_is_known(table):
    assert min(table, key=table.get) == "indoor" and table["indoor"] > 0.3, table


def test_test_skies_of_all_folds_were_accepted():
    kept = json.loads(FILE.read_text())
    said = f"Of {kept['test_skies']} test skies {kept['test_skies_accepted']} pass"
    assert said in (ROOT / "README.md").read_text()
    assert kept["test_skies"] > 300 and kept["test_skies_accepted"] / kept["test_skies"] >= 0.95


def test_drawn_skies_that_were_not_fitted_pass():
    from PIL import Image

    skies = [square_of(Image.fromarray(simulate(77, number)[0])) for number in range(40)]
    assert np.mean([shipped().strangeness(sky) <= 1 for sky in skies]) >= 0.95


def test_drawn_skies_are_fitted_because_they_help_on_a_source_left_out():
    across = json.loads(FILE.read_text())["across"]
    assert set(across) == {"mwd", "opensky"}
    assert all(found["with drawn skies"] >= found["photos alone"] for found in across.values())
    assert across["mwd"]["with drawn skies"] > across["mwd"]["photos alone"] + 0.2


def test_the_distance_is_mahalanobis_by_hand():
    values = np.random.default_rng(0).normal(size=(200, 3)) * [1, 2, 3] + 5
    check = fit(values)
    standard = (values - values.mean(0)) / values.std(0)
    expected = standard[7] @ np.linalg.inv(0.98 * np.cov(standard.T) + 0.02 * np.eye(3)) @ standard[7]
    assert check._distance(values[7:8])[0] == pytest.approx(expected)


def test_the_threshold_accepts_what_it_promises_of_photos_not_fitted():
    rng = np.random.default_rng(1)
    check = fit_with_threshold(rng.normal(size=(600, 10)))
    fresh = check._distance(rng.normal(size=(4000, 10))) <= check.threshold
    assert ACCEPTED - 0.02 < fresh.mean() <= 1


def test_statistics_are_finite_for_any_picture():
    noise = np.random.default_rng(0).random((3, SIDE, SIDE))
    for square in (np.zeros_like(noise), np.ones_like(noise), noise):
        assert np.isfinite(statistics(square.astype(np.float32))).all()


def test_a_set_that_is_not_there_is_one_line(tmp_path, capsys):
    before = FILE.read_bytes()
    assert main(["--data", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and FILE.read_bytes() == before
