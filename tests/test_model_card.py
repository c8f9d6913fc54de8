"""The card beside a model says what was measured, over what, and on whose photos; no more."""

import pytest

from tests.conftest import TINY
from tests.test_results import make_result
from utils.conf import make_conf
from utils.model_card import model_card


def _card(set_name="mwd", seeds=1, rotations=1, **changes):
    (repeat,) = make_result()["repeats"]
    repeats = [{**repeat, "seed": s, "rotation": r} for s in range(seeds) for r in range(rotations)]
    figures = {"examples": 2, "accuracy": 0.5, "balanced_accuracy": 0.5, "loss": 0.6}
    result = make_result(
        repeats=repeats, conf=make_conf({**TINY, **changes}, "x").as_json(), parameters=10, finished="2026",
        data={"set": set_name, "fingerprint": "f", "folds": 1, "seeds": seeds, "examples": 6, "counts": [3, 3],
              "sources": [{"name": "mwd", "examples": 6, "licence": "CC BY 4.0" if set_name == "mwd" else ""}]},
        model={"file": "x.safetensors", "bytes": 20, "fold": 0, "seed": 0, "rotation": 0, "test": figures},
    )  # fmt: skip
    return " ".join(model_card(result).split())


@pytest.mark.parametrize(
    ("seeds", "rotations", "over"),
    [
        (1, 1, "over scenes;"),
        (3, 1, "over scenes and seeds;"),
        (3, 2, "over scenes, seeds and rotations of the owners;"),
    ],
)
def test_intervals_are_said_to_cover_what_varied(seeds, rotations, over):
    card = _card(seeds=seeds, rotations=rotations)
    assert over in card and f"repeats: {seeds * rotations} (" in card


def test_it_says_what_the_network_is_shown_of_a_photo():
    assert "the photo's centre square at 32 x 32 pixels and its mirror image." in _card()
    assert "corners and the centre of the photo's centre square at 48 x 48 pixels" in _card(
        judging="five_crop"
    )


def test_source_limits_and_licence_are_those_of_the_photos():
    assert "CC BY 4.0" in _card("mwd") and "one cloudy photo in five" in _card("mwd")
    for other in ("simulated", "mine"):
        card = _card(other)
        assert "CC BY" not in card and "cumulus" not in card
    assert "useless for real skies" in _card("simulated") and "set `mine`" in _card("mine")
