"""The page where one trains in a browser, from the first look to what was sent: by keyboard, and as axe sees it."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import violations
from tests.e2e.test_every_page import LOOKS

expect.set_options(timeout=60_000)
WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
TASKS = {"desktop": (2, "test@126.com", "test"), "phone": (3, "admin@126.com", "admin")}  # rows, pictures


@pytest.mark.parametrize("look", LOOKS)
def test_each_state_is_sound_and_the_keyboard_is_enough(page_of, board, look):
    number, email, password = TASKS[look]
    page, faults = page_of(**LOOKS[look]), {}
    steps = page.locator(".at-home-step")
    now = page.locator(".at-home-now")

    def check(state):
        found = violations(page) + (["too wide"] if page.evaluate(WIDE) else [])
        if found:
            faults[state] = found

    def press(button):
        button.focus()
        page.keyboard.press("Enter")

    page.goto(f"/tasks/{number}/train")
    expect(page.locator(".drop-ways button")).to_be_visible()
    expect(now).to_have_count(1)
    check("empty")
    press(page.locator(".drop-ways button"))
    train = steps.nth(1).locator(".btn-primary")
    expect(train).to_be_enabled()
    shown = page.locator(".own-grid li, .own-rows tbody tr")
    expect(shown.first).to_be_visible()
    few = shown.count()
    assert few < 12
    more = page.locator(".own button").filter(has_text=re.compile(r"Show all \d+|显示全部"))
    press(more)
    assert shown.count() > few
    check("all examples")
    press(page.locator(".own button").filter(has_text=re.compile("Show fewer|收起")))
    expect(shown).to_have_count(few)

    held = []
    page.route("**/steps", lambda route: held.append(route))
    press(train)
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(steps.nth(1).locator("h2")).to_be_focused()
    expect(steps.nth(1).get_by_role("status").first).to_have_text(re.compile("version 1|版本 1"))
    check("training")
    held[0].continue_()
    page.unroute("**/steps")
    expect(steps.nth(2).locator("h2")).to_be_focused()  # what is to be looked at
    expect(
        page.get_by_text(re.compile("Measured on small handwritten digits|在小幅手写数字上"))
    ).to_be_visible()
    check("looked at")
    page.keyboard.press("Tab")
    covers = steps.nth(2).get_by_role("checkbox")
    covers.focus()
    page.keyboard.press("Space")
    send = steps.nth(2).locator(".btn-primary")
    expect(send).to_be_enabled()  # the clip that is proposed is one that the task takes
    check("covered")

    press(send)
    page.wait_for_url("**/login?next=*")
    page.locator("#email").fill(email)
    page.locator("#password").fill(password)
    page.locator("#password").press("Enter")
    page.wait_for_url(f"**/tasks/{number}/train")
    expect(send).to_be_enabled()
    check("kept")
    press(send)
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("checkbox").check()
    check("consent")
    press(dialog.locator(".btn-primary"))  # where the mouse is, something may lie afterwards
    expect(steps.nth(2).locator(".alert-success")).to_be_visible()
    expect(steps.nth(2).locator("h2")).to_be_focused()
    expect(page.get_by_role("region").filter(has_text=re.compile("no bound|无上限")).last).to_be_visible()
    check("sent")
    assert not faults


def test_a_task_that_no_browser_can_train_says_so_at_once_and_tells_the_other_way(page_of, board):
    page = page_of()
    page.route("**/steps", lambda route: route.fulfill(json={"steps": None, "backbone": None}))
    page.goto("/tasks/3/train")
    expect(page.locator(".alert-warning")).to_contain_text("cannot be trained in a browser")
    expect(page.locator(".at-home-step")).to_have_count(0)
    assert violations(page) == []
    page.get_by_role("link", name="How to train with a PC").click()
    page.wait_for_url("**/tasks/3#with-pc")
    take_part = page.locator("section:has(#take-part)")
    expect(take_part).to_contain_text("cannot be trained in a browser")
    expect(take_part.get_by_role("link", name="Take part in this browser")).to_have_count(0)
