"""The site under its real server: what the list of many runs costs beside an answer that says nothing.

make benchmark
"""

import http.client
import http.server
import os
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse
from contextlib import contextmanager
from functools import partial

from playwright.sync_api import sync_playwright
from sqlalchemy import select

from app import create_app
from app.auth import service as people
from app.config import demo
from app.extensions import db
from app.frontend import FOLDER
from app.jobs import service as jobs
from app.models import Job
from tests.app.conftest import whole_result
from tests.chromium import ARGUMENTS, CHROMIUM
from tests.conftest import ROOT, TINY, draw_set
from utils.results import result_path, write_result

RUNS, PAIRS = 500, 40


def _logged_in(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def ask(method, path, cookies="", **fields):
        headers = {"Cookie": cookies, "Content-Type": "application/x-www-form-urlencoded"}
        connection.request(method, path, urllib.parse.urlencode(fields), headers)
        answer = connection.getresponse()
        body = answer.read()
        found = [part.partition(";")[0] for part in answer.headers.get_all("Set-Cookie", [])]
        return answer.status, body, "; ".join(found) or cookies

    _, page, cookies = ask("GET", "/login")
    token = re.search(rb'name="csrf-token" content="([^"]+)"', page)[1].decode()
    status, _, cookies = ask(
        "POST", "/login", cookies, csrf_token=token, email="test@126.com", password="test"
    )
    assert status == 302
    return lambda path: ask("GET", path, cookies)


@contextmanager
def served(folder, cache, **more):
    """The port and process of the demo site over `cache`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"SKYFED_INSTANCE": str(folder), "SKYFED_CACHE": str(cache), **more}
    site = subprocess.Popen(
        [sys.executable, "i4wsgi.py", "--demo", "--port", str(port)], cwd=ROOT, stdout=subprocess.PIPE,
        text=True, env={**os.environ, **settings},
    )  # fmt: skip
    try:
        next(line for line in site.stdout if "SkyFed is at" in line)
        yield port, site.pid
    finally:
        site.terminate()
        site.communicate(timeout=60)


def test_the_list_of_many_runs_costs_little_more_than_an_empty_answer(tmp_path):
    cache = tmp_path / "cache"
    for number in range(RUNS):
        write_result(result_path(cache, f"conf_r{number}"), whole_result(f"conf_r{number}", number))
    seconds = {"/api/v1/runs": [], "/messages.json": []}
    with served(tmp_path, cache) as (port, _):
        ask = _logged_in(port)
        assert ask("/api/v1/runs")[1].count(b'"accuracy"') == RUNS
        for _ in range(PAIRS):
            for path, times in seconds.items():
                started = time.perf_counter()
                status, body, _ = ask(path)
                times.append(time.perf_counter() - started)
                assert status == 200 and (path == "/messages.json" or body.count(b'"accuracy"') == RUNS)
    full, empty = (statistics.median(times) for times in seconds.values())
    print(f"\nlist of {RUNS} runs: {full / empty:.1f} times an empty answer of the same site")
    assert full / empty <= 5


BARE = """<!doctype html><meta charset="utf-8"><title>bare</title><div id="chart"></div>
<script src="./plotly.js"></script>
<script type="module">
const drawn = await (await fetch("./chart.json")).json();
Plotly.newPlot("chart", drawn.data, drawn.layout, { responsive: true, displaylogo: false });
</script>"""
LINE = ".scatterlayer .trace path.js-line"
WATCH = """new MutationObserver((_, self) => {
  if (!document.querySelector(".scatterlayer .trace path.js-line")) return;
  window.drawnAt = performance.now();
  self.disconnect();
}).observe(document, { childList: true, subtree: true, attributes: true });"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_the_first_chart_is_there_nearly_as_soon_as_on_a_bare_page(tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    plotly = FOLDER / "node_modules" / "plotly.js-basic-dist-min" / "plotly-basic.min.js"
    (bare / "plotly.js").write_bytes(plotly.read_bytes())
    (bare / "index.html").write_text(BARE)
    files = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(bare)))
    threading.Thread(target=files.serve_forever, daemon=True).start()
    with served(tmp_path, ROOT / "cache") as (port, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)

        def drawn_after(address, keep=None):
            context = browser.new_context()
            page = context.new_page()
            page.add_init_script(WATCH)
            page.goto(address)
            page.wait_for_selector(LINE, state="attached", timeout=60_000)
            if keep:
                first = "(({ data, layout }) => JSON.stringify({ data, layout }))"
                chart = f"{first}(document.querySelector('.js-plotly-plot'))"
                keep.write_text(page.evaluate(chart))
            after = page.evaluate("window.drawnAt")
            context.close()
            return after

        home, plain = f"http://127.0.0.1:{port}/home", f"http://127.0.0.1:{files.server_port}/"
        drawn_after(home, bare / "chart.json")
        pairs = [(drawn_after(home), drawn_after(plain)) for _ in range(9)]
        browser.close()
    files.shutdown()
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    print(f"\nfirst chart of /home: {ratio:.2f} times a bare page (", end="")
    print(", ".join(f"{ours:.0f}/{theirs:.0f}" for ours, theirs in pairs) + " ms)")
    assert ratio <= 1.5


def test_trainings_slow_the_site_down_no_more_than_other_work_of_low_priority(tmp_path):
    """95th percentile of the time /home's data takes, beside 20 trainings of 5 people and beside two busy processes."""
    draw_set(tmp_path / "data" / "drawn")
    with served(tmp_path, ROOT / "cache", SKYFED_DATA=str(tmp_path / "data")) as (port, _):

        def p95(seconds):
            ask, times, end = _logged_in(port), [], time.monotonic() + seconds
            while time.monotonic() < end:
                for path in ("/api/v1/runs", "/api/v1/story", "/api/v1/runs/conf_f10/curves", "/api/v1/live"):
                    started = time.perf_counter()
                    assert ask(path)[0] == 200
                    times.append(time.perf_counter() - started)
                time.sleep(0.02)
            return statistics.quantiles(times, n=20)[-1]

        def beside_others():
            spin = [sys.executable, "-c", "import os; os.nice(10)\nwhile True: pass"]
            others = [subprocess.Popen(spin) for _ in range(2)]
            try:
                return p95(20)
            finally:
                for other in others:
                    other.kill()
                    other.wait()

        p95(3)  # everything is read by then
        before = beside_others()
        app = create_app(demo({"SKYFED_INSTANCE": str(tmp_path), "SKYFED_DATA": str(tmp_path / "data")}))
        conf = {**TINY, "global_epochs": 20, "local_epochs": 5}
        with app.app_context():
            for name in "abcde":
                user = people.register(f"{name}@example.org", name, "a long enough password", "researcher")
                for _ in range(4):
                    jobs.submit(user, conf, name=name, note="", folds=1, seeds=1, sweep={})

        def running():
            with app.app_context():
                return db.session.scalars(select(Job.state).where(Job.state.in_(("queued", "running")))).all()

        while "running" not in running():
            time.sleep(0.2)
        time.sleep(8)  # both places are taken by now, and busy
        during = p95(40)
        assert len(running()) > 2, "the trainings were over too soon to say anything"
        with app.app_context():
            for job in db.session.scalars(select(Job)).all():
                jobs.delete(job)
        while running():
            time.sleep(0.2)
        after = beside_others()
    ratio = during / statistics.mean((before, after))
    others = f"{1000 * before:.1f} and {1000 * after:.1f} ms"
    print(
        f"\n/home's data beside trainings: p95 {1000 * during:.1f} ms, {ratio:.2f} times beside other work ({others})"
    )
    assert ratio <= 2
