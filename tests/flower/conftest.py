"""Flower's folder at a server, set up with commands that only look like Flower's."""

import pytest

from app.flower import __main__ as program
from tests.flower.fakes import commands, free_port
from tests.flower.real import Programs
from utils.engines.flower_home import Home


@pytest.fixture
def bin(tmp_path):
    return commands(tmp_path / "bin")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SKYFED_FLOWER", str(tmp_path / "flower"))
    return Home()


@pytest.fixture
def run(home, monkeypatch, capsys):
    """Runs the program here: its exit status, what it printed, and its errors."""
    monkeypatch.setattr(program, "until_interrupted", lambda work, _: work())

    def run_(*arguments):
        try:
            status = program.main([str(one) for one in arguments])
        except SystemExit as end:
            status = end.code
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run_


@pytest.fixture
def public():
    return f"127.0.0.1:{free_port()}"


@pytest.fixture
def ready(run, bin, home, public):
    """The home, set up."""
    status, _, errors = run("setup", "--public", public, "--port", free_port(), "--bin", bin)
    assert (status, errors) == (0, "")
    return home


@pytest.fixture
def start(tmp_path):
    """Starts a program of ours; where its lines go. All are ended in the end."""
    programs = Programs(tmp_path)
    yield programs.start
    programs.end()
