"""Pages show people's own names and single points, and keep an answer until there is another."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.test_conf_page import _researcher
from tests.e2e.test_trainings import _describe, _state, _until
from tests.e2e.test_visit import called

expect.set_options(timeout=60_000)
POINTS = """() => [...document.querySelectorAll('.chart')].map((chart) => chart.data
  .filter((trace) => trace.mode === 'lines+markers').map((trace) => [trace.name, [...trace.x], trace.marker.size]))"""
DOTS = """() => [...document.querySelectorAll('.chart')].map((chart) => [...chart.querySelectorAll('.points .point')]
  .filter((point) => point.getBoundingClientRect().width > 4).length)"""


def test_a_training_of_one_round_is_shown_and_found_by_its_name(page_of):
    page = page_of()
    _researcher(page)
    _describe(page, "晴天实验", warmup=0, global_epochs=1, local_epochs=1)
    page.get_by_role("button", name="Start the training").click()
    page.wait_for_url(re.compile(r"/jobs/\d+"))
    number = page.url.rpartition("/")[2]
    _state(page, "done")
    _until(page, lambda: page.evaluate(DOTS) == [1, 1])
    page.get_by_role("link", name="The run", exact=True).click()
    expect(page.get_by_role("heading", name=f"晴天实验-{number}")).to_be_visible()
    _until(page, lambda: page.evaluate(DOTS) == [1, 1])
    run = page.url.rpartition("/")[2]
    page.goto("/home?q=晴天")
    row = page.get_by_role("rowheader", name=f"晴天实验-{number}")
    expect(row).to_be_visible()
    expect(page.get_by_role("rowheader", name=called("f10"), exact=True)).to_have_count(0)
    page.get_by_label(f"Draw 晴天实验-{number}").check()
    expect(page.get_by_role("list", name="Drawn runs")).to_contain_text(f"晴天实验-{number}")
    _until(page, lambda: page.evaluate(DOTS) == [1, 1])
    drawn = page.evaluate(POINTS)
    assert [chart[0][:2] for chart in drawn] == [[f"晴天实验-{number}", [1]]] * 2
    page.get_by_label("Smoothing").fill("0.5")
    page.get_by_label("log x").check()
    _until(page, lambda: page.evaluate(DOTS) == [1, 1])
    page.get_by_label("Search").fill(run)  # the name of its file finds it as well
    expect(row).to_be_visible()
    page.get_by_label("with", exact=True).select_option(label=f"晴天实验-{number}")
    page.goto(f"/confs/new?from={run}")
    expect(page.get_by_label("Start from")).to_have_value(run)
    expect(page.get_by_label("Start from").locator("option:checked")).to_have_text(f"晴天实验-{number}")


def test_a_comparison_stays_until_the_next_is_there(open_page):
    page = open_page()
    page.goto("/home?pair=conf_f10,conf_alone")
    told = page.locator("#pair ~ p strong")
    expect(told).to_have_text(re.compile("[+−]0"))
    before = told.inner_text()
    held = []
    page.route("**/api/v1/comparison?*", lambda route: held.append(route))
    page.get_by_label("with", exact=True).select_option("conf_f5")
    expect(page.get_by_text("Comparing…")).to_be_visible()
    expect(told).to_have_text(before)
    expect(
        page.locator("#pair ~ p").filter(has_text="Ten owners, federated – One owner alone")
    ).to_be_visible()  # whose it is
    _until(page, lambda: held)
    held.pop().abort()
    expect(page.get_by_role("alert")).to_contain_text("The site cannot be reached.")
    expect(told).to_have_text(before)
    page.get_by_role("button", name="Try again").click()
    _until(page, lambda: held)
    held.pop().continue_()
    expect(page.get_by_text("Comparing…")).to_have_count(0)
    expect(page.get_by_role("alert")).to_have_count(0)
    assert told.inner_text() != before


@pytest.mark.parametrize("fails", [False, True], ids=["refused", "unreachable"])
def test_what_a_conf_leads_to_stays_while_another_is_typed(open_page, fails):
    page = open_page()
    _researcher(page)
    page.goto("/confs/new")
    outcome = page.locator(".conf-outcome section").first
    expect(outcome).to_contain_text("What it leads to")
    before = outcome.inner_text()
    if fails:
        page.route("**/api/v1/confs/preview", lambda route: route.abort())
        page.locator("#key-k").fill("9")
        expect(page.get_by_role("alert")).to_contain_text("The site cannot be reached.")
    else:
        page.locator("#key-k").fill("11")
        expect(page.get_by_role("alert")).to_contain_text("expected at most no_models (10)")
    assert outcome.inner_text() == before
    page.unroute("**/api/v1/confs/preview")
    page.locator("#key-k").fill("10")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_charts_that_could_not_be_drawn_are_drawn_later(open_page):
    page = open_page()
    page.route("**/*plotly*", lambda route: route.abort())
    page.goto("/runs/conf_f5")
    expect(page.get_by_role("alert")).to_have_count(2)
    page.unroute("**/*plotly*")
    for left in (1, 0):
        page.get_by_role("button", name="Try again").first.click()
        expect(page.get_by_role("alert")).to_have_count(left)
    expect(page.locator(".chart .main-svg").first).to_be_visible()


def test_runs_that_could_not_be_fetched_are_fetched_again(open_page):
    page = open_page()
    page.route("**/api/v1/runs", lambda route: route.fulfill(status=503, body=""))
    page.goto("/home")
    expect(page.get_by_role("alert")).to_contain_text("The site answers with the error 503.")
    page.unroute("**/api/v1/runs")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("rowheader", name=called("f10"), exact=True)).to_be_visible()
    expect(page.locator(".chart .main-svg").first).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
