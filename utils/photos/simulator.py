"""Pictures of skies that never were, so that everything runs without a network. Not a renderer: it wants the
variety of people's photos (from the horizon to straight up, haze, grey days, odd exposures), not one true sky. Serves
trials, tests and samples; what trains on it knows drawn skies, not real ones.

Clear sky and sun: A. J. Preetham, P. Shirley, B. Smits, "A Practical Analytic Model for Daylight", SIGGRAPH 1999,
appendix A.2 (Perez's distribution with coefficients linear in turbidity). Overcast sky: P. Moon, D. E. Spencer,
"Illumination from a non-uniform sky", 1942. Clouds: fractal noise with a power spectrum 1/f^b (R. F. Voss, in
"The Science of Fractal Images", 1988) on a plane above the camera.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

SIDE = 160
"""Pixels a side of a simulated photo."""

CLOUDY_FROM = 0.5
"""Share of the visible sky under cloud from which on a photo is cloudy; covers of 0.35 to 0.65 are not drawn."""

KINDS = ("cumulus", "veil", "deck", "uniform")
"""Kinds of clouds: puffs with edges, thin ones with sky behind them, a layer with texture, a layer without any."""

_PLANE = 256
_CLOSED = 0.5  # depth of a closed deck where it is thinnest, so that no sky shines through
_TO_SRGB = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
"""CIE XYZ to linear sRGB (IEC 61966-2-1)."""

# Perez coefficients A to E: slope with turbidity and value at 0, for luminance Y and chromaticities x and y.
_PEREZ = np.array(
    [
        [[0.1787, -0.3554, -0.0227, 0.1206, -0.0670], [-1.4630, 0.4275, 5.3251, -2.5771, 0.3703]],
        [[-0.0193, -0.0665, -0.0004, -0.0641, -0.0033], [-0.2592, 0.0008, 0.2125, -0.8989, 0.0452]],
        [[-0.0167, -0.0950, -0.0079, -0.0441, -0.0109], [-0.2608, 0.0092, 0.2102, -1.6537, 0.0529]],
    ]
)
# Zenith chromaticity: rows for turbidity squared, turbidity and 1; columns for the sun's zenith angle cubed to 1.
_ZENITH_X = np.array(
    [
        [0.00166, -0.00375, 0.00209, 0.0],
        [-0.02903, 0.06377, -0.03202, 0.00394],
        [0.11693, -0.21196, 0.06052, 0.25886],
    ]
)
_ZENITH_Y = np.array(
    [
        [0.00275, -0.00610, 0.00317, 0.0],
        [-0.04214, 0.08970, -0.04153, 0.00516],
        [0.15346, -0.26756, 0.06670, 0.26688],
    ]
)


@dataclass(frozen=True)
class Scene:
    """What a simulated photo shows.

    Attributes
    ----------
    cover : share of the visible sky under cloud, 0 to 1.
    turbidity : haze, 2 (clear) to 6.
    sun_height, sun_side : the sun above the horizon and to the right of the middle, radians.
    tilt : how far above the horizon the camera looks, radians; pi/2 is straight up.
    view : angle the picture spans, radians.
    roughness : power of the clouds' spectrum, about 2.2 (ragged) to 3.4 (soft).
    opacity : how much of the sky behind a cloud it hides, 0 to 1.
    texture : how much thicker and thinner a cloud is from place to place; 0 is uniform.
    thickness : how dark clouds are below, 0 to 1.
    cast : how blue the light of clouds is, about -0.01 (warm) to 0.11.
    exposure : brightness of the picture as a factor, 1 is well exposed.
    warmth : white balance, red over blue as a factor.
    colour : saturation as a factor.
    noise : standard deviation of sensor noise at mid grey, in parts of full scale.
    vignetting : how much light the corners lack, 0 to 1.
    """

    cover: float
    turbidity: float
    sun_height: float
    sun_side: float
    tilt: float
    view: float
    roughness: float
    opacity: float
    texture: float
    thickness: float
    cast: float
    exposure: float
    warmth: float
    colour: float
    noise: float
    vignetting: float

    @property
    def label(self) -> str:
        """The class, which follows from the cloud cover alone."""
        return "cloudy" if self.cover >= CLOUDY_FROM else "sunny"


def draw_scene(generator: np.random.Generator) -> Scene:
    """A scene at random; the classes are equally likely and differ in nothing but cover and what covers do."""
    sunny = generator.random() < 0.5
    kind = str(generator.choice(KINDS, p=(0.7, 0.3, 0, 0) if sunny else (0.3, 0.1, 0.4, 0.2)))
    if sunny:
        cover = 0.0 if generator.random() < 0.35 else generator.uniform(0.0, 0.35)
    else:
        cover = 1.0 if kind == "uniform" or generator.random() < 0.3 else generator.uniform(0.65, 1.0)
    upwards = generator.random() < 0.5
    ahead = generator.random() < 0.6
    return Scene(
        cover=cover,
        turbidity=2.0 + 4.0 * generator.random() ** 2,
        sun_height=np.deg2rad(generator.uniform(8, 70)),
        sun_side=np.deg2rad(generator.uniform(-50, 50) if ahead else generator.uniform(-180, 180)),
        tilt=np.deg2rad(generator.uniform(40, 90) if upwards else generator.uniform(8, 40)),
        view=np.deg2rad(generator.uniform(22, 75)),
        roughness=generator.uniform(2.2, 3.4),
        opacity=generator.uniform(0.4, 0.8) if kind == "veil" else 1.0,
        texture={"uniform": 0.0, "veil": 0.4}.get(kind, generator.uniform(0.3, 1.0)),
        thickness=generator.uniform(0.2, 0.9),
        cast=generator.uniform(-0.01, 0.11),
        exposure=float(np.exp(generator.normal(-0.3, 0.5))),
        warmth=float(np.exp(generator.normal(0.0, 0.06))),
        colour=float(np.exp(generator.normal(0.7, 0.25))),
        noise=generator.uniform(0.004, 0.03),
        vignetting=generator.uniform(0.0, 0.35),
    )


def simulate(seed: int, index: int) -> tuple[NDArray[np.uint8], Scene]:
    """Photo number `index` of a seed, (SIDE, SIDE, 3), and its scene. It depends on these two numbers only."""
    generator = np.random.default_rng([seed, index])
    scene = draw_scene(generator)
    return render(scene, generator), scene


def render(scene: Scene, generator: np.random.Generator) -> NDArray[np.uint8]:
    """The photo of a scene, (SIDE, SIDE, 3); the generator gives shapes of clouds and ground, and noise."""
    across, up, away = _rays(scene)
    height = np.maximum(up, 0.02)
    toward_sun = np.clip(
        across * np.cos(scene.sun_height) * np.sin(scene.sun_side)
        + up * np.sin(scene.sun_height)
        + away * np.cos(scene.sun_height) * np.cos(scene.sun_side),
        -1.0,
        1.0,
    )
    ground = up < _skyline(generator)
    light = clear_sky(height, np.arccos(toward_sun), scene.sun_height, scene.turbidity)
    light /= light[~ground].mean() if (~ground).any() else light.mean()

    depth = _clouds(scene, generator, across, height, away, ~ground)
    shut = scene.opacity * np.clip(depth / 0.35, 0.0, 1.0)[..., None]
    depth = scene.texture * depth + (1.0 - scene.texture) * np.minimum(depth, 0.5)
    gloom = scene.cover**3
    lit = (1.0 - gloom) * (0.9 + 0.5 * np.clip(toward_sun, 0, 1) ** 8) + gloom * (1 + 2 * height) / 2.2
    grey = lit * (1.0 - scene.thickness * depth / (depth + 0.9))
    tint = 1.0 + scene.cast * np.array([-1.0, 0.0, 1.3])
    light = light * (1.0 - shut) + (2.3 - 1.1 * gloom) * grey[..., None] * tint * shut

    through = np.exp(-6.0 * scene.opacity * np.clip(depth, 0.0, 1.0)) * (1.0 - gloom)
    disc = 30.0 * (toward_sun > np.cos(np.deg2rad(1.2)))
    glare = 6.0 * np.exp(-(np.arccos(toward_sun) / 0.06)) + 0.8 * np.exp(-(np.arccos(toward_sun) / 0.3))
    light = light + ((disc + glare) * through)[..., None] * np.array([1.0, 0.97, 0.9])

    light[ground] = _ground(scene, generator)[ground]
    return _photograph(light, scene, generator)


def clear_sky(height: Floats, from_sun: Floats, sun_height: float, turbidity: float) -> Floats:
    """Linear sRGB light (..., 3) of the cloudless sky in kcd/m2, not below 0.

    Parameters
    ----------
    height : sine of the angle above the horizon, > 0.
    from_sun : angle to the sun, radians.
    sun_height : the sun's angle above the horizon, radians.
    turbidity : 2 to 10.
    """
    sun_zenith = np.pi / 2 - sun_height
    powers = np.array([sun_zenith**3, sun_zenith**2, sun_zenith, 1.0])
    haze = np.array([turbidity**2, turbidity, 1.0])
    slope = (4 / 9 - turbidity / 120) * (np.pi - 2 * sun_zenith)
    zenith = (
        max(0.1, (4.0453 * turbidity - 4.9710) * np.tan(slope) - 0.2155 * turbidity + 2.4192),
        haze @ _ZENITH_X @ powers,
        haze @ _ZENITH_Y @ powers,
    )
    luminance, x, y = (
        value
        * _perez(height, from_sun, coefficients)
        / _perez(np.array(1.0), np.array(sun_zenith), coefficients)
        for value, coefficients in zip(zenith, turbidity * _PEREZ[:, 0] + _PEREZ[:, 1], strict=True)
    )
    xyz = np.stack([x / y * luminance, luminance, (1 - x - y) / y * luminance], axis=-1)
    light: Floats = np.maximum(xyz @ _TO_SRGB.T, 0.0)
    return light


def _perez(height: Floats, from_sun: Floats, coefficients: Floats) -> Floats:
    a, b, c, d, e = coefficients
    value: Floats = (1 + a * np.exp(b / height)) * (1 + c * np.exp(d * from_sun) + e * np.cos(from_sun) ** 2)
    return value


def _rays(scene: Scene) -> tuple[Floats, Floats, Floats]:
    """For each pixel the direction seen, as its parts to the right, up and away, each (SIDE, SIDE)."""
    reach = np.tan(scene.view / 2)
    x, y = np.meshgrid(np.linspace(-reach, reach, SIDE), np.linspace(reach, -reach, SIDE))
    length = np.sqrt(1 + x * x + y * y)
    up = (np.sin(scene.tilt) + y * np.cos(scene.tilt)) / length
    away = (np.cos(scene.tilt) - y * np.sin(scene.tilt)) / length
    return x / length, up, away


def _skyline(generator: np.random.Generator) -> Floats:
    """Sine of the ground line's height for each column (SIDE,): flat sea to hills and trees."""
    ruggedness = generator.choice([0.0, 0.05, 0.12]) * generator.random()
    steps = np.cumsum(generator.normal(size=SIDE))
    steps -= np.linspace(steps[0], steps[-1], SIDE)
    heights: Floats = generator.uniform(-0.02, 0.06) + ruggedness * steps / (np.abs(steps).max() + 1e-9)
    return heights


@lru_cache(maxsize=1)
def _frequencies() -> Floats:
    along = np.fft.fftfreq(_PLANE)[:, None]
    across = np.fft.rfftfreq(_PLANE)[None, :]
    frequencies = np.sqrt(along**2 + across**2)
    frequencies[0, 0] = np.inf
    return frequencies


def _clouds(
    scene: Scene,
    generator: np.random.Generator,
    across: Floats,
    height: Floats,
    away: Floats,
    sky: NDArray[np.bool_],
) -> Floats:
    """Depth of cloud seen in each pixel, 0 where there is none, so that the share above 0 of the sky is the cover."""
    white = np.fft.rfft2(generator.normal(size=(_PLANE, _PLANE)))
    plane = np.fft.irfft2(white * _frequencies() ** (-scene.roughness / 2), s=(_PLANE, _PLANE))
    plane /= plane.std()
    scale = generator.uniform(25, 70)
    ceiling = height + 0.08
    rows = np.mod(scale * away / ceiling, _PLANE)
    columns = np.mod(scale * across / ceiling, _PLANE)
    row, column = rows.astype(int), columns.astype(int)
    below, beside = (row + 1) % _PLANE, (column + 1) % _PLANE
    down, right = rows - row, columns - column
    seen = (plane[row, column] * (1 - right) + plane[row, beside] * right) * (1 - down) + (
        plane[below, column] * (1 - right) + plane[below, beside] * right
    ) * down
    if not sky.any():
        return np.zeros_like(seen)
    edge = np.quantile(seen[sky], 1.0 - scene.cover) - (_CLOSED if scene.cover == 1.0 else 0.0)
    depth: Floats = np.maximum(seen - edge, 0.0)
    return depth


def _ground(scene: Scene, generator: np.random.Generator) -> Floats:
    """Light of the ground (SIDE, SIDE, 3): one dull colour, rough, darker under cloud."""
    colour = np.array([[0.16, 0.22, 0.06], [0.30, 0.25, 0.16], [0.08, 0.16, 0.22], [0.05, 0.05, 0.05]])
    shade = colour[generator.integers(len(colour))] * generator.uniform(0.6, 1.4) * (1.0 - 0.4 * scene.cover)
    rough = generator.normal(1.0, 0.15, size=(SIDE, SIDE, 1))
    light: Floats = np.maximum(shade * rough, 0.0)
    return light


def _photograph(light: Floats, scene: Scene, generator: np.random.Generator) -> NDArray[np.uint8]:
    """What the camera makes of linear light: vignetting, exposure, white balance, saturation, noise, gamma, 8 bits."""
    grey = light.mean(axis=-1, keepdims=True)
    light = np.maximum(grey + scene.colour * (light - grey), 0.0)
    light = light * np.array([np.sqrt(scene.warmth), 1.0, 1 / np.sqrt(scene.warmth)])
    out = np.linspace(-1.0, 1.0, SIDE) ** 2
    light = light * (1.0 - scene.vignetting * (out[:, None] + out) / 2)[..., None]
    light = 1.0 - np.exp(-0.55 * scene.exposure * light)
    grain = generator.normal(size=(SIDE, SIDE, 3))
    light = np.clip(light + scene.noise * np.sqrt(np.maximum(light, 0.05) * 2) * grain, 0.0, 1.0)
    curved = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(255 * curved).astype(np.uint8)
