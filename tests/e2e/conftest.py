"""The demo site on a port of its own, and a real Chromium that complains of nothing."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time

import pytest
import requests

from app.frontend import FOLDER
from app.vite import DIST
from tests.asked import IRIS, SKEW, TINY_QUESTION, both, write_made_up, write_question
from tests.chromium import CHROMIUM
from tests.conftest import ROOT
from tests.test_parts import DROPPED
from utils.parts import EXTRA
from utils.studies.measured import study_path
from utils.studies.questions import read_question, studies_folder

QUEUE = """async (conf) => {
  const token = document.querySelector("meta[name=csrf-token]").content;
  const headers = { "Content-Type": "application/json", "X-CSRFToken": token };
  const asked = { conf, name: "looked at", folds: 1, seeds: 1 };
  const answer = await fetch("/api/v1/jobs", { method: "POST", headers, body: JSON.stringify(asked) });
  return (await answer.json()).jobs[0].id;
}"""


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """A copy of the shipped results, so that tests may add to them."""
    folder = tmp_path_factory.mktemp("results") / "cache"
    shutil.copytree(ROOT / "cache", folder, ignore=shutil.ignore_patterns(".unfinished"))
    return folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A data folder with a set of simulated skies."""
    folder = tmp_path_factory.mktemp("data")
    simulate = "i0down_training_resource.py simulate 60 --data".split()
    subprocess.run([sys.executable, *simulate, folder], cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def own_parts(tmp_path_factory):
    """A folder of one's own parts, with a strategy in it."""
    file = tmp_path_factory.mktemp("own") / "strategy" / "lingering.py"
    file.parent.mkdir()
    file.write_text(DROPPED)
    return file.parent.parent


@pytest.fixture(scope="session")
def questions(tmp_path_factory, cache):
    """The shipped questions and three small ones, with results of these made of thin air."""
    folder = tmp_path_factory.mktemp("studies")
    for path in studies_folder({}).glob("*/question.json"):
        shutil.copytree(path.parent, folder / path.parent.name)
    axes = [SKEW, *TINY_QUESTION["axes"]]
    write_question(folder, number=901, conf=IRIS | {"global_epochs": 1})
    write_question(folder, "skewed", number=902, axes=axes, picture="lines", title=both("Skew"))
    write_question(folder, "heat", number=903, axes=axes, picture="heat", title=both("Heat"))
    for name in ("tiny", "skewed", "heat"):
        kept = (lambda key: [0.2, 1.0, 0.9] if "momentum" in key else [1.0] * 3) if name == "heat" else None
        write_made_up(
            cache, read_question(folder, name), lambda key: 0.9 if "momentum" in key else 0.7, left_out=kept
        )
    shipped = read_question(folder, "server_optimisers")
    if not study_path(cache, shipped.name).exists():
        write_made_up(cache, shipped, lambda key: 0.8)
    return folder


@pytest.fixture(scope="session")
def instance(tmp_path_factory):
    """Where the site keeps its database, and Flower's things if there are any."""
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="session")
def address(instance, cache, photos, own_parts, questions):
    """Where the demo site is, on the shipped results, simulated skies, small studies and a part of one's own."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    if not DIST.exists():
        pytest.skip("front end not built (make install)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"SKYFED_INSTANCE": str(instance), "SKYFED_CACHE": str(cache), "SKYFED_DATA": str(photos)}
    settings["SKYFED_LEAKS_SECONDS"] = "8"
    settings |= {EXTRA: str(own_parts), "SKYFED_STUDIES": str(questions)}
    process = subprocess.Popen(
        [sys.executable, "i4wsgi.py", "--demo", "--port", str(port)], cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, env={**os.environ, **settings},
    )  # fmt: skip
    for line in process.stdout:
        if re.search(r"SkyFed is at", line):
            break
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.communicate(timeout=60)


@pytest.fixture(scope="session")
def board(address):
    """The address once the demo's tasks are on its board, which takes a moment."""
    for _ in range(240):
        if len(requests.get(f"{address}/api/v1/calls", timeout=60).json()["calls"]) >= 3:
            return address
        time.sleep(0.5)
    raise AssertionError("no tasks on the board")


@pytest.fixture
def page_of(chromium, address):
    """Makes a page in a fresh profile; fails the test for any console error, CSP violation or foreign request."""
    faults, contexts = [], []

    def make(**settings):
        context = chromium.new_context(**{"base_url": address, "locale": "en-US", **settings})
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda m: m.type in ("error", "warning") and faults.append(f"console: {m.text}"))
        page.on("pageerror", lambda error: faults.append(f"script: {error}"))
        page.on("request", lambda r: _is_foreign(r.url, address) and faults.append(f"request: {r.url}"))
        contexts.append(context)
        return page

    yield make
    for context in contexts:
        context.close()
    assert not faults, faults


@pytest.fixture
def open_page(chromium, address):
    """Makes a page whose console may tell of what is refused and cannot be reached: these tests bring it about."""
    contexts = []

    def make(**settings):
        contexts.append(chromium.new_context(base_url=address, **{"locale": "en-US", **settings}))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        return page

    yield make
    for context in contexts:
        context.close()


def violations(page):
    """What axe finds against the page as it is, too small targets included."""
    page.evaluate((FOLDER / "node_modules" / "axe-core" / "axe.min.js").read_text())
    return page.evaluate(
        "() => axe.run({ rules: { 'target-size': { enabled: true } } })"
        ".then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html.slice(0, 200))]))"
    )


def _is_foreign(url, address):
    return not url.startswith((f"{address}/", "data:", "blob:"))
