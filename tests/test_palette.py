"""What draws data can be seen: at least 3 : 1 against the ground, in either theme (WCAG 2.2, criterion 1.4.11)."""

import itertools
import re

import pytest

from app.frontend import FOLDER
from utils.figures import SHADES
from utils.studies import OTHER_COLOURS, colour, studies, study_runs

SOURCES = FOLDER / "src"
STYLE = (SOURCES / "style.scss").read_text()


def luminance(shade):
    """Relative luminance as WCAG 2.2 defines it."""
    parts = [int(shade[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """Contrast ratio of two colours, 1 to 21."""
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def said(name, text=STYLE):
    """A colour of the style sheet."""
    return re.search(rf"{re.escape(name)}: (#[0-9a-f]{{6}})", text)[1]


DARK = STYLE[STYLE.index('[data-bs-theme="dark"] {') :]
LIGHT_GROUNDS = (said("$body-bg"), said("--card"), "#ffffff")  # the last is that of figures
DARK_GROUNDS = (said("$body-bg-dark"), said("--card", DARK))


def test_contrast_is_what_the_guidelines_say_it_is():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)
    assert contrast("#0b3c66", "#18212c") < 1.5, "a colour that could not be seen on a dark ground"


@pytest.mark.parametrize("name", [*study_runs(), *(f"of mine {number}" for number in range(40))])
def test_every_curve_can_be_seen_on_either_ground(name):
    assert min(contrast(colour(name), ground) for ground in LIGHT_GROUNDS) >= 3
    assert min(contrast(colour(name, dark=True), ground) for ground in DARK_GROUNDS) >= 3


@pytest.mark.parametrize("number", range(len(OTHER_COLOURS)))
def test_every_colour_a_new_run_may_get_can_be_seen(number):
    light, dark = OTHER_COLOURS[number]
    assert min(contrast(light, ground) for ground in LIGHT_GROUNDS) >= 3
    assert min(contrast(dark, ground) for ground in DARK_GROUNDS) >= 3


def test_colours_that_serve_both_themes_can_be_seen_on_both():
    in_pages = re.search(r"SHADES = \[(.*?)\]", (SOURCES / "components" / "OwnerBars.vue").read_text())[1]
    assert tuple(re.findall(r"#[0-9a-f]{6}", in_pages)) == SHADES, "pages and figures show classes alike"
    alone = re.findall(r'colour: "(#[0-9a-f]{6})"', (SOURCES / "components" / "JobPage.vue").read_text())
    marks = re.findall(r"(?:fill|border-color): (#[0-9a-f]{6})", STYLE)
    assert alone and marks
    for shade in (*SHADES, *alone, *marks):
        assert min(contrast(shade, ground) for ground in (*LIGHT_GROUNDS, *DARK_GROUNDS)) >= 3, shade
    assert contrast(said("--sun-mark"), said("--card")) >= 3
    assert contrast(said("--sun-mark", DARK), said("--card", DARK)) >= 3


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_no_two_runs_of_a_story_look_alike(dark):
    for study in studies().values():
        for one, other in itertools.combinations(study.runs, 2):
            a, b = (colour(run.run, dark) for run in (one, other))
            apart = sum((int(a[at : at + 2], 16) - int(b[at : at + 2], 16)) ** 2 for at in (1, 3, 5)) ** 0.5
            assert apart > 40, (one.run, other.run)
