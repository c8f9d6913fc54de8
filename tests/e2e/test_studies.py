"""A study in a real browser: its answer at a glance, lines that are switched, its table on a phone, and a run of one's
own beside the shipped one.
"""

import re

from playwright.sync_api import expect

from tests.chromium import PHONE
from tests.e2e.conftest import violations
from tests.e2e.test_conf_page import _researcher
from tests.e2e.test_trainings import _until

expect.set_options(timeout=90_000)
NAMES = "document.querySelector('.chart')?.data?.map(t => t.name) ?? []"


def test_a_visitor_finds_question_and_answer_and_switches_a_line_by_keyboard(page_of):
    page = page_of()
    page.goto("/home")
    page.get_by_role("link", name="Studies", exact=True).click()
    card = page.locator(".study-card").filter(has=page.get_by_role("heading", name="Momentum at the server"))
    expect(card).to_contain_text("Better than “Plain mean”: “Momentum” (+")
    expect(card.get_by_role("img")).to_be_visible()
    card.get_by_role("link").click()
    page.wait_for_url("**/studies/tiny")
    expect(page.locator("#study-answer")).to_contain_text("Better than “Plain mean”: “Momentum” (+")
    expect(page.get_by_role("heading", name="What may be said")).to_be_visible()
    expect(page.locator(".study-sentences")).to_contain_text("“Momentum” is better than “Plain mean”, by ")
    page.get_by_text("Paired tests (").click()
    expect(page.get_by_role("region", name="Table: Paired tests")).to_contain_text("better")

    page.goto("/studies/skewed")
    _until(page, lambda: page.evaluate(NAMES) == ["Plain mean", "Momentum"])
    switch = page.get_by_role("group", name="Server").get_by_label("Momentum")
    switch.focus()
    page.keyboard.press("Space")
    _until(page, lambda: page.evaluate(NAMES) == ["Plain mean"])
    expect(switch).not_to_be_checked()
    page.keyboard.press("Space")
    _until(page, lambda: page.evaluate(NAMES) == ["Plain mean", "Momentum"])
    page.get_by_role("button", name="Copy the conf of none, Plain mean").click()
    assert '"type": "iris"' in page.evaluate("() => navigator.clipboard.readText()")


def test_the_table_can_be_read_on_a_phone_and_who_was_left_out_is_shown(page_of):
    page = page_of(**PHONE)
    page.goto("/studies/heat")
    tiles = page.get_by_role("row", name=re.compile("^Momentum")).locator(".tile")
    expect(tiles.first).to_have_text(re.compile(r"^\d+$"))
    left_out = page.get_by_role("region", name="Table: Who was left out")
    expect(left_out.locator(".taken-hostile").first).to_be_attached()
    expect(left_out).to_contain_text("20 %")
    table = page.get_by_role("region", name="Table: Every cell")
    table.scroll_into_view_if_needed()
    expect(table.get_by_role("row").nth(1)).to_contain_text(re.compile(r"\d+\.\d % \[\d+\.\d, \d+\.\d\]"))
    wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not page.evaluate(wide)
    assert violations(page) == []


def test_a_researcher_has_it_run_and_sees_the_new_run_beside_the_shipped_one(page_of):
    page = page_of()
    _researcher(page)
    page.goto("/studies/tiny")
    page.get_by_role("button", name="Run it on this server").click()
    expect(page.get_by_text("Done: it is drawn above")).to_be_visible()
    _until(page, lambda: len(page.evaluate(NAMES)) == 2)
    own = page.get_by_role("group", name="Measured by").get_by_label(re.compile("on this server, tiny@"))
    expect(own).to_be_checked()
    marks = page.evaluate("document.querySelector('.chart').data.map(t => t.marker.symbol)")
    assert [mark.endswith("-open") for mark in marks] == [False, True]
    expect(page.get_by_role("columnheader", name=re.compile("Accuracy.*on this server"))).to_be_visible()
    own.uncheck()
    _until(page, lambda: len(page.evaluate(NAMES)) == 1)
    expect(page.get_by_role("columnheader", name=re.compile("Accuracy.*on this server"))).to_have_count(0)
    page.get_by_role("link", name="Momentum at the server").last.click()
    page.wait_for_url(re.compile(r"/jobs/\d+"))
    expect(page.locator(".state")).to_have_text("done")
    page.get_by_role("link", name="The study").click()
    page.wait_for_url("**/studies/tiny")
