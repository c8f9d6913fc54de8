"""The real site with the demo's three tasks, and people of every test's own."""

import shutil

import pytest

from tests.board.people import Person
from tests.board.proxy import Proxy
from tests.board.site import Site, until
from tests.board.visits import browse, visit
from tests.chromium import PHONE


@pytest.fixture(scope="session")
def begun(tmp_path_factory):
    """An instance folder whose board has the three tasks, nobody's yet, and one, small, for accidents."""
    folder = tmp_path_factory.mktemp("begun")
    cache = folder / "cache"
    cache.mkdir()
    site = Site(folder / "instance", cache).start()
    try:
        until(lambda: len(site.rows("select id from calls where state = 'open'")) == 3, "three tasks", 300)
        site.publish("small")
    finally:
        site.stop()
    return folder


@pytest.fixture(scope="session")
def new_site(begun, tmp_path_factory):
    """Makes a site that begins like that one."""
    made = []

    def make():
        instance = tmp_path_factory.mktemp("site") / "instance"
        shutil.copytree(begun / "instance", instance)
        made.append(Site(instance, begun / "cache").start())
        return made[-1]

    yield make
    for site in made:
        if site.process.poll() is None:
            site.stop()


@pytest.fixture(scope="session")
def board(new_site):
    """A site that nothing happens to, so many tests may share it."""
    return new_site()


@pytest.fixture
def person(board, tmp_path):
    """Makes somebody new, with a home of their own."""
    lines = []

    def make(name, site=None, proxied=False, **more):
        site = site or board
        if proxied:
            lines.append(Proxy(site.port))
            more["address"] = lines[-1].address
        made = Person(tmp_path / name, site, f"{name}.{tmp_path.name}@example.org", **more)
        made.line = lines[-1] if proxied else None
        return made

    yield make
    for line in lines:
        line.close()


@pytest.fixture(scope="session")
def visited(board, tmp_path_factory):
    """A visit of four people to one of the demo's tasks, made once."""
    made = {}

    def visit_(name):
        if name not in made:
            made[name] = visit(board, name, tmp_path_factory.mktemp("visit"))
        return made[name]

    return visit_


@pytest.fixture(scope="session")
def browsed(new_site, chromium, tmp_path_factory):
    """A visit of three browsers and a program to one of the demo's tasks, made once, each on a site of its own."""
    made = {}

    def visit_(name):
        if name not in made:
            looks = ({**PHONE, "locale": "zh-CN"}, {"locale": "en-US"}, {"locale": "en-US"})
            contexts = [chromium.new_context(**look) for look in looks]
            made[name] = browse(new_site(), name, tmp_path_factory.mktemp("browsed"), contexts)
        return made[name]

    return visit_
