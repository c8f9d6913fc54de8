"""Every page in two looks that differ in all: language, theme, size, pointer."""

import pytest

from tests.chromium import PHONE
from tests.conftest import TINY
from tests.e2e.conftest import QUEUE, violations
from tests.e2e.pages import PAGES, log_in, show

LOOKS = {
    "desktop": {"viewport": {"width": 1280, "height": 900}, "locale": "en-US", "color_scheme": "light"},
    "phone": {**PHONE, "locale": "zh-CN", "color_scheme": "dark"},
}


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_and_every_page_fits_in_ones_language_and_theme(open_page, board, look):
    settings, faults = LOOKS[look], {}
    page, admin = open_page(**settings), open_page(**settings)
    log_in(admin)
    job = admin.evaluate(QUEUE, {**TINY, "data": "simulated", "global_epochs": 2})
    for one in PAGES:
        seen = admin if one.log_in else page
        show(seen, one, job)
        found = dict(violations(seen))
        root = "document.documentElement"
        for what, is_so in (
            ("too wide", f"{root}.scrollWidth > {root}.clientWidth"),
            ("language", f"{root}.lang !== {settings['locale'][:2]!r}"),
            ("theme", f"{root}.dataset.bsTheme !== {settings['color_scheme']!r}"),
        ):
            if seen.evaluate(f"() => {is_so}"):
                found[what] = True
        if found:
            faults[one.name] = found
    assert not faults
