"""Where somebody goes on to: after logging in, after choosing a language, from a log-in form left open, from a page
that is for researchers.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from flask import Flask, abort, current_app, make_response, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import RequestRedirect
from werkzeug.wrappers import Response

from app.config import DEMO_ACCOUNTS

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


def for_researchers() -> None:
    """Let nobody else on; whose account is an ordinary one is told what it can do, and how it may do more."""
    if current_user.role == "user":
        known = DEMO_ACCOUNTS if current_app.config["DEMO"] else ()
        demo = next((account for account in known if account[3] == "researcher"), None)
        abort(make_response(render_template("auth/researchers.html", demo=demo), 403))


def init_app(app: Flask) -> None:
    """Let a log-in form that was left open lead on once one has logged in elsewhere; its token is another session's."""

    @app.before_request
    def already_in() -> Response | None:
        if request.endpoint != "auth.log_in" or not current_user.is_authenticated:
            return None
        if request.method == "POST" and "email" not in request.form:  # no form of this site
            return None
        return redirect(inside(request.args.get("next", "")))
