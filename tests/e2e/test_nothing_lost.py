"""What people typed and changed outlives the session's end, the network's, Back and another language."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import violations
from tests.e2e.test_conf_page import _researcher
from tests.e2e.test_forecast import ANSWER, PHONE, upload
from tests.e2e.test_trainings import _describe

expect.set_options(timeout=60_000)


_VISITOR = []  # cookies of a visitor's one log-in


def _visitor(page):
    if not _VISITOR:
        page.goto("/login")
        _fill_in(page, "test@126.com", "test")
        page.wait_for_url("**/home")
        _VISITOR.extend(page.context.cookies())
    page.context.add_cookies(_VISITOR)


def _fill_in(place, email, password):
    place.get_by_label("E-mail").fill(email)
    place.get_by_label("Password", exact=True).fill(password)
    place.get_by_role("button", name="Log in", exact=True).click()


def _session_ends(page):
    """The session's cookie goes for good: an answer that is still on its way would bring it back."""
    page.wait_for_load_state("networkidle")
    while page.context.cookies():
        page.context.clear_cookies()
        page.wait_for_timeout(500)


@pytest.mark.parametrize("settings", [{}, {**PHONE, "color_scheme": "dark"}], ids=["desktop", "phone"])
def test_whose_session_ended_logs_in_in_place_and_the_same_click_goes_on(open_page, settings):
    page = open_page(**settings)
    _researcher(page)
    _describe(page, "outlives", global_epochs=300, lr=0.033)
    _session_ends(page)
    page.get_by_role("button", name="Start the training").click()
    dialog = page.get_by_role("dialog", name="Log in again")
    expect(dialog.get_by_label("E-mail")).to_be_focused()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert violations(page) == []
    if not settings:
        _fill_in(dialog, "greatabel1@126.com", "wrong")
        expect(dialog.get_by_role("alert")).to_have_text("E-mail, password or code is wrong.")
    _fill_in(dialog, "greatabel1@126.com", "abel")
    page.wait_for_url(re.compile(r"/jobs/\d+"))
    expect(page.get_by_role("heading", name="outlives")).to_be_visible()
    told = page.evaluate(
        "async (at) => (await fetch(`/api/v1${at}`)).json()",
        page.url.partition("/jobs")[1] + page.url.partition("/jobs")[2],
    )
    assert told["conf"]["lr"] == 0.033 and told["name"] == "outlives"
    page.goto("/confs/new")
    expect(page.locator("#key-lr")).to_have_value("0.05")  # what was sent is no draft any more
    page.goto(f"/jobs/{told['id']}")
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete with all its files").click()
    expect(page.get_by_text("This training is deleted.")).to_be_visible()


def test_closing_the_dialog_changes_nothing_and_says_so(open_page):
    page = open_page()
    _researcher(page)
    _describe(page, "not now", lr=0.044)
    _session_ends(page)
    page.get_by_role("button", name="Start the training").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("You are logged out, so nothing was changed.")).to_be_visible()
    expect(page.locator("#key-lr")).to_have_value("0.044")
    page.get_by_role("button", name="Start the training").click()
    page.get_by_role("dialog").press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_what_is_typed_is_done_for_nobody_else(open_page):
    page = open_page()
    _researcher(page)
    _describe(page, "mine alone", lr=0.055)
    _session_ends(page)
    _visitor(page.context.new_page())
    page.get_by_role("button", name="Start the training").click()
    reason = page.locator(".change-failed", has_text="Somebody else has logged in here meanwhile.")
    expect(reason).to_be_visible()  # beside the button; what is foretold of the conf may say so as well
    page.goto("/profile")
    page.goto("/confs/new")  # where a visitor may not go
    assert "0.055" not in page.content()


def test_a_token_that_has_grown_old_is_renewed(open_page):
    page = open_page()
    _researcher(page)
    page.goto("/runs/conf_f5")
    page.get_by_label("Tags").fill("renewed")
    page.evaluate("document.querySelector('meta[name=csrf-token]').content = 'old'")
    page.locator("#run").get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.goto("/profile")
    page.evaluate("for (const one of document.querySelectorAll('input[name=csrf_token]')) one.value = 'old'")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved.")).to_be_visible()


def test_the_keys_of_a_conf_survive_back_and_another_language(open_page):
    page = open_page()
    _researcher(page)
    _describe(page, "一个名字", lr=0.066)
    page.locator("#key-strategy").select_option("lingering")
    page.get_by_label("drag").fill("0.75")
    page.get_by_label("Note").fill("a long thought")
    page.get_by_role("link", name="Forecast").click()
    page.wait_for_url("**/forecast")
    page.go_back()
    expect(page.get_by_text("What you typed before is here again.")).to_be_visible()

    def holds():
        expect(page.locator("#key-lr")).to_have_value("0.066")
        expect(page.locator("#key-strategy")).to_have_value("lingering")
        expect(page.get_by_label("drag")).to_have_value("0.75")
        expect(page.locator("#name")).to_have_value("一个名字")
        expect(page.locator("#note")).to_have_value("a long thought")

    holds()
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("heading", name="描述一次训练")).to_be_visible()
    holds()
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", name="Describe a training")).to_be_visible()
    holds()
    page.goto("/confs/new?from=conf_f5")  # another start is another draft
    expect(page.locator("#key-lr")).to_have_value("0.1")
    page.goto("/confs/new")
    page.get_by_role("button", name="Start afresh").click()
    expect(page.locator("#key-lr")).to_have_value("0.05")
    expect(page.locator("#note")).to_have_value("")
    page.reload()
    expect(page.locator("#key-lr")).to_have_value("0.05")
    expect(page.get_by_text("What you typed before")).to_have_count(0)


@pytest.mark.parametrize("how", ["language", "back", "reload"])
def test_a_registration_is_kept_but_for_the_password(open_page, how):
    page = open_page()
    page.goto("/register")
    page.locator("#email").fill("half@example.org")
    page.locator("#nickname").fill("半个人")
    page.locator("#password").fill("never to be kept")
    if how == "language":
        page.get_by_role("button", name="中文").click()
        expect(page.get_by_role("heading", name="注册")).to_be_visible()
    elif how == "back":
        page.get_by_role("link", name="Forecast").click()
        page.wait_for_url("**/forecast")
        page.go_back()
    else:
        page.reload()
    expect(page.locator("#email")).to_have_value("half@example.org")
    expect(page.locator("#nickname")).to_have_value("半个人")
    expect(page.locator("#password")).to_have_value("")
    kept = page.evaluate("JSON.stringify([sessionStorage, localStorage])")
    assert "half@example.org" in kept and "never to be kept" not in kept


def test_the_profile_is_kept_saved_and_then_no_draft(open_page):
    page = open_page()
    _researcher(page)
    page.goto("/profile")
    page.get_by_label("Nickname").fill("abel the second")
    page.get_by_label("What it is for").fill("half a token")
    page.get_by_label(re.compile("^read: ")).check()
    page.reload()
    expect(page.get_by_label("Nickname")).to_have_value("abel the second")
    expect(page.get_by_label("What it is for")).to_have_value("half a token")
    expect(page.get_by_label(re.compile("^read: "))).to_be_checked()
    _session_ends(page)
    page.get_by_role("button", name="Save", exact=True).click()
    _fill_in(page.get_by_role("dialog"), "greatabel1@126.com", "abel")
    expect(page.get_by_role("link", name="abel the second")).to_be_visible()
    page.get_by_label("Nickname").fill("abel")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("link", name="abel", exact=True)).to_be_visible()
    expect(page.get_by_label("What it is for")).to_have_value("half a token")  # not sent yet
    page.get_by_role("button", name="Log out", exact=True).click()
    page.wait_for_url("**/login")
    assert "half a token" not in page.evaluate(
        "JSON.stringify(sessionStorage)"
    )  # whoever leaves leaves nothing


def _kept(page):
    """A forecast in the history."""
    page.goto("/forecast")
    page.get_by_label("Choose photos").set_input_files(upload(1))
    expect(page.locator(".verdict")).to_have_text(ANSWER)
    before = page.locator(".kept").count()
    page.get_by_role("button", name="Keep in my history").click()
    expect(page.locator(".kept")).to_have_count(before + 1)
    return page.locator(".kept").first


def test_a_correction_that_fails_goes_back_says_why_and_can_be_tried_again(open_page):
    page = open_page()
    _visitor(page)
    kept = _kept(page)
    page.context.set_offline(True)
    kept.get_by_label("What it really was").select_option("cloudy")
    expect(kept.get_by_role("alert")).to_contain_text("The site cannot be reached.")
    expect(kept.get_by_label("What it really was")).to_have_value("")
    kept.get_by_role("button", name="Delete").click()
    expect(kept.get_by_role("alert")).to_contain_text("The site cannot be reached.")
    expect(kept).to_be_visible()
    kept.get_by_label("What it really was").select_option("sunny")
    expect(kept.get_by_role("alert")).to_contain_text("The site cannot be reached.")
    page.context.set_offline(False)
    kept.get_by_role("button", name="Try again").click()
    expect(kept.get_by_text("Saved.")).to_be_visible()
    expect(kept.get_by_label("What it really was")).to_have_value("sunny")
    page.reload()
    expect(page.locator(".kept").first.get_by_label("What it really was")).to_have_value("sunny")


def test_a_deletion_after_the_sessions_end_goes_on_after_logging_in(open_page):
    page = open_page()
    _visitor(page)
    kept = _kept(page)
    before = page.locator(".kept").count()
    _session_ends(page)
    kept.get_by_role("button", name="Delete").click()
    _fill_in(page.get_by_role("dialog"), "test@126.com", "test")
    expect(page.locator(".kept")).to_have_count(before - 1)


def test_a_change_shows_that_it_waits_and_a_refusal_gives_its_reason(open_page):
    page = open_page()
    _visitor(page)
    kept = _kept(page)
    refusal = {"error": {"code": 422, "message": "A reason of the site's.", "detail": ""}}
    held = []
    page.route("**/api/v1/forecasts/*", lambda route: held.append(route))
    kept.get_by_role("button", name="Delete").click()
    expect(kept.get_by_text("One moment…")).to_be_visible()
    expect(kept.get_by_role("button", name="Delete")).to_be_disabled()
    held.pop().fulfill(status=422, json=refusal)
    expect(kept.get_by_role("alert")).to_contain_text("A reason of the site's.")
    kept.get_by_role("button", name="Try again").click()
    expect(kept.get_by_text("One moment…")).to_be_visible()
    held.pop().fulfill(status=500, body="<html>")
    expect(kept.get_by_role("alert")).to_contain_text("The site answers with the error 500.")
    page.unroute("**/api/v1/forecasts/*")


def test_what_is_done_to_a_training_fails_beside_it(open_page):
    page = open_page()
    _researcher(page)
    _describe(page, "fails beside it", global_epochs=300, local_epochs=10)
    page.get_by_role("button", name="Start the training").click()
    page.wait_for_url(re.compile(r"/jobs/\d+"))
    number = page.url.rpartition("/")[2]
    page.goto("/jobs")
    mine = page.locator(".job").filter(has_text=f"#{number}")
    page.route(f"**/api/v1/jobs/{number}/stop", lambda route: route.abort())
    mine.get_by_role("button", name="Stop").click()
    expect(mine.get_by_role("alert")).to_contain_text("The site cannot be reached.")
    page.unroute(f"**/api/v1/jobs/{number}/stop")
    mine.get_by_role("button", name="Try again").click()
    expect(mine.locator(".state")).to_have_text(re.compile("stopped"))
    page.goto(f"/jobs/{number}")
    page.get_by_label("Note").fill("typed in vain?")
    page.context.set_offline(True)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("form").get_by_role("alert")).to_contain_text("The site cannot be reached.")
    expect(page.get_by_text("This page keeps trying.")).to_be_visible()
    page.context.set_offline(False)
    expect(page.get_by_label("Note")).to_have_value("typed in vain?")
    page.locator("form").get_by_role("button", name="Try again").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Note")).to_have_value("typed in vain?")
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete with all its files").click()
    expect(page.get_by_text("This training is deleted.")).to_be_visible()


def test_the_sites_own_forms_say_that_they_were_not_sent(open_page):
    page = open_page()
    page.goto("/register")
    page.locator("#email").fill("half@example.org")
    page.context.set_offline(True)
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_role("alert")).to_contain_text("The site cannot be reached.")
    page.get_by_role("button", name="中文").click()
    expect(page.locator("main > .alert")).to_contain_text("The site cannot be reached.")
    expect(page.locator("#email")).to_have_value("half@example.org")
    page.context.set_offline(False)
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_text("Please fill this in.").first).to_be_visible()


@pytest.mark.parametrize(
    "first",
    [{"runs": "conf_f5,conf_alone", "x": "bytes", "q": "f5"}, {"pair": "conf_f10,conf_f5", "logx": "yes"}],
)
def test_another_language_shows_the_same_view(open_page, first):
    page = open_page()
    page.goto("/home?" + "&".join(f"{key}={value}" for key, value in first.items()) + "#curves")
    expect(page.locator(".chart .main-svg").first).to_be_visible()
    page.get_by_label("log y").check()
    down = page.evaluate("() => { document.querySelector('#curves').scrollIntoView(); return scrollY; }")
    page.locator(".site-person button[lang]").evaluate("(button) => button.click()")
    expect(page.get_by_role("heading", name="所有实验")).to_be_attached()
    for key, value in {**first, "logy": "yes"}.items():
        assert f"{key}={value}" in page.url
    assert page.url.endswith("#curves")
    expect(page.locator(".chart .main-svg").first).to_be_visible()
    page.wait_for_timeout(500)
    assert abs(page.evaluate("scrollY") - down) < 200


def test_a_second_log_in_tab_leads_on(open_page):
    page = open_page()
    page.goto("/login?next=/why")
    other = page.context.new_page()
    other.goto("/login")
    _fill_in(other, "admin@126.com", "admin")
    other.wait_for_url("**/home")
    _fill_in(page, "admin@126.com", "admin")
    page.wait_for_url("**/why")
    other.goto("/login?next=/forecast")
    other.wait_for_url("**/forecast")
    assert json.loads(page.request.get("/session").text())["who"]
