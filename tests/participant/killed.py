"""Runs the program and kills itself, hard, at a chosen moment. Started by test_killed.py; not a test.

usage: python -m tests.participant.killed MOMENT ARGUMENTS...
"""

import os
import signal
import sys

from utils.participant import __main__ as program
from utils.participant.board import Board
from utils.participant.kept import Kept
from utils.participant.ledger import Ledger


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def arm(kind, name, when, before=False):
    """Die when this method is called and `when` of its arguments holds; before or after it does what it does."""
    whole = getattr(kind, name)

    def method(self, *arguments, **named):
        if before and when(*arguments):
            die()
        found = whole(self, *arguments, **named)
        if when(*arguments):
            die()
        return found

    setattr(kind, name, method)


def always(*_):
    return True


MOMENTS = {
    "begun": lambda: arm(Board, "begin", always),
    "training": lambda: arm(Kept, "await_", lambda pending, *_: pending.trained, before=True),
    "trained": lambda: arm(Kept, "await_", lambda pending, *_: pending.trained),
    "written down": lambda: arm(Ledger, "add", lambda event: event == "sending"),
    "sent": lambda: arm(Board, "send", always),
    "confirmed": lambda: arm(Ledger, "add", lambda event: event == "outcome"),
}

if __name__ == "__main__":
    MOMENTS[sys.argv[1]]()
    sys.exit(program.main(sys.argv[2:]))
