"""What training in a browser costs beside PyTorch: seconds of a core for an example, in one run, the worker on wasm.

make benchmark
"""

import contextlib
import gc
import os
import statistics
from pathlib import Path

import pytest
import torch

from tests.benchmarks.test_site import served
from tests.board.site import below
from tests.chromium import ARGUMENTS, CHROMIUM
from tests.e2e.arithmetic import by_torch, case, in_browser, photo_cnn, resnet, small

TURNS = 3
WORK = {
    "photo_cnn, 64 x 64": lambda: photo_cnn(96, local_epochs=2, batch_size=16),
    "resnet18, width 16, group norm, 64 x 64": lambda: resnet(64, local_epochs=1, batch_size=16),
    "small_cnn, 8 x 8": lambda: case(
        "small_cnn",
        small(8, 1),
        {"kind": "label", "labels": list("0123456789")},
        200,
        local_epochs=10,
        batch_size=16,
    ),
}
MOST = {"photo_cnn, 64 x 64": 60, "resnet18, width 16, group norm, 64 x 64": 60, "small_cnn, 8 x 8": 60}
"""How many times as much a browser may take."""


def _spent():
    """Seconds that the browser's processes have worked."""
    found = 0
    for one in below(os.getpid()):
        with contextlib.suppress(OSError):
            if b"chrom" not in Path(f"/proc/{one}/cmdline").read_bytes():
                continue
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            found += int(fields[11]) + int(fields[12])
    return found / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_an_example_costs_so_many_times_what_it_costs_pytorch(tmp_path):
    from playwright.sync_api import sync_playwright

    torch.set_num_threads(1)
    with served(tmp_path, tmp_path) as (port, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/login")
        for name, work in WORK.items():
            call, inputs, answers = work()
            seen = len(inputs) * call.training.local_epochs
            by_torch(call, inputs, answers)
            ratios, ours, theirs = [], [], []
            for _ in range(TURNS):
                gc.collect()
                before = _spent()
                in_browser(page, call, inputs, answers)
                ours.append((_spent() - before) / seen)
                theirs.append(by_torch(call, inputs, answers)[2] / seen)
                ratios.append(ours[-1] / theirs[-1])
            print(f"\n{name}: {1000 * statistics.median(ours):.1f} ms of a core an example, PyTorch "
                  f"{1000 * statistics.median(theirs):.2f} ms: {statistics.median(ratios):.1f} times")  # fmt: skip
            assert statistics.median(ratios) < MOST[name]
        browser.close()
