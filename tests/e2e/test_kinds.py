"""The page of a run whose clients have neighbours, whose updates were valued, whose owners have columns."""

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.e2e.conftest import violations

WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"

IRIS = {
    "type": "iris", "no_models": 5, "k": 5, "global_epochs": 3, "local_epochs": 1, "batch_size": 8, "lr": 0.1,
    "momentum": 0.0, "network": {"layers": [{"flatten": True}, {"dense": 8}]},
}  # fmt: skip
CONFS = {
    "conf_beside": {**IRIS, "rounds": {"name": "gossip", "graph": "ring"}},
    "conf_valued": {**IRIS, "worth": 40, "attack": "label_flip", "lr": 0.2},
    "conf_columns": {
        **IRIS, "type": "breast_cancer", "network": "logistic", "no_models": 2, "k": 2, "partition": "columns",
        "rounds": {"name": "columns", "split": "weak"},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory, cache, address):
    """Their results, among the shipped ones."""
    folder, arguments = tmp_path_factory.mktemp("kinds"), []
    for name, conf in CONFS.items():
        (folder / f"{name}.json").write_text(json.dumps(conf))
        arguments += ["-c", folder / f"{name}.json"]
    made = subprocess.run(
        [
            sys.executable,
            "i2main.py",
            *map(str, arguments),
            "--cache",
            str(cache),
            "--workers",
            "1",
            "--quiet",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    return cache


@pytest.mark.parametrize(
    "settings", [{}, {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}]
)
def test_who_is_beside_whom_is_drawn_and_told(page_of, trained, settings):
    page = page_of(**settings)
    page.goto("/runs/conf_beside")
    page.wait_for_selector(".client-graph")
    assert page.locator(".client-graph line").count() == 5
    assert page.locator(".client-graph g").count() == 5
    rows = page.locator(".client-graph + .table-responsive tbody tr")
    assert rows.count() == 5 and rows.first.locator("td").first.inner_text() == "B, E"
    assert rows.first.locator("td").last.inner_text().endswith(" %")
    assert "5 clients, 5 pairs of neighbours." in page.locator(".client-graph").get_attribute("aria-label")
    assert not page.evaluate(WIDE) and violations(page) == []


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_what_updates_were_worth_stands_in_a_table(page_of, trained, language):
    page = page_of(locale=language, viewport={"width": 360, "height": 740})
    page.goto("/runs/conf_valued")
    table = page.get_by_role("region", name="What updates were worth" if language == "en" else "更新的价值")
    table.wait_for()
    assert table.locator("tbody tr").count() == 5
    assert ("hostile" if language == "en" else "恶意") in table.locator("tbody tr").first.inner_text()
    assert "±" in table.locator("tbody tr").last.inner_text()
    assert not page.evaluate(WIDE) and violations(page) == []


def test_owners_of_columns_say_which(page_of, trained):
    page = page_of()
    page.goto("/runs/conf_columns")
    owner = page.get_by_role("row", name="columns 9, 11, 14, 18–19")
    owner.wait_for()
    assert page.get_by_role("row", name="columns 0–8, 10, 12–13, 15–17, 20–29").count() == 1
    assert violations(page) == []


def test_what_one_can_do_without_is_told_by_the_studies(page_of):
    page = page_of(locale="zh-CN", color_scheme="dark")
    page.goto("/why")
    page.get_by_role("link", name="需要服务器吗？需要等待吗？需要标签吗？这里是实测的结果。").click()
    page.wait_for_url("**/why/needs")
    assert page.locator(".study-card").count() == 5
    assert page.locator(".study-answer", has_text="尚未测量").count() == 0
    assert violations(page) == []
