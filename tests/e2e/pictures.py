"""Pictures of the main pages: phone and desktop, light and dark, Chinese and English.

make pictures       into figures/site/; the one in the README is cache/figures/site.png
"""

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

PAGES = {"home": "/home", "run": "/runs/conf_f10", "forecast": "/forecast", "why": "/why", "login": "/login"}
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
PORT = 5099


def main() -> None:
    """Take them all."""
    target = ROOT / "figures" / "site"
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        site = subprocess.Popen(
            [sys.executable, "i4wsgi.py", "--demo", "--port", str(PORT)], cwd=ROOT, stdout=subprocess.PIPE,
            text=True, env={**os.environ, "SKYFED_INSTANCE": folder},
        )  # fmt: skip
        next(line for line in site.stdout if re.search("SkyFed is at", line))
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
                for size, (width, height) in SIZES.items():
                    for scheme in ("light", "dark"):
                        for language in ("en-US", "zh-CN"):
                            context = browser.new_context(
                                base_url=f"http://127.0.0.1:{PORT}", color_scheme=scheme, locale=language,
                                viewport={"width": width, "height": height},
                            )  # fmt: skip
                            _take(context, target, f"{size}-{scheme}-{language[:2]}")
                            context.close()
                browser.close()
        finally:
            site.terminate()
            site.communicate(timeout=60)
    shutil.copy(target / "home-desktop-light-en-top.png", ROOT / "cache" / "figures" / "site.png")


def _take(context, target: Path, name: str) -> None:
    page = context.new_page()
    for label, path in PAGES.items():
        page.goto(path)
        if label in ("home", "run"):
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
