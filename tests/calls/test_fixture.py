"""The pictures that the browser's tests compare with are cleaned here as when they were written."""

import json

from tests.calls.fixture import FILE, fixture


def test_pictures_are_still_cleaned_so():
    assert json.loads(FILE.read_text()) == fixture(), "python3 -m tests.calls.fixture writes it anew"
