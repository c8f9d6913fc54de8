"""The public data set from its publisher: however its zip is packed, and where there is none."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.photos.conftest import encoded, sky
from tests.photos.pretend_web import Answer, PretendWeb, serve
from tests.photos.test_folder_and_zip import run
from utils.photos.dataset import read_manifest
from utils.photos.sources.fetch import FetchError, Web
from utils.photos.sources.mwd import fetch_mwd, from_mwd

PATH = "/public-api/zip/4drtyfjtfy/download/1"
NAMES = [
    "cloudy1.jpg",
    "cloudy2.jpg",
    "shine3.jpg",
    "rain4.jpg",
    "sunrise5.jpg",
    "cloudy_shine6.jpg",
    "read me.txt",
]
USED = {"cloudy1.jpg", "cloudy2.jpg", "shine3.jpg"}


def packed(folder: str = "") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, name in enumerate(NAMES):
            archive.writestr(folder + name, encoded(sky(number), quality=90))
    return buffer.getvalue()


def nested(inner: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Multi-class Weather Dataset/dataset2.zip", inner)
    return buffer.getvalue()


def overwritten(data: bytes) -> bytes:
    """The archive with a hole in the middle of what it holds; its table of contents is whole."""
    middle = len(data) // 2
    return data[:middle] + bytes(1000) + data[middle + 1000 :]


@pytest.fixture
def server() -> Iterator[PretendWeb]:
    with serve() as web:
        web.redirects[PATH] = "/storage/mwd.zip"
        web.files["/storage/mwd.zip"] = packed("dataset2/")
        web.etags["/storage/mwd.zip"] = '"v1"'
        yield web


def fetched(server: PretendWeb, folder: Path) -> set[str]:
    web = Web(pause=0.0, first_wait=0.01, timeout=1.0, attempts=3)
    with fetch_mwd(web, server.address + PATH, folder / "mwd.zip") as archive:
        return {one.name.rsplit("/", 1)[-1] for one in from_mwd(archive)}


@pytest.mark.parametrize(
    "data", [packed(), packed("dataset2/"), nested(packed("dataset2/"))], ids="flat folder zip-in-zip".split()
)
def test_the_two_sky_classes_are_found_however_they_are_packed(
    server: PretendWeb, tmp_path: Path, data: bytes
) -> None:
    server.files["/storage/mwd.zip"] = data
    assert fetched(server, tmp_path) == USED
    assert fetched(server, tmp_path) == USED
    assert server.count("/storage/mwd.zip") == 1


def test_a_download_that_breaks_off_goes_on(server: PretendWeb, tmp_path: Path) -> None:
    data = server.files["/storage/mwd.zip"]
    server.fail(
        "/storage/mwd.zip", Answer(body=data, cut=len(data) // 2, headers={"ETag": '"v1"'}), Answer(503)
    )
    assert fetched(server, tmp_path) == USED
    assert server.asked[-1].headers["Range"] == f"bytes={len(data) // 2}-"


@pytest.mark.parametrize("what", [b"<!doctype html><title>Sign in</title>", packed()[:-200], b""])
def test_what_is_no_zip_is_told_with_the_way_by_hand(server: PretendWeb, tmp_path: Path, what: bytes) -> None:
    server.files["/storage/mwd.zip"] = what
    with pytest.raises(
        FetchError, match=r"no zip file; download it by hand from https://data\.mendeley\.com"
    ):
        fetched(server, tmp_path)
    server.files["/storage/mwd.zip"] = packed()
    assert fetched(server, tmp_path) == USED


@pytest.mark.parametrize(
    "data",
    [overwritten(nested(packed("dataset2/"))), nested(packed()[:-200]), nested(b"")],
    ids="hole truncated empty".split(),
)
def test_a_damaged_zip_in_the_zip_is_one_line_and_fetched_anew(
    server: PretendWeb, tmp_path: Path, data: bytes
) -> None:
    server.files["/storage/mwd.zip"] = data
    command = ("mwd", "--url", server.address + PATH, "--data", tmp_path)
    done = run(*command)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "dataset2.zip in what came is damaged; download it by hand" in done.stderr
    assert not list((tmp_path / "mwd" / ".work" / "fetched").iterdir())
    server.files["/storage/mwd.zip"] = nested(packed("dataset2/"))
    assert run(*command).returncode == 0
    assert server.count("/storage/mwd.zip") == 2


def test_an_address_without_the_data_set_is_told_with_the_way_by_hand(
    server: PretendWeb, tmp_path: Path
) -> None:
    server.redirects.clear()
    with pytest.raises(FetchError, match="404 Not Found; or download it by hand"):
        fetched(server, tmp_path)


def test_the_command_builds_the_set_and_needs_no_second_download(server: PretendWeb, tmp_path: Path) -> None:
    for _ in range(2):
        done = run("mwd", "--url", server.address + PATH, "--data", tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
    rows = read_manifest(tmp_path / "mwd")
    assert {row.name.removeprefix("dataset2/") for row in rows} == USED
    assert {row.source for row in rows} == {"mwd"}
    assert server.count("/storage/mwd.zip") == 1
    server.redirects.clear()
    done = run("mwd", "--url", server.address + "/nothing", "--data", tmp_path, "--set", "other")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
