"""Fetching is polite, patient with a busy server, and honest when it gives up."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from tests.photos.pretend_web import Answer, PretendWeb, serve
from utils.photos.sources.fetch import FetchError, UnavailableError, Web

BODY = bytes(range(256)) * 400


@pytest.fixture
def server() -> Iterator[PretendWeb]:
    with serve() as web:
        web.files["/file"] = BODY
        web.etags["/file"] = '"one"'
        yield web


def client(**settings: float) -> Web:
    return Web(**{"pause": 0.0, "first_wait": 0.01, "timeout": 1.0, "attempts": 4, **settings})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fault",
    [
        Answer(429),
        Answer(503, headers={"Retry-After": "0"}),
        Answer(500, b"<html>"),
        Answer(504),
        Answer(503, headers={"Retry-After": "soon"}),
        Answer(hang_up=True),
        Answer(body=BODY, cut=5000),
        Answer(body=BODY, cut=0),
    ],
    ids="429 503 500 504 nonsense-retry-after hang-up truncated nothing".split(),
)
def test_a_passing_fault_is_tried_again(server: PretendWeb, fault: Answer) -> None:
    server.fail("/file", fault, fault)
    assert client().content(server.address + "/file", 1 << 20) == BODY
    assert server.count("/file") == 3


def test_a_lasting_fault_ends_in_one_line_after_all_tries(server: PretendWeb) -> None:
    server.fail("/file", *[Answer(503)] * 9)
    with pytest.raises(FetchError, match=r"503.*4 tries.*run the same command again") as error:
        client().content(server.address + "/file", 1 << 20)
    assert "\n" not in str(error.value)
    assert server.count("/file") == 4


@pytest.mark.serial
def test_waits_double_and_a_servers_wish_to_wait_is_obeyed(server: PretendWeb) -> None:
    server.fail("/file", Answer(503), Answer(503), Answer(429, headers={"Retry-After": "1"}))
    client(first_wait=0.1).content(server.address + "/file", 1 << 20)
    times = [request.at for request in server.asked]
    waits = [later - sooner for sooner, later in zip(times, times[1:], strict=False)]
    assert 0.1 <= waits[0] < 0.2 <= waits[1] < 0.4 < 1.0 <= waits[2] < 1.4


@pytest.mark.serial
def test_a_date_to_come_back_at_is_understood(server: PretendWeb) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    server.fail("/file", Answer(503, headers={"Retry-After": date}))
    started = time.monotonic()
    client().content(server.address + "/file", 1 << 20)
    assert 0.8 < time.monotonic() - started < 3


def test_a_server_that_asks_for_hours_ends_the_run(server: PretendWeb) -> None:
    server.fail("/file", Answer(429, headers={"Retry-After": "7200"}))
    with pytest.raises(FetchError, match="wait 7200 seconds"):
        client().content(server.address + "/file", 1 << 20)
    assert server.count("/file") == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 416])
def test_a_refusal_is_not_asked_again(server: PretendWeb, status: int) -> None:
    server.fail("/file", Answer(status))
    with pytest.raises(UnavailableError, match=str(status)):
        client().content(server.address + "/file", 1 << 20)
    assert server.count("/file") == 1


def test_a_silent_server_is_given_up_after_the_timeout(server: PretendWeb) -> None:
    server.fail("/file", Answer(body=b"ab", drip=3.0))
    assert client(timeout=0.2).content(server.address + "/file", 1 << 20) == BODY


def test_a_server_that_drips_is_given_up(server: PretendWeb) -> None:
    server.fail("/file", Answer(body=BODY, drip=0.02))
    assert client(patience=0.3, slowest=10_000).content(server.address + "/file", 1 << 20) == BODY


@pytest.mark.parametrize("answer", [Answer(body=BODY), Answer(body=BODY, headers={"X": "y"})])
def test_more_than_wanted_is_not_taken(server: PretendWeb, answer: Answer) -> None:
    server.fail("/file", answer)
    with pytest.raises(FetchError, match="more than 1000 bytes"):
        client().content(server.address + "/file", 1000)


@pytest.mark.parametrize(
    "address", ["ftp://example.org/x", "no address", "http://", "http://[", "file:///etc/passwd"]
)
def test_what_is_no_web_address_is_told_at_once(address: str) -> None:
    with pytest.raises(FetchError) as error:
        client(attempts=1).content(address, 10)
    assert "\n" not in str(error.value)


def test_requests_keep_their_distance_and_say_who_asks(server: PretendWeb) -> None:
    web = Web(contact="somebody@example.org", pause=0.15)
    for _ in range(3):
        web.content(server.address + "/file", 1 << 20)
    times = [request.at for request in server.asked]
    assert min(later - sooner for sooner, later in zip(times, times[1:], strict=False)) > 0.14
    agents = {request.headers["User-Agent"] for request in server.asked}
    assert len(agents) == 1
    assert agents.pop().startswith("SkyFed/0.1 (somebody@example.org) ")


def test_json_that_is_none_is_tried_again_and_then_told(server: PretendWeb) -> None:
    server.files["/json"] = b'{"fine": true}'
    server.fail("/json", Answer(body=b"<html>busy</html>"), Answer(body=b'{"cut'))
    assert client().json(server.address + "/json", {}) == {"fine": True}
    server.files["/json"] = b"[1, 2]"
    with pytest.raises(FetchError, match="no JSON object"):
        client().json(server.address + "/json", {})


def test_a_download_goes_on_where_it_broke_off(server: PretendWeb, tmp_path: Path) -> None:
    server.fail("/file", Answer(body=BODY, cut=70_000, headers={"ETag": '"one"'}))
    client().download(server.address + "/file", tmp_path / "file", 1 << 20)
    assert (tmp_path / "file").read_bytes() == BODY
    assert server.asked[1].headers["Range"] == "bytes=70000-"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_a_download_goes_on_in_a_later_run(server: PretendWeb, tmp_path: Path) -> None:
    server.fail("/file", *[Answer(body=BODY, cut=70_000, headers={"ETag": '"one"'})])
    with pytest.raises(FetchError):
        client(attempts=1).download(server.address + "/file", tmp_path / "file", 1 << 20)
    assert not (tmp_path / "file").exists()
    client().download(server.address + "/file", tmp_path / "file", 1 << 20)
    assert (tmp_path / "file").read_bytes() == BODY
    assert server.asked[1].headers["Range"] == "bytes=70000-"


@pytest.mark.parametrize("how", ["other version", "no ranges", "no tag", "longer than it is"])
def test_a_download_begins_anew_where_it_cannot_go_on(server: PretendWeb, tmp_path: Path, how: str) -> None:
    tag = {} if how == "no tag" else {"ETag": '"one"'}
    server.fail("/file", Answer(body=b"Z" * len(BODY), cut=70_000, headers=tag))
    with pytest.raises(FetchError):
        client(attempts=1).download(server.address + "/file", tmp_path / "file", 1 << 20)
    server.etags["/file"] = '"two"' if how == "other version" else '"one"'
    server.ranges = how != "no ranges"
    if how == "longer than it is":
        server.files["/file"] = BODY[:60_000]
    client().download(server.address + "/file", tmp_path / "file", 1 << 20)
    assert (tmp_path / "file").read_bytes() == server.files["/file"]


def test_a_download_is_bounded(server: PretendWeb, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="more than"):
        client().download(server.address + "/file", tmp_path / "file", 1000)
    assert not (tmp_path / "file").exists()
