"""Photos to test on: simulated ones with the faults of real ones, or real ones where one names them."""

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from utils.photos.dataset import Build, build, locked
from utils.photos.simulator import simulate
from utils.photos.sources.folder import from_folder

ROOT = Path(__file__).resolve().parents[2]
STALE_ORIENTATION = 8


def sky(index: int, size: tuple[int, int] = (240, 180), seed: int = 5) -> Image.Image:
    """A simulated photo, different for each index."""
    return Image.fromarray(simulate(seed, index)[0]).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """The bytes of a picture file."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def gather(folder: Path, source: Path, kind: str = "folder") -> Build:
    """Build a set from a folder, as the command does."""
    with locked(folder):
        return build(folder, kind, from_folder(source))


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `shine` and `cloudy`; some cloudy files carry a stale orientation, as in the real data set, which stands
    here where SKYFED_PHOTOS names its folder.
    """
    if wanted := os.environ.get("SKYFED_PHOTOS"):
        return Path(wanted)
    folder = tmp_path_factory.mktemp("photos")
    for name in ("shine", "cloudy"):
        (folder / name).mkdir()
    stale = Image.Exif()
    stale[0x0112] = STALE_ORIENTATION
    for index in range(90):
        cloudy = simulate(5, index)[1].label == "cloudy"
        exif = stale if cloudy and index % 4 == 0 else Image.Exif()
        file = folder / ("cloudy" if cloudy else "shine") / f"photo{index}.jpg"
        file.write_bytes(encoded(sky(index), exif=exif, quality=90))
    return folder


@pytest.fixture(scope="session")
def built(photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Build]:
    """The set built from `photo_folder`: its folder, and what the build said. Not to be changed."""
    folder = tmp_path_factory.mktemp("data") / "mwd"
    return folder, gather(folder, photo_folder)


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """A folder of eight simulated photos, four a class."""
    return make_few(tmp_path / "few")


def make_few(folder: Path, each: int = 4, first: int = 0) -> Path:
    """Put `each` simulated photos of either class into `folder`."""
    done = {"sunny": 0, "cloudy": 0}
    index = first
    while min(done.values()) < each:
        label = simulate(5, index)[1].label
        if done[label] < each:
            (folder / label).mkdir(parents=True, exist_ok=True)
            (folder / label / f"photo{index}.jpg").write_bytes(encoded(sky(index), quality=92))
            done[label] += 1
        index += 1
    return folder


@pytest.fixture
def tree() -> Callable[[Path], dict[str, bytes]]:
    """All files below a folder with their bytes, the lock left out."""

    def read(folder: Path) -> dict[str, bytes]:
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != "lock"
        }

    return read
