"""How the scripts end when they are told to stop: Ctrl-C and SIGTERM alike give one line and exit status 130."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable


def until_interrupted(work: Callable[[], int], advice: str) -> int:
    """Exit status of `work`; 130 when SIGINT or SIGTERM stopped it, after telling `advice`."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return work()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        below_the_bar = "\n" if sys.stderr.isatty() else ""
        print(f"{below_the_bar}{advice}", file=sys.stderr)
        return 130
