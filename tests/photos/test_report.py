"""The report is one page that loads nothing, runs nothing and believes no file name."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from tests.photos.conftest import encoded, gather, sky
from tests.photos.test_folder_and_zip import run
from utils.photos.cleaning import Refused, lies
from utils.photos.dataset import Build
from utils.photos.report import summary, write_report

HOSTILE = """"><img src=x onerror=alert(1)><script>alert('2')<'.jpg"""


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def test_hostile_names_stay_text(few: Path, tmp_path: Path) -> None:
    (few / "sunny" / HOSTILE.replace("/", "")).write_bytes(encoded(sky(70)))
    (few / "sunny" / ("bad" + HOSTILE.replace("/", ""))).write_bytes(b"no picture")
    result = gather(tmp_path / "set", few)
    page = parsed(write_report(tmp_path / "set", "<b>title</b>", result))
    assert not {tag for tag, _ in page.tags} & {"script", "b", "iframe", "link", "object"}
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        if tag == "img":
            assert str(attributes["src"]).startswith("data:image/jpeg;base64,")
    titles = [str(attributes.get("title")) for tag, attributes in page.tags if tag == "img"]
    assert any("onerror=alert(1)" in title for title in titles)
    assert "bad" + HOSTILE in page.text


def test_the_page_shows_every_kept_photo_and_every_duplicate(few: Path, tmp_path: Path) -> None:
    first = sorted((few / "sunny").iterdir())[0]
    (few / "sunny" / "exact.jpg").write_bytes(first.read_bytes())
    (few / "sunny" / "near.jpg").write_bytes(encoded(sky(int(first.stem[5:]), (200, 150))))
    result = gather(tmp_path / "set", few)
    page = parsed(write_report(tmp_path / "set", "Photos", result))
    assert sum(tag == "img" for tag, _ in page.tags) == 8 + 2
    assert "8 photos, 1 near duplicates and 1 exact copies set aside, 0 files refused" in page.text
    assert all("http" not in str(value) for _, attributes in page.tags for value in attributes.values())


def test_the_summary_counts_refusals_the_commonest_first() -> None:
    refused = [("a", Refused("damaged")), ("b", Refused("too small")), ("c", Refused("damaged", "x"))]
    lines = summary(Build([], refused=refused, changed=["one.jpg"])).splitlines()
    assert "refused: 3 files" in lines
    assert lines.index("      2 damaged") < lines.index("      1 too small")
    assert lines[-1].endswith("one.jpg")


def test_a_set_of_one_class_and_names_without_one_are_said(few: Path, tmp_path: Path) -> None:
    for path in (few / "cloudy").iterdir():
        path.rename(few / path.name.replace("cloudy", "picture"))
    said = summary(gather(tmp_path / "set", few))
    assert "NOTE: there is no cloudy photo in train" in said
    assert "no class in its name" in said and "words that count in a name: sunny: sunny, shine" in said


def portrait(
    index: int, orientation: int, maker: str = "Maker", recorded: tuple[int, int] | None = (240, 180)
) -> bytes:
    """A photo of 240 x 180 pixels whose EXIF says how it is to be turned, who took it, and which size it had then."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, maker
    if recorded:
        exif.get_ifd(0x8769)[0xA002], exif.get_ifd(0x8769)[0xA003] = recorded
    return encoded(sky(index), exif=exif)


@pytest.mark.parametrize(
    ("said", "lying"),
    [
        (
            {"orientation": 6, "recorded": (180, 240)},
            True,
        ),  # sizes turned, as some phones note those of the upright photo
        ({"orientation": 8, "recorded": None}, True),
        ({"orientation": 6, "recorded": (4000, 3000)}, True),  # made smaller since
        ({"orientation": 3, "maker": ""}, True),
        ({"orientation": 6}, False),  # the camera's own: it is turned
        ({"orientation": 1, "recorded": None}, False),
        ({"orientation": 9, "recorded": None}, False),
    ],
)
def test_who_asks_to_be_turned_and_is_not_believed_lies(said: dict[str, object], lying: bool) -> None:
    assert lies(portrait(80, **said)) is lying  # type: ignore[arg-type]


@pytest.mark.parametrize("hostile", [b"", b"no picture", portrait(80, 6, recorded=None)[:200]])
def test_what_is_no_whole_picture_does_not_lie(hostile: bytes) -> None:
    assert lies(hostile) is False


def test_it_is_said_how_many_were_taken_as_they_lie(few: Path, tmp_path: Path) -> None:
    (few / "sunny" / "turned sizes.jpg").write_bytes(portrait(81, 6, recorded=(180, 240)))
    (few / "sunny" / "no <sizes>.jpg").write_bytes(portrait(82, 8, recorded=None))
    (few / "sunny" / "a copy.jpg").write_bytes(portrait(82, 8, recorded=None))
    (few / "cloudy" / "camera's own.jpg").write_bytes(portrait(83, 6))
    (few / "sunny" / "refused.jpg").write_bytes(encoded(Image.new("RGB", (200, 200), "blue"), exif=_tag(6)))
    result = gather(tmp_path / "set", few)
    line = next(line for line in summary(result).splitlines() if "taken as they lie" in line)
    assert ": 2 photos: sunny/" in line and "camera" not in line and "refused" not in line
    page = parsed(write_report(tmp_path / "set", "Photos", result))
    assert "Taken as they lie" in page.text and "2 photos ask in their EXIF" in page.text
    assert "no <sizes>.jpg" in page.text or "a copy.jpg" in page.text
    told = [run("folder", few, "--data", tmp_path / "data", "--set", "mine").stdout for _ in range(2)]
    assert all("orientation not believed: 2 photos" in one for one in told), "the second time too"


def test_nothing_is_said_where_none_lies(few: Path, tmp_path: Path) -> None:
    result = gather(tmp_path / "set", few)
    assert "as they lie" not in summary(result)
    assert "as they lie" not in parsed(write_report(tmp_path / "set", "Photos", result)).text


def _tag(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif
