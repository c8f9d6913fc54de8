#!/usr/bin/env python3
"""Serve the site: http://localhost:5000/home.

    python3 i4wsgi.py --demo        try it out on this machine: demo accounts, a database of its own
    python3 i4wsgi.py               serve for real (SKYFED_SECRET_KEY has to be set), behind a proxy
    python3 i4wsgi.py admin E-MAIL  make somebody an admin
    python3 i4wsgi.py invite CLASS  make a code by which a class registers

Exit status: 0 done, 1 failed while running, 2 bad arguments or settings, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given = _parser().parse_args(arguments)
    from app import create_app
    from app.backup import backup, restore
    from app.cli import create_admin, create_invite, prepare_database
    from app.config import ConfigError, demo, production
    from app.presence import AtWorkError, serving
    from app.serving import is_free, serve
    from utils.parts import ConfError, check_own

    for name in ("data", "cache"):
        if folder := getattr(given, name):
            os.environ[f"SKYFED_{name.upper()}"] = str(
                folder.resolve()
            )  # for the processes it starts as well
    try:
        check_own()
        app = create_app({**(demo() if given.demo else production()), "THREADS": given.threads})
    except (ConfigError, ConfError) as error:
        print(error, file=sys.stderr)
        return 2
    if given.command == "admin":
        return create_admin(app, given.email)
    if given.command == "invite":
        return create_invite(app, given.name, given.uses, given.days)
    if given.command == "backup":
        return backup(app, given.file)
    if given.command == "restore":
        return restore(app, given.file)
    if not is_free(given.port):
        other = next((port for port in range(given.port + 1, 65536) if is_free(port)), 5000)
        print(f"port {given.port} is busy; try --port {other}", file=sys.stderr)
        return 1
    try:
        with serving(app):
            prepare_database(app)
            return serve(app, given.port, given.threads)
    except AtWorkError as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Serve the site, or look after it.")
    parser.add_argument("--demo", action="store_true", help="try it out: demo accounts, this machine only")
    parser.add_argument("--port", type=_between(1, 65535), default=5000, help="default 5000")
    parser.add_argument(
        "--threads", type=_between(1, 1000), default=24, help="requests at a time (default 24)"
    )
    for name, what in (("data", "sets"), ("cache", "results")):
        parser.add_argument(
            f"--{name}",
            type=Path,
            metavar="DIR",
            help=f"where {what} lie (default SKYFED_{name.upper()}, else {name}/)",
        )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("serve", help="serve the site (the default)")
    admin = commands.add_parser("admin", help="make somebody an admin")
    admin.add_argument("email", metavar="E-MAIL")
    invite = commands.add_parser("invite", help="make a code by which a class, say, registers")
    invite.add_argument("name", metavar="CLASS", help="whom it is for")
    invite.add_argument(
        "--uses", type=_between(1, 1000), default=30, help="how many can register (default 30)"
    )
    invite.add_argument("--days", type=_between(1, 365), default=14, help="for how long (default 14)")
    for name, what in (("backup", "write database and results into FILE"), ("restore", "put a backup back")):
        commands.add_parser(name, help=what).add_argument("file", type=Path, metavar="FILE.tar.gz")
    return parser


def _between(least: int, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"expected {least} to {most}, found {text}")
        return value

    return number


if __name__ == "__main__":
    sys.exit(main())
