"""Runs i2main.py and kills itself, hard, at a chosen moment. Started by test_resume.py; not a test.

usage: python -m tests.killed MOMENT COUNT ARGUMENTS...   (MOMENT: fold, write or after-write)
"""

import os
import signal
import sys
import threading
from contextlib import contextmanager

import i2main
from utils import checkpoints, files, results
from utils.federated.strategies.fedavg import Strategy


def die_at(count):
    """A function that kills this process when called for the `count`-th time, after calling what it is given."""
    lock = threading.Lock()
    left = [count]

    def tick(before=lambda: None):
        with lock:
            left[0] -= 1
            if left[0] == 0:
                before()
                os.kill(os.getpid(), signal.SIGKILL)

    return tick


def main(moment, count, arguments):
    """Arm the chosen moment and run."""
    tick = die_at(int(count))
    if moment == "fold":
        fold = Strategy.fold

        def fold_or_die(self, update):
            fold(self, update)
            tick()

        Strategy.fold = fold_or_die
    else:
        whole_write = files.atomic_write

        @contextmanager
        def write_or_die(path):
            with whole_write(path) as file:
                yield file
                if moment == "write":
                    tick(before=lambda: (file.truncate(file.tell() // 2), file.flush()))
            if moment == "after-write":
                tick()

        checkpoints.atomic_write = results.atomic_write = write_or_die
        import utils.runs

        utils.runs.atomic_write = write_or_die
    return i2main.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
