"""Serves the site with gunicorn on the loopback address; `nginx.conf` brings the rest of the world here."""

from __future__ import annotations

import logging
import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from flask import Flask
from werkzeug.exceptions import ServiceUnavailable

from app.jobs.supervisor import keep_alive
from app.runs.speakers import speakers

_LOG_BYTES, _LOGS_KEPT = 5_000_000, 5
_WARM_SECONDS = 30.0  # who opens the page at once then finds it ready; after that it comes when it comes


def serve(app: Flask, port: int, threads: int) -> int:
    """Serve until told to stop; returns the exit status."""
    from gunicorn.app.base import BaseApplication

    class Server(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            settings = {
                "bind": [f"{host}:{port}" for host in _loopback()], "worker_class": "gthread",
                "threads": threads, "workers": 1, "timeout": 60, "loglevel": "warning", "preload_app": True,
                "post_worker_init": begin,
                "logconfig_dict": {} if app.config["DEMO"] else logging_to(app),
                "access_log_format": '%(t)s %(h)s "%(m)s %(U)s" %(s)s %(B)s bytes %(M)s ms',
            }  # fmt: skip
            for key, value in settings.items():
                self.cfg.set(key, value)

        def load(self) -> Flask:
            return app

    def begin(worker: object) -> None:
        """List and story take seconds once; never before the fork, which would copy their locks as they are."""
        threading.Thread(target=keep_alive, args=(app.config["DEMO"],), daemon=True).start()
        warming = threading.Thread(target=warm, daemon=True)
        warming.start()
        warming.join(_WARM_SECONDS)
        print(f"SkyFed is at http://localhost:{port}/home (Ctrl-C ends it)", flush=True)

    def warm() -> None:
        unless_busy(app.extensions["library"].warm)
        for room in speakers(app):
            unless_busy(room.warm)
        unless_busy(app.extensions["studies"].warm)

    def unless_busy(read: Callable[[], None]) -> None:
        with app.app_context(), suppress(ServiceUnavailable):  # a visitor is already at it
            read()

    Server().run()
    return 0


def logging_to(app: Flask) -> dict[str, Any]:
    """Who asked for what goes to logs/access.log in the instance folder, faults to logs/site.log; both rotate.

    Files open at their first line, which only the one worker writes, so no two processes rotate the same file.
    """
    folder = app.config["INSTANCE"] / "logs"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = {
        "class": "logging.handlers.RotatingFileHandler", "maxBytes": _LOG_BYTES, "backupCount": _LOGS_KEPT,
        "delay": True, "encoding": "utf-8",
    }  # fmt: skip
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"plain": {"()": PlainPaths}},
        "formatters": {"dated": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
        "handlers": {
            "console": {"class": "logging.StreamHandler", "formatter": "dated"},
            "faults": {**file, "filename": str(folder / "site.log"), "formatter": "dated"},
            "access": {**file, "filename": str(folder / "access.log"), "filters": ["plain"]},
        },
        "loggers": {
            "gunicorn.error": {"level": "WARNING", "handlers": ["console"], "propagate": False},
            "gunicorn.access": {"level": "INFO", "handlers": ["access"], "propagate": False},
        },
        "root": {"level": "WARNING", "handlers": ["console", "faults"]},
    }


class PlainPaths(logging.Filter):
    """Paths on one line and without the secrets of reset links."""

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter`."""
        if isinstance(record.args, dict) and "U" in record.args:
            path = str(record.args["U"]).encode("unicode_escape").decode()
            record.args = {**record.args, "U": re.sub(r"^/reset/.*", "/reset/...", path)}
        return True


def is_free(port: int) -> bool:
    """Whether the site could be served at `port`."""
    return _binds(socket.AF_INET, "127.0.0.1", port)


def _loopback() -> list[str]:
    """The addresses that localhost may stand for on this machine."""
    return ["127.0.0.1"] + ["[::1]"] * _binds(socket.AF_INET6, "::1", 0)


def _binds(family: socket.AddressFamily, host: str, port: int) -> bool:
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError:
        return False
    return True
