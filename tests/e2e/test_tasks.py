"""The task board in a real browser: a researcher publishes by the form, people join and train, versions come and go."""

import re
import uuid

import numpy as np
import pytest
import requests
from playwright.sync_api import expect
from safetensors.numpy import load, save

from tests.chromium import PHONE
from tests.e2e.conftest import violations
from tests.e2e.pages import log_in
from tests.e2e.test_conf_page import _researcher
from tests.e2e.test_trainings import _until

expect.set_options(timeout=90_000)
HEADER = "pressure;Humidity %;2nd wind\n990;20;0\n1030;100;40"
PEOPLE = (("test@126.com", "test"), ("admin@126.com", "admin"))
WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


class Participant:
    """Somebody who takes part by a few lines of Python."""

    def __init__(self, address, email, password):
        self.at, self.session = address, requests.Session()
        form = {"email": email, "password": password, "csrf_token": self._token("/login")}
        self.session.post(f"{address}/login", data=form, timeout=60)
        self.session.headers["X-CSRFToken"] = self._token("/why")

    def _token(self, page):
        text = self.session.get(self.at + page, timeout=60).text
        return re.search(r'name="csrf-token" content="([^"]+)', text)[1]

    def ask(self, method, path, **more):
        answer = self.session.request(method, f"{self.at}/api/v1/calls{path}", timeout=60, **more)
        assert answer.ok, answer.text
        return answer

    def train(self, number, change=0.01):
        """Join and send a change of every weight by so much; returns what the site says of it."""
        consent = self.ask("GET", f"/{number}").json()["consent"]["version"]
        self.ask("POST", f"/{number}/join", json={"consent": consent})
        name = str(uuid.uuid4())
        begun = self.ask("POST", f"/{number}/trainings", json={"id": name}).json()["training"]
        raw = self.ask("GET", f"/{number}/versions/{begun['version']}/model.safetensors").content
        body = save({key: np.full_like(one, change) for key, one in load(raw).items()})
        path = f"/{number}/trainings/{name}?samples=20&steps=3&loss=0.5"
        headers = {"Content-Type": "application/octet-stream"}
        return self.ask("PUT", path, data=body, headers=headers).json()["training"]


def _describe(page, name):
    """Fill in the form of a task of three values, as somebody would who has a table at hand."""
    page.goto("/tasks/new")
    page.get_by_label("Name", exact=True).first.fill(name)
    page.get_by_label("Description (Markdown)").fill("# For whom\nAll who have a **barometer**.")
    page.get_by_text("Read them off a table").click()
    page.get_by_label("Its header line").fill(HEADER)
    page.get_by_role("button", name="Make values of it").click()
    page.get_by_label("Label 1", exact=True).fill("dry")
    page.get_by_label("Label 2", exact=True).fill("rain")
    page.locator("#key-network-choice").select_option("logistic")
    page.get_by_role("button", name="Write it in English").click()


def _publish(page, name):
    _describe(page, name)
    page.get_by_role("button", name="Publish", exact=True).click()
    page.wait_for_url(re.compile(r"/tasks/\d+$"), timeout=150_000)
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    return int(page.url.rpartition("/")[2])


def test_a_draft_is_kept_tried_put_right_and_published_as_a_whole(open_page, board):
    page = open_page()
    _researcher(page)
    page.goto("/tasks")
    page.get_by_role("link", name="Publish a task").click()
    page.get_by_role("button", name="Publish", exact=True).click()
    expect(page.get_by_label("Name", exact=True).first).to_be_focused()
    expect(page.get_by_role("alert")).to_have_text("Give it a name.")
    _describe(page, "Will it rain?")
    page.get_by_label("Learning rate", exact=True).fill("fast")
    page.wait_for_url(re.compile(r"/tasks/\d+/edit"))  # a draft by now
    page.get_by_role("button", name="Try it", exact=True).click()
    wrong = page.get_by_label("Learning rate", exact=True)
    expect(wrong).to_be_focused()
    expect(wrong).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("alert").first).to_have_text("training.lr: expected a number, found a text")
    wrong.fill("0.1")
    page.get_by_role("button", name="Try it", exact=True).click()
    expect(page.get_by_text("It fits.")).to_be_visible()
    expect(page.get_by_text("8 numbers that are learnt")).to_be_visible()
    page.get_by_label("Days an update is kept").fill("14")
    expect(page.get_by_label("Consent text (Markdown)")).to_have_value(re.compile("after 14 days"))
    _until(page, lambda: _kept(page) == "14")
    page.reload()
    expect(page.get_by_label("Days an update is kept")).to_have_value("14")
    expect(page.locator("#field-1-key")).to_have_value("Humidity")
    page.goto("/tasks")
    drafts = page.get_by_role("region", name="Your drafts")
    drafts.get_by_role("link", name="Will it rain?").click()
    page.get_by_role("button", name="Publish", exact=True).click()
    page.wait_for_url(re.compile(r"/tasks/\d+$"), timeout=150_000)
    expect(page.locator(".task-html strong")).to_have_text("barometer")
    expect(page.get_by_role("region", name="Table: Data wanted")).to_contain_text("20 – 100")
    assert violations(page) == []


def _kept(page):
    """How many days the draft at the site says."""
    number = page.url.split("/")[-2]
    ask = "async (n) => (await (await fetch(`/api/v1/calls/${n}`)).json()).described.keep_days"
    return str(page.evaluate(ask, number))


def test_people_join_updates_arrive_while_one_looks_and_a_version_can_be_left(page_of, board):
    researcher, visitor = page_of(), page_of()
    _researcher(researcher)
    number = _publish(researcher, "Rain by barometer")

    log_in(visitor, *PEOPLE[0])
    visitor.goto("/tasks?q=barometer")
    card = visitor.locator(".task-card").filter(has_text="Rain by barometer")
    expect(card).to_contain_text("values → a label")
    card.get_by_role("link").click()
    visitor.get_by_role("button", name="Join this task").click()
    dialog = visitor.get_by_role("dialog", name="What you agree to")
    expect(dialog).to_contain_text("What leaves your device")
    join = dialog.get_by_role("button", name="Join this task")
    expect(join).to_be_disabled()
    dialog.get_by_label("I have read it, and I agree to version 1.").check()
    assert violations(visitor) == []
    join.click()
    expect(visitor.get_by_text("Others see you here as")).to_be_visible()
    visitor.get_by_role("region", name="Take part with a PC").get_by_role("button", name="Copy").first.click()
    copied = visitor.evaluate("() => navigator.clipboard.readText()")
    assert copied == (
        f"python3 -m utils.participant join {board}/tasks/{number} --token TOKEN --table FILE.csv"
    )

    people = [Participant(board, *one) for one in PEOPLE]
    people[0].train(number)
    for page in (researcher, visitor):
        expect(page.locator(".task-waits")).to_have_text("1 of 3 updates wait for the next version.")
    expect(researcher.get_by_role("button", name="Fold now")).to_be_disabled()
    updates = visitor.get_by_role("region", name="Table: Your updates")
    expect(updates).to_contain_text("Received and sound; it waits for the next version.")
    people[1].train(number, 0.02)
    researcher.get_by_role("button", name="Fold now").click()
    for page in (researcher, visitor):
        expect(page.get_by_text("Version 2 is there.")).to_be_visible()
    expect(updates).to_contain_text("It is in version 2.")
    every = researcher.get_by_role("region", name="Table: All updates")
    expect(every.get_by_role("row")).to_have_count(3)

    versions = researcher.get_by_role("region", name="Table: Versions of the model")
    expect(versions.get_by_role("row").nth(1)).to_contain_text("updates: 2, examples: 40")
    versions.get_by_role("button", name="Go back").click()
    versions.get_by_role("button", name="Go back to version 1").click()
    expect(versions.get_by_role("row").nth(1)).to_contain_text("set aside")
    expect(versions.get_by_role("row").nth(2)).to_contain_text("current")

    visitor.goto(f"/tasks/{number}")
    visitor.get_by_text("Leave this task").click()
    visitor.get_by_role("button", name="Leave", exact=True).click()
    expect(visitor.get_by_text("You have left this task.")).to_be_visible()
    expect(visitor.get_by_role("button", name="Join again")).to_be_visible()


def test_whoever_agreed_to_another_text_is_asked_again(page_of, board):
    researcher, visitor = page_of(), page_of()
    _researcher(researcher)
    number = _publish(researcher, "Rain, asked again")
    Participant(board, *PEOPLE[0]).train(number)
    log_in(visitor, *PEOPLE[0])
    visitor.goto(f"/tasks/{number}")
    expect(visitor.get_by_text("You agreed to version 1 of the consent text")).to_be_visible()
    researcher.get_by_role("link", name="Edit", exact=True).click()
    expect(researcher.get_by_label("Learning rate", exact=True)).to_have_count(0)
    researcher.get_by_label("Consent text (Markdown)").fill("Another *text*.")
    expect(researcher.get_by_text("everybody will be asked again")).to_be_visible()
    researcher.get_by_role("button", name="Save").click()
    visitor.get_by_role("button", name="Read the new text").click()
    dialog = visitor.get_by_role("dialog")
    expect(dialog).to_contain_text("since you agreed to version 1")
    expect(dialog.locator("em")).to_have_text("text")
    dialog.get_by_label("I agree to version 2").check()
    dialog.get_by_role("button", name="Agree and go on").click()
    expect(visitor.get_by_text("You agreed to version 2 of the consent text")).to_be_visible()
    updates = visitor.get_by_role("region", name="Table: Your updates")
    updates.get_by_role("button", name="Take it back").click()
    updates.get_by_role("button", name="Take it back; it is deleted").click()
    expect(updates).to_contain_text("Taken back; the update is deleted.")


@pytest.mark.parametrize("settings", [{"locale": "en-US"}, {"locale": "zh-CN", "color_scheme": "dark"}])
def test_a_visitor_with_a_phone_finds_a_task_and_is_sent_to_log_in(page_of, board, settings):
    page = page_of(**PHONE, **settings)
    page.goto("/tasks")
    expect(page.locator(".task-card")).not_to_have_count(0)
    assert not page.evaluate(WIDE)
    page.locator("#task-order").select_option("new")
    expect(page.locator("#order-says")).to_contain_text(
        "最新发布的在前" if "zh" in settings["locale"] else "The latest published first."
    )
    page.locator("#task-search").fill("nobody has this")
    expect(page.locator(".task-card")).to_have_count(0)
    page.locator("#task-search").fill("digit")
    page.locator(".task-card a").first.click()
    page.wait_for_url(re.compile(r"/tasks/\d+$"))
    expect(page.locator("#take-part")).to_be_visible()
    assert not page.evaluate(WIDE)
    ways = page.locator("section:has(#take-part) a.btn")
    expect(ways).to_have_count(3)
    expect(ways.first).to_have_attribute("href", re.compile(r"/tasks/\d+/train$"))
    expect(ways.first).to_have_class("btn btn-primary")
    ways.last.click()
    page.wait_for_url("**/login?next=*")
    page.locator("#email").fill(PEOPLE[0][0])
    page.locator("#password").fill(PEOPLE[0][1])
    page.locator("#password").press("Enter")
    page.wait_for_url(re.compile(r"/tasks/\d+$"))
