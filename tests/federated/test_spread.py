"""How far updates differ, against the differences themselves."""

import numpy as np
import pytest

from tests.here import Here
from utils.experiment import run_repeat
from utils.federated.bench import Repeat
from utils.federated.spread import Spread, add_rows
from utils.federated.update import Update, Verdict
from utils.packing import table_of
from utils.results import values

FIRST = Repeat(0, 0, 0)


@pytest.mark.parametrize("length", [5, 1024, 100_003])
def test_norms_are_exact_and_angles_nearly_so(length):
    rng = np.random.default_rng(length)
    sent, common = rng.standard_normal((2, length)).astype(np.float32)
    changes = [common * size + share * rng.standard_normal(length).astype(np.float32)
               for size, share in ((1, 0.1), (2, 1), (-1, 0.5), (0.5, 2))]  # fmt: skip
    spread = Spread(with_angles=True)
    for client, change in enumerate(changes):
        spread.fold(Update(client, sent + change, 1), sent)
    series, rows = spread.finish([Verdict(1, 0.5, False)])
    norms = [np.linalg.norm(change.astype(np.float64)) for change in changes]
    mean = np.mean(changes, axis=0, dtype=np.float64)
    angles = [float(change @ mean / np.linalg.norm(change) / np.linalg.norm(mean)) for change in changes]
    assert [row.norm for row in rows] == pytest.approx(norms, rel=1e-4)
    assert [row.cosine for row in rows] == pytest.approx(angles, abs=1e-3 if length <= 1024 else 0.08)
    assert [row.kept for row in rows] == [True, False, True, True]
    assert [row.score for row in rows] == pytest.approx([np.nan, 0.5, np.nan, np.nan], nan_ok=True)
    assert series["update_norm"][0] == pytest.approx(np.mean(norms), rel=1e-4)
    assert series["update_norm_most"][0] == pytest.approx(max(norms), rel=1e-4)
    assert series["update_cosine_least"][0] == min(row.cosine for row in rows)


def test_updates_that_change_nothing_have_no_angle_and_those_that_are_none_are_told():
    spread, sent = Spread(with_angles=True), np.ones(3, np.float32)
    spread.fold(Update(0, sent, 1), sent)
    series, _ = spread.finish([])
    assert series["update_norm"][0] == series["update_cosine"][0] == 0
    spread.begin()
    series, rows = spread.finish([])  # of a round without updates
    assert not rows and all(value == 0 for value, _, _ in series.values())


def test_an_update_that_is_not_finite_has_a_row_and_spoils_no_series():
    spread, sent = Spread(with_angles=True), np.zeros(3, np.float32)
    for client, worst in enumerate((1.0, np.nan, np.inf, 3e38)):
        spread.fold(Update(client, np.array([1, worst, 0], np.float32), 1), sent)
    series, rows = spread.finish([])
    assert [np.isfinite(row.norm) for row in rows] == [True, False, False, False]
    assert series["update_norm"][0] == pytest.approx(2**0.5) and series["update_cosine_least"][
        0
    ] == pytest.approx(1)


def test_a_record_has_a_row_for_every_update_and_a_result_with_a_broken_table_is_refused(tiny, photos):
    state = run_repeat(tiny(no_models=4, k=2, global_epochs=3), FIRST, photos, Here())
    table = table_of(state.record["updates"])
    assert table["round"].tolist() == [0, 0, 1, 1, 2, 2] and table["kept"].all()
    assert np.bincount(table["client"], minlength=4).tolist() == [
        one["rounds"] for one in state.record["clients"]
    ]
    means = [float(table["norm"][table["round"] == round_].mean()) for round_ in range(3)]
    assert values(state.record, "update_norm") == pytest.approx(means)
    broken = {**state.record["updates"], "norm": "AAAA"}
    for columns in (broken, {}, {**state.record["updates"], "norm": 3}):
        with pytest.raises(ValueError, match="packed"):
            table_of(columns)


def test_rows_of_rounds_come_one_after_the_other():
    spread, sent = Spread(with_angles=True), np.zeros(2, np.float32)
    table = {}
    for round_ in range(3):
        spread.begin()
        spread.fold(Update(round_, sent + 1, 1), sent)
        table = add_rows(table, round_, spread.finish([])[1])
    assert table_of(table)["client"].tolist() == [0, 1, 2]
