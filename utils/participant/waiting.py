"""How long to wait before asking again: never for less than a while, longer from failure to failure, and never in step
with others. Only durations are used, so no clock need be right.
"""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable

LEAST = 5.0
"""Seconds between two questions whether there is something to do."""
USUAL = 30.0
LONGEST = 600.0
"""Seconds between two tries at a site that fails."""
MOST = 86_400.0
"""Seconds that a site can ask for."""


def back_off(failures: int) -> float:
    """Seconds to wait after so many failures in a row: half to all of 2, 4, 8, ... up to LONGEST."""
    return float(min(LONGEST, 2.0 ** min(failures, 20))) * random.uniform(0.5, 1)


def spread(seconds: float) -> float:
    """So many seconds at least, and up to a quarter more, so that not everybody comes at the same moment."""
    return seconds * random.uniform(1, 1.25)


def bounded(seconds: float) -> float:
    """What a site asks to wait, as far as that makes sense."""
    return float(min(max(seconds, 0.0), MOST)) if seconds < math.inf else 0.0


def wait(seconds: float, until: Callable[[], bool] = lambda: False) -> None:
    """Wait; it ends early, within a second, where `until` holds.

    SKYFED_PARTICIPANT_PACE is for tests: what a second takes.
    """
    pace = float(os.environ.get("SKYFED_PARTICIPANT_PACE") or 1)
    left = seconds
    while left > 0 and not until():
        piece = min(left, 1.0)
        _sleep(piece * pace)
        left -= piece


def _sleep(seconds: float) -> None:
    time.sleep(seconds)
