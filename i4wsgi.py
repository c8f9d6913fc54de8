#!/usr/bin/env python3
"""Serve the site: http://localhost:5000/home.

    python3 i4wsgi.py --demo        try it out on this machine: demo accounts, a database of its own
    python3 i4wsgi.py               serve for real (SKYFED_SECRET_KEY has to be set), behind a proxy
    python3 i4wsgi.py admin E-MAIL  make somebody an admin

Exit status: 0 done, 1 failed while running, 2 bad arguments or settings, 130 interrupted.
"""

from __future__ import annotations

import argparse
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given = _parser().parse_args(arguments)
    from app import create_app
    from app.cli import backup, create_admin, prepare_database, restore
    from app.config import ConfigError, demo, production

    try:
        app = create_app(demo() if given.demo else production())
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    if given.command == "admin":
        return create_admin(app, given.email)
    if given.command == "backup":
        return backup(app, given.file)
    if given.command == "restore":
        return restore(app, given.file)
    if not _free(given.port):
        print(
            f"port {given.port} is busy; try --port {next(p for p in range(given.port + 1, 65536) if _free(p))}",
            file=sys.stderr,
        )
        return 1
    prepare_database(app)
    return _serve(app, given.port, given.threads)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Serve the site, or look after it.")
    parser.add_argument("--demo", action="store_true", help="try it out: demo accounts, this machine only")
    parser.add_argument("--port", type=_port, default=5000, help="default 5000")
    parser.add_argument("--threads", type=int, default=16, help="requests at a time (default 16)")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("serve", help="serve the site (the default)")
    admin = commands.add_parser("admin", help="make somebody an admin")
    admin.add_argument("email", metavar="E-MAIL")
    for name, what in (("backup", "write database and results into FILE"), ("restore", "put a backup back")):
        commands.add_parser(name, help=what).add_argument("file", type=Path, metavar="FILE.tar.gz")
    return parser


def _serve(app: Flask, port: int, threads: int) -> int:
    """Serve on the loopback address until told to stop; a proxy brings the rest of the world here."""
    from gunicorn.app.base import BaseApplication

    class Server(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            settings = {
                "bind": [f"{host}:{port}" for host in _loopback()], "worker_class": "gthread",
                "threads": threads, "workers": 1, "timeout": 60, "loglevel": "warning", "preload_app": True,
                "post_worker_init": warm, "when_ready": announce,
            }  # fmt: skip
            for key, value in settings.items():
                self.cfg.set(key, value)

        def load(self) -> Flask:
            return app

    def warm(worker: object) -> None:
        """List and story take seconds once; never before the fork, which would copy their lock as it is."""
        threading.Thread(target=app.extensions["library"].warm, daemon=True).start()

    def announce(server: object) -> None:
        print(f"SkyFed is at http://localhost:{port}/home (Ctrl-C ends it)", flush=True)

    Server().run()
    return 0


def _loopback() -> list[str]:
    """The addresses that localhost may stand for on this machine."""
    return ["127.0.0.1"] + ["[::1]"] * _binds(socket.AF_INET6, "::1", 0)


def _free(port: int) -> bool:
    return _binds(socket.AF_INET, "127.0.0.1", port)


def _binds(family: socket.AddressFamily, host: str, port: int) -> bool:
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError:
        return False
    return True


def _port(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"expected 1 to 65535, found {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
