"""What protections protect is told with the figures of the shipped studies, and without any where there are none."""

import re

import pytest

from tests.conftest import ROOT
from utils.studies.measured import read_study, study_path
from utils.studies.protections import leaks, protections

CACHE = ROOT / "cache"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_protection_has_its_figures(language):
    rows = protections(CACHE, language)
    assert len({one.name for one in rows}) == 6 and all(one.keeps and one.does_not for one in rows)
    assert all(re.search(r"\d", one.measured) for one in rows)
    assert "AUC" in leaks(CACHE, language)


def test_the_figures_are_those_of_the_studies():
    cells = read_study(study_path(CACHE, "price_of_privacy")).cells
    epsilon = cells["c12-clients"].repeats[0].series["epsilon"][-1]
    noisy = [one for one in protections(CACHE, "en") if one.name == "Noise by the server"][0]
    assert noisy.measured.startswith(f"Epsilon {epsilon:.1f}: accuracy ")
    cells = read_study(study_path(CACHE, "what_leaks")).cells
    found = [float(one.series["inversion_psnr"][-1]) for one in cells["none"].repeats]
    assert f"to {sum(found) / len(found):.0f} dB here" in leaks(CACHE, "en")


def test_nothing_is_said_where_nothing_was_measured(tmp_path):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "fewer_bytes.json.pkl").write_bytes(b"broken")
    assert {one.measured for one in protections(tmp_path, "en")} == {""}
    assert leaks(tmp_path, "zh") == ""
