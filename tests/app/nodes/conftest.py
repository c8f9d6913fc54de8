"""A site with Flower's folder, in which Flower and its proxy write down what they are told."""

import time

import pytest

from app.flower import proxy, registry
from tests.app.nodes.made import KEYS, set_up
from utils.engines.flower_home import FlowerError, Home


class Told:
    """What Flower and its proxy were told, in order; what `fails` is refused."""

    def __init__(self):
        self.calls, self.fails, self.numbers = [], set(), 100

    def register(self, home, public_key):
        """Take a node in."""
        self._note("register", public_key)
        self.numbers += 1
        return str(self.numbers)

    def unregister(self, home, node_id):
        """Strike a node off."""
        self._note("unregister", node_id)

    def allow(self, home):
        """Note whom the proxy lets through."""
        self._note("allow", sorted(one.name for one in home.joined()))

    def _note(self, what, of):
        self.calls.append((what, of))
        if what in self.fails:
            raise FlowerError(f"{what}: it does not want to")


@pytest.fixture
def told(monkeypatch):
    """What Flower and its proxy were told."""
    one = Told()
    monkeypatch.setattr(registry, "register", one.register)
    monkeypatch.setattr(registry, "unregister", one.unregister)
    monkeypatch.setattr(proxy, "allow", one.allow)
    return one


@pytest.fixture
def flower(site, told):
    """The folder of Flower at the site, as set-up leaves it."""
    set_up(site.config["FLOWER"])
    return Home(site.config["FLOWER"])


@pytest.fixture
def ask(browse):
    """Asks the API for something as somebody of a role, or with a node's token."""
    browsers = {}

    def call(method, path="", status=200, role=None, token=None, to="nodes", **body):
        if role not in browsers:
            browser = browse(role)
            browsers[role] = browser, browser.token() if role else ""
        browser, csrf = browsers[role]
        headers = {"X-CSRFToken": csrf} | ({"Authorization": f"Bearer {token}"} if token else {})
        answer = browser.client.open(
            f"/api/v1/{to}{path}", method=method, headers=headers, **({"json": body} if body else {})
        )
        assert answer.status_code == status, answer.get_data(as_text=True)
        return answer.json

    return call


@pytest.fixture
def join(ask):
    """Has a node ask to join, with a fresh code unless there is one; returns what it is answered."""

    def call(name="school", key=0, status=200, owner="user@example.org", invite=None, **more):
        code = invite or ask("POST", "/invites", role="admin", owner=owner, days=7)["code"]
        said = {
            "invite": code, "name": name, "public_key": KEYS[key], "version": "1.42.0", "consent": 1,
            "tells": {"counts": True, "judges": False}, **more,
        }  # fmt: skip
        return ask("POST", "/join", status=status, **said)

    return call


@pytest.fixture
def joined(ask, join, flower):
    """Makes joined nodes of these names that are all online; their tokens."""

    def make(*names):
        tokens = [join(name, key)["token"] for key, name in enumerate(names)]
        for node in sorted(ask("GET", role="admin")["nodes"], key=lambda one: one["id"]):
            if node["state"] == "waiting":
                ask("POST", f"/{node['id']}/approve", role="admin")
        flower.write_online(time.time(), {one.node_id: time.time() - 60 for one in flower.joined()})
        return tokens

    return make
