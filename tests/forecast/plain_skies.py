"""Sixty skies as plain as skies get, drawn without the simulator: one colour, few small clouds, or a closed deck.

Each kind is drawn from the horizon (paler below) and from the zenith, with noise, vignetting and compression
of a phone.
"""

import io

import numpy as np
from PIL import Image, ImageFilter

SIDE = 400
COLOURS = {  # sRGB, and what such a sky is called
    "deep blue": ((38, 92, 168), "sunny"),
    "light blue": ((132, 178, 226), "sunny"),
    "light grey": ((186, 190, 196), "cloudy"),
    "dark grey": ((98, 103, 111), "cloudy"),
    "white overcast": ((226, 229, 233), "cloudy"),
}
EACH = 6


def _noise(rng, grain):
    """Smooth noise (SIDE, SIDE) of mean 0 and deviation 1, with blobs of about `grain` 192ths of a side."""
    side = max(int(192 / grain), 3)
    small = Image.fromarray(rng.normal(size=(side, side)).astype(np.float32))
    values = np.asarray(small.resize((SIDE, SIDE), Image.BICUBIC))
    return (values - values.mean()) / values.std()


def _texture(rng):
    return sum(_noise(rng, grain) * weight for grain, weight in ((96, 1.0), (40, 0.6), (18, 0.35), (8, 0.15)))


def _photographed(light, rng, at_horizon):
    """A phone's photo of sRGB values (SIDE, SIDE, 3) in 0..255."""
    y, x = np.mgrid[:SIDE, :SIDE] / (SIDE - 1) * 2 - 1
    if at_horizon:
        paler = 0.35 * np.clip((y + 1) / 2, 0, 1)[..., None] ** 1.5
        light = light * (1 - paler) + np.array([236, 238, 240]) * paler * light.mean() / max(
            light.mean(), 150
        )
    light = light * (1 - rng.uniform(0.02, 0.16) * (x**2 + y**2) / 2)[..., None]
    light = light * np.exp(rng.normal(0, 0.012, 3))
    light = light + rng.normal(0, rng.uniform(3, 7), (SIDE, SIDE, 1)) + rng.normal(0, 3, (SIDE, SIDE, 3))
    picture = Image.fromarray(np.clip(light, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.6))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=int(rng.integers(80, 95)))
    return Image.open(file).convert("RGB")


def _colour(name, rng):
    return np.broadcast_to(np.array(COLOURS[name][0]) * rng.uniform(0.9, 1.08), (SIDE, SIDE, 3))


def _few_clouds(rng):
    """Blue with small clouds on a tenth of it or less."""
    field = _noise(rng, 40) + 0.5 * _noise(rng, 14) + 0.25 * _noise(rng, 6)
    share = np.clip((field - np.quantile(field, 1 - rng.uniform(0.03, 0.1))) / 0.35, 0, 1)[..., None]
    blue = _colour("deep blue" if rng.random() < 0.5 else "light blue", rng)
    return blue * (1 - share) + np.array([244, 245, 247]) * share


def _deck(name):
    def draw(rng):
        return _colour(name, rng) * (1 + rng.uniform(0.05, 0.14) * _texture(rng)[..., None])

    return draw


KINDS = {
    **{
        f"uniform {name}": (lambda rng, name=name: _colour(name, rng), label)
        for name, (_, label) in COLOURS.items()
    },
    "blue with a few small clouds": (_few_clouds, "sunny"),
    "blue with fewer": (lambda rng: 0.5 * _few_clouds(rng) + 0.5 * _few_clouds(rng), "sunny"),
    "light deck": (_deck("light grey"), "cloudy"),
    "dark deck": (_deck("dark grey"), "cloudy"),
    "white deck": (_deck("white overcast"), "cloudy"),
}


def plain_skies(seed=11):
    """(kind, label, picture) of each, EACH of every kind, half of them at the horizon."""
    rng = np.random.default_rng(seed)
    for kind, (draw, label) in KINDS.items():
        for number in range(EACH):
            yield kind, label, _photographed(draw(rng), rng, at_horizon=number % 2 == 0)
