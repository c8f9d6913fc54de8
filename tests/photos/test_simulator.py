"""Simulated skies: repeatable, physically sane, labelled by their clouds and by no single colour."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest

from utils.photos.cleaning import is_colourless
from utils.photos.simulator import CLOUDY_FROM, SIDE, Scene, clear_sky, draw_scene, render, simulate
from utils.photos.sources.simulated import from_simulator

SCENE = Scene(
    cover=0.0,
    turbidity=2.5,
    sun_height=0.7,
    sun_side=0.1,
    tilt=0.4,
    view=1.0,
    roughness=2.8,
    opacity=1.0,
    texture=1.0,
    cast=0.0,
    thickness=0.5,
    exposure=1.0,
    warmth=1.0,
    colour=1.0,
    noise=0.005,
    vignetting=0.0,
)


def test_a_photo_depends_on_seed_and_number_only() -> None:
    alone = simulate(3, 7)[0]
    for index in range(7):
        simulate(3, index)
    assert np.array_equal(simulate(3, 7)[0], alone)
    assert not np.array_equal(simulate(3, 8)[0], alone)
    assert not np.array_equal(simulate(4, 7)[0], alone)
    assert (alone.shape, alone.dtype) == ((SIDE, SIDE, 3), np.uint8)


def test_the_source_labels_each_photo_as_its_scene_does_and_a_larger_one_contains_it() -> None:
    small, large = from_simulator(5, 9), from_simulator(12, 9)
    for index, (one, two) in enumerate(zip(small, large, strict=False)):
        assert (one.name, one.label, one.read()) == (two.name, two.label, two.read())
        assert one.label == simulate(9, index)[1].label


def test_the_label_follows_from_the_cover_and_both_are_about_as_likely() -> None:
    scenes = [draw_scene(np.random.default_rng([1, index])) for index in range(400)]
    for scene in scenes:
        assert (scene.label == "cloudy") == (scene.cover >= CLOUDY_FROM)
        assert abs(scene.cover - CLOUDY_FROM) >= 0.15
    assert 160 < sum(scene.label == "sunny" for scene in scenes) < 240


def test_as_much_of_the_sky_is_covered_as_the_scene_says() -> None:
    """Against the same sky without clouds, seen by a camera without noise: clouded pixels are those that differ."""
    for cover in (0.0, 0.1, 0.3, 0.7, 0.9):
        scene = replace(SCENE, cover=cover, noise=0.0, tilt=0.9, sun_side=2.5)
        with_clouds, without = (
            render(one, np.random.default_rng(4)).astype(int) for one in (scene, replace(scene, cover=0.0))
        )
        share = (np.abs(with_clouds - without).max(axis=-1) > 1).mean()
        assert share == pytest.approx(cover, abs=0.05)


@pytest.mark.parametrize("turbidity", [2.0, 4.0, 8.0])
@pytest.mark.parametrize(
    ("sun_height", "height", "gamma"), [(0.9, 0.8, 0.5), (0.4, 0.2, 1.2), (1.2, 0.05, 2.0)]
)
def test_the_clear_sky_is_preethams(turbidity: float, sun_height: float, height: float, gamma: float) -> None:
    """An independent evaluation of appendix A.2, number by number, and its way back from the rendered light."""
    t, s = turbidity, math.pi / 2 - sun_height
    theta = math.acos(height)

    def f(a: float, b: float, c: float, d: float, e: float, angle: float, apart: float) -> float:
        return (1 + a * math.exp(b / math.cos(angle))) * (
            1 + c * math.exp(d * apart) + e * math.cos(apart) ** 2
        )

    chi = (4 / 9 - t / 120) * (math.pi - 2 * s)
    zenith = (4.0453 * t - 4.9710) * math.tan(chi) - 0.2155 * t + 2.4192
    c = (
        0.1787 * t - 1.4630,
        -0.3554 * t + 0.4275,
        -0.0227 * t + 5.3251,
        0.1206 * t - 2.5771,
        -0.0670 * t + 0.3703,
    )
    luminance = zenith * f(*c, theta, gamma) / f(*c, 0.0, s)
    light = clear_sky(np.array(height), np.array(gamma), sun_height, turbidity)
    assert light.shape == (3,)
    if light.min() > 0:
        assert light @ [0.2126, 0.7152, 0.0722] == pytest.approx(luminance, rel=2e-3)


def test_a_clear_sky_is_blue_overhead_and_paler_at_the_horizon() -> None:
    away_from_sun = np.array([1.2, 1.2])
    overhead, horizon = clear_sky(np.array([0.95, 0.05]), away_from_sun, 0.8, 2.5)
    assert overhead[2] > 1.5 * overhead[0]
    assert horizon[2] / horizon[0] < overhead[2] / overhead[0]


def test_haze_takes_the_blue_out_of_the_sky() -> None:
    clear, hazy = (clear_sky(np.array(0.8), np.array(1.0), 0.8, turbidity) for turbidity in (2.0, 8.0))
    assert hazy[2] / hazy[0] < 0.8 * clear[2] / clear[0]


def test_the_sun_is_the_brightest_place_of_a_clear_sky() -> None:
    scene = replace(SCENE, tilt=SCENE.sun_height, sun_side=0.0, exposure=0.5)
    photo = render(scene, np.random.default_rng(0)).astype(int).sum(axis=-1)
    middle = photo[SIDE // 2 - 3 : SIDE // 2 + 3, SIDE // 2 - 3 : SIDE // 2 + 3]
    assert middle.mean() > 3 * 250
    assert np.median(photo) < 3 * 230


def test_neither_saturation_nor_brightness_nor_blueness_gives_the_label_away() -> None:
    photos = [simulate(2, index) for index in range(120)]
    cloudy = np.array([scene.label == "cloudy" for _, scene in photos])
    pixels = np.stack([photo for photo, _ in photos]).astype(float)
    statistics = {
        "saturation": (pixels.max(axis=-1) - pixels.min(axis=-1)).mean(axis=(1, 2)),
        "brightness": pixels.mean(axis=(1, 2, 3)),
        "blueness": (pixels[..., 2] - pixels[..., 0]).mean(axis=(1, 2)),
    }
    for name, values in statistics.items():
        accuracies = [((values < edge) == cloudy).mean() for edge in values]
        assert max(*accuracies, *(1 - one for one in accuracies)) < 0.9, name


def test_no_photo_is_black_and_white_as_cleaning_would_refuse_it() -> None:
    assert not any(is_colourless(simulate(1, index)[0] / 255) for index in range(150))


def test_straight_up_there_is_no_ground() -> None:
    """The horizon is below the frame: a scene whose ground is painted pure red shows none of it."""
    up, ahead = (replace(SCENE, tilt=tilt, cover=1.0, noise=0.0) for tilt in (math.pi / 2, 0.15))
    lower = {
        name: render(one, np.random.default_rng(3))[SIDE // 2 :].astype(float)
        for name, one in (("up", up), ("ahead", ahead))
    }
    assert lower["up"].std() < 0.7 * lower["ahead"].std()
    assert np.ptp(render(replace(up, texture=0.0, vignetting=0.0), np.random.default_rng(3)).astype(int)) < 30


def test_a_closed_deck_lets_no_blue_through_and_a_veil_does() -> None:
    def blueness(scene: Scene) -> float:
        photo = render(replace(scene, noise=0.0, tilt=1.4), np.random.default_rng(5)).astype(float)
        return float((photo[..., 2] - photo[..., 0]).mean())

    clear, veil, deck = (
        blueness(one) for one in (SCENE, replace(SCENE, cover=1.0, opacity=0.4), replace(SCENE, cover=1.0))
    )
    assert clear > veil + 10 > deck + 20 and abs(deck) < 12


def test_corners_lack_light_by_the_vignetting() -> None:
    plain = replace(SCENE, cover=1.0, texture=0.0, noise=0.0, tilt=math.pi / 2, view=0.4)
    with_, without = (
        render(one, np.random.default_rng(6)).astype(float) for one in (replace(plain, vignetting=0.4), plain)
    )
    assert with_[0, 0].mean() < 0.9 * without[0, 0].mean()
    assert with_[SIDE // 2, SIDE // 2] == pytest.approx(without[SIDE // 2, SIDE // 2], abs=2)


def test_cameras_look_from_the_horizon_to_the_zenith_and_meet_every_kind_of_sky() -> None:
    scenes = [draw_scene(np.random.default_rng([2, index])) for index in range(400)]
    tilts = np.rad2deg([scene.tilt for scene in scenes])
    assert tilts.min() < 12 and tilts.max() > 85 and 0.3 < (tilts > 40).mean() < 0.7
    for told in (
        lambda s: s.cover == 0,
        lambda s: s.cover == 1 and s.texture == 0,
        lambda s: 0.65 < s.cover < 1,
        lambda s: s.opacity < 1,
    ):
        assert 0.05 < np.mean([told(scene) for scene in scenes]) < 0.5


@pytest.mark.serial
def test_twenty_photos_take_less_than_a_second() -> None:
    simulate(0, 0)
    fastest = math.inf
    for _ in range(3):
        started = time.perf_counter()
        for index in range(20):
            simulate(0, index)
        fastest = min(fastest, time.perf_counter() - started)
    assert fastest < 1.0
