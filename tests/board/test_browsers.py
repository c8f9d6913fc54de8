"""Three browsers and a program learn together, through the real site, about what one machine learns of all of it."""

import contextlib
import os
import re
from pathlib import Path

import numpy as np
import pytest

from tests.board.browsers import Browser
from tests.board.site import below
from tests.board.test_learning import close
from tests.board.visits import DIABETES, DIGITS, PEOPLE, SKIES, VERSIONS


def _is_whole(visit):
    versions = visit.site.versions(visit.task)
    assert [one["parent"] for one in versions] == [None, 1, 2, 3]
    assert [one["updates"] for one in versions[1:]] == [PEOPLE] * VERSIONS
    for one in visit.browsers:
        assert one.faults == []
        lines = [line for line in one.stored("ledger") if line["event"] == "sending"]
        assert [line["version"] for line in lines] == [1, 2, 3]
        assert not one.stored("rounds")


def _examples(visit):
    """What the browsers and the program have: inputs as they are kept, and answers."""
    inputs, answers = (np.load(visit.people[0].data / f"{what}.npy") for what in ("inputs", "answers"))
    of_all = [one for browser in visit.browsers for one in browser.stored("examples")]
    more = np.array([one.get("pixels") or one["values"] for one in of_all], inputs.dtype)
    return (
        np.concatenate([inputs, more.reshape(-1, *inputs.shape[1:])]),
        np.concatenate([answers, [one["answer"] for one in of_all]]),
    )


def test_diabetes(browsed, tmp_path):
    visit = browsed(DIABETES)
    _is_whole(visit)
    errors = close(visit, _examples(visit), tmp_path, "rmse", lambda ours, central: ours < 1.05 * central)
    assert errors == sorted(errors, reverse=True)


def test_digits_at_a_phone_in_chinese_too(browsed, tmp_path):
    visit = browsed(DIGITS)
    _is_whole(visit)
    right = close(visit, _examples(visit), tmp_path, "accuracy", lambda ours, central: ours > central - 0.05)
    assert right[-1] > right[0]
    phone = visit.browsers[0].page
    assert phone.evaluate("document.documentElement.lang") == "zh"
    assert not phone.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


@pytest.mark.long
def test_skies(browsed, tmp_path):
    visit = browsed(SKIES)
    _is_whole(visit)
    right = close(visit, _examples(visit), tmp_path, "accuracy", lambda ours, central: ours > central - 0.05)
    assert right[-1] > right[0]


def test_twenty_trainings_take_no_more_memory_than_five_and_tensorflow_comes_with_the_first(board, chromium):
    context = chromium.new_context(locale="en-US")
    one = Browser(context, board, "nobody").open(board.number(DIABETES))
    one.step(1).get_by_role("button", name="Load the starter pack").click()
    one.trains().wait_for()
    assert not _brought(one)
    devtools, taken = context.new_cdp_session(one.page), []
    for _ in range(20):
        one.train()
        one.step(3).locator(".btn-outline-danger").click()
        one.trains().wait_for()
        devtools.send("HeapProfiler.collectGarbage")
        taken.append(_memory())
    context.close()
    print("MB after each training: " + " ".join(f"{value / 1e6:.0f}" for value in taken))
    assert _brought(one)
    assert max(taken[-3:]) < 1.1 * max(taken[2:5]) + 10e6
    assert one.faults == []


def _brought(one):
    return [url for _, url, _, _ in one.asked if url.endswith(".wasm") or "/flow-" in url]


def _memory():
    """Bytes of the processes that show pages: what is theirs alone, and their part of what is shared."""
    found = 0
    for pid in below(os.getpid()):
        with contextlib.suppress(OSError):
            if b"--type=renderer" in Path(f"/proc/{pid}/cmdline").read_bytes():
                said = Path(f"/proc/{pid}/smaps_rollup").read_text()
                found += 1024 * int(re.search(r"^Pss:\s+(\d+)", said, re.M)[1])
    return found
