"""Whatever happens to a browser, its training ends in a clear state and goes on, and no update counts twice."""

import os
import signal
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.board.browsers import Browser
from tests.board.proxy import DOWN, UP
from tests.board.site import below, until
from tests.chromium import ARGUMENTS, CHROMIUM

ROWS = "a,b,c,label\n" + "".join(
    f"{at / 30 - 0.5:.3f},{at % 7 / 7:.3f},{at % 3 / 3:.3f},{'yes' if at > 15 else 'no'}\n"
    for at in range(30)
)
SLOW = {"lr": 0.01, "batch_size": 1, "local_epochs": 60}
"""Some seconds of training."""
TAKEN = ("waiting", "accepted", "folded")


@pytest.fixture(scope="module")
def slow(board):
    """A task whose trainings take a while."""
    return board.publish("slow, for browsers", training=SLOW)


@pytest.fixture
def rows(tmp_path):
    """A table of its examples."""
    path = tmp_path / "rows.csv"
    path.write_text(ROWS)
    return path


@pytest.fixture
def browser(board, chromium, tmp_path, rows):
    """Makes somebody at the page of a task, with examples, who is logged in and has joined."""
    made = []

    def make(name, task, site=None, joined=True, address=None, context=None):
        site = site or board
        site.account(email := f"{name}.{tmp_path.name}@example.org")
        made.append(context or chromium.new_context(locale="en-US"))
        one = Browser(made[-1], site, email, address)
        one.open(task).give("--table", rows)
        if joined:
            join(one)
        return one

    yield make
    for context in made:
        context.close()


def join(one):
    """Log in, and agree to the consent text at the page of the task."""
    one.page.goto(f"{one.address}/login?next=/tasks/{one.task}")
    one.page.locator("#email").fill(one.email)
    one.page.locator("#password").fill("test")
    one.page.locator("#password").press("Enter")
    one.page.get_by_role("button", name="Join this task").click()
    one.agree()
    one.page.get_by_text("Others see you here as").wait_for()
    one.open(one.task)


def mine(one):
    """The trainings of this person, as the site has them."""
    return one.site.rows(
        "select t.* from trainings t join participations p on p.id = t.participation_id "
        "join users u on u.id = p.user_id where u.email = ? and t.call_id = ? order by t.id", one.email, one.task,
    )  # fmt: skip


def waiting_once(one):
    """That the site has exactly one update of this person, and the browser nothing more to send."""
    one.sent()
    found = mine(one)
    assert [row["state"] in TAKEN for row in found if row["sent"]] == [True], found
    assert not one.stored("rounds")
    outcomes = [
        line
        for line in one.stored("ledger")
        if line["event"] == "outcome" and line["id"] == found[-1]["uuid"]
    ]
    assert outcomes[-1]["state"] in TAKEN
    assert one.faults == []


def training(one):
    """Begin a training, and wait until it is well under way."""
    one.trains().click()
    expect(one.step(2).get_by_text("loss")).to_be_visible()


def test_a_tab_that_is_closed_in_training_goes_on_when_it_is_opened(browser, slow):
    one = browser("closed", slow)
    training(one)
    one.page.close()
    one.page = one.context.new_page()
    one.open(slow)
    one.sends().wait_for()
    one.sends().click()
    waiting_once(one)
    assert len(mine(one)) == 1  # the same training, gone on with


def test_a_browser_that_is_killed_in_training_goes_on_when_it_is_begun_again(
    board, chromium, tmp_path, rows, slow, browser
):
    profile, kind = tmp_path / "profile", chromium.browser_type
    started = {"executable_path": CHROMIUM, "args": ARGUMENTS, "locale": "en-US"}
    context = kind.launch_persistent_context(profile, **started)
    one = browser("killed", slow, context=context)
    training(one)
    [main] = [pid for pid in below(os.getpid()) if _is_of(pid, profile)]
    os.kill(main, signal.SIGKILL)
    until(lambda: not _is_of(main, profile), "the end of the browser")
    again = kind.launch_persistent_context(profile, **started)
    try:
        other = Browser(again, board, one.email).open(slow)
        log_in = other.step(3).get_by_role("link", name="Log in")
        other.sends().or_(log_in).wait_for()
        if log_in.is_visible():  # who is logged in is not on the disk at once
            log_in.click()
            other.log_in()
        other.sends().wait_for()
        other.sends().click()
        waiting_once(other)
    finally:
        again.close()


def _is_of(pid, profile):
    try:
        said = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return str(profile).encode() in said and b"--type=" not in said


@pytest.mark.parametrize(
    ("cut", "closed"), [((UP, 200), True), ((DOWN, 20), True), ((DOWN, 20), False)],
    ids=["on its way, closed", "in the answer, closed", "in the answer, left open"],
)  # fmt: skip
def test_a_line_that_breaks_in_sending_counts_once(browser, board, person, cut, closed):
    line = person("line", proxied=True).line
    one = browser("cut", board.number("small"), address=line.address)
    one.train()
    line.cuts += [cut] * (6 if closed else 1)
    one.sends().click()
    until(lambda: line.broken, "a broken line")
    if closed:
        one.page.close()
        line.cuts.clear()
        one.page = one.context.new_page()
        one.open(one.task)
    waiting_once(one)


def test_without_a_network_it_waits_and_is_sent_by_itself(browser, board):
    one = browser("offline", board.number("small"))
    one.train()
    one.context.set_offline(True)
    one.sends().click()
    expect(one.step(3).get_by_text("It waits here until the site can be reached")).to_be_visible()
    assert [row["state"] for row in mine(one)] == ["training"]
    one.context.set_offline(False)
    waiting_once(one)


def test_whoever_was_logged_out_logs_in_and_it_goes_on(browser, board):
    one = browser("out", board.number("small"))
    one.train()
    one.context.clear_cookies()
    one.sends().click()
    box = one.page.get_by_role("dialog", name="Log in again")
    box.locator("input[name=email]").fill(one.email)
    box.locator("input[name=password]").fill("test")
    box.locator("input[name=password]").press("Enter")
    waiting_once(one)


def test_of_two_tabs_one_trains_and_the_other_says_so(browser, slow):
    one = browser("tabs", slow)
    training(one)
    first, one.page = one.page, one.context.new_page()
    one.open(slow)
    expect(one.step(2).get_by_text("Another tab of this browser is training this task.")).to_be_visible()
    one.page, second = first, one.page
    one.sends().wait_for()
    one.page = second
    one.sends().wait_for()  # both show what came of it
    one.sends().click()
    waiting_once(one)
    one.page = first
    expect(one.sends()).to_have_count(0)
    assert len(mine(one)) == 1


def test_storage_that_is_full_loses_nothing(browser, board):
    one = browser("full", board.number("small"))
    one.page.evaluate(
        """() => {
          window.put = IDBObjectStore.prototype.put;
          IDBObjectStore.prototype.put = function (value, ...more) {
            if (this.name === "rounds" && value.trained) throw new DOMException("no room", "QuotaExceededError");
            return window.put.call(this, value, ...more);
          };
        }"""
    )
    one.trains().click()
    expect(one.step(3).get_by_role("alert")).to_contain_text("This browser has no room left for it")
    assert len(one.stored("examples")) == 30
    one.page.evaluate("() => { IDBObjectStore.prototype.put = window.put; }")
    one.train()
    one.sends().click()
    waiting_once(one)


def test_a_browser_that_was_cleared_says_so_and_a_lost_training_gives_its_place_up(browser, board, rows):
    task = board.publish("cleared", limits={"examples": 2, "per_version": 1, "trainings": 5})
    one = browser("cleared", task)
    one.train()
    devtools = one.context.new_cdp_session(one.page)
    one.page.goto(f"{one.address}/login")
    devtools.send("Storage.clearDataForOrigin", {"origin": one.address, "storageTypes": "indexeddb"})
    one.open(task)
    expect(one.step(1).get_by_role("alert").first).to_contain_text("30")
    one.page.get_by_role("button", name="Give it up").wait_for()
    one.step(1).locator("input[type=file]").first.set_input_files(rows)
    one.page.get_by_role("button", name="Give it up").click()
    one.train()
    one.sends().click()
    waiting_once(one)
    assert [row["state"] for row in mine(one)] == ["withdrawn", "waiting"]


def test_a_model_that_moved_on_takes_what_it_takes(browser, board, person):
    task = board.publish("moves")
    joined, visitor = browser("joined", task), browser("visitor", task, joined=False)
    for one in (joined, visitor):
        one.train()
    others = [person(f"other{at}") for at in range(2)]
    for place, other in enumerate(others):
        path = other.home.parent / f"{place}.csv"
        path.write_text(ROWS)
        other.join(task, "--table", path)
        other.train()
    until(lambda: len(board.versions(task)) == 2, "version 2")
    joined.sends().click()  # begun from version 1, and one behind is taken
    waiting_once(joined)
    expect(visitor.step(3).get_by_text("The model has moved on to version 2 meanwhile.")).to_be_visible()
    expect(visitor.sends()).to_be_disabled()
    visitor.step(3).locator(".btn-outline-danger").click()
    visitor.train()
    visitor.sends().click()
    visitor.log_in()
    visitor.sends().click()
    visitor.agree()
    visitor.sent()
    assert [row["version"] for row in mine(visitor)] == [2]


def test_an_update_of_another_account_is_not_sent_by_this_one(browser, board):
    one = browser("first", board.number("small"))
    one.train()
    one.context.clear_cookies()
    board.account(other := f"second.{one.email}")
    one.email = other
    one.page.goto(f"{one.address}/login?next=/tasks/{one.task}/train")
    one.log_in()
    expect(
        one.step(3).get_by_text(
            "A training of an account that is not logged in here is kept in this browser."
        )
    ).to_be_visible()
    assert not [url for method, url, _, _ in one.asked if method == "PUT"]
    one.step(3).get_by_role("button", name="Throw it away").click()
    one.trains().wait_for()
