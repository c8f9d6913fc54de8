"""A visitor's first visit, in a real browser: register, compare runs, pass a link on, change the profile, leave."""

import re
from datetime import datetime

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.chromium import PHONE
from tests.conftest import ROOT, TINY
from tests.e2e.conftest import violations
from tests.test_results import series
from utils.checkpoints import start
from utils.federated.bench import Repeat, State
from utils.results import read_result, result_path
from utils.studies import title

expect.set_options(timeout=60_000)
ORIGINALS = ("centralized1_1", "centralized1_2", "centralized1_3", "f5", "f10")


def called(name):
    """The row of a shipped run: its name in plain words, and its conf's beside it."""
    return f"{title(f'conf_{name}')} {name}"


def _traces(page):
    """What the first chart shows: names, and the first x of each line."""
    return page.evaluate(
        "() => document.querySelector('.chart').data.filter(t => t.mode === 'lines')"
        ".map(t => [t.name, t.x[0], t.y.at(-1)])"
    )


def test_a_visitor_registers_compares_shares_and_leaves(page_of):
    page = page_of()
    page.goto("/register")
    page.get_by_label("E-mail").fill("visitor@example.org")
    page.get_by_label("Nickname").fill("Visitor")
    page.get_by_label("New password").fill("clouds over the hills")
    page.get_by_label("The same again").fill("clouds over the hills")
    page.get_by_role("button", name="Register").click()
    page.wait_for_url("**/login")
    page.get_by_label("E-mail").fill("visitor@example.org")
    page.get_by_label("Password", exact=True).fill("clouds over the hills")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/home")

    for name in ORIGINALS:
        expect(page.get_by_role("rowheader", name=called(name), exact=True)).to_be_visible()
    expect(page.locator(".chart .main-svg").first).to_be_visible()
    page.wait_for_function("() => document.querySelector('.chart').data?.length >= 8")
    before = _traces(page)
    page.get_by_label("Across").select_option("bytes")
    page.wait_for_function("() => document.querySelector('.chart').layout.xaxis.title.text === 'bytes sent'")
    page.get_by_label("What the chart shows").first.select_option("balanced_accuracy")
    page.wait_for_function(
        "y => document.querySelector('.chart').data.filter(t => t.mode === 'lines')[0].y.at(-1) !== y",
        arg=before[0][2],
    )
    page.get_by_role("button", name="Hide One owner alone").click()
    page.wait_for_function(
        "() => !document.querySelector('.chart').data.some(t => t.name === 'One owner alone')"
    )
    assert "One owner alone" in [name for name, *_ in before]
    page.get_by_role("button", name="Copy the link to this view").click()
    link = page.evaluate("() => navigator.clipboard.readText()")
    assert "x=bytes" in link and "y=balanced_accuracy,loss" in link and "conf_alone" not in link

    other = page_of()
    other.goto(link)
    other.wait_for_function(
        "count => document.querySelector('.chart')?.data?.filter(t => t.mode === 'lines').length === count",
        arg=len(_traces(page)),
    )
    assert _traces(other) == _traces(page)
    expect(other.get_by_role("link", name="Log in")).to_be_visible()

    page.goto("/runs/conf_f10")
    page.get_by_label("Tags").fill("best so-far")
    page.get_by_label("Note").fill("<b>look again</b>")
    page.locator("#run").get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.goto("/home?q=so-far")
    expect(page.get_by_role("cell", name="best so-far")).to_be_visible()
    expect(page.get_by_role("rowheader", name=called("alone"), exact=True)).to_have_count(0)

    page.get_by_role("link", name="Visitor").click()
    page.get_by_label("Nickname").fill("Sky watcher")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("link", name="Sky watcher")).to_be_visible()
    page.get_by_role("button", name="Log out", exact=True).click()
    page.wait_for_url("**/login")
    page.goto("/profile")
    assert re.search(r"/login\?next=", page.url)


def test_two_runs_are_compared_and_the_table_finds_them(page_of):
    page = page_of()
    page.goto("/home?pair=conf_f10,conf_alone&q=f10")
    expect(page.get_by_text("Difference of accuracy on the same examples and seeds:")).to_be_visible()
    expect(page.get_by_text(re.compile(r"Paired bootstrap: p = 0\.\d+ for this one"))).to_be_visible()
    expect(page.get_by_role("rowheader", name=called("f10"), exact=True)).to_be_visible()
    expect(page.get_by_role("rowheader", name=called("alone"), exact=True)).to_have_count(0)


def test_a_runs_page_shows_what_it_was_made_of(page_of):
    page = page_of()
    page.goto("/runs/conf_f10_noniid")
    expect(page.get_by_role("heading", name="How the examples fell to the owners")).to_be_visible()
    expect(page.locator(".chart .main-svg").first).to_be_visible()
    parts = page.get_by_role("navigation", name="Parts of this page").get_by_role("link")
    expect(parts).to_have_text(["Result", "Clients", "Misjudged most", "What it leaks", "Conf", "Made with"])
    for link in parts.all():
        link.click()
        heading = page.locator(page.evaluate("location.hash"))
        expect(heading).to_be_in_viewport()
        assert heading.evaluate("h => h.tagName") == "H2"
    expect(
        page.get_by_text(re.compile(r"^\d+ of \d+ examples were told wrongly at least once"))
    ).to_be_visible()
    expect(page.locator(".misjudged")).to_have_count(0)  # no hashes for who has no use for them
    expect(page.get_by_role("cell", name="dirichlet", exact=True)).to_be_visible()
    expect(page.get_by_role("rowheader", name="weight_decay", exact=True)).to_be_hidden()
    page.get_by_text(re.compile(r"^\d+ keys with the values they have by default")).click()
    expect(page.get_by_role("rowheader", name="weight_decay", exact=True)).to_be_visible()


def test_without_javascript_the_final_figures_are_there(page_of):
    page = page_of(java_script_enabled=False)
    page.goto("/home")
    for name in ORIGINALS:
        expect(page.get_by_role("rowheader", name=called(name), exact=True)).to_be_visible()


def test_a_run_in_training_grows_while_one_watches(page_of, cache):
    plan = {"conf": {**TINY, "global_epochs": 4}, "folds": 1, "seeds": 1}
    checkpoints = start(cache, "conf_watched", plan, overwrite=False)

    def rounds(*acc):
        curves = series(accuracy=list(acc), loss=list(acc))
        record = {"fold": 0, "seed": 0, "rotation": 0, "series": curves}
        checkpoints.save(Repeat(0, 0, 0), State({"weights": np.zeros(1, np.float32)}, record, len(acc)))

    rounds(0.5)
    page = page_of()
    page.goto("/home")
    expect(page.get_by_text("25.0 % done; accuracy so far 50.0 %")).to_be_visible()
    rounds(0.5, 0.75, 0.875)
    expect(page.get_by_text("75.0 % done; accuracy so far 87.5 %")).to_be_visible()
    checkpoints.remove()
    expect(page.get_by_role("heading", name="In training")).to_have_count(0)


@pytest.mark.parametrize("still", ["asked for in the system", "asked for here", None])
def test_the_picture_of_a_round_moves_unless_one_would_rather_not(page_of, still):
    page = page_of(reduced_motion="reduce" if still == "asked for in the system" else "no-preference")
    page.goto("/why")
    picture = page.get_by_role("img", name="A round")
    expect(picture).to_be_visible()
    stop = page.get_by_label("Stand still")
    if still == "asked for in the system":
        expect(stop).to_be_hidden()
    elif still:
        stop.focus()
        page.keyboard.press("Space")
    moving = "() => [...document.querySelectorAll('.round *')].some(e => getComputedStyle(e).animationName !== 'none')"
    assert page.evaluate(moving) is (still is None)
    box = picture.locator(".model").first.bounding_box()
    page.wait_for_timeout(2000)
    moved = picture.locator(".model").first.bounding_box() != box
    assert moved is (still is None)
    expect(page.get_by_text("What it does not protect")).to_be_visible()
    expect(page.locator("article")).to_contain_text(re.compile(r"[\d,]+ MB in a training of ten owners"))


@pytest.mark.parametrize("settings", [{}, PHONE], ids=["desktop", "phone"])
def test_the_first_page_says_three_things_in_words_and_the_tests_on_request(page_of, settings):
    page = page_of(**settings)
    page.goto("/home")
    first = page.get_by_role("list", name="What was found").get_by_role("listitem")
    expect(first).to_have_count(3)
    expect(first.first).to_contain_text(
        re.compile(r"Training together beats .* by \d+\.\d points; the test says")
    )
    test = page.get_by_text("“Ten owners, federated” is better than “One owner alone”.")
    expect(test).to_be_hidden()
    page.get_by_text("All tests, with their numbers").click()
    expect(test).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_word_explains_itself_on_hover_focus_and_tap(page_of, scheme):
    page = page_of(color_scheme=scheme)
    page.goto("/home")
    word, says = page.get_by_role("button", name="interval", exact=True).first, page.get_by_role("tooltip")
    expect(page.locator("#axis")).to_be_visible()
    expect(says).to_be_hidden()
    word.hover()
    expect(says).to_contain_text("in 95 of 100 cases")
    expect(word).to_have_accessible_description(re.compile("^Interval: "))
    says.hover()
    expect(says).to_be_visible()
    page.keyboard.press("Escape")
    expect(says).to_be_hidden()
    word.focus()
    expect(says).to_be_visible()
    page.keyboard.press("Tab")
    expect(says).to_be_hidden()
    page.get_by_role("button", name="What is meant by Balanced?").click()
    expect(says).to_contain_text("Balanced accuracy: ")
    assert violations(page) == []
    box = says.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= page.viewport_size["width"]
    phone = page_of(**PHONE, locale="zh-CN", color_scheme=scheme)
    phone.goto("/home")
    expect(phone.locator("#axis")).to_be_visible()
    phone.get_by_role("button", name="区间", exact=True).first.tap()
    expect(phone.get_by_role("tooltip")).to_contain_text("区间：")
    box = phone.get_by_role("tooltip").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390


def test_a_chart_taken_along_says_whose_it_is_in_which_units_at_twice_the_resolution(page_of, tmp_path):
    page = page_of(color_scheme="dark")
    page.goto("/home")
    expect(page.locator(".chart .main-svg").first).to_be_visible()
    for kind in ("PNG", "SVG"):
        with page.expect_download() as taken:
            page.get_by_role("button", name=kind).first.click()
        taken.value.save_as(tmp_path / kind)
    assert Image.open(tmp_path / "PNG").size == (2400, 1400)
    drawn = (tmp_path / "SVG").read_text()
    for text in (
        "Ten owners, federated (f10), 15 repeats",
        "One owner alone (alone), 150 repeats",
        ">round<",
    ):
        assert text in drawn
    assert drawn.count("Accuracy on test examples") >= 2 and "(0–1)" in drawn


def test_on_a_phone_the_header_is_a_line_with_a_menu(page_of):
    page = page_of(**PHONE)
    page.goto("/why")
    assert page.locator(".site-header").bounding_box()["height"] <= 56
    link, menu = page.get_by_role("link", name="Forecast"), page.get_by_role("button", name="Menu")
    expect(link).to_be_hidden()
    menu.focus()
    page.keyboard.press("Enter")
    expect(link).to_be_visible()
    expect(page.get_by_role("link", name="Why is that so?")).to_have_attribute("aria-current", "page")
    assert violations(page) == []
    sizes = page.locator(".site-menu a, .site-menu button").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect()).map(box => Math.min(box.width, box.height))"
    )
    assert min(sizes) >= 24
    page.keyboard.press("Escape")
    expect(link).to_be_hidden()
    menu.tap()
    link.tap()
    page.wait_for_url("**/forecast")


def test_everybody_can_choose_light_or_dark_and_it_stays(page_of):
    page = page_of(color_scheme="light")
    page.goto("/why")
    theme = "() => document.documentElement.dataset.bsTheme"
    page.get_by_role("button", name="Dark", exact=True).click()
    assert page.evaluate(theme) == "dark"
    page.goto("/home")
    assert page.evaluate(theme) == "dark"
    page.get_by_role("button", name="Light", exact=True).click()
    page.reload()
    assert page.evaluate(theme) == "light"
    page.emulate_media(color_scheme="dark")  # what the system has is followed again
    page.wait_for_function(f"() => ({theme})() === 'dark'")


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_text_is_of_normal_weight_cards_of_a_row_are_alike_and_dates_as_one_writes_them(page_of, locale):
    page = page_of(locale=locale)
    page.goto("/home")
    expect(page.locator(".lead")).to_have_css("font-weight", "400")
    finished = datetime.fromisoformat(read_result(result_path(ROOT / "cache", "conf_f10"))["finished"])
    written = f"{finished:%Y年%-m月%-d日}" if locale == "zh-CN" else f"{finished:%b %-d, %Y}"
    expect(page.get_by_role("cell", name=written).first).to_be_visible()
    page.goto("/runs/conf_f10")
    cards = page.locator("section[aria-labelledby=result] .two-columns:first-of-type .card-plain")
    expect(cards).to_have_count(3)
    tops, heights = zip(
        *((box["y"], box["height"]) for box in (card.bounding_box() for card in cards.all()[:2])), strict=True
    )
    assert tops[0] == tops[1] and heights[0] == heights[1]


@pytest.mark.parametrize(
    ("settings", "called", "asks"),
    [({}, "Digits", "Which digit is it"), ({**PHONE, "locale": "zh-CN"}, "数字", "这是哪个数字")],
    ids=["desktop", "phone"],
)
def test_the_story_of_another_task_is_a_click_away_and_stays_in_the_link(open_page, settings, called, asks):
    page = open_page(**settings)  # whose curves nobody has asked for yet: 503, and they come a moment later
    page.goto("/home")
    page.get_by_role("link", name=called, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(asks)
    expect(page.locator(".score")).to_have_count(3)
    expect(page.locator(".first-findings li")).to_have_count(2)
    page.locator(".chart").first.scroll_into_view_if_needed()
    page.wait_for_function(
        "() => document.querySelector('.chart').data?.filter(t => t.mode === 'lines').length >= 3"
    )
    assert all(called in name for name, *_ in _traces(page))
    page.locator("#axis").select_option("bytes")
    page.wait_for_function("() => location.search.includes('x=bytes')")
    assert "study=digits" in page.url
    assert violations(page) == []
