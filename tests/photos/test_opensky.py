"""Skies taken straight up: an entry is an outing and a scene, labelled by the cloud cover that its author noted."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.photos.conftest import encoded, sky
from tests.photos.pretend_web import PretendWeb, serve
from tests.photos.test_folder_and_zip import run
from utils.data.split import scene_of
from utils.photos.dataset import read_manifest

PATH = "/0x4248/OpenSky/archive/refs/heads/main.zip"
ENTRIES = {"10001": "10", "10002": "49.5", "10003": "50", "10004": "100", "10005": "", "10006": "120"}


def _tree(deep: bool = True) -> dict[str, bytes]:
    """Files of the collection by path: as its repository has them, or as a copy with the photos beside the note."""
    files = {"OpenSky-main/README.md": b"# OpenSky", "OpenSky-main/dataset/index.json": b"[]"}
    for number, (entry, clouds) in enumerate(ENTRIES.items()):
        base = f"OpenSky-main/dataset/{entry}"
        files[f"{base}/info.json"] = json.dumps(
            {"number_of_photos": 2, "percentage_of_clouds": clouds}
        ).encode()
        for photo in (1, 2):
            data = encoded(sky(10 * number + photo, (200, 200)), quality=90)
            if deep:
                files[f"{base}/processed/1000/{photo}.jpg"] = data
                files[f"{base}/processed/500/{photo}.jpg"] = encoded(sky(10 * number + photo, (100, 100)))
                files[f"{base}/original/{photo}.jpg"] = data + b"longer"
                files[f"{base}/{photo}.jpg"] = data + b"another copy"
            else:
                files[f"{base}/{photo}.jpg"] = data
    return files


def _zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _unpacked(files: dict[str, bytes], folder: Path) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def _check(folder: Path) -> None:
    rows = read_manifest(folder)
    assert {row.name for row in rows} == {f"{entry}/{n}.jpg" for entry in list(ENTRIES)[:4] for n in (1, 2)}
    for row in rows:
        entry = row.name.partition("/")[0]
        assert row.label == ("sunny" if float(ENTRIES[entry]) < 50 else "cloudy")
        assert row.scene == scene_of("opensky", entry) and row.source == "opensky"
        assert row.provenance["clouds_noted"] == f"{float(ENTRIES[entry]):g}"
        assert row.provenance["licence"].startswith("public domain")


@pytest.mark.parametrize("deep", [True, False], ids=["repository", "copy"])
@pytest.mark.parametrize("packed", [True, False], ids=["zip", "folder"])
def test_a_copy_one_has_becomes_a_set(tmp_path: Path, deep: bool, packed: bool) -> None:
    source = tmp_path / "source"
    if packed:
        source = tmp_path / "source.zip"
        source.write_bytes(_zipped(_tree(deep)))
    else:
        _unpacked(_tree(deep), source)
    done = run("opensky", source, "--data", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "no cloud cover noted" in done.stdout
    _check(tmp_path / "opensky")


def test_several_sources_share_a_set(tmp_path: Path) -> None:
    _unpacked(_tree(), tmp_path / "source")
    few = tmp_path / "few"
    for number, name in enumerate(("sunny1.jpg", "cloudy2.jpg"), start=90):
        few.mkdir(exist_ok=True)
        (few / name).write_bytes(encoded(sky(number)))
    for command in (("opensky", tmp_path / "source"), ("folder", few)):
        assert run(*command, "--set", "skies", "--data", tmp_path).returncode == 0
    rows = read_manifest(tmp_path / "skies")
    assert {row.source for row in rows} == {"opensky", "folder"} and len(rows) == 10
    assert all((row.scene == row.group) == (row.source == "folder") for row in rows)


@pytest.fixture
def server() -> Iterator[PretendWeb]:
    with serve() as web:
        web.redirects[PATH] = "/codeload/opensky.zip"
        web.files["/codeload/opensky.zip"] = _zipped(_tree())
        yield web


def test_it_is_fetched_once(server: PretendWeb, tmp_path: Path) -> None:
    for _ in range(2):
        done = run("opensky", "--url", server.address + PATH, "--data", tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
    assert server.count("/codeload/opensky.zip") == 1
    _check(tmp_path / "opensky")


@pytest.mark.parametrize(
    "what", [b"<!doctype html>", b"", _zipped({"a/readme.txt": b"x"})], ids="page empty other".split()
)
def test_what_is_not_it_is_told_with_the_way_by_hand(server: PretendWeb, tmp_path: Path, what: bytes) -> None:
    server.files["/codeload/opensky.zip"] = what
    done = run("opensky", "--url", server.address + PATH, "--data", tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "download it by hand from https://github.com/0x4248/OpenSky" in done.stderr
    server.files["/codeload/opensky.zip"] = _zipped(_tree())
    assert run("opensky", "--url", server.address + PATH, "--data", tmp_path).returncode == 0


@pytest.mark.parametrize("kind", ["missing", "empty folder", "not a zip"])
def test_a_copy_that_is_none_is_one_line_and_status_2(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "copy"
    if kind == "empty folder":
        path.mkdir()
    elif kind == "not a zip":
        path.write_bytes(b"no zip")
    done = run("opensky", path, "--data", tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1) and str(path) in done.stderr
