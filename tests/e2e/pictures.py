"""Pictures of every page: phone and desktop, light and dark, Chinese and English.

make pictures       into figures/site/, all looks of a page in all-PAGE.png; the README shows cache/figures/site.png
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageOps
from playwright.sync_api import sync_playwright

from tests.chromium import ARGUMENTS, CHROMIUM
from tests.conftest import ROOT
from tests.e2e.pages import PAGES, Page, log_in, show

START = """async (conf) => {
  const token = document.querySelector("meta[name=csrf-token]").content;
  const headers = { "Content-Type": "application/json", "X-CSRFToken": token };
  const sweep = { lr: [0.02, 0.05, 0.1] };
  const asked = { conf: { ...conf, data: "simulated", global_epochs: 200 }, name: "my skies", sweep };
  await fetch("/api/v1/jobs", { method: "POST", headers, body: JSON.stringify(asked) });
}"""
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
PORT = 5099
CELL = 640  # width of a desktop on a contact sheet


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
                                _take_first(context)
                                _start(context)
                                started = True
                            _take(context, target, f"{size}-{scheme}-{language[:2]}")
                            context.close()
                browser.close()
        finally:
            site.terminate()
            site.communicate(timeout=60)
    for one in PAGES:
        _contact_sheet(target, one)


def _take_first(context) -> None:
    """The picture in the README: the top of the first page, as it is where nobody trains."""
    page = context.new_page()
    show(page, PAGES[0])
    page.evaluate("() => document.querySelector('.demo-note').remove()")
    clip = {"x": 0, "y": 0, "width": page.viewport_size["width"], "height": 1500}
    page.screenshot(path=ROOT / "cache" / "figures" / "site.png", full_page=True, clip=clip)
    page.close()


def _start(context) -> None:
    """Trainings to take pictures of."""
    page = context.new_page()
    log_in(page)
    conf = json.loads((ROOT / "utils" / "conf_f10.json").read_text())
    page.evaluate(START, conf)
    page.goto("/jobs/1")
    page.locator(".chart .main-svg").first.wait_for(timeout=120_000)
    page.wait_for_timeout(20_000)
    context.clear_cookies()
    page.close()


def _take(context, target: Path, name: str) -> None:
    page, known = context.new_page(), False
    for one in PAGES:
        if one.log_in and not known:
            log_in(page)
            known = True
        show(page, one)
        page.wait_for_timeout(500)
        page.screenshot(path=target / f"{one.name}-{name}.png", full_page=True)
    page.close()


def _contact_sheet(target: Path, one: Page) -> None:
    """All looks of a page side by side, from its top."""
    looks = [Image.open(file) for file in sorted(target.glob(f"{one.name}-*-*-*.png"))]
    tops = [look.crop((0, 0, look.width, min(look.height, 3 * look.width))) for look in looks]
    shown = [ImageOps.contain(top, (CELL if top.width > 500 else CELL * 5 // 8, 2400)) for top in tops]
    sheet = Image.new(
        "RGB", (sum(top.width + 10 for top in shown), max(top.height for top in shown)), "#808080"
    )
    left = 0
    for top in shown:
        sheet.paste(top, (left, 0))
        left += top.width + 10
    sheet.save(target / f"all-{one.name}.png")


if __name__ == "__main__":
    main()
