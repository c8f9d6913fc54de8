"""Carries out the trainings that people queue on the site, which starts this by itself.

python3 -m app.jobs [--demo]           the supervisor; ends with standard input
python3 -m app.jobs worker             with REDIS_URL: one more place for trainings, on any machine that shares
                                       database, instance/, cache/ and data/ with the site
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from app.config import ConfigError
from app.jobs.supervisor import bare_app, supervise, work
from utils.interrupt import end_with_standard_input


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m app.jobs", description="Carry out queued trainings.")
    parser.add_argument("--demo", action="store_true", help="those of the demo site")
    parser.add_argument("--board", action="store_true", help="with --demo: put its tasks on the board first")
    parser.add_argument("what", nargs="?", choices=("supervise", "worker"), default="supervise")
    given = parser.parse_args(arguments)
    try:
        app = bare_app(given.demo)
        if given.what == "worker" and not app.config["REDIS_URL"]:
            raise ConfigError(
                "REDIS_URL: expected the address of a Redis, for example redis://localhost:6379"
            )
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    if given.what == "worker":
        work(app)
        return 0
    stopping = threading.Event()
    for which in (signal.SIGINT, signal.SIGTERM):
        signal.signal(which, lambda *_: stopping.set())
    end_with_standard_input()
    supervise(app, stopping, given.board and given.demo)
    return 0


if __name__ == "__main__":
    sys.exit(main())
