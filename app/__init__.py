"""The site: accounts, the comparison of runs on /home, and a JSON API, over what lies in cache/."""

from __future__ import annotations

import io
from typing import IO, Any

from flask import Flask, Request, redirect, url_for
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response

from app import api, language, security, vite
from app.api import busy
from app.api.documents import Provider
from app.extensions import compress, csrf, db, limiter, migrate


class InMemory(Request):
    """A request whose files never touch the disk, however large (MAX_CONTENT_LENGTH bounds them)."""

    def _get_file_stream(self, *_: Any, **__: Any) -> IO[bytes]:
        return io.BytesIO()


def create_app(config: dict[str, Any]) -> Flask:
    """The site with the settings `config` (see `app.config`); opens no database before the first request."""
    app = Flask(__name__, static_folder=str(vite.DIST), static_url_path="/static")
    app.config.from_mapping(config)
    app.request_class = InMemory
    if proxies := app.config["PROXIES"]:  # whose word is taken for who asks, and how
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=proxies)  # type: ignore[method-assign]
    app.json = Provider(app)
    # A connection for every thread, and one more where a request asks beside its own session.
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] |= {"pool_size": 2 * app.config["THREADS"]}
    db.init_app(app)
    migrate.init_app(app, db, directory=f"{app.root_path}/migrations")
    csrf.init_app(app)
    limiter.init_app(app)
    compress.init_app(app)

    from app.admin.routes import blueprint as admin
    from app.auth import service as accounts
    from app.auth import tries
    from app.auth.routes import blueprint as auth
    from app.calls import contributed
    from app.calls.api import BODIES, UPLOADS
    from app.calls.api import blueprint as calls_api
    from app.calls.routes import blueprint as calls
    from app.confs.api import blueprint as confs_api
    from app.confs.routes import blueprint as confs
    from app.detect import service as detect
    from app.detect.api import blueprint as detect_api
    from app.detect.routes import blueprint as detect_page
    from app.forecast.api import blueprints as forecast_apis
    from app.forecast.api import init_app as init_forecast
    from app.forecast.routes import blueprint as forecast
    from app.home.routes import blueprint as home
    from app.jobs.api import blueprint as jobs_api
    from app.jobs.routes import blueprint as jobs
    from app.nodes import routes as nodes
    from app.nodes.api import OWN_TOKENS
    from app.nodes.api import blueprint as nodes_api
    from app.profile.routes import blueprint as profile
    from app.runs import service as runs
    from app.runs.api import blueprint as runs_api
    from app.studies import service as studies
    from app.studies.api import blueprint as studies_api
    from app.studies.routes import blueprint as studies_pages

    accounts.init_app(app)
    busy.init_app(app)
    tries.init_app(app)
    language.init_app(app)
    vite.init_app(app)
    documented = api.init_app(app)
    runs.init_app(app)
    studies.init_app(app)
    contributed.init_app(app)
    init_forecast(app)  # its models are those of the runs
    detect.init_app(app)  # and so are its
    nodes.init_app(app)
    pages = (
        auth,
        profile,
        admin,
        home,
        forecast,
        detect_page,
        confs,
        jobs,
        studies_pages,
        calls,
        nodes.blueprint,
    )
    for blueprint in pages:
        app.register_blueprint(blueprint)
    apis = (runs_api, *forecast_apis, detect_api, confs_api, jobs_api, studies_api, calls_api, nodes_api)
    for blueprint in apis:
        documented.register_blueprint(blueprint)
    app.config["UPLOADS"] |= UPLOADS
    app.config["BODIES"] |= BODIES
    app.config["OWN_TOKENS"] |= OWN_TOKENS
    security.init_app(app)  # after the API, whose own error pages these replace

    @app.get("/")
    def index() -> Response:
        return redirect(url_for("home.home"))

    return app
