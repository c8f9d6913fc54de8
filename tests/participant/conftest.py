"""A board, a home, and the program as a person runs it; no second is waited."""

import io

import pytest

from tests.participant.fake_board import TOKEN, FakeBoard, examples
from utils.participant import __main__ as program
from utils.participant import machine, waiting


@pytest.fixture
def board():
    made = FakeBoard()
    yield made
    made.close()


@pytest.fixture
def waits(monkeypatch):
    """The pieces of waiting that were asked for; none is waited for."""
    found = []
    monkeypatch.setattr(waiting, "_sleep", found.append)
    return found


@pytest.fixture
def run(tmp_path, monkeypatch, capsys, waits):
    """Runs the program here: its exit status, what it printed, and its errors."""
    monkeypatch.setenv("SKYFED_PARTICIPANT", str(tmp_path / "home"))
    monkeypatch.delenv("SKYFED_TOKEN", raising=False)
    monkeypatch.setattr(program, "until_interrupted", lambda work, _: work())
    monkeypatch.setattr(machine, "_load", lambda _: machine.Found("load", "0.1 on 2 cores", "", True))

    def run_(*arguments, says=None):
        typed = io.StringIO("".join(f"{line}\n" for line in says or ()))
        typed.isatty = lambda: says is not None
        monkeypatch.setattr("sys.stdin", typed)
        try:
            status = program.main([str(one) for one in arguments])
        except SystemExit as end:
            status = end.code
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run_


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(examples())
    return path


@pytest.fixture
def joined(run, board, table, home):
    """The folder of the task, joined with 40 examples."""
    status, _, errors = run("join", board.url, "--token", TOKEN, "--accept", board.consent, "--table", table)
    assert (status, errors) == (0, "")
    return next((home / "tasks").iterdir())
