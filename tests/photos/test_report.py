"""The report is one page that loads nothing, runs nothing and believes no file name."""

from html.parser import HTMLParser
from pathlib import Path

from tests.photos.conftest import encoded, gather, sky
from utils.photos.cleaning import Refused
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
