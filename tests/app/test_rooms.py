"""The rooms of the site, packages and modules right below app/, build on each other in one direction."""

import ast
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.conftest import ROOT

APP = ROOT / "app"
# Every room with its files; app/__init__.py, the root that may import all, is none.
ROOMS = {path.parent.name: sorted(path.parent.rglob("*.py")) for path in APP.glob("*/__init__.py")} | {
    path.stem: [path] for path in APP.glob("*.py") if path.stem != "__init__"
}


def imported(path):
    """The rooms that a file imports anywhere, inside functions too; "" is the root itself."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            stem = [*base, *(node.module or "").split(".")] if node.module else list(base)
            names = [[*stem, alias.name] for alias in node.names]
        else:
            continue
        for name in names:
            if name[0] == "app":
                there = name[1] if len(name) > 1 else ""
                yield there if there in ROOMS else ""


def graph():
    return {
        room: {other for path in files for other in imported(path)} - {room} for room, files in ROOMS.items()
    }


def check_one_direction(needs):
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        pytest.fail(f"rooms of app/ in a circle: {' <- '.join(error.args[1])}")


def test_no_rooms_import_each_other_in_a_circle():
    check_one_direction(graph())


def test_a_circle_is_told_by_its_names():
    with pytest.raises(
        pytest.fail.Exception, match=r"circle: (confs <- jobs <- confs|jobs <- confs <- jobs)$"
    ):
        check_one_direction({"confs": {"api", "jobs"}, "jobs": {"api", "confs"}, "api": set()})


def test_only_the_root_knows_all_and_what_the_api_shares_knows_no_feature():
    found = graph()
    assert "api" in found["runs"] and "jobs" in found["profile"]  # the graph is that of the site
    assert not [room for room, others in found.items() if "" in others]
    assert found["api"] <= {"config", "extensions", "language", "models"}
