"""The one resize: as PyTorch's antialiased one, exact by hand, and sparing with memory."""

import io
import tracemalloc

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from utils.forecast.pixels import ENOUGH, SIDE, resize, square_of
from utils.photos.cleaning import decode


def _picture(width, height, seed=0):
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(("size", "side"), [(200, 96), (96, 64), (161, 96), (50, 96), (96, 96)])
def test_it_is_the_antialiased_bilinear_resize(size, side):
    square = np.random.default_rng(1).random((3, size, size), dtype=np.float32)
    expected = F.interpolate(
        torch.from_numpy(square)[None], size=(side, side), mode="bilinear", antialias=True
    )
    assert np.abs(resize(square, side) - expected[0].numpy()).max() < 1e-5


def test_halving_by_hand():
    line = np.arange(8, dtype=np.float32)
    square = np.broadcast_to(line, (3, 8, 8)).copy()
    inner = (1 * 0.25 + 3 * 0.75 + 3 * 0.75 + 1 * 0.25) / 8  # weights 1, 3, 3, 1 of the four nearest
    assert inner == pytest.approx(0.625)
    by_hand = (1 * line[1] + 3 * line[2] + 3 * line[3] + 1 * line[4]) / 8
    assert resize(square, 4)[0, 0, 1] == pytest.approx(by_hand)


@pytest.mark.parametrize("size", [(300, 200), (200, 301), (97, 96), (640, 480)])
def test_the_square_is_cut_from_the_middle(size):
    picture = _picture(*size)
    side = min(size)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    cut = np.asarray(picture, np.float32)[top : top + side, left : left + side].transpose(2, 0, 1) / 255
    assert np.abs(square_of(picture) - resize(cut, SIDE)).max() < 1e-5


def test_a_jpeg_decoded_smaller_looks_the_same():
    written = io.BytesIO()
    _picture(3000, 2000).save(written, "JPEG", quality=95)
    whole, small = decode(written.getvalue()), decode(written.getvalue(), at_least=ENOUGH)
    assert whole.size == (3000, 2000) and ENOUGH <= min(small.size) < 1000
    assert np.abs(square_of(whole) - square_of(small)).mean() < 0.004


def test_a_large_picture_needs_little_memory_beside_itself():
    picture = _picture(4000, 3000)
    square_of(picture)
    tracemalloc.start()
    square_of(picture)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.2 * 4000 * 3000 * 3  # a copy of its bytes, and little more
