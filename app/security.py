"""What every answer carries, and what no answer gives away."""

from __future__ import annotations

from flask import Flask, current_app, g, jsonify, render_template, request
from flask_babel import gettext as _
from werkzeug.exceptions import HTTPException, SecurityError
from werkzeug.wrappers import Response

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
        policy = POLICY.replace("script-src 'self'", wasm) if g.get("wasm") else POLICY
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
        }.get(code, _("Something went wrong."))
        text = g.get("message") or text
        if isinstance(error, SecurityError):  # a foreign host: there is no site to draw a page of
            return current_app.response_class(text, code, mimetype="text/plain"), code
        if request.path.startswith("/api/"):
            return jsonify(error={"code": code, "message": text, "detail": g.get("detail", "")}), code
        return render_template("error.html", code=code, text=text), code
