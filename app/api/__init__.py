"""What every part of the JSON API under /api/v1 shares; the parts build on this room, which knows none of them."""

from __future__ import annotations

from flask import Flask
from flask_smorest import Api

from app.api.busy import third
from app.api.needs import authenticate


def init_app(app: Flask) -> Api:
    """Bind the API, described at /api/v1/openapi.json; the parts then register their blueprints with what is returned.

    A part that takes files adds its endpoints to app.config["UPLOADS"]; one whose views set bounds of their own, to
    app.config["BODIES"]; one whose views know whose a bearer token is, if no account's, to app.config["OWN_TOKENS"].
    """
    app.config.update(
        API_TITLE="SkyFed", API_VERSION="v1", OPENAPI_VERSION="3.0.3", OPENAPI_URL_PREFIX="/api/v1",
        OPENAPI_JSON_PATH="openapi.json", WTF_CSRF_CHECK_DEFAULT=False, UPLOADS=set(), BODIES=set(),
        OWN_TOKENS=set(),
    )  # fmt: skip
    app.extensions["uploads"] = third(app)
    app.before_request(authenticate)
    api = Api(app)
    api.spec.components.security_scheme("token", {"type": "http", "scheme": "bearer"})
    return api
