"""Is it a sky at all? How far a picture's plain statistics lie from those of sky photographs.

The distance is Mahalanobis's over standardised statistics, the covariance shrunk towards independence (Ledoit and
Wolf 2004; the share is fixed, chosen on kinds of pictures that serve for nothing else). The threshold accepts 99 % of
the skies it is fitted to, each judged by a fit without it. Some of these are drawn by the simulator, because the photos
at hand hold few skies of one colour: fitted to one source with them, it accepts more of the other source than without
(`across` in sky.json). Measured once, on the photos behind the shipped results:

python3 -m utils.forecast.sky_check      writes utils/forecast/sky.json and prints what was found
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from utils.data.examples import DataError, Examples
from utils.files import atomic_write, place
from utils.forecast.pixels import SIDE, Pixels, square_of
from utils.photos.simulator import simulate
from utils.photos.store import open_photos

FILE = Path(__file__).with_name("sky.json")
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
ACCEPTED = 0.99  # of training skies
_SHRINK = 0.02
_PARTS = 10
DRAWN, _DRAWN_SEED = 140, 41  # drawn skies that are fitted beside the photos
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class SkyCheck:
    """The fit: centre and spread of each statistic, the inverse covariance of the standardised ones, the threshold."""

    mean: Numbers
    spread: Numbers
    precision: Numbers
    threshold: float

    def strangeness(self, square: Pixels) -> float:
        """Distance of a picture (3, SIDE, SIDE) from skies, 1 at the threshold: above it, it is taken for none."""
        return float(self._distance(statistics(square)[None])[0] / self.threshold)

    def _distance(self, values: Numbers) -> Numbers:
        standard = (values - self.mean) / self.spread
        distance: Numbers = np.einsum("ij,jk,ik->i", standard, self.precision, standard)
        return distance


def statistics(square: Pixels) -> Numbers:
    """41 plain statistics of a picture (3, SIDE, SIDE), 0..1: light, colour, contrast at five scales, edges, thirds."""
    red, green, blue = square.astype(np.float64)
    light = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    chroma = square.max(0).astype(np.float64) - square.min(0)
    found = [light.mean(), light.std(), chroma.mean(), chroma.std()]
    for step in (1, 2, 4, 8, 16):
        found += [
            _log(np.abs(light[:, step:] - light[:, :-step])),
            _log(np.abs(light[step:] - light[:-step])),
        ]
    across = np.abs(light[:-1, 1:] - light[:-1, :-1])
    down = np.abs(light[1:, :-1] - light[:-1, :-1])
    edge = np.maximum(across, down)
    found += [
        (edge < 0.004).mean(), (edge > 0.2).mean(),
        ((across > 0.08) & (down < 0.02)).mean(), ((down > 0.08) & (across < 0.02)).mean(),
    ]  # fmt: skip
    coarse = np.minimum(square * 16, 15).astype(np.int64)
    found.append(np.log(len(np.unique(coarse[0] * 256 + coarse[1] * 16 + coarse[2]))))
    shares = np.bincount(np.clip(light * 16, 0, 15).astype(np.int64).ravel(), minlength=16) / light.size
    found += [-(shares[shares > 0] * np.log(shares[shares > 0])).sum(), shares.max()]
    third = SIDE // 3
    for rows in (slice(0, third), slice(third, 2 * third), slice(2 * third, SIDE)):
        found += [
            light[rows].mean(), light[rows].std(), (blue[rows] - red[rows]).mean(),
            (green[rows] - (red[rows] + blue[rows]) / 2).mean(), _log(edge[rows]),
            (red[rows] > blue[rows] + 0.05).mean(),
        ]  # fmt: skip
    for colour in (blue - light, red - light):
        found.append(_log(np.abs(colour[:, 1:] - colour[:, :-1])))
    return np.array(found)


def _log(values: Numbers) -> float:
    return float(np.log(values.mean() + 1e-3))


def fit(values: Numbers, threshold: float = 1.0) -> SkyCheck:
    """The check that follows from the statistics (n, d) of n skies."""
    mean, spread = values.mean(0), values.std(0) + 1e-9
    covariance = np.cov(((values - mean) / spread).T)
    shrunk = (1 - _SHRINK) * covariance + _SHRINK * np.eye(len(covariance))
    return SkyCheck(mean, spread, np.asarray(np.linalg.inv(shrunk), np.float64), threshold)


def fit_with_threshold(values: Numbers, seed: int = 0) -> SkyCheck:
    """The same, with the threshold that accepts ACCEPTED of these skies, each judged by a fit without its part."""
    parts = np.random.default_rng(seed).permutation(len(values)) % _PARTS
    distances = np.empty(len(values))
    for part in range(_PARTS):
        distances[parts == part] = fit(values[parts != part])._distance(values[parts == part])
    return fit(values, float(np.quantile(distances, ACCEPTED)))


@cache
def shipped() -> SkyCheck:
    """The check in sky.json."""
    kept = json.loads(FILE.read_text())
    mean, spread, precision = (np.array(kept[name], np.float64) for name in ("mean", "spread", "precision"))
    return SkyCheck(mean, spread, precision, float(kept["threshold"]))


def measure(photos: Examples) -> dict[str, Any]:
    """The check fitted on the training skies of fold 0, and how many test skies the checks of all folds accept."""
    values = np.array([statistics(pixels.astype(np.float32) / 255) for pixels in photos.inputs])
    pictures = (Image.fromarray(simulate(_DRAWN_SEED, number)[0]) for number in range(DRAWN))
    drawn = np.array([statistics(square_of(picture)) for picture in pictures])
    accepted = []
    for fold in range(5):
        train, test = photos.split(fold, "train"), photos.split(fold, "test")
        check = fit_with_threshold(np.concatenate([values[train], drawn]))
        accepted += (check._distance(values[test]) <= check.threshold).tolist()
    check = fit_with_threshold(np.concatenate([values[photos.split(0, "train")], drawn]))
    return {
        "fingerprint": photos.fingerprint, "threshold": check.threshold, "test_skies": len(accepted),
        "test_skies_accepted": int(sum(accepted)), "across": _across(values, np.array(photos.sources), drawn),
        **{name: np.round(getattr(check, name), 6).tolist() for name in ("mean", "spread", "precision")},
    }  # fmt: skip


def _across(values: Numbers, sources: NDArray[np.str_], drawn: Numbers) -> dict[str, dict[str, float]]:
    """Of each source, the share that a check fitted to the other sources accepts, without drawn skies and with them."""
    found = {}
    for source in np.unique(sources) if len(np.unique(sources)) > 1 else []:
        others, judged = values[sources != source], values[sources == source]
        found[str(source)] = {
            name: round(float((check._distance(judged) <= check.threshold).mean()), 3)
            for name, check in (
                ("photos alone", fit_with_threshold(others)),
                ("with drawn skies", fit_with_threshold(np.concatenate([others, drawn]))),
            )
        }
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Fit the sky check to a set of photos.")
    parser.add_argument("--set", default="skies", help="default skies")
    parser.add_argument("--data", type=Path, default=place("data"), metavar="DIR", help="default data/")
    given = parser.parse_args(arguments)
    try:
        found = measure(open_photos(given.data / given.set, SIDE, given.data / ".store"))
    except DataError as error:
        print(error, file=sys.stderr)
        return 2
    with atomic_write(FILE) as file:
        file.write((json.dumps(found) + "\n").encode())
    print(f"{found['test_skies_accepted']} of {found['test_skies']} test skies accepted, over all folds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
