"""What the network sees."""

import numpy as np
import pytest
import torch

from utils.photos.transforms import GREY_SHARE, LUMA, MEAN, STD, for_judging, for_training, views


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


def test_a_training_view_shows_no_less_than_min_crop():
    side = 60
    ramp = np.broadcast_to(np.linspace(0, 255, side).astype(np.uint8), (400, 3, side, side))

    def widths(min_crop):
        seen = for_training(np.ascontiguousarray(ramp), 30, "sky", min_crop, np.random.default_rng(1))
        return (seen[:, 0, 15].max(1).values - seen[:, 0, 15].min(1).values).numpy()

    small, large = widths(0.2), widths(1.0)
    assert small.min() < 0.6 * large.min() and small.mean() < large.mean()


def test_grey_has_the_luma_in_all_channels(pixels):
    colour, grey = _unnormalised(for_judging(pixels, 32)), _unnormalised(for_judging(pixels, 32, grey=True))
    luma = (colour * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(1)
    assert torch.allclose(grey, luma[:, None].expand(-1, 3, -1, -1), atol=1e-5)


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


def test_augmented_photos_stay_in_range_and_some_but_not_all_lose_their_colour():
    blue = np.zeros((300, 3, 48, 48), dtype=np.uint8)
    blue[:, 2], blue[:, 1] = 200, 120
    seen = _unnormalised(for_training(blue, 32, "sky", 0.5, np.random.default_rng(0)))
    assert seen.min() >= -1e-5 and seen.max() <= 1 + 1e-5
    spread = (seen.amax(1) - seen.amin(1)).mean((1, 2))
    grey = (spread < 1e-4).float().mean().item()
    assert abs(grey - GREY_SHARE) < 0.1


def test_turning_a_photo_grey_does_not_change_what_else_augmentation_does(pixels):
    grey = np.repeat(pixels[:, :1], 3, axis=1)
    seen = _unnormalised(for_training(grey, 32, "sky", 0.5, np.random.default_rng(3)))
    assert torch.isfinite(seen).all()
