"""How the scripts end when they are told to stop: Ctrl-C and SIGTERM alike give one line and exit status 130."""

from __future__ import annotations

import os
import signal
import sys
import threading
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


def end_with_standard_input() -> None:
    """From now on the end of standard input means what SIGTERM means; whoever holds its other end may die unseen."""

    def wait() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()
