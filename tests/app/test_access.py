"""Who may do what: every route of the site, every role, every method, by a real request."""

import pytest
from werkzeug.routing import Rule

OPEN, PEOPLE, RESEARCHERS, ADMINS = "open", "people", "researchers", "admins"
MAY = {OPEN: (None, "user", "researcher", "admin"), PEOPLE: ("user", "researcher", "admin"),
       RESEARCHERS: ("researcher", "admin"), ADMINS: ("admin",)}  # fmt: skip
LOGIN = 302  # sent to the login page

# route: (who may, of some by method; a real address of it; what a success answers by method)
ROUTES = {
    "/": (OPEN, "/", {"GET": 302}),
    "/home": (OPEN, "/home", {"GET": 200}),
    "/why": (OPEN, "/why", {"GET": 200}),
    "/why/needs": (OPEN, "/why/needs", {"GET": 200}),
    "/runs/<name>": (OPEN, "/runs/conf_a", {"GET": 200}),
    "/messages.json": (OPEN, "/messages.json", {"GET": 200}),
    "/static/<path:filename>": (OPEN, "/static/nothing.js", {"GET": 404}),
    "/register": (OPEN, "/register", {"GET": 200, "POST": 422}),
    "/login": (OPEN, "/login", {"GET": (200, 302), "POST": 422}),
    "/session": (OPEN, "/session", {"GET": 200}),
    "/language/<code>": (OPEN, "/language/zh", {"POST": 302}),
    "/reset/<secret>": (OPEN, "/reset/nobody-has-this-secret", {"GET": 404, "POST": 404}),
    "/api/v1/openapi.json": (OPEN, "/api/v1/openapi.json", {"GET": 200}),
    "/api/v1/runs": (OPEN, "/api/v1/runs", {"GET": 200}),
    "/api/v1/runs/<name>": (OPEN, "/api/v1/runs/conf_a", {"GET": 200}),
    "/api/v1/runs/<name>/curves": (OPEN, "/api/v1/runs/conf_a/curves", {"GET": 200}),
    "/api/v1/runs/<name>/curves.csv": (OPEN, "/api/v1/runs/conf_a/curves.csv", {"GET": 200}),
    "/api/v1/runs/<name>/model.safetensors": (OPEN, "/api/v1/runs/conf_a/model.safetensors", {"GET": 404}),
    "/api/v1/runs/<name>/model.onnx": (OPEN, "/api/v1/runs/conf_a/model.onnx", {"GET": 404}),
    "/api/v1/runs/<name>/photos": (RESEARCHERS, "/api/v1/runs/conf_a/photos", {"GET": 200}),
    "/api/v1/runs/<name>/photos/<sha256>": (RESEARCHERS, "/api/v1/runs/conf_a/photos/0", {"GET": 404}),
    "/api/v1/runs/<name>/leaks": (OPEN, "/api/v1/runs/conf_a/leaks", {"GET": 200}),
    "/api/v1/runs/<name>/leaks/<int:row>.png": (RESEARCHERS, "/api/v1/runs/conf_a/leaks/0.png", {"GET": 404}),
    "/api/v1/runs/<name>/leaks/jobs": (RESEARCHERS, "/api/v1/runs/nothing/leaks/jobs", {"POST": 404}),
    "/api/v1/comparison": (OPEN, "/api/v1/comparison?a=conf_a&b=conf_b", {"GET": 200}),
    "/api/v1/story": (OPEN, "/api/v1/story", {"GET": 200}),
    "/api/v1/live": (OPEN, "/api/v1/live", {"GET": 200}),
    "/api/v1/live/events": (OPEN, "/api/v1/live/events", {"GET": 200}),
    "/detect": (OPEN, "/detect", {"GET": 200}),
    "/api/v1/detect/models": (OPEN, "/api/v1/detect/models", {"GET": 200}),
    "/studies": (OPEN, "/studies", {"GET": 200}),
    "/studies/<name>": (OPEN, "/studies/server_optimisers", {"GET": 200}),
    "/api/v1/studies": (OPEN, "/api/v1/studies", {"GET": 200}),
    "/api/v1/studies/<name>": (OPEN, "/api/v1/studies/server_optimisers", {"GET": 200}),
    "/api/v1/studies/<name>/jobs": (RESEARCHERS, "/api/v1/studies/nothing/jobs", {"POST": 404}),
    "/confs/new": (RESEARCHERS, "/confs/new", {"GET": 200}),
    "/api/v1/confs": (OPEN, "/api/v1/confs", {"GET": 200}),
    "/api/v1/confs/preview": (RESEARCHERS, "/api/v1/confs/preview", {"POST": 422}),
    "/api/v1/sets": (RESEARCHERS, "/api/v1/sets", {"GET": 200, "POST": 422}),
    "/jobs": (RESEARCHERS, "/jobs", {"GET": 200}),
    "/jobs/<int(max=2147483647):number>": (RESEARCHERS, "/jobs/99", {"GET": 404}),
    "/api/v1/jobs": (RESEARCHERS, "/api/v1/jobs", {"GET": 200, "POST": 422}),
    "/api/v1/jobs/<int(max=2147483647):number>": (
        RESEARCHERS,
        "/api/v1/jobs/99",
        {"GET": 404, "PUT": 404, "DELETE": 404},
    ),
    "/api/v1/jobs/<int(max=2147483647):number>/log": (RESEARCHERS, "/api/v1/jobs/99/log", {"GET": 404}),
    "/api/v1/jobs/<int(max=2147483647):number>/<any(pause, stop, resume, repeat):action>": (
        RESEARCHERS,
        "/api/v1/jobs/99/stop",
        {"POST": 404},
    ),
    "/tasks": (OPEN, "/tasks", {"GET": 200}),
    "/tasks/new": (RESEARCHERS, "/tasks/new", {"GET": 200}),
    "/tasks/<int(max=2147483647):number>": (OPEN, "/tasks/99", {"GET": 404}),
    "/tasks/<int(max=2147483647):number>/train": (OPEN, "/tasks/99/train", {"GET": 404}),
    "/tasks/<int(max=2147483647):number>/edit": (RESEARCHERS, "/tasks/99/edit", {"GET": 404}),
    "/api/v1/calls": ({"GET": OPEN, "POST": RESEARCHERS}, "/api/v1/calls", {"GET": 200, "POST": 422}),
    "/api/v1/calls/choices": (RESEARCHERS, "/api/v1/calls/choices", {"GET": 200}),
    "/api/v1/calls/try": (RESEARCHERS, "/api/v1/calls/try", {"POST": 422}),
    "/api/v1/calls/<int(max=2147483647):number>": (
        {"GET": OPEN, "PUT": RESEARCHERS, "DELETE": RESEARCHERS},
        "/api/v1/calls/99",
        {"GET": 404, "PUT": 404, "DELETE": 404},
    ),
    "/api/v1/calls/<int(max=2147483647):number>/publish": (
        RESEARCHERS,
        "/api/v1/calls/99/publish",
        {"POST": 404},
    ),
    "/api/v1/calls/<int(max=2147483647):number>/<any(pause, resume, finish, cancel, fold):action>": (
        RESEARCHERS,
        "/api/v1/calls/99/pause",
        {"POST": 404},
    ),
    "/api/v1/calls/<int(max=2147483647):number>/<any(test, starter, cover):what>": (
        RESEARCHERS,
        "/api/v1/calls/99/test",
        {"PUT": 404},
    ),
    "/api/v1/calls/<int(max=2147483647):number>/join": (PEOPLE, "/api/v1/calls/99/join", {"POST": 422}),
    "/api/v1/calls/<int(max=2147483647):number>/leave": (PEOPLE, "/api/v1/calls/99/leave", {"POST": 404}),
    "/api/v1/calls/<int(max=2147483647):number>/shares": (
        RESEARCHERS,
        "/api/v1/calls/99/shares",
        {"GET": 404},
    ),
    "/api/v1/calls/<int(max=2147483647):number>/trainings": (
        PEOPLE,
        "/api/v1/calls/99/trainings",
        {"GET": 404, "POST": 422},
    ),
    "/api/v1/calls/<int(max=2147483647):number>/trainings/<uuid:uuid>": (
        PEOPLE,
        "/api/v1/calls/99/trainings/00000000-0000-4000-8000-000000000000",
        {"PUT": 422, "DELETE": 404},
    ),
    "/api/v1/calls/<int(max=2147483647):number>/examples": (
        PEOPLE,
        "/api/v1/calls/99/examples",
        {"GET": 404, "POST": 422},
    ),
    "/api/v1/calls/<int(max=2147483647):number>/examples/<int(max=2147483647):example>": (
        PEOPLE,
        "/api/v1/calls/99/examples/1",
        {"DELETE": 404},
    ),
    "/api/v1/calls/<int(max=2147483647):number>/examples/<int(max=2147483647):example>.png": (
        PEOPLE,
        "/api/v1/calls/99/examples/1.png",
        {"GET": 404},
    ),
    "/api/v1/calls/<int(max=2147483647):number>/examples/<int(max=2147483647):example>/<any(accept, refuse):word>": (
        RESEARCHERS,
        "/api/v1/calls/99/examples/1/accept",
        {"POST": 404},
    ),
    "/api/v1/calls/<int(max=2147483647):number>/steps": (OPEN, "/api/v1/calls/99/steps", {"GET": 404}),
    "/api/v1/calls/<int(max=2147483647):number>/versions": (OPEN, "/api/v1/calls/99/versions", {"GET": 404}),
    "/api/v1/calls/<int(max=2147483647):number>/versions/<int(max=2147483647):version>/restore": (
        RESEARCHERS,
        "/api/v1/calls/99/versions/1/restore",
        {"POST": 404},
    ),
    "/api/v1/calls/<int(max=2147483647):number>/versions/<int(max=2147483647):version>/model.safetensors": (
        OPEN,
        "/api/v1/calls/99/versions/1/model.safetensors",
        {"GET": 404},
    ),
    "/api/v1/calls/<int(max=2147483647):number>/versions/<int(max=2147483647):version>/model.onnx": (
        OPEN,
        "/api/v1/calls/99/versions/1/model.onnx",
        {"GET": 404},
    ),
    "/api/v1/calls/<int(max=2147483647):number>/starter.zip": (
        OPEN,
        "/api/v1/calls/99/starter.zip",
        {"GET": 404},
    ),
    "/api/v1/calls/<int(max=2147483647):number>/cover": (OPEN, "/api/v1/calls/99/cover", {"GET": 404}),
    "/nodes": (PEOPLE, "/nodes", {"GET": 200}),
    "/api/v1/nodes": (PEOPLE, "/api/v1/nodes", {"GET": 200}),
    "/api/v1/nodes/terms": (OPEN, "/api/v1/nodes/terms", {"GET": 409}),  # Flower is not set up
    "/api/v1/nodes/join": (OPEN, "/api/v1/nodes/join", {"POST": 422}),
    "/api/v1/nodes/me": (OPEN, "/api/v1/nodes/me", {"GET": 401}),  # only with a node's token
    "/api/v1/nodes/me/leave": (OPEN, "/api/v1/nodes/me/leave", {"POST": 401}),
    "/api/v1/nodes/invites": (ADMINS, "/api/v1/nodes/invites", {"POST": 200}),
    "/api/v1/nodes/invites/<int(max=2147483647):number>": (
        ADMINS,
        "/api/v1/nodes/invites/99",
        {"DELETE": 404},
    ),
    "/api/v1/nodes/<int(max=2147483647):number>": (ADMINS, "/api/v1/nodes/99", {"DELETE": 404}),
    "/api/v1/nodes/<int(max=2147483647):number>/approve": (
        ADMINS,
        "/api/v1/nodes/99/approve",
        {"POST": 404},
    ),
    "/api/v1/nodes/<int(max=2147483647):number>/revoke": (ADMINS, "/api/v1/nodes/99/revoke", {"POST": 404}),
    "/api/v1/nodes/<int(max=2147483647):number>/leave": (PEOPLE, "/api/v1/nodes/99/leave", {"POST": 404}),
    "/forecast": (OPEN, "/forecast", {"GET": 200}),
    "/forecast/samples/<int(max=2147483647):number>.jpg": (OPEN, "/forecast/samples/99.jpg", {"GET": 404}),
    "/api/v1/forecast/models": (OPEN, "/api/v1/forecast/models", {"GET": 200}),
    "/api/v1/forecast": (OPEN, "/api/v1/forecast", {"POST": 415}),
    "/api/v1/forecasts": (PEOPLE, "/api/v1/forecasts", {"GET": 200, "POST": 415}),
    "/api/v1/forecasts/<int(max=2147483647):number>": (
        PEOPLE,
        "/api/v1/forecasts/99",
        {"PUT": 422, "DELETE": 404},
    ),
    "/api/v1/forecasts/<int(max=2147483647):number>/photo": (
        PEOPLE,
        "/api/v1/forecasts/99/photo",
        {"GET": 404},
    ),
    "/api/v1/labels": (PEOPLE, "/api/v1/labels", {"GET": 200}),
    "/api/v1/labels/<name>": (PEOPLE, "/api/v1/labels/conf_a", {"PUT": 422}),
    "/logout": (PEOPLE, "/logout", {"POST": 302}),
    "/profile": (PEOPLE, "/profile", {"GET": 200, "POST": 302}),
    "/profile/password": (PEOPLE, "/profile/password", {"POST": 422}),
    "/profile/sessions/end": (PEOPLE, "/profile/sessions/end", {"POST": 302}),
    "/profile/tokens": (PEOPLE, "/profile/tokens", {"POST": 422}),
    "/profile/tokens/<int(max=2147483647):number>/revoke": (
        PEOPLE,
        "/profile/tokens/99/revoke",
        {"POST": 404},
    ),
    "/profile/codes": (PEOPLE, "/profile/codes", {"GET": 200, "POST": 422}),
    "/profile/export": (PEOPLE, "/profile/export", {"GET": 200}),
    "/profile/delete": (PEOPLE, "/profile/delete", {"POST": 422}),
    "/admin/people": (ADMINS, "/admin/people", {"GET": 200}),
    "/admin/people/<int(max=2147483647):number>/role": (ADMINS, "/admin/people/1/role", {"POST": 400}),
    "/admin/people/<int(max=2147483647):number>/disable": (ADMINS, "/admin/people/99/disable", {"POST": 404}),
    "/admin/people/<int(max=2147483647):number>/reset": (ADMINS, "/admin/people/1/reset", {"POST": 200}),
    "/admin/invites": (ADMINS, "/admin/invites", {"GET": 200, "POST": 422}),
    "/admin/invites/<int(max=2147483647):number>/revoke": (
        ADMINS,
        "/admin/invites/99/revoke",
        {"POST": 404},
    ),
    "/admin/forecasts": (ADMINS, "/admin/forecasts", {"GET": 200}),
    "/admin/runs": (ADMINS, "/admin/runs", {"GET": 200}),
    "/admin/runs/<name>/delete": (ADMINS, "/admin/runs/nothing/delete", {"POST": 404}),
    "/admin/categories": (ADMINS, "/admin/categories", {"GET": 200, "POST": 422}),
    "/admin/categories/<int(max=2147483647):number>": (
        ADMINS,
        "/admin/categories/99",
        {"GET": 404, "POST": 404},
    ),
    "/admin/categories/<int(max=2147483647):number>/delete": (
        ADMINS,
        "/admin/categories/99/delete",
        {"POST": 404},
    ),
    "/admin/audit": (ADMINS, "/admin/audit", {"GET": 200}),
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def _expected(who, role, path, success):
    """Status codes that are right for this role."""
    if role in MAY[who]:
        return success if isinstance(success, tuple) else (success,)
    if role:
        return (403,)
    return (401,) if path.startswith("/api/") else (LOGIN,)


def test_the_table_has_every_route_and_method_of_the_site(site):
    known: dict[str, set[str]] = {}
    for rule in site.url_map.iter_rules():
        assert isinstance(rule, Rule)
        known.setdefault(rule.rule, set()).update(rule.methods - {"HEAD", "OPTIONS"})
    assert known == {route: set(methods) for route, (_, _, methods) in ROUTES.items()}


@pytest.mark.parametrize("role", [None, "user", "researcher", "admin"])
def test_every_route_answers_every_role_as_the_table_says(browse, role, monkeypatch):
    monkeypatch.setattr("app.runs.live._LIFETIME", 0.0)
    for route_is_for, path, methods in ROUTES.values():
        browser = browse(role)
        headers = {"X-CSRFToken": browser.token()}
        for method in METHODS:
            body = {"json": {}} if path.startswith("/api/") and method != "GET" else {}
            answer = browser.client.open(path, method=method, headers=headers, **body)
            where = f"{method} {path} as {role}"
            who = route_is_for.get(method) if isinstance(route_is_for, dict) else route_is_for
            if method not in methods:
                assert answer.status_code in (405, 404, 400, 401, 403, LOGIN), where
            else:
                assert answer.status_code in _expected(who, role, path, methods[method]), where
                if answer.status_code == LOGIN and role is None and who != OPEN:
                    assert "/login" in answer.headers["Location"], where


@pytest.mark.parametrize(
    ("path", "method"),
    [
        (path, method)
        for _, path, methods in ROUTES.values()
        for method in ("POST", "PUT", "DELETE")
        if method in methods
    ],
)
def test_no_change_without_the_pages_token(browse, path, method):
    browser = browse("admin")
    assert browser.client.open(path, method=method, json={}).status_code == 400
    forged = browser.client.open(path, method=method, json={}, headers={"X-CSRFToken": "forged"})
    assert forged.status_code == 400


def test_every_answer_has_its_headers(browse):
    for path in ("/home", "/login", "/nope", "/api/v1/runs", "/api/v1/nope"):
        headers = browse().get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy and "unsafe-eval" not in policy
        assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_other_hosts_are_refused(browse):
    assert browse().get("/home", headers={"Host": "evil.example"}).status_code == 400
