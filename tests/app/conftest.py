"""A site of its own for every test: fresh database, a cache with two small results, people of every role."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from argon2 import PasswordHasher

from app import create_app
from app.api import documents
from app.auth import service
from app.cli import prepare_database
from app.config import demo
from app.extensions import limiter
from tests.conftest import TINY
from tests.test_results import make_result, series
from utils.checkpoints import start
from utils.conf import make_conf
from utils.federated.bench import Repeat, State
from utils.results import result_path, write_result

PASSWORD = "a long enough password"
ROLES = ("user", "researcher", "admin")


def whole_result(name, seed=0):
    """A result as the site meets it: the smallest one, with conf and the last things a run writes."""
    result = copy.deepcopy(make_result(name=name))
    result["conf"] = make_conf({**TINY, "seed": seed}, "x").as_json()
    result["data"] = {
        "set": "drawn",
        "fingerprint": "f",
        "folds": 1,
        "seeds": 1,
        "examples": 6,
        "counts": [3, 3],
    }
    result.update(finished="2026-01-02T03:04:05+00:00", parameters=2, model=None, machine={})
    return result


def begin_training(cache, name):
    """Checkpoints of a run in training, and a function that ends a round of one of its folds."""
    plan = {"conf": {**TINY, "global_epochs": 5}, "folds": 2, "seeds": 1, "examples": "f"}
    checkpoints = start(cache, name, plan, overwrite=False)

    def rounds(fold, acc):
        curves = series(accuracy=acc, loss=[1 - a for a in acc])
        record = {"fold": fold, "seed": 0, "rotation": 0, "series": curves}
        checkpoints.save(Repeat(fold, 0, 0), State({"weights": np.zeros(3, np.float32)}, record, len(acc)))

    return checkpoints, rounds


@pytest.fixture(autouse=True)
def numbers_are_numbers(monkeypatch):
    """No answer may hold NaN or an infinity: the site sends null and writes it into its log, here it is an error."""

    def refuse(value):
        raise AssertionError(f"a number that is none in {str(value)[:500]}")

    monkeypatch.setattr(documents, "sayable", refuse)


@pytest.fixture
def cache(tmp_path):
    """A cache folder with the results conf_a and conf_b."""
    folder = tmp_path / "cache"
    for number, name in enumerate(("conf_a", "conf_b")):
        write_result(result_path(folder, name), whole_result(name, number))
    return folder


@pytest.fixture(scope="session", autouse=True)
def quick_hashes():
    """Passwords are hashed as the site does it, but in no time: what it spends on one is a large part of a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield


@pytest.fixture(scope="session")
def migrated(tmp_path_factory, quick_hashes):
    """A database file at the present schema with one person per role; copied for every test."""
    folder = tmp_path_factory.mktemp("database")
    site = create_app({**demo({"SKYFED_INSTANCE": str(folder)}), "DEMO": False})
    prepare_database(site)
    with site.app_context():
        for role in ROLES:
            service.register(f"{role}@example.org", role.title(), PASSWORD, role)
    return folder / "demo.db"


@pytest.fixture
def site(tmp_path, cache, migrated, data):
    """The site, as in a test browser on this machine, with the drawn set: no https, no limits on tries."""
    instance = tmp_path / "instance"
    instance.mkdir()
    (instance / "demo.db").write_bytes(migrated.read_bytes())
    folders = {"SKYFED_INSTANCE": str(instance), "SKYFED_CACHE": str(cache), "SKYFED_DATA": str(data)}
    settings = demo(folders)
    made = create_app({**settings, "DEMO": False, "TESTING": True, "RATELIMIT_ENABLED": False})
    yield made
    limiter.enabled = True


class Browser:
    """A client that takes the CSRF token from the page, as a browser's form would."""

    def __init__(self, site):
        self.client = site.test_client()

    def get(self, path, **more):
        return self.client.get(path, **more)

    def token(self, path="/login"):
        page = self.client.get("/why").get_data(as_text=True)
        return page.partition('name="csrf-token" content="')[2].partition('"')[0]

    def post(self, path, data=None, **more):
        return self.client.post(path, data={"csrf_token": self.token(), **(data or {})}, **more)

    def put(self, path, json):
        return self.client.put(path, json=json, headers={"X-CSRFToken": self.token()})

    def send(self, method, path, **more):
        """A request that changes something, as a page's script makes it."""
        headers = {"X-CSRFToken": self.token(), **more.pop("headers", {})}
        return self.client.open(path, method=method, headers=headers, **more)

    def log_in(self, email, password=PASSWORD, **more):
        return self.post("/login", {"email": email, "password": password, **more})

    def cookie(self, name="skyfed_demo_session"):
        found = self.client.get_cookie(name)
        return found.value if found else None


@pytest.fixture
def browse(site):
    """Makes a browser, logged in as somebody of the role, or as nobody."""

    def make(role=None):
        browser = Browser(site)
        if role:
            assert browser.log_in(f"{role}@example.org").status_code == 302
        return browser

    return make
