"""Photos from Wikimedia Commons: all pages of a list, free licences only, nothing fetched twice."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.photos.conftest import encoded, sky
from tests.photos.pretend_web import Answer, PretendWeb, serve
from tests.photos.test_folder_and_zip import run
from utils.photos.cleaning import Refused
from utils.photos.sources import Candidate
from utils.photos.sources.commons import by_category, by_search, from_commons
from utils.photos.sources.fetch import FetchError, Web

MAXLAG = (
    b'{"error": {"code": "maxlag", "info": "Waiting for a database server: 7 seconds lagged.", "lag": 7}}'
)


@pytest.fixture
def server() -> Iterator[PretendWeb]:
    with serve() as web:
        for number in range(8):
            web.add_photo(f"Sky {number}.jpg", encoded(sky(number), quality=90))
        yield web


def listed(
    server: PretendWeb, cache: Path, count: int = 100, chosen: dict[str, str] | None = None
) -> list[Candidate]:
    web = Web(pause=0.0, first_wait=0.01, timeout=1.0, attempts=3)
    return from_commons(
        web, server.address + "/w/api.php", chosen or by_category("Sky"), "sunny", count, cache
    )


@pytest.mark.parametrize("chosen", [by_category("Sky"), by_category("Category:Sky"), by_search("blue sky")])
def test_every_page_of_a_list_is_taken_once(
    server: PretendWeb, tmp_path: Path, chosen: dict[str, str]
) -> None:
    found = listed(server, tmp_path, chosen=chosen)
    assert [one.name for one in found] == [f"File:Sky {number}.jpg" for number in range(8)]
    assert [one.refused for one in found] == [None] * 8
    assert found[7].read() == server.files["/thumb/8.jpg"]
    first = server.asked[0].query
    assert (first["maxlag"], first["action"], first["formatversion"]) == ("5", "query", "2")


def test_no_more_is_listed_than_wanted(server: PretendWeb, tmp_path: Path) -> None:
    assert len(listed(server, tmp_path, count=2)) == 2
    assert server.count("/w/api.php") == 2
    assert listed(server, tmp_path, chosen=by_category("Nothing")) == []


@pytest.mark.parametrize(
    "licence",
    ["cc0", "pd", "pd-usgov", "cc-by-2.0", "CC-BY-SA-4.0", "cc-by-sa-3.0-de", "cc-by-sa", "cc-pd-mark"],
)
def test_free_licences_are_taken(server: PretendWeb, tmp_path: Path, licence: str) -> None:
    server.pages.clear()
    server.add_photo("one.jpg", b"", License=licence)
    assert listed(server, tmp_path)[0].refused is None


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"License": "cc-by-nc-4.0"}, "no free licence"),
        ({"License": "cc-by-nd-4.0"}, "no free licence"),
        ({"License": "cc-by-nc-sa-2.0"}, "no free licence"),
        ({"License": ""}, "no free licence"),
        ({"License": "fair use"}, "no free licence"),
        ({"NonFree": "true"}, "no free licence"),
        ({"mime": "image/svg+xml"}, "not a photo"),
        ({"mime": "video/webm"}, "not a photo"),
    ],
)
def test_what_is_not_free_or_no_photo_is_refused_unfetched(
    server: PretendWeb, tmp_path: Path, about: dict[str, str], reason: str
) -> None:
    server.pages.clear()
    server.add_photo("one.jpg", b"", **about)
    refused = listed(server, tmp_path)[0].refused
    assert refused is not None
    assert refused.reason == reason


def test_author_licence_and_page_are_kept_as_plain_words(server: PretendWeb, tmp_path: Path) -> None:
    server.pages.clear()
    artist = (
        '<a href="//commons.wikimedia.org/wiki/User:X" title="x">A.&nbsp;B.</a>\n<script>x</script> &amp; co'
    )
    server.add_photo(
        "one.jpg", b"", Artist=artist, LicenseUrl="https://creativecommons.org/licenses/by-sa/4.0"
    )
    assert dict(listed(server, tmp_path)[0].provenance) == {
        "author": "A. B. x & co",
        "licence": "CC BY-SA 4.0",
        "licence_url": "https://creativecommons.org/licenses/by-sa/4.0",
        "page": f"{server.address}/wiki/File:1.jpg",
    }


@pytest.mark.parametrize(
    "fault",
    [
        Answer(body=MAXLAG, headers={"Retry-After": "0"}),
        Answer(429, headers={"Retry-After": "0"}),
        Answer(503),
        Answer(body=b"<html>the database is locked</html>"),
        Answer(body=b'{"query": {"pages": [', cut=10),
    ],
    ids="maxlag 429 503 html truncated".split(),
)
def test_a_busy_api_is_asked_again(server: PretendWeb, tmp_path: Path, fault: Answer) -> None:
    server.fail("/w/api.php", fault)
    assert len(listed(server, tmp_path)) == 8


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            b'{"error": {"code": "invalidcategory", "info": "The category name is not valid."}}',
            "is not valid",
        ),
        (b'{"error": {}}', "error without words"),
        (b'{"error": "odd"}', "error without words"),
        (b"[]", "no JSON object"),
    ],
)
def test_an_error_of_the_api_is_told(server: PretendWeb, tmp_path: Path, answer: bytes, words: str) -> None:
    server.fail("/w/api.php", Answer(body=answer))
    with pytest.raises(FetchError, match=words):
        listed(server, tmp_path)


@pytest.mark.parametrize(
    "answer",
    [
        b"{}",
        b'{"query": 5}',
        b'{"query": {"pages": [5, null, {}, {"pageid": "x"}]}}',
        b'{"query": {"pages": [{"pageid": 1, "title": 7, "imageinfo": "none"}]}}',
        b'{"query": {"pages": [{"pageid": 1, "title": "File:a\\nb", "imageinfo": [{"extmetadata": []}]}]}}',
        b'{"query": {"pages": [{"pageid": 1, "imageinfo": [{"thumburl": "x", "sha1": "../../etc"}]}]}}',
    ],
)
def test_garbage_in_an_answer_gives_no_photo_and_no_traceback(
    server: PretendWeb, tmp_path: Path, answer: bytes
) -> None:
    server.fail("/w/api.php", Answer(body=answer))
    assert all(one.refused for one in listed(server, tmp_path))


def test_a_photo_is_fetched_once_and_one_that_is_gone_refused(server: PretendWeb, tmp_path: Path) -> None:
    del server.files["/thumb/2.jpg"]
    for _ in range(2):
        found = listed(server, tmp_path)
        assert found[0].read() == server.files["/thumb/1.jpg"]
        with pytest.raises(Refused, match="not to be had"):
            found[1].read()
    assert server.count("/thumb/1.jpg") == 1


def test_a_photo_that_breaks_off_leaves_nothing_in_the_cache(server: PretendWeb, tmp_path: Path) -> None:
    server.fail("/thumb/1.jpg", *[Answer(body=server.files["/thumb/1.jpg"], cut=900)] * 3)
    with pytest.raises(FetchError, match="broke off"):
        listed(server, tmp_path)[0].read()
    assert list(tmp_path.iterdir()) == []
    assert listed(server, tmp_path)[0].read() == server.files["/thumb/1.jpg"]


def test_the_command_gathers_a_category_and_fetches_nothing_twice(server: PretendWeb, tmp_path: Path) -> None:
    server.add_photo("not free.jpg", b"", License="cc-by-nc-4.0")
    arguments = ["commons", "--category", "Sky", "--label", "sunny", "--data", tmp_path]
    arguments += ["--api", server.address + "/w/api.php", "--contact", "me@example.org"]
    del server.pages[4:8]
    done = run(*arguments, "--count", 2)
    assert (done.returncode, done.stderr) == (0, "")
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 no free licence" in done.stdout
    assert {server.count(f"/thumb/{number}.jpg") for number in range(1, 5)} == {1}
    with (tmp_path / "commons" / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert {row["author"] for row in rows} == {"somebody"}
    assert {row["source"] for row in rows} == {"commons"}
    before = (tmp_path / "commons" / "manifest.csv").read_bytes()
    assert run(*arguments).returncode == 0
    assert (tmp_path / "commons" / "manifest.csv").read_bytes() == before


def test_the_command_fails_in_one_line_where_there_is_no_api(server: PretendWeb, tmp_path: Path) -> None:
    done = run(
        *("commons", "--search", "blue sky", "--label", "cloudy", "--data", tmp_path),
        *("--api", server.address + "/elsewhere"),
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "404" in done.stderr
