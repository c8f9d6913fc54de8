"""From stored uint8 photos to the network's input: deterministic to judge, random to train.

All of it works on whole batches of tensors. Randomness comes from the numpy generator that is passed in and
nowhere else, so that a photo's view depends on nothing but the seed, the round and the client.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

# Fixed constants, never measured on the photos at hand.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
OPPONENT = ((0.25, 0.5, 0.25), (-3.0, 0.0, 3.0), (-1.5, 3.0, -1.5))
"""What a network is given of red, green and blue (0..1), by the key `colours`. "rgb": less MEAN, by STD, those of
ImageNet, as torchvision's weights expect. "opponent": light, blue against red, and green against both. Group norm takes
out the length of what it is given, not the direction. In "rgb" a dark grey has nearly the direction of a deep blue,
and a light blue that of white; in "opponent" the direction is the colour, at any light."""
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def for_judging(pixels: NDArray[np.uint8], side: int, colours: str = "rgb") -> torch.Tensor:
    """Deterministic input (n, 3, side, side) from stored photos (n, 3, s, s)."""
    return as_given(as_pictures(pixels, side), colours)


def as_pictures(pixels: NDArray[np.uint8], side: int) -> torch.Tensor:
    """Red, green and blue in 0..1 (n, 3, side, side) from stored photos (n, 3, s, s)."""
    photos = torch.from_numpy(np.ascontiguousarray(pixels)).float().div_(255)
    if photos.shape[-1] != side:
        photos = F.interpolate(photos, size=(side, side), mode="bilinear", antialias=True)
    return photos


def views(inputs: torch.Tensor, image_size: int, judging: str) -> list[torch.Tensor]:
    """What a network sees of `inputs` (n, 3, s, s) to judge them, each (n, 3, image_size, image_size): the mean of
    its answers counts, which takes out some of their chance.

    "whole" (s = image_size): the photo and its mirror image; a sky seen in a mirror is the same sky. "five_crop"
    (s larger): the corners and the centre, at the scale that training views have (Touvron et al. 2019).
    """
    if judging == "whole":
        return [inputs, inputs.flip(-1)]
    end = inputs.shape[-1] - image_size
    places = [(0, 0, False), (0, end, True), (end, 0, True), (end, end, False), (end // 2, end // 2, False)]
    seen = [(inputs[:, :, y : y + image_size, x : x + image_size], mirrored) for y, x, mirrored in places]
    return [crop.flip(-1) if mirrored else crop for crop, mirrored in seen]


def for_training(
    pixels: NDArray[np.uint8],
    image_size: int,
    augment: str,
    min_crop: float,
    rng: np.random.Generator,
    colours: str = "rgb",
) -> torch.Tensor:
    """Random views (n, 3, image_size, image_size) of stored photos (n, 3, s, s).

    `augment` is "sky" (crop of `min_crop` to all of the area, mirror, turn, strongly light and contrast, which are the
    camera's choice, mildly white balance and saturation: colour is what the sky says), "flip" (mirror only) or "none".
    """
    if augment == "none":
        return for_judging(pixels, image_size, colours)
    n = len(pixels)
    mirrored = np.where(rng.random(n) < 0.5, -1.0, 1.0)
    if augment == "flip":
        photos = for_judging(pixels, image_size, colours)
        flips = torch.from_numpy(mirrored < 0)[:, None, None, None]
        return torch.where(flips, photos.flip(-1), photos)
    photos = torch.from_numpy(np.ascontiguousarray(pixels)).float().div_(255)
    scale = np.sqrt(rng.uniform(min_crop, 1.0, n))
    stretch = np.exp(rng.uniform(-0.15, 0.15, n))
    angle = rng.normal(0.0, math.radians(6), n)
    across, down = np.minimum(scale * stretch, 1.0), np.minimum(scale / stretch, 1.0)
    shift_x = rng.uniform(-1, 1, n) * (1 - across)
    shift_y = rng.uniform(-1, 1, n) * (1 - down)
    cos, sin = np.cos(angle), np.sin(angle)
    theta = np.stack(
        [
            np.stack([mirrored * across * cos, -down * sin, shift_x], axis=1),
            np.stack([mirrored * across * sin, down * cos, shift_y], axis=1),
        ],
        axis=1,
    )
    grid = F.affine_grid(torch.from_numpy(theta).float(), [n, 3, image_size, image_size], align_corners=False)
    photos = F.grid_sample(photos, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return as_given(_recoloured(photos, rng), colours)


def _recoloured(photos: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """One affine map of colour per photo: saturation, white balance, contrast, light."""
    n = len(photos)
    saturation = rng.uniform(0.6, 1.4, n)
    balance = np.exp(rng.normal(0.0, 0.03, (n, 3))) * np.exp(rng.normal(0.0, 0.3, n))[:, None]
    contrast = np.exp(rng.normal(0.0, 0.2, n))
    luma = np.broadcast_to(np.asarray(LUMA), (3, 3))
    mix = saturation[:, None, None] * np.eye(3) + (1 - saturation)[:, None, None] * luma
    matrix = torch.from_numpy(contrast[:, None, None] * balance[:, :, None] * mix).float()
    mean = photos.mean(dim=(2, 3))
    centre = (torch.from_numpy(balance[:, :, None] * mix).float() @ mean[:, :, None])[..., 0]
    offset = centre * torch.from_numpy(1 - contrast).float()[:, None]
    flat = torch.baddbmm(offset[:, :, None], matrix, photos.flatten(2))
    return flat.view_as(photos).clamp_(0, 1)


def as_given(photos: torch.Tensor, colours: str) -> torch.Tensor:
    """What a network is given of photos (n, 3, s, s), red, green and blue in 0..1."""
    if colours == "opponent":
        return torch.einsum("oc,nchw->nohw", torch.tensor(OPPONENT), photos)
    mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
    return (photos - mean) / std
