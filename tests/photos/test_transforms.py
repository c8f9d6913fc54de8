"""What the network sees."""

import numpy as np
import pytest
import torch

from utils.photos import transforms
from utils.photos.transforms import MEAN, STD, for_judging, for_training, views


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (6, 3, 48, 48), dtype=np.uint8)


def _unnormalised(inputs):
    return inputs * torch.tensor(STD).view(1, 3, 1, 1) + torch.tensor(MEAN).view(1, 3, 1, 1)


def test_judging_is_deterministic_whole_and_normalised_by_fixed_constants(pixels):
    flat = np.full((1, 3, 48, 48), 51, dtype=np.uint8)
    assert torch.allclose(_unnormalised(for_judging(flat, 32)), torch.tensor(0.2), atol=1e-6)
    assert torch.equal(for_judging(pixels, 32), for_judging(pixels, 32))
    together = for_judging(pixels, 32)
    assert torch.allclose(together[2:3], for_judging(pixels[2:3], 32))


def test_a_whole_photo_is_seen_with_its_mirror_image(pixels):
    inputs = for_judging(pixels, 32)
    plain, mirrored = views(inputs, 32, "whole")
    assert torch.equal(plain, inputs) and torch.equal(mirrored, inputs.flip(-1))


def test_five_crops_are_the_corners_and_the_centre_two_of_them_mirrored(pixels):
    inputs = for_judging(pixels, 48)
    seen = views(inputs, 32, "five_crop")
    assert [tuple(view.shape) for view in seen] == [(6, 3, 32, 32)] * 5
    assert torch.equal(seen[0], inputs[:, :, :32, :32]) and torch.equal(seen[3], inputs[:, :, 16:, 16:])
    assert torch.equal(seen[1], inputs[:, :, :32, 16:].flip(-1))
    assert torch.equal(seen[2], inputs[:, :, 16:, :32].flip(-1))
    assert torch.equal(seen[4], inputs[:, :, 8:40, 8:40])


def test_a_training_view_shows_no_less_than_min_crop(monkeypatch):
    monkeypatch.setattr(transforms, "_recoloured", lambda photos, rng: photos)  # light would stretch the ramp
    side = 60
    ramp = np.broadcast_to(np.linspace(0, 255, side).astype(np.uint8), (400, 3, side, side))

    def widths(min_crop):
        seen = for_training(np.ascontiguousarray(ramp), 30, "sky", min_crop, np.random.default_rng(1))
        return (seen[:, 0, 15].max(1).values - seen[:, 0, 15].min(1).values).numpy()

    small, large = widths(0.2), widths(1.0)
    assert small.min() < 0.6 * large.min() and small.mean() < large.mean()


@pytest.mark.parametrize("augment", ["sky", "flip"])
def test_training_views_follow_the_generator_and_vary(pixels, augment):
    first, again, other = (
        for_training(pixels, 32, augment, 0.5, np.random.default_rng(s)) for s in (1, 1, 2)
    )
    assert first.shape == (6, 3, 32, 32) and torch.equal(first, again) and not torch.equal(first, other)


def test_no_augmentation_is_the_view_of_judging(pixels):
    assert torch.equal(
        for_training(pixels, 32, "none", 0.5, np.random.default_rng(0)), for_judging(pixels, 32)
    )


def test_augmented_photos_stay_in_range_and_keep_their_colour():
    blue = np.zeros((300, 3, 48, 48), dtype=np.uint8)
    blue[:, 2], blue[:, 1] = 200, 120
    seen = _unnormalised(for_training(blue, 32, "sky", 0.5, np.random.default_rng(0)))
    assert seen.min() >= -1e-5 and seen.max() <= 1 + 1e-5
    red, _, strong = seen.mean((2, 3)).unbind(1)
    assert (strong > red + 0.2).all()


def test_what_has_no_colour_gets_no_more_than_a_cast():
    grey = np.full((300, 3, 48, 48), 128, dtype=np.uint8)
    seen = _unnormalised(for_training(grey, 32, "sky", 0.5, np.random.default_rng(3)))
    cast = (seen.amax(1) - seen.amin(1)).mean((1, 2)) / seen.mean((1, 2, 3))
    assert 0.02 < cast.median() < 0.1 and cast.max() < 0.25


def test_as_opponent_colours_a_grey_has_no_colour_at_any_light_and_a_blue_keeps_its_own():
    def given(colour):
        photo = np.full((1, 3, 32, 32), 0, np.uint8) + np.array(colour, np.uint8).reshape(1, 3, 1, 1)
        return for_judging(photo, 32, "opponent")[0, :, 0, 0]

    for light in (40, 128, 255):
        assert torch.allclose(given([light] * 3), torch.tensor([light / 255, 0, 0]), atol=1e-5)
    dark, bright = given([20, 50, 90]), given([40, 100, 180])
    assert torch.allclose(dark * 2, bright, atol=1e-5) and bright[1] > 3 * bright[0]


def test_light_varies_as_cameras_choose_it():
    """One sky of middling grey comes out from dark to bright."""
    grey = np.full((300, 3, 48, 48), 110, dtype=np.uint8)
    light = _unnormalised(for_training(grey, 32, "sky", 0.5, np.random.default_rng(4))).mean((1, 2, 3))
    assert light.quantile(0.05) < 0.3 and light.quantile(0.95) > 0.6
