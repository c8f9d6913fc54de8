"""A node from its code to a training on it, in the browser: admin, owner and researcher, desktop and phone."""

import re
import shutil
import sqlite3
import time
from contextlib import closing

import pytest
import requests
from playwright.sync_api import expect

from tests.app.nodes.made import KEYS, set_up
from tests.chromium import PHONE
from tests.e2e.conftest import violations
from tests.e2e.pages import log_in
from utils.engines.flower_home import Home, Outcome

OWNER, RESEARCHER = ("test@126.com", "test"), ("greatabel1@126.com", "abel")


@pytest.fixture
def flower(address, instance):
    """Flower's folder at the site, as set-up leaves it; gone afterwards, with all nodes."""
    folder = instance / "flower"
    set_up(folder)
    yield Home(folder)
    shutil.rmtree(folder)
    _execute(instance, "DELETE FROM node_invites")
    _execute(instance, "DELETE FROM nodes")


def _execute(instance, *statement):
    with closing(sqlite3.connect(instance / "demo.db", timeout=30)) as database:
        database.execute(*statement)
        database.commit()


def _take_in(instance, flower, *names):
    """As if Flower had registered them; all are online."""
    for number, name in enumerate(names, 1):
        _execute(
            instance, "UPDATE nodes SET state = 'joined', node_id = ? WHERE name = ?", (str(number), name)
        )
    flower.write_online(
        time.time() + 3600, {str(number): time.time() - 7200 for number, _ in enumerate(names, 1)}
    )


def _join(address, code, name, key):
    said = {
        "invite": code, "name": name, "public_key": KEYS[key], "version": "1.42.0", "consent": 1,
        "tells": {"counts": True, "judges": False}, "about": "a cupboard",
    }  # fmt: skip
    answer = requests.post(f"{address}/api/v1/nodes/join", json=said, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()["token"]


def _code(page, owner):
    page.get_by_label("E-mail address of its owner's account").fill(owner)
    page.get_by_role("button", name="Make a code").click()
    expect(page.locator(".copy-text .citation").first).to_contain_text("node join http")
    return page.locator("#node-code").text_content()


def test_from_the_code_to_a_training_on_two_nodes(page_of, open_page, address, instance, flower):
    page = open_page()  # the console tells of what is refused
    log_in(page)
    page.goto("/nodes")
    expect(page.get_by_role("heading", name="No node yet")).to_be_visible()
    token = _join(address, _code(page, OWNER[0]), "school", 0)
    waiting = page.get_by_role("listitem").filter(has_text="school").last
    expect(page.get_by_role("heading", name="Waiting for your word")).to_be_visible()
    expect(waiting).to_contain_text("of test · Flower 1.42.0")
    page.get_by_role("button", name="Let it take part").click()  # there is no Flower behind this folder
    expect(page.get_by_role("alert")).to_contain_text("Flower has not taken it")
    page.reload()
    _join(address, _code(page, RESEARCHER[0]), "clinic", 1)
    _take_in(instance, flower, "school", "clinic")
    for number in range(40):
        failure = "did not answer in time" if number % 13 == 0 else ""
        flower.note(
            Outcome(time.time(), "school", "conf_a", number, "train", 5 + number % 3, 9000, 8000, failure)
        )

    for look in ({"viewport": {"width": 1280, "height": 900}}, {**PHONE, "color_scheme": "dark"}):
        own = page_of(**look)
        log_in(own, *OWNER)
        own.goto("/nodes")
        expect(own.locator(".node")).to_have_count(1)  # the other is somebody else's
        expect(own.locator(".node-state")).to_have_text("online for 2.0 h")
        expect(own.locator(".node-bars")).to_have_attribute(
            "aria-label", re.compile("30 messages to school: 3 failed")
        )
        own.locator("summary").focus()
        own.keyboard.press("Enter")
        expect(own.locator(".node-rounds tbody tr")).to_have_count(30)
        expect(own.locator(".node-rounds tbody tr").first).to_contain_text("39")
        assert violations(own) == []
        assert own.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        expect(own.get_by_role("button", name="Turn it away")).to_have_count(0)

    researcher = page_of()
    log_in(researcher, *RESEARCHER)
    researcher.goto("/confs/new")
    no_models, before = (
        researcher.locator("#key-no_models"),
        researcher.locator("#key-no_models").input_value(),
    )
    researcher.get_by_label("on owners' nodes").check()
    expect(researcher.get_by_role("button", name="Start the training")).to_be_disabled()
    researcher.get_by_label("school").check()
    researcher.get_by_label("clinic").check()
    expect(no_models).to_have_value("2")
    expect(researcher.get_by_label("Folds")).to_have_value("1")
    expect(researcher.get_by_text("--engine flower --nodes school,clinic")).to_be_visible()
    researcher.get_by_label("on this machine").check()
    expect(no_models).to_have_value(before)
    researcher.get_by_label("on owners' nodes").check()
    expect(no_models).to_have_value("2")
    assert violations(researcher) == []
    researcher.locator("#key-data").select_option("simulated")
    researcher.get_by_label("Seeds").fill("1")
    researcher.get_by_role("button", name="Start the training").click()
    researcher.wait_for_url(re.compile(r"/jobs/\d+"))
    expect(researcher.get_by_text("On nodes: school, clinic.")).to_be_visible()
    researcher.get_by_role("link", name="Repeat with changes").click()
    expect(researcher.get_by_label("school")).to_be_checked()

    owner = page_of()
    log_in(owner, *OWNER)
    owner.goto("/nodes")
    owner.get_by_role("button", name="Leave", exact=True).click()
    owner.get_by_role("button", name="Leave for good with school").click()
    expect(owner.get_by_role("heading", name="Turned away or gone")).to_be_visible()
    me = requests.get(f"{address}/api/v1/nodes/me", headers={"Authorization": f"Bearer {token}"}, timeout=60)
    assert me.json()["state"] == "left"
    page.reload()
    gone = page.locator(".node").filter(has_text="school")
    gone.get_by_role("button", name="Have Flower forget it").click()
    expect(gone.get_by_role("alert")).to_contain_text("Flower still knows it")
