"""What a run leaks, in a real browser: a researcher asks with a button, by keyboard, and sees figures and pictures; a
visitor sees the figures alone, on a phone and in the dark too.
"""

import re

from playwright.sync_api import expect

from tests.chromium import PHONE
from tests.e2e.conftest import violations
from tests.e2e.test_conf_page import _researcher

expect.set_options(timeout=240_000)
RUN, CAVEAT = "conf_digits_f10", "A weak attack proves no safety"
BUTTON = "What does an update leak?"


def test_a_researcher_asks_and_everybody_reads_the_answer(page_of, cache):
    visitor = page_of(**PHONE, color_scheme="dark")
    visitor.goto(f"/runs/{RUN}")
    page = page_of()
    _researcher(page)
    page.goto(f"/runs/{RUN}")
    page.get_by_role("button", name=BUTTON).focus()
    page.keyboard.press("Enter")
    section = page.locator("section", has=page.get_by_role("heading", name="What it leaks"))
    expect(section.locator(".state")).to_have_text(re.compile("queued|running|done"))
    table = page.get_by_role("region", name=f"Table: {BUTTON}")
    expect(table.get_by_role("row").nth(1)).to_contain_text(re.compile(r"\d\d\.\d"))
    expect(section.locator(".state")).to_have_text("done")
    expect(section).to_contain_text(CAVEAT)
    expect(section).to_contain_text("area under the curve of 0.")
    picture = section.get_by_role("img").first
    picture.scroll_into_view_if_needed()
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("one => one.naturalHeight") == 256
    assert violations(page) == []
    section.get_by_role("link", name="the attacks").click()
    page.wait_for_url(re.compile(r"/jobs/\d+"))
    expect(page.get_by_text(f"python3 -m utils.leaks {RUN}")).to_be_visible()

    visitor.reload()
    section = visitor.locator("section", has=visitor.get_by_role("heading", name="What it leaks"))
    expect(section).to_contain_text("Researchers see the pictures")
    expect(section).to_contain_text(CAVEAT)
    assert section.get_by_role("img").count() == section.get_by_role("button", name=BUTTON).count() == 0
    wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not visitor.evaluate(wide)
    assert violations(visitor) == []
