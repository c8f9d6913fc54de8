"""Three browsers and a program learn together, through the real site, about what one machine learns of all of it."""

import numpy as np
import pytest

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
