"""A user's own folder or zip, with every fault one can have."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.photos.conftest import ROOT, encoded, make_few, sky
from tests.photos.test_cleaning import png_header
from utils.data.examples import DataError
from utils.photos.cleaning import Refused
from utils.photos.dataset import read_manifest
from utils.photos.sources import archive as archives
from utils.photos.sources.archive import from_zip, open_zip
from utils.photos.sources.folder import from_folder

Tree = Callable[[Path], dict[str, bytes]]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "i0down_training_resource.py", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def every_fault(folder: Path) -> dict[str, int]:
    """Fill `folder` with 8 good photos, 5 good ones in odd shapes, and faults; how often each reason is due."""
    make_few(folder)
    good = encoded(sky(60))
    (folder / "sunny" / "wrong extension.png").write_bytes(encoded(sky(61)))
    (folder / "sunny" / "cmyk.jpg").write_bytes(encoded(sky(62).convert("CMYK")))
    (folder / "sunny" / "a\nnew line.jpg").write_bytes(encoded(sky(63)))
    (folder / "sunny" / "sun \U0001f31e.jpg").write_bytes(encoded(sky(64)))
    Path(os.fsdecode(os.fsencode(folder / "sunny") + b"/not utf-8 \xff.jpg")).write_bytes(encoded(sky(65)))
    (folder / "sunny" / ".hidden").write_bytes(b"not offered at all")
    (folder / "Thumbs.db").write_bytes(b"nor this")

    (folder / "sunny" / "truncated.jpg").write_bytes(good[: len(good) // 2])
    (folder / "sunny" / "zero.jpg").touch()
    gif = encoded(sky(60), "GIF", save_all=True, append_images=[sky(61)])
    (folder / "sunny" / "moving.gif").write_bytes(gif)
    (folder / "sunny" / "bomb.png").write_bytes(png_header(20_000, 10_000))
    with (folder / "sunny" / "huge.jpg").open("wb") as file:
        file.truncate(3_000_000_000)
    (folder / "sunny" / "page.jpg").write_text("<html><script>alert(1)</script></html>")
    (folder / "sunny" / "drawn.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (folder / "sunny" / "tiny.png").write_bytes(encoded(sky(60, (32, 32)), "PNG"))
    (folder / "sunny" / "blue.png").write_bytes(encoded(Image.new("RGB", (200, 200), "blue"), "PNG"))
    (folder / "sunny_cloudy3.jpg").write_bytes(good)
    (folder / "sunny" / "cloudy3.jpg").write_bytes(good)
    (folder / "IMG_0001.jpg").write_bytes(good)
    os.mkfifo(folder / "sunny" / "pipe.jpg")
    (folder / "sunny" / "loop").symlink_to(folder)
    (folder / "sunny" / "self.jpg").symlink_to("self.jpg")
    (folder / "sunny" / "nowhere.jpg").symlink_to("nothing.jpg")
    return {
        "animated": 1,
        "damaged": 1,
        "empty file": 1,
        "file and folder disagree": 1,
        "link to a folder": 1,
        "no class in its name": 1,
        "not a file": 1,
        "not a photo": 1,
        "not a picture": 2,
        "too large": 2,
        "too small": 1,
        "two classes in one name": 1,
        "unreadable": 2,
    }


def test_a_folder_with_every_fault_gives_its_good_photos_and_the_reasons(tmp_path: Path) -> None:
    reasons = every_fault(tmp_path / "mine")
    done = run("folder", tmp_path / "mine", "--data", tmp_path / "data")
    assert (done.returncode, done.stderr) == (0, "")
    printed = {
        line.strip().split(" ", 1)[1]: int(line.split()[0])
        for line in done.stdout.split("files\n")[-1].splitlines()
        if line.startswith("  ")
    }
    assert printed == reasons
    rows = read_manifest(tmp_path / "data" / "mine")
    assert len(rows) == 13
    names = {row.name for row in rows}
    assert {"sunny/a\\nnew line.jpg", "sunny/sun \U0001f31e.jpg", "sunny/not utf-8 \\udcff.jpg"} <= names
    for row in rows:
        assert set(row.file) <= set("abcdefghijklmnopqrstuvwxyz0123456789/.")
    page = (tmp_path / "data" / "mine" / "report.html").read_text(encoding="utf-8")
    assert "not utf-8" in page


def test_a_zip_gives_what_its_folder_gives(few: Path, tmp_path: Path, tree: Tree) -> None:
    shutil.make_archive(str(tmp_path / "zipped"), "zip", few)
    assert run("folder", few, "--data", tmp_path / "one", "--set", "same").returncode == 0
    done = run("zip", tmp_path / "zipped.zip", "--data", tmp_path / "two", "--set", "same")
    assert (done.returncode, done.stderr) == (0, "")
    assert tree(tmp_path / "two") == tree(tmp_path / "one")


def test_the_set_is_named_after_the_folder_or_zip(few: Path, tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "My sky, 2019"), "zip", few)
    assert run("folder", tmp_path / "My sky, 2019.zip", "--data", tmp_path / "data").returncode == 0
    assert (tmp_path / "data" / "my_sky_2019" / "manifest.csv").exists()


def test_no_name_in_a_zip_reaches_outside_the_set(tmp_path: Path) -> None:
    names = [
        "../../sunny1.jpg",
        "/tmp/sunny2.jpg",
        "..\\..\\sunny3.jpg",
        "C:\\sunny4.jpg",
        "sunny/../../5.jpg",
    ]
    with zipfile.ZipFile(tmp_path / "slip.zip", "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(name, encoded(sky(number)))
    (tmp_path / "deep" / "er").mkdir(parents=True)
    done = run("folder", tmp_path / "slip.zip", "--data", tmp_path / "deep" / "er" / "data")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(read_manifest(tmp_path / "deep" / "er" / "data" / "slip")) == 5
    outside = {path.name for path in tmp_path.rglob("*") if "data" not in path.parts and path.is_file()}
    assert outside == {"slip.zip"}


def read_all(path: Path) -> dict[str, str]:
    reasons = {}
    with open_zip(path) as archive:
        for one in from_zip(archive):
            try:
                one.read()
            except Refused as refusal:
                reasons[one.name] = refusal.reason
    return reasons


def test_members_that_cannot_be_read_are_refused_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sunny/good.jpg", encoded(sky(0)))
        archive.writestr("sunny/crc.jpg", b"A" * 5000)
        archive.writestr("sunny/locked.jpg", encoded(sky(1)))
        archive.writestr("sunny/strange.jpg", encoded(sky(2)))
        archive.writestr("sunny/bomb.jpg", b"\0" * 150_000_000)
        archive.writestr("__MACOSX/sunny/._good.jpg", b"litter")
        archive.writestr("sunny/.DS_Store", b"litter")
    data = bytearray(path.read_bytes())
    for name, offset, value in ((b"locked", 8, 1), (b"strange", 10, 99)):
        central = data.rindex(b"sunny/" + name) - 46
        data[central + offset] = value
        local = data.index(b"sunny/" + name) - 30
        data[local + offset - 2] = value
    central = data.rindex(b"sunny/crc") - 46
    data[central + 16] ^= 255
    path.write_bytes(data)
    assert read_all(path) == {
        "sunny/bomb.jpg": "too large",
        "sunny/crc.jpg": "damaged",
        "sunny/locked.jpg": "encrypted",
        "sunny/strange.jpg": "damaged",
    }


def test_a_member_that_lies_about_its_size_is_not_unpacked_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "lie.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sunny/lie.jpg", b"\0" * 100_000)
    with open_zip(tmp_path / "lie.zip") as archive:
        archive.infolist()[0].file_size = 10
        (one,) = from_zip(archive)
        with pytest.raises(Refused):
            one.read()


def test_a_zip_larger_than_any_collection_is_refused_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for number in range(6):
            archive.writestr(f"sunny{number}.jpg", b"x" * 10)
    monkeypatch.setattr(archives, "MAX_UNPACKED", 59)
    with pytest.raises(DataError, match="60 bytes"):
        open_zip(tmp_path / "many.zip")
    monkeypatch.undo()
    monkeypatch.setattr(archives, "MAX_MEMBERS", 5)
    with pytest.raises(DataError, match="6 files"):
        open_zip(tmp_path / "many.zip")


def test_folders_are_listed_in_order_and_links_to_files_followed(few: Path) -> None:
    (few / "sunny" / "linked.jpg").symlink_to(next((few / "sunny").iterdir()))
    names = [one.name for one in from_folder(few)]
    assert names == sorted(names)
    linked = next(one for one in from_folder(few) if one.name == "sunny/linked.jpg")
    assert linked.read() == (few / "sunny" / "linked.jpg").read_bytes()
