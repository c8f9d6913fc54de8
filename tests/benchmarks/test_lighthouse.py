"""Every page as Lighthouse sees it, on its simulated phone, in the demo.

make benchmark
"""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from app.frontend import environment
from tests.benchmarks.test_site import served
from tests.chromium import ARGUMENTS, CHROMIUM
from tests.conftest import ROOT, TINY, draw_set
from tests.e2e.conftest import QUEUE
from tests.e2e.pages import PAGES, log_in

LIGHTHOUSE = Path(__file__).parent / "lighthouse" / "node_modules" / "lighthouse" / "cli" / "index.js"
LEAST, MOST_SHIFT, TRIES = 0.95, 0.05, 3
DRAW_AT_ONCE = {"training"}
"""Pages that are there for their curve: a phone too starts Plotly for them before anything else, and is told so."""


def _judged(address, cookies, folder):
    """Scores and figures of the page at `address`."""
    headers = folder / "headers.json"
    headers.write_text(json.dumps({"Cookie": cookies} if cookies else {}))
    found = environment() | {"CHROME_PATH": CHROMIUM}
    done = subprocess.run(
        ["node", LIGHTHOUSE, address, "--quiet", "--output=json", f"--extra-headers={headers}",
         "--only-categories=performance,accessibility,best-practices", "--no-enable-error-reporting",
         f"--chrome-flags=--headless {' '.join(ARGUMENTS)}"],
        env=found, capture_output=True, text=True, check=True, timeout=180,
    )  # fmt: skip
    told = json.loads(done.stdout)
    scores = {name: one["score"] for name, one in told["categories"].items()}
    shift = told["audits"]["cumulative-layout-shift"]["numericValue"]
    return scores, shift, told["audits"]["largest-contentful-paint"]["numericValue"] / 1000


@pytest.mark.skipif(not LIGHTHOUSE.exists(), reason="make benchmark installs Lighthouse")
def test_every_page_is_fast_on_a_phone_and_moves_nothing(tmp_path):
    draw_set(tmp_path / "data" / "drawn")
    shutil.copytree(ROOT / "cache", tmp_path / "cache", ignore=shutil.ignore_patterns(".unfinished"))
    short = []
    with served(tmp_path, tmp_path / "cache", SKYFED_DATA=str(tmp_path / "data")) as (port, _):
        site = f"http://127.0.0.1:{port}"
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            page = browser.new_page(base_url=site)
            log_in(page)
            job = page.evaluate(QUEUE, {**TINY, "data": "drawn", "global_epochs": 2})
            page.goto(f"/jobs/{job}")
            page.locator(".state-done").wait_for(timeout=120_000)
            cookies = "; ".join(f"{one['name']}={one['value']}" for one in page.context.cookies())
            browser.close()
        for one in PAGES:
            if one.name == "missing":
                continue  # Lighthouse judges no page that is not there
            for _ in range(TRIES):  # the machine's own noise only ever adds
                address = site + one.path.format(job=job)
                scores, shift, paint = _judged(address, cookies if one.log_in else "", tmp_path)
                if scores["performance"] >= LEAST or one.name in DRAW_AT_ONCE:
                    break
            print(f"\n{one.name}: {scores}, layout shift {shift:.3f}, largest paint {paint:.1f} s", end="")
            least = min(
                score
                for what, score in scores.items()
                if what != "performance" or one.name not in DRAW_AT_ONCE
            )
            if least < LEAST or shift >= MOST_SHIFT:
                short.append(one.name)
    assert not short
