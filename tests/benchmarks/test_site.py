"""The site under its real server: what the list of many runs costs beside an answer that says nothing.

make benchmark
"""

import http.client
import os
import re
import socket
import statistics
import subprocess
import sys
import time
import urllib.parse

from tests.app.conftest import whole_result
from tests.conftest import ROOT
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


def test_the_list_of_many_runs_costs_little_more_than_an_empty_answer(tmp_path):
    cache = tmp_path / "cache"
    for number in range(RUNS):
        write_result(result_path(cache, f"conf_r{number}"), whole_result(f"conf_r{number}", number))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"SKYFED_INSTANCE": str(tmp_path), "SKYFED_CACHE": str(cache)}
    site = subprocess.Popen(
        [sys.executable, "i4wsgi.py", "--demo", "--port", str(port)], cwd=ROOT, stdout=subprocess.PIPE,
        text=True, env={**os.environ, **settings},
    )  # fmt: skip
    try:
        next(line for line in site.stdout if "SkyFed is at" in line)
        ask = _logged_in(port)
        assert ask("/api/v1/runs")[1].count(b'"accuracy"') == RUNS
        seconds = {"/api/v1/runs": [], "/messages.json": []}
        for _ in range(PAIRS):
            for path, times in seconds.items():
                started = time.perf_counter()
                status, body, _ = ask(path)
                times.append(time.perf_counter() - started)
                assert status == 200 and (path == "/messages.json" or body.count(b'"accuracy"') == RUNS)
    finally:
        site.terminate()
        site.communicate(timeout=60)
    full, empty = (statistics.median(times) for times in seconds.values())
    print(f"\nlist of {RUNS} runs: {full / empty:.1f} times an empty answer of the same site")
    assert full / empty <= 5
