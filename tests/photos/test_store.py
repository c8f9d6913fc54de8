"""The decoded store: the right pixels, rebuilt when photos change, honest about what cannot be decoded."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import i2main
from tests.conftest import draw_set
from utils.data.examples import DataError
from utils.photos.dataset import read_manifest
from utils.photos.store import open_photos


def test_pixels_labels_and_hashes_belong_together(tmp_path):
    folder = draw_set(tmp_path / "drawn", count=20)
    photos = open_photos(folder, 48, tmp_path / "store")
    rows = {row.sha256: row for row in read_manifest(folder)}
    assert list(photos.ids) == sorted(rows) and photos.inputs.shape == (20, 3, 48, 48)
    for index, photo in enumerate(photos.ids):
        assert photos.targets[index] == (rows[photo].label == "sunny")
        with Image.open(folder / rows[photo].file) as image:
            expected = np.asarray(image.resize((48, 48), Image.Resampling.LANCZOS)).transpose(2, 0, 1)
        assert np.array_equal(photos.inputs[index], expected)
        assert photos.sizes[index] == (folder / rows[photo].file).stat().st_size


def test_a_second_opening_reads_what_the_first_wrote(tmp_path):
    folder = draw_set(tmp_path / "drawn", count=20)
    first = open_photos(folder, 48, tmp_path / "store")
    before = first.store.stat().st_mtime_ns
    again = open_photos(folder, 48, tmp_path / "store")
    assert again.store == first.store and again.store.stat().st_mtime_ns == before
    assert again.fingerprint == first.fingerprint and np.array_equal(again.inputs, first.inputs)


def _contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("suffix", [".npy", ".readable"])
@pytest.mark.parametrize("keep", [0, 10, -1])
def test_a_truncated_store_is_built_anew(tmp_path, suffix, keep):
    folder = draw_set(tmp_path / "drawn", count=20)
    path = open_photos(folder, 48, tmp_path / "store").store.with_suffix(suffix)
    whole = _contents(tmp_path / "store")
    path.write_bytes(path.read_bytes()[:keep])
    photos = open_photos(folder, 48, tmp_path / "store")
    assert photos.usable.all() and _contents(tmp_path / "store") == whole


def test_a_full_disk_is_one_line_and_status_1(tmp_path, conf_file, monkeypatch, capsys):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    draw_set(tmp_path / "drawn")

    def on_full_disk(prefix, suffix, dir):
        draft = dir / f"{prefix}{suffix}"
        draft.touch()
        return os.open("/dev/full", os.O_WRONLY), str(draft)

    monkeypatch.setattr("tempfile.mkstemp", on_full_disk)
    status = i2main.main(["-c", str(conf_file()), "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    errors = capsys.readouterr().err
    assert status == 1 and errors.count("\n") == 1
    assert "drawn-48-" in errors and "No space left on device" in errors
    assert not _contents(tmp_path / ".store")


def test_pixels_that_change_are_seen_even_where_the_size_stays(tmp_path):
    folder = draw_set(tmp_path / "drawn", count=20)
    file = folder / read_manifest(folder)[3].file
    Image.new("RGB", (160, 160), "red").save(file.with_suffix(".bmp"), "BMP")
    file.with_suffix(".bmp").replace(file)
    first = open_photos(folder, 48, tmp_path / "store")
    size, times = file.stat().st_size, (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    Image.new("RGB", (160, 160), "blue").save(file, "BMP")
    os.utime(file, ns=times)
    assert file.stat().st_size == size
    second = open_photos(folder, 48, tmp_path / "store")
    assert second.inputs[3, :, 0, 0].tolist() == [0, 0, 255]
    assert first.inputs[3, :, 0, 0].tolist() == [255, 0, 0], "an open store stays as it was"
    assert second.fingerprint == first.fingerprint


def test_a_new_store_removes_the_old_ones_of_its_set_and_side_only(tmp_path):
    store = tmp_path / "store"
    folder, namesake = draw_set(tmp_path / "drawn", count=20), draw_set(tmp_path / "drawn-48", count=20)
    others = {open_photos(folder, 32, store).store, open_photos(namesake, 32, store).store}
    old = open_photos(folder, 48, store).store
    (folder / read_manifest(folder)[3].file).unlink()
    recent = open_photos(folder, 48, store).store
    assert old.exists()  # a run may still be reading it
    long_ago = time.time() - 2 * 86_400
    for path in (old, old.with_suffix(".readable"), recent, recent.with_suffix(".readable"), *others):
        os.utime(path, (long_ago, long_ago))
    (folder / read_manifest(folder)[4].file).unlink()
    new = open_photos(folder, 48, store).store
    assert new not in (old, recent) and set(store.glob("*.npy")) == {*others, new}
    assert {path.with_suffix(".npy") for path in store.glob("*.readable")} == {*others, new}


def test_an_unreadable_photo_is_named_and_the_others_stay(tmp_path):
    folder = draw_set(tmp_path / "drawn", count=20)
    whole = open_photos(folder, 48, tmp_path / "store")
    rows = [row for row in read_manifest(folder) if row.file]
    (folder / rows[3].file).write_bytes(b"not a picture")
    (folder / rows[7].file).unlink()
    photos = open_photos(folder, 48, tmp_path / "store")
    assert set(photos.unreadable) == {rows[3].file, rows[7].file}
    assert photos.ids == whole.ids and photos.fingerprint != whole.fingerprint
    keep = [i for i in range(20) if i not in (3, 7)]
    assert np.flatnonzero(photos.usable).tolist() == keep
    assert np.array_equal(photos.inputs[keep], whole.inputs[keep])


def test_folds_hold_out_every_photo_once(photos):
    seen = np.concatenate([photos.split(fold, "test") for fold in range(5)])
    assert sorted(seen) == list(range(len(photos.targets)))


def test_no_set_or_no_photo_is_one_line(tmp_path):
    with pytest.raises(DataError) as error:
        open_photos(tmp_path / "missing", 48, tmp_path / "store")
    assert "missing" in str(error.value) and "\n" not in str(error.value)
    folder = draw_set(tmp_path / "drawn", count=4)
    for row in read_manifest(folder):
        (folder / row.file).unlink()
    with pytest.raises(DataError, match="none of its 4 photos"):
        open_photos(folder, 48, tmp_path / "store")
