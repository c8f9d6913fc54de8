"""A researcher trains from the browser: start, watch, pause, resume, stop, repeat with changes, compare; tidy up."""

import os
import re
import subprocess
import sys

from playwright.sync_api import expect

from tests.conftest import ROOT
from tests.e2e.test_conf_page import _researcher
from utils.readme import README

expect.set_options(timeout=90_000)
STATES = re.compile("queued|running|paused|stopped|done|failed")


def _describe(page, name, **keys):
    page.goto("/confs/new")
    page.get_by_label("Name", exact=True).fill(name)
    for key, value in {
        "data": "simulated",
        "width": 4,
        "image_size": 32,
        "k": 3,
        "no_models": 3,
        "owners": 3,
        **keys,
    }.items():
        field = page.locator(f"#key-{key}")
        field.select_option(value) if key == "data" else field.fill(str(value))
    page.get_by_label("Folds").fill("1")
    page.get_by_label("Seeds").fill("1")
    expect(page.get_by_role("heading", name="What it leads to")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def _state(page, name):
    expect(page.locator(".state")).to_have_text(name)


def _points(page):
    """How many rounds the curve of the accuracy has."""
    return page.evaluate("document.querySelector('.chart')?.data?.at(-1)?.x?.length ?? 0")


def _grows(page, beyond):
    _until(page, lambda: _points(page) > beyond)


def _until(page, holds):
    """Ask again and again; the page's policy forbids Playwright's own way, which needs eval."""
    for _ in range(450):
        if holds():
            return
        page.wait_for_timeout(200)
    raise AssertionError("it does not happen")


def test_from_the_first_start_to_the_comparison(page_of):
    page = page_of()
    _researcher(page)
    _describe(page, "small one", global_epochs=60, local_epochs=10)
    page.get_by_role("button", name="Start the training").click()
    page.wait_for_url(re.compile(r"/jobs/\d+"))
    _state(page, "running")
    expect(page.get_by_role("heading", name="At work")).to_be_visible()
    expect(page.locator(".work").first).to_have_text(re.compile("owner A: (waiting|training|done)"))
    _grows(page, 1)
    _grows(page, _points(page))  # while one watches
    page.get_by_role("button", name="Pause").click()
    _state(page, "paused")
    stood_at = _points(page)
    page.reload()
    _state(page, "paused")
    page.get_by_role("button", name="Resume").click()
    _state(page, "running")
    _grows(page, stood_at)
    page.get_by_label("Search").fill("goes on after round")
    expect(page.locator(".log li")).to_have_count(1)
    page.get_by_role("button", name="Stop").click()
    _state(page, "stopped")
    page.get_by_role("link", name="Repeat with changes").click()
    expect(page.locator("#key-lr")).to_have_value("0.05")
    expect(
        page.get_by_text("examples a second here")
    ).to_be_visible()  # by now it is known how fast this machine is
    page.locator("#key-lr").fill("0.02")
    page.locator("#key-global_epochs").fill("5")
    page.get_by_label("Name", exact=True).fill("slower")
    page.get_by_role("button", name="Start the training").click()
    page.wait_for_url(re.compile(r"/jobs/\d+"))
    slower = page.url
    page.get_by_role("link", name="Repeat with changes").click()
    expect(page.locator("#key-lr")).to_have_value("0.02")
    page.locator("#key-lr").fill("0.1")
    page.get_by_label("Name", exact=True).fill("faster")
    page.get_by_role("button", name="Start the training").click()
    page.wait_for_url(lambda url: url != slower and re.search(r"/jobs/\d+", url))
    _state(page, "done")
    page.goto(slower)
    _state(page, "done")
    expect(page.locator(".chart").first).to_be_visible()
    page.get_by_role("link", name="All trainings").click()
    page.get_by_role("link", name="Compare my finished runs").click()
    page.wait_for_url("**/home?runs=*")
    lines = "document.querySelector('.chart')?.data?.filter(t => t.mode === 'lines').map(t => t.name) ?? []"
    _until(page, lambda: len(page.evaluate(lines)) == 2)
    titles = page.evaluate(lines)
    assert sorted(title.rpartition("-")[0] for title in titles) == ["faster", "slower"]


def test_a_sweep_is_queued_watched_and_deleted(page_of):
    page = page_of()
    _researcher(page)
    _describe(page, "sweep", global_epochs=300, local_epochs=10)
    page.get_by_label("Try several values of").select_option("seed")
    page.get_by_label("Values: ").fill("1..3")
    page.get_by_role("button", name="Start 3 trainings").click()
    page.wait_for_url("**/jobs")
    mine = page.locator(".job").filter(has_text="sweep seed")
    expect(mine).to_have_count(3)
    expect(mine.filter(has_text="running")).to_have_count(1)  # of two places one is for others
    for place in (1, 2):
        expect(mine.filter(has_text=f"place {place} in the queue")).to_have_count(1)
    expect(mine.filter(has_text="examples a second")).to_have_count(1)
    for left in (2, 1, 0):
        mine.first.get_by_role("button", name="Delete", exact=True).click()
        mine.first.get_by_role("button", name="Delete with all its files").click()
        expect(mine).to_have_count(left)


def test_the_program_of_the_readme_does_the_same(page_of, address):
    page = page_of()
    _researcher(page)
    page.goto("/profile")
    page.get_by_label("What it is for").fill("a program")
    for scope in ("read", "train"):
        page.get_by_label(re.compile(f"^{scope}: ")).check()
    page.get_by_role("button", name="Make a token").click()
    environment = {**os.environ, "SKYFED_SITE": address, "SKYFED_TOKEN": page.locator("#token").inner_text()}
    program = re.search(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)[1]
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
    )
    assert re.fullmatch(r"(\d+ [01]\.\d+\n){2}", done.stdout), done.stderr


def test_owners_that_take_part_are_chosen(page_of):
    page = page_of()
    _researcher(page)
    _describe(page, "some of them", no_models=4, k=4, owners=4)
    choice = page.get_by_role("group", name="Owners that take part")
    choice.get_by_label("C").uncheck()
    expect(page.locator("#key-holds")).to_have_value("[[0],[1],[3]]")
    expect(page.locator("#key-no_models")).to_have_value("3")
    expect(page.locator("#key-k")).to_have_value("3")
    expect(choice.get_by_label("C")).not_to_be_checked()
    expect(page.get_by_role("alert")).to_have_count(0)
    choice.get_by_label("C").check()
    expect(page.locator("#key-holds")).to_have_value("[]")
