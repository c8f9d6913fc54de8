"""What the network sees."""

import numpy as np
import pytest
import torch

from utils.photos.transforms import GREY_SHARE, LUMA, MEAN, STD, for_judging, for_training


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


def test_grey_has_the_luma_in_all_channels(pixels):
    colour, grey = _unnormalised(for_judging(pixels, 32)), _unnormalised(for_judging(pixels, 32, grey=True))
    luma = (colour * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(1)
    assert torch.allclose(grey, luma[:, None].expand(-1, 3, -1, -1), atol=1e-5)


@pytest.mark.parametrize("augment", ["sky", "flip"])
def test_training_views_follow_the_generator_and_vary(pixels, augment):
    first, again, other = (for_training(pixels, 32, augment, np.random.default_rng(s)) for s in (1, 1, 2))
    assert first.shape == (6, 3, 32, 32) and torch.equal(first, again) and not torch.equal(first, other)


def test_no_augmentation_is_the_view_of_judging(pixels):
    assert torch.equal(for_training(pixels, 32, "none", np.random.default_rng(0)), for_judging(pixels, 32))


def test_augmented_photos_stay_in_range_and_some_but_not_all_lose_their_colour():
    blue = np.zeros((300, 3, 48, 48), dtype=np.uint8)
    blue[:, 2], blue[:, 1] = 200, 120
    views = _unnormalised(for_training(blue, 32, "sky", np.random.default_rng(0)))
    assert views.min() >= -1e-5 and views.max() <= 1 + 1e-5
    spread = (views.amax(1) - views.amin(1)).mean((1, 2))
    grey = (spread < 1e-4).float().mean().item()
    assert abs(grey - GREY_SHARE) < 0.1


def test_turning_a_photo_grey_does_not_change_what_else_augmentation_does(pixels):
    grey = np.repeat(pixels[:, :1], 3, axis=1)
    views = _unnormalised(for_training(grey, 32, "sky", np.random.default_rng(3)))
    assert torch.isfinite(views).all()
