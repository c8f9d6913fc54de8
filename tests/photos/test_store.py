"""The decoded store: the right pixels, rebuilt when photos change, honest about what cannot be decoded."""

import numpy as np
import pytest
from PIL import Image

from tests.conftest import draw_set
from utils.photos.dataset import DataError, read_manifest
from utils.photos.store import open_photos


def test_pixels_labels_and_hashes_belong_together(tmp_path):
    folder = draw_set(tmp_path / "drawn", count=20)
    photos = open_photos(folder, 48, tmp_path / "store")
    rows = {row.sha256: row for row in read_manifest(folder)}
    assert list(photos.hashes) == sorted(rows) and photos.pixels.shape == (20, 3, 48, 48)
    for index, photo in enumerate(photos.hashes):
        assert photos.labels[index] == (rows[photo].label == "sunny")
        with Image.open(folder / rows[photo].file) as image:
            expected = np.asarray(image.resize((48, 48), Image.Resampling.LANCZOS)).transpose(2, 0, 1)
        assert np.array_equal(photos.pixels[index], expected)
        assert photos.file_bytes[index] == (folder / rows[photo].file).stat().st_size


def test_a_second_opening_reads_what_the_first_wrote(tmp_path):
    folder = draw_set(tmp_path / "drawn", count=20)
    first = open_photos(folder, 48, tmp_path / "store")
    before = first.path.stat().st_mtime_ns
    again = open_photos(folder, 48, tmp_path / "store")
    assert again.path == first.path and again.path.stat().st_mtime_ns == before
    assert again.fingerprint == first.fingerprint and np.array_equal(again.pixels, first.pixels)


def test_an_unreadable_photo_is_named_and_the_others_stay(tmp_path):
    folder = draw_set(tmp_path / "drawn", count=20)
    whole = open_photos(folder, 48, tmp_path / "store")
    rows = [row for row in read_manifest(folder) if row.file]
    (folder / rows[3].file).write_bytes(b"not a picture")
    (folder / rows[7].file).unlink()
    photos = open_photos(folder, 48, tmp_path / "store")
    assert set(photos.unreadable) == {rows[3].file, rows[7].file}
    assert photos.hashes == whole.hashes and photos.fingerprint != whole.fingerprint
    keep = [i for i in range(20) if i not in (3, 7)]
    assert np.flatnonzero(photos.readable).tolist() == keep
    assert np.array_equal(photos.pixels[keep], whole.pixels[keep])


def test_folds_hold_out_every_photo_once(photos):
    seen = np.concatenate([photos.split(fold, "test") for fold in range(5)])
    assert sorted(seen) == list(range(len(photos.labels)))


def test_no_set_or_no_photo_is_one_line(tmp_path):
    with pytest.raises(DataError) as error:
        open_photos(tmp_path / "missing", 48, tmp_path / "store")
    assert "missing" in str(error.value) and "\n" not in str(error.value)
    folder = draw_set(tmp_path / "drawn", count=4)
    for row in read_manifest(folder):
        (folder / row.file).unlink()
    with pytest.raises(DataError, match="none of its 4 photos"):
        open_photos(folder, 48, tmp_path / "store")
