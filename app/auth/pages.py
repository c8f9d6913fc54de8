"""Where somebody goes on to: after logging in, after choosing a language, from a log-in form left open."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from flask import Flask, current_app, redirect, request, url_for
from flask_login import current_user
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import RequestRedirect
from werkzeug.wrappers import Response

# Browsers read a backslash as a slash and leave control characters out, so that "/\t/there" is another site.
_PATH = re.compile(r"/(?!/)[^\\\x00-\x1f\x7f]*")


def inside(address: str) -> str:
    """`address` if it is a page of this site, else /home; for what is only posted to, the next page above it."""
    if not _PATH.fullmatch(address):
        return url_for("home.home")
    routes, path, went_up = current_app.url_map.bind(""), urlsplit(address).path, False
    while path:
        try:
            routes.match(path, method="GET")
        except MethodNotAllowed:
            went_up = True
        except NotFound:
            if not went_up:
                break
        except RequestRedirect:
            break
        else:
            break
        path = path.rpartition("/")[0]
    return (path or url_for("home.home")) if went_up else address


def init_app(app: Flask) -> None:
    """Let a log-in form that was left open lead on once one has logged in elsewhere; its token is another session's."""

    @app.before_request
    def already_in() -> Response | None:
        if request.endpoint != "auth.log_in" or not current_user.is_authenticated:
            return None
        if request.method == "POST" and "email" not in request.form:  # no form of this site
            return None
        return redirect(inside(request.args.get("next", "")))
