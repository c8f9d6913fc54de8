"""What every answer carries, and what no answer gives away."""

from __future__ import annotations

from typing import Any

from flask import Flask, current_app, g, jsonify, render_template, request
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DataError
from sqlalchemy.orm.exc import ObjectDeletedError, StaleDataError
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    InternalServerError,
    NotFound,
    SecurityError,
    ServiceUnavailable,
)  # fmt: skip
from werkzeug.wrappers import Response

from app.extensions import db

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # Plotly styles its own drawing; no script comes in this way
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


def init_app(app: Flask) -> None:
    """Secure headers on every answer; errors as a page for people, as JSON below /api."""

    @app.after_request
    def headers(response: Response) -> Response:
        wasm = "script-src 'self' 'wasm-unsafe-eval'"
        # A built script's own policy counts where it is a worker, the one in which networks are trained.
        is_worker = request.endpoint == "static" and request.path.endswith(".js")
        policy = POLICY.replace("script-src 'self'", wasm) if g.get("wasm") or is_worker else POLICY
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        response.headers["Permissions-Policy"] = "geolocation=(), microphone=(), payment=()"
        if app.config["SESSION_COOKIE_SECURE"]:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        if request.path.startswith("/static/assets/") and response.status_code == 200:
            response.cache_control.public, response.cache_control.immutable = (
                True,
                True,
            )  # named by its content
            response.cache_control.max_age, response.cache_control.no_cache = 31536000, None
        elif request.endpoint != "static" and not response.cache_control.public:
            response.cache_control.no_store = True
        return response

    @app.errorhandler(RecursionError)
    @app.errorhandler(DataError)
    def made_no_sense(error: Exception) -> tuple[Response | str, int]:
        """JSON nested a thousand times; a text with a character that the database cannot hold."""
        db.session.rollback()
        return failed(BadRequest())

    @app.errorhandler(ObjectDeletedError)
    @app.errorhandler(StaleDataError)
    def went(error: Exception) -> tuple[Response | str, int]:
        """Somebody else deleted it while this request was at it."""
        db.session.rollback()
        return failed(NotFound())

    @app.errorhandler(InternalServerError)
    def broke(error: InternalServerError) -> tuple[Response | str, int]:
        db.session.rollback()  # so that the page of the error can ask who is there
        return failed(error)

    @app.errorhandler(HTTPException)
    def failed(error: HTTPException) -> tuple[Response | str, int]:
        code = error.code or 500
        text = {
            400: _("This request makes no sense here. Go back, load the page anew and try again."),
            401: _("Please log in first."),
            403: _("You may not do that."),
            404: _("There is nothing here."),
            405: _("That cannot be done here."),
            413: _("That is too large."),
            429: _("Too many tries. Please wait a while."),
            503: _("There is much to do here at this moment. Please try again in a few seconds."),
        }.get(code, _("Something went wrong."))
        if code == 413 and request.endpoint in app.config["UPLOADS"]:
            text = _("That is too large: at most 25 MB a photo and 64 MB together.")
        if found := first_message(
            getattr(error, "data", {}).get("messages")
        ):  # what a schema has against the request
            g.detail = found
            text = _("That cannot be understood: %(what)s", what=found)
        if isinstance(error, CSRFError):  # a page then renews its token (/session) and tries again
            g.detail = "token"
        text = g.get("message") or text
        if isinstance(error, SecurityError):  # a foreign host: there is no site to draw a page of
            return current_app.response_class(text, code, mimetype="text/plain"), code
        if request.path.startswith("/api/"):
            why = {"code": code, "message": text, "detail": g.get("detail", "")}
            answer = jsonify(error=why, **g.get("beside", {}))
        else:
            answer = current_app.make_response(render_template("error.html", code=code, text=text))
        if seconds := getattr(error, "retry_after", None) or g.get("retry_after"):
            answer.headers["Retry-After"] = str(seconds)
            if isinstance(error, ServiceUnavailable) and request.method == "GET":
                answer.headers["Refresh"] = str(seconds)  # a page that waits comes by itself
        return answer, code


def first_message(messages: Any) -> str:
    """The first of marshmallow's nested messages as `key: what`; empty where there is none."""
    path = []
    while isinstance(messages, dict) and messages:
        key, messages = next(iter(messages.items()))
        path.append(str(key))
    if isinstance(messages, list) and messages:
        messages = messages[0]
    return f"{'.'.join(path)}: {messages}" if isinstance(messages, str) else ""
