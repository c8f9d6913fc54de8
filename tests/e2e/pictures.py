"""Pictures of the main pages: phone and desktop, light and dark, Chinese and English.

make pictures       into figures/site/; the one in the README is cache/figures/site.png
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.conftest import ROOT
from tests.e2e.conftest import ARGUMENTS, CHROMIUM

PAGES = {
    "home": "/home", "run": "/runs/conf_f10", "forecast": "/forecast", "why": "/why", "login": "/login",
    "training": "/jobs/1", "trainings": "/jobs", "describe": "/confs/new?job=1",
}  # fmt: skip
START = """async (conf) => {
  const token = document.querySelector("meta[name=csrf-token]").content;
  const headers = { "Content-Type": "application/json", "X-CSRFToken": token };
  const sweep = { lr: [0.02, 0.05, 0.1] };
  const asked = { conf: { ...conf, data: "simulated", global_epochs: 200 }, name: "my skies", sweep };
  await fetch("/api/v1/jobs", { method: "POST", headers, body: JSON.stringify(asked) });
}"""
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
PORT = 5099


def main() -> None:
    """Take them all."""
    target = ROOT / "figures" / "site"
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        simulate = [sys.executable, "i0down_training_resource.py", "simulate", "60", "--data", folder]
        subprocess.run(simulate, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        shutil.copytree(ROOT / "cache", f"{folder}/cache", ignore=shutil.ignore_patterns(".unfinished"))
        paths = {"SKYFED_INSTANCE": folder, "SKYFED_CACHE": f"{folder}/cache", "SKYFED_DATA": folder}
        site = subprocess.Popen(
            [sys.executable, "i4wsgi.py", "--demo", "--port", str(PORT)], cwd=ROOT, stdout=subprocess.PIPE,
            text=True, env={**os.environ, **paths},
        )  # fmt: skip
        next(line for line in site.stdout if re.search("SkyFed is at", line))
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
                started = False
                for size, (width, height) in SIZES.items():
                    for scheme in ("light", "dark"):
                        for language in ("en-US", "zh-CN"):
                            context = browser.new_context(
                                base_url=f"http://127.0.0.1:{PORT}", color_scheme=scheme, locale=language,
                                viewport={"width": width, "height": height},
                            )  # fmt: skip
                            if not started:
                                _start(context)
                                started = True
                            _take(context, target, f"{size}-{scheme}-{language[:2]}")
                            context.close()
                browser.close()
        finally:
            site.terminate()
            site.communicate(timeout=60)
    shutil.copy(target / "home-desktop-light-en-top.png", ROOT / "cache" / "figures" / "site.png")


def _log_in(page) -> None:
    page.goto("/login")
    page.locator("#email").fill("greatabel1@126.com")
    page.locator("#password").fill("abel")
    page.locator("#password").press("Enter")
    page.wait_for_url("**/home")


def _start(context) -> None:
    """Trainings to take pictures of."""
    page = context.new_page()
    _log_in(page)
    conf = json.loads((ROOT / "utils" / "conf_f10.json").read_text())
    page.evaluate(START, conf)
    page.goto("/jobs/1")
    page.locator(".chart .main-svg").first.wait_for(timeout=120_000)
    page.wait_for_timeout(20_000)
    context.clear_cookies()
    page.close()


def _take(context, target: Path, name: str) -> None:
    page = context.new_page()
    for label, path in PAGES.items():
        if label == "training":
            _log_in(page)
        page.goto(path)
        if label == "trainings":
            page.locator(".state").first.wait_for()
        if label == "describe":
            page.locator(".conf-outcome table").wait_for()
        if label in ("home", "run", "training"):
            page.locator(".chart .main-svg").first.wait_for(timeout=60_000)
            page.wait_for_timeout(500)
        page.screenshot(path=target / f"{label}-{name}.png", full_page=True)
        if label == "home":
            page.evaluate("() => document.querySelector('.demo-note').remove()")
            clip = {"x": 0, "y": 0, "width": page.viewport_size["width"], "height": 1500}
            page.screenshot(path=target / f"{label}-{name}-top.png", full_page=True, clip=clip)
    page.close()


if __name__ == "__main__":
    main()
