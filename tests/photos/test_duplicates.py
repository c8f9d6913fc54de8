"""Copies are found in every disguise, and distinct photos are left apart."""

from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.photos.conftest import encoded, sky
from utils.photos.cleaning import decode, look_of
from utils.photos.dataset import Build
from utils.photos.duplicates import Bytes, find_pairs

PLAIN = 16  # of 255: deviation of a look in which there is next to nothing to see
ORIGINALS = 150


def rescaled(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    factor = generator.uniform(0.3, 0.75)
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)


def recompressed(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    return Image.open(BytesIO(encoded(image, quality=int(generator.integers(15, 50))))).convert("RGB")


def mirrored(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    return ImageOps.mirror(image)


def grey(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    return image.convert("L").convert("RGB")


def cropped(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """80 % of either side, from anywhere."""
    width, height = round(0.8 * image.width), round(0.8 * image.height)
    left = int(generator.integers(image.width - width + 1))
    top = int(generator.integers(image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


DISGUISES = (rescaled, recompressed, mirrored, grey, cropped)


@pytest.fixture(scope="module")
def planted(built: tuple[Path, Build], photo_folder: Path) -> tuple[list[Bytes], list[Bytes], list[str]]:
    """Looks of distinct photos, of one disguised copy of each in turn, and the photos' labels.

    Skies of one colour are left out: nothing in them tells a copy from another such sky.
    """
    looks = {
        row.sha256: look_of(decode((photo_folder / row.name).read_bytes()))
        for row in built[1].rows
        if row.file
    }
    rows = [row for row in built[1].rows if row.file and looks[row.sha256].std() > PLAIN][:ORIGINALS]
    generator = np.random.default_rng(11)
    originals, copies = [], []
    for number, row in enumerate(rows):
        image = decode((photo_folder / row.name).read_bytes())
        originals.append(look_of(image))
        copies.append(look_of(DISGUISES[number % len(DISGUISES)](image, generator)))
    return originals, copies, [row.label for row in rows]


def test_planted_copies_are_found_and_distinct_photos_not_merged(
    planted: tuple[list[Bytes], list[Bytes], list[str]], record_property: Callable[[str, object], None]
) -> None:
    originals, copies, labels = planted
    count = len(originals)
    pairs = {(pair.first, pair.second) for pair in find_pairs(originals + copies, first_new=count)}
    found = Counter(DISGUISES[n % len(DISGUISES)].__name__ for n in range(count) if (n, n + count) in pairs)
    planted_of = Counter(DISGUISES[n % len(DISGUISES)].__name__ for n in range(count))
    recall = {kind: found[kind] / planted_of[kind] for kind in planted_of}
    wrong = {index % count for pair in pairs if pair[0] % count != pair[1] % count for index in pair}
    across = [pair for pair in pairs if labels[pair[0] % count] != labels[pair[1] % count]]
    record_property("recall", recall)
    record_property("false_merges", len(wrong) / count)
    assert sum(found.values()) / count >= 0.9, recall
    assert min(recall.values()) >= 0.8, recall
    assert len(wrong) / count <= 0.02
    assert across == []


def test_no_group_of_the_set_holds_both_classes_and_none_is_refused_for_it(
    built: tuple[Path, Build],
) -> None:
    build = built[1]
    assert "labels contradict" not in dict(build.refusals())
    labels: dict[str, set[str]] = {}
    for row in build.rows:
        labels.setdefault(row.group, set()).add(row.label)
    assert max(len(found) for found in labels.values()) == 1


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize("mirror", [False, True])
def test_a_copy_is_found_however_it_is_turned(quarters: int, mirror: bool) -> None:
    pixels = np.asarray(sky(4, (300, 200)))
    turned = Image.fromarray(np.rot90(pixels[:, ::-1] if mirror else pixels, quarters))
    looks = [look_of(sky(index)) for index in range(3)] + [look_of(sky(4, (300, 200))), look_of(turned)]
    assert [(pair.first, pair.second) for pair in find_pairs(looks)] == [(3, 4)]


def test_simulated_skies_are_told_apart() -> None:
    """Among them several that show little but a level horizon."""
    looks = [look_of(sky(index)) for index in (*range(30), 58, 59, 78, 81, 99, 119)]
    assert find_pairs(looks) == []


def test_only_pairs_with_a_newcomer_are_compared() -> None:
    looks = [look_of(sky(index)) for index in (0, 0, 1, 1, 2)]
    assert [(pair.first, pair.second) for pair in find_pairs(looks)] == [(0, 1), (2, 3)]
    assert [(pair.first, pair.second) for pair in find_pairs(looks, first_new=3)] == [(2, 3)]
    assert find_pairs(looks, first_new=4) == []
    assert find_pairs(looks, first_new=5) == []
    assert find_pairs([]) == []


def test_featureless_photos_are_not_called_copies() -> None:
    """Fog shows nothing by which to recognise a picture; two fogs are not one photo."""
    generator = np.random.default_rng(0)
    fogs = [
        Image.fromarray(generator.normal(150 + 10 * n, 4, (180, 240, 3)).clip(0, 255).astype(np.uint8))
        for n in range(6)
    ]
    assert find_pairs([look_of(fog) for fog in fogs]) == []
