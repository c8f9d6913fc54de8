"""A newcomer's first training: an ordinary account learns what to do; a set is drawn, two runs on it are compared."""

import re

import pytest
from playwright.sync_api import expect

from tests.chromium import PHONE
from tests.e2e.conftest import violations
from tests.e2e.test_conf_page import _researcher
from tests.e2e.test_trainings import _describe, _state

expect.set_options(timeout=90_000)
LOOKS = pytest.mark.parametrize(
    "settings", [{"locale": "en-US"}, {**PHONE, "color_scheme": "dark", "locale": "zh-CN"}], ids=["desktop", "phone"]
)  # fmt: skip


def _fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@LOOKS
def test_an_ordinary_account_is_told_what_to_do_next(open_page, settings):
    page = open_page(**settings)
    page.goto("/login")
    page.locator("#email").fill("test@126.com")
    page.locator("#password").fill("test")
    page.locator("#password").press("Enter")
    page.wait_for_url("**/home")
    page.goto("/profile")
    page.locator("a[href='/confs/new']").first.click()
    expect(page.locator("main")).to_contain_text("greatabel1@126.com")
    assert violations(page) == [] and _fits(page)
    page.locator("main form button").click()
    expect(page.locator("header a[href='/login']")).to_be_attached()


@LOOKS
def test_where_there_is_no_set_one_is_offered_and_nothing_can_be_started(open_page, settings):
    page = open_page(**settings)
    _researcher(page)
    page.route("**/api/v1/sets", lambda route: route.fulfill(json={"sets": []}))
    page.goto("/confs/new")
    expect(page.locator("section.draw-set h2")).to_be_visible()
    expect(page.locator("#cannot")).to_contain_text("data/skies/manifest.csv")
    expect(page.locator(".conf-outcome form .btn-primary")).to_be_disabled()
    assert violations(page) == [] and _fits(page)


def test_a_set_is_drawn_and_two_runs_on_it_are_compared(page_of):
    page = page_of()
    _researcher(page)
    page.goto("/confs/new")
    expect(page.locator("#key-data")).to_have_value("simulated")
    expect(page.get_by_text("It was skies, which is not on this machine.")).to_be_visible()
    expect(page.get_by_label("Folds")).to_have_value("5")
    expect(page.get_by_label("Seeds")).to_have_value("3")
    expect(
        page.get_by_text(re.compile(r"a difference of about \d+\.\d points would be found"))
    ).to_be_visible()
    expect(page.get_by_text("if this machine is as fast as the one that trained")).to_be_visible()
    page.get_by_text("Have another set of skies drawn").focus()
    page.keyboard.press("Enter")
    page.get_by_label("How many skies").fill("40")
    expect(page.get_by_label("Name of the set")).to_have_value("simulated2")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Draw them").press("Enter")
    page.wait_for_url(re.compile(r"/jobs/\d+"))
    _state(page, "done")
    page.get_by_role("link", name="Train on it").click()
    expect(page.locator("#key-data")).to_have_value("simulated2")
    runs = []
    for name, clients in (("together", 3), ("in one place", 1)):
        holds = "[]" if clients == 3 else "[[0, 1, 2]]"
        sizes = {"no_models": clients, "k": clients, "holds": holds, "global_epochs": 3, "local_epochs": 1}
        _describe(page, name, data="simulated2", **sizes)
        page.get_by_label("Seeds").fill("3")
        page.get_by_role("button", name="Start the training").click()
        page.wait_for_url(re.compile(r"/jobs/\d+"))
        _state(page, "done")
        runs.append(
            page.get_by_role("link", name="The run", exact=True).get_attribute("href").rpartition("/")[2]
        )
    answer = page.request.get(f"/api/v1/comparison?a={runs[0]}&b={runs[1]}").json()["comparison"]
    assert answer["seeds"] == 3 and answer["verdict"] in ("better", "worse", "none"), "a tested statement"
    page.goto("/jobs")
    page.get_by_role("link", name="Compare my finished runs").click()
    page.wait_for_url("**/home?runs=*")
    expect(page.get_by_text("Difference of accuracy on the same examples and seeds:")).to_be_visible()
    page.goto("/jobs")
    for name in ("together", "in one place"):  # other tests compare what is theirs
        mine = page.locator(".job").filter(has_text=name)
        mine.get_by_role("button", name="Delete", exact=True).click()
        mine.get_by_role("button", name="Delete with all its files").click()
        expect(mine).to_have_count(0)


def test_what_cannot_run_cannot_be_started(page_of):
    page = page_of()
    _researcher(page)
    _describe(page, "too many", no_models=3)
    page.locator("#key-owners").fill("400")
    expect(page.locator("#cannot")).to_contain_text("cannot fall to 400 owners")
    button = page.get_by_role("button", name="Start the training")
    expect(button).to_be_disabled()
    page.locator("#key-owners").fill("3")
    expect(button).to_be_enabled()
