"""The line to the site: it breaks, it is slow, it lies; and the token stays where it belongs."""

import json
import math
import os
import stat
from dataclasses import replace

import pytest

from tests.participant.fake_board import TOKEN, FakeBoard
from utils.participant import told
from utils.participant.board import Address, Board, address_of
from utils.participant.kept import Kept, Place
from utils.participant.link import line, me_of, plain, training_of
from utils.participant.refusals import DeniedError, LinkError, RefusedError, WrongError
from utils.participant.site import checked_token
from utils.participant.waiting import MOST, bounded


@pytest.fixture
def link(board, waits):
    return Board(address_of(board.url), TOKEN)


@pytest.mark.parametrize(
    ("url", "site", "number"),
    [
        ("https://sky.example/tasks/3", "https://sky.example", 3),
        ("https://SKY.example:443/tasks/3/?a=b#c", "https://sky.example", 3),
        ("http://localhost:5099/api/v1/calls/12", "http://localhost:5099", 12),
        ("https://sky.example/lab/tasks/7", "https://sky.example/lab", 7),
        ("http://[::1]:80/tasks/7", "http://[::1]", 7),
    ],
)
def test_a_task_is_found_by_its_page_or_its_place_in_the_api(url, site, number):
    assert address_of(url) == Address(site, number)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sky.example/tasks/3",
        "ftp://a/tasks/3",
        "https://a/tasks",
        "https://me:pw@a/tasks/3",
        "http://[/tasks/3",
    ],
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(WrongError):
        address_of(url)


@pytest.mark.parametrize(
    "how", ["cut", "short", (500, {}, {}), (503, {"Retry-After": "3"}, {}), (429, {}, {})]
)
def test_what_fails_is_asked_again(board, link, waits, how):
    board.failures = [("GET", "/calls/3", how)] * 2
    assert link.task().version == 1
    assert board.count("GET", "/calls/3") == 3 and sum(waits) >= 2
    if isinstance(how, tuple) and how[1]:
        assert sum(waits) >= 6


@pytest.mark.parametrize("how", ["cut", "lost", "short"])
def test_an_update_whose_way_breaks_is_sent_again_and_counted_once(run, board, joined, how):
    board.failures = [("PUT", "", how)] * 2
    status, out, errors = run("train", "--yes")
    assert (status, errors) == (0, "") and "waiting" in out
    assert len(board.bodies) == 1 and len(Kept(joined).ledger.sent()) == 1 and board.count("PUT", "") == 3


@pytest.mark.parametrize("how", ["cut", "lost"])
def test_an_update_that_cannot_be_sent_is_kept_and_sent_next_time(run, board, joined, how):
    board.failures = [("PUT", "", how)] * 4
    status, _, errors = run("train", "--yes")
    assert status == 1 and errors.count("\n") == 1 and "cannot be reached" in errors
    id = Kept(joined).pending.id
    _, out, _ = run("ledger")
    assert "not confirmed" in out
    status, out, _ = run("train", "--yes")
    assert status == 0 and list(board.bodies) == [id] and board.trainings[id]["state"] == "waiting"
    assert board.count("PUT", id) == (5 if how == "cut" else 4)  # what arrived is not sent again
    assert [one["state"] for one in Kept(joined).ledger.sent()] == ["waiting"]


def test_a_site_that_asks_for_long_patience_is_left_alone(board, link, waits):
    board.failures = [("GET", "/calls/3", (503, {"Retry-After": "3600"}, {}))]
    with pytest.raises(LinkError) as found:
        link.task()
    assert found.value.after == 3600 and board.count("GET", "/calls/3") == 1 and not waits


def test_a_date_to_wait_for_is_one_by_the_clock_of_the_site(board, link, waits):
    header = {"Date": "Mon, 01 Jan 2001 00:00:00 GMT", "Retry-After": "Mon, 01 Jan 2001 00:00:40 GMT"}
    board.server.RequestHandlerClass.date_time_string = lambda self: header["Date"]
    board.failures = [("GET", "/calls/3", (503, {"Retry-After": header["Retry-After"]}, {}))]
    link.task()
    assert 40 <= sum(waits) < 60


def test_no_other_host_is_followed_to(board, link):
    other = FakeBoard()
    board.failures = [("GET", "/calls/3", (302, {"Location": f"{other.site}/api/v1/calls/3"}, {}))]
    with pytest.raises(DeniedError, match="sends elsewhere"):
        link.task()
    assert not other.asked
    other.close()


@pytest.mark.parametrize(
    ("answer", "headers", "why"),
    [
        (b"no json", {}, "no JSON"), (b"[]", {}, "an object"), (b'{"version": NaN}', {}, "no JSON"),
        (b"[" * 100_000, {}, "no JSON"), (b"{}", {}, "consent"), (b" " * 10_000_001, {}, "longer than"),
        (b"{}", {"Content-Encoding": "gzip"}, "compressed"),
        (b'{"consent": {"version": 1}, "version": 1, "described": []}', {}, "described"),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_one_line(board, link, answer, headers, why):
    board.failures = [("GET", "/calls/3", (200, headers, answer))] * 4
    with pytest.raises((LinkError, RefusedError), match=f"cannot be used: .*{why}"):
        link.task()


@pytest.mark.parametrize(
    "spoilt",
    [
        {"network": {"layers": [{"dense": 10**9}]}},
        {"format": None},
        {"strategy": "../../x"},
        {"training": {"lr": "1"}},
    ],
)
def test_a_description_that_is_none_is_one_line_and_nothing_is_joined(run, board, table, spoilt):
    board.described = {**board.described, **spoilt}
    status, _, errors = run("join", board.url, "--token", TOKEN, "--accept", "2", "--table", table)
    assert status == 1 and "description of the task cannot be used" in errors and errors.count("\n") == 1
    assert board.me is None


@pytest.mark.parametrize("code", [401, 403])
def test_a_token_that_is_not_taken_is_one_clear_line(run, board, joined, code):
    board.failures = [("GET", "/calls/3", (code, {}, {}))]
    status, _, errors = run("train", "--watch")
    assert status == 1 and errors.count("\n") == 1 and "token" in errors and TOKEN not in errors


def test_the_token_lies_in_a_file_of_its_own_and_is_never_shown(run, board, joined, home):
    (path,) = (home / "tokens").iterdir()
    assert path.read_text() == TOKEN and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    shown = "".join("".join(run(*one)[1:]) for one in (["status"], ["ledger"], ["train", "--yes"]))
    assert TOKEN not in shown
    others = [one for one in home.rglob("*") if one.is_file() and one != path]
    assert others and not any(TOKEN.encode() in one.read_bytes() for one in others)


def test_a_token_of_the_environment_does_not_go_where_another_belongs(run, board, joined, monkeypatch):
    monkeypatch.setenv("SKYFED_TOKEN", "of-another-site")
    assert run("train", "--yes")[0] == 0


def test_no_two_sites_share_a_token(tmp_path):
    place = Place(tmp_path)
    place.keep_token("http://host:5000", TOKEN)
    for other in ("http://host/5000", "http://host_5000", "https://host:5000"):
        assert place.token(other) == ""
    assert place.token("http://host:5000") == TOKEN


def test_numbers_beyond_all_bounds_are_none():
    huge = 10**400
    training = {"id": "x", "state": "training", "version": 1, "expires_in": huge}
    assert training_of(training).expires_in is None
    assert me_of({"worth": {"shapley": huge, "error": 1.0}}).worth == "error 1"
    assert bounded(huge) == MOST and bounded(-huge) == 0 and bounded(math.nan) == 0


def test_a_date_that_there_is_not_is_no_time_to_wait(board, link):
    for date in (f"Mon, 01 Jan {10**20} 00:00:00 GMT", "Mon, 01 Jan 2026 00:00:00 +9999999999"):
        board.failures = [("GET", "/calls/3", (503, {"Retry-After": date}, {"retry_after": "x"}))]
        assert link.task().version == 1


def test_a_description_does_not_look_like_what_the_program_says(board, link):
    shown = told.task(replace(link.task(), about="Skies.\ntravels:  nothing"), board.call)
    assert [line for line in shown.splitlines() if line.startswith("travels:")][0] != "travels:  nothing"


def test_a_token_in_netrc_does_not_take_its_place(board, link, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setitem(os.environ, "NETRC", str(netrc))
    assert link.task().version == 1


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "ü", "x" * 501])
def test_what_is_no_token_is_refused_and_not_shown(token):
    with pytest.raises(WrongError) as found:
        checked_token(token)
    assert not token or token not in str(found.value)


def test_what_strangers_write_does_not_reach_the_terminal_as_it_is(run, board, table):
    _, out, _ = run("join", board.url, "--token", TOKEN, "--accept", "2", "--table", table)
    assert "\x1b" not in out and "You may stop at any time." in out
    assert plain("a\u202eb\x07c\n") == "a b c\n" and line("a\n b\t c") == "a b c"


def test_tasks_of_several_sites_are_apart_and_named(run, board, joined, table, home):
    other = FakeBoard()
    run("join", other.url, "--token", TOKEN, "--accept", "2", "--table", table)
    status, _, errors = run("train", "--yes")
    assert status == 2 and "which task? one of" in errors
    assert run("train", other.url, "--yes")[0] == 0 and len(other.bodies) == 1 and not board.bodies
    assert run("train", joined.name, "--yes")[0] == 0 and len(board.bodies) == 1
    assert len(Place(home).tasks()) == 2
    assert {one["site"] for one in json.loads(run("ledger", "--json")[1])} == {board.site, other.site}
    other.close()
