"""What runs inside Flower, beside what stands for Flower: a grid that takes messages and gives answers when told to."""

import json
import socket
import sys
import threading
import time
import types
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from utils.engines.flower_app.skyfed_flower import frames

APP = ROOT / "utils" / "engines" / "flower_app"


class Message:
    """As Flower has it, as far as it is used."""

    def __init__(self, content, dst_node_id=None, message_type=None, ttl=None, reply_to=None):
        self.content, self.node, self.kind, self.ttl = content, dst_node_id, message_type, ttl
        self.reply_to, self.error = reply_to, None

    def has_error(self):
        """Whether it is one of Flower's own, of something that went wrong."""
        return self.error is not None


class Array:
    """An array as a record has it."""

    def __init__(self, values):
        self._values = np.array(values)

    def numpy(self):
        """The values."""
        return self._values


class App:
    """Of either kind: what it decorates stays what it is."""

    def __getattr__(self, name):
        return lambda: lambda function: function


class Grid:
    """Takes messages; what `answers` has for a node comes back once, an exception is raised."""

    def __init__(self):
        self.pushed, self.answers, self.fault = [], {}, None

    def push_messages(self, messages):
        if self.fault:
            raise self.fault
        self.pushed += messages
        return [str(len(self.pushed) - 1)]

    def pull_messages(self, ids):
        (number,) = ids
        answer = self.answers.pop(self.pushed[int(number)].node, None)
        return [answer] if answer else []


@pytest.fixture
def app(monkeypatch):
    """The modules of the app, on what stands for flwr."""
    kinds = types.SimpleNamespace(
        Context=object, Message=Message, Array=Array, ArrayRecord=dict, ConfigRecord=dict, RecordDict=dict
    )
    for name in ("flwr", "flwr.app", "flwr.clientapp", "flwr.serverapp"):
        module = types.ModuleType(name)
        module.__dict__.update(vars(kinds), ClientApp=App, ServerApp=App, Grid=object)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.syspath_prepend(str(APP))
    import skyfed_flower.client
    import skyfed_flower.records
    import skyfed_flower.server

    yield types.SimpleNamespace(
        client=skyfed_flower.client, records=skyfed_flower.records, server=skyfed_flower.server
    )
    for name in [name for name in sys.modules if name.startswith("skyfed_flower")]:
        del sys.modules[name]


@pytest.fixture
def relay(app, monkeypatch):
    """The run's end of a relay's socket, the grid behind it, and the app."""
    monkeypatch.setattr(app.server, "POLL", 0.01)
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    grid = Grid()
    thread = threading.Thread(target=app.server.Relay(grid, theirs).serve, daemon=True)
    thread.start()
    yield ours, grid, app
    ours.close()
    thread.join(10)
    assert not thread.is_alive()


def _ask(peer, number, node, within=30.0):
    about = {"number": number, "node": node, "kind": "train", "within": within, "head": {"what": node}}
    frames.send(peer, about, {"weights": b"12345678"})


def test_messages_go_out_with_head_buffers_and_time_to_live_and_answers_come_back(relay):
    peer, grid, app = relay
    grid.answers[5] = Message(app.records.packed({"said": "yes"}, {"payload": b"87654321"}))
    _ask(peer, 3, 5)
    assert frames.receive(peer) == (
        {"number": 3, "head": {"said": "yes"}},
        {"payload": bytearray(b"87654321")},
    )
    (sent,) = grid.pushed
    assert (sent.node, sent.kind, sent.ttl) == (5, "train", 30.0)
    head, buffers = app.records.opened(sent.content)
    assert head == {"what": 5} and bytes(buffers["weights"]) == b"12345678"


def test_one_that_never_answers_keeps_nobody(relay):
    peer, grid, app = relay
    _ask(peer, 0, 5)
    _ask(peer, 1, 6)
    time.sleep(0.1)
    grid.answers[6] = Message(app.records.packed({"said": "second"}, {}))
    head, buffers = frames.receive(peer)
    assert head == {"number": 1, "head": {"said": "second"}} and not buffers


def test_flowers_errors_come_back_in_one_line_with_their_code(relay):
    peer, grid, _ = relay
    failed = Message({})
    failed.error = types.SimpleNamespace(code=5, reason="Node\nunavailable")
    grid.answers[5] = failed
    _ask(peer, 0, 5)
    assert frames.receive(peer)[0] == {"number": 0, "failure": "Flower: Node unavailable (code 5)"}
    grid.fault = RuntimeError("no\nlink")
    _ask(peer, 1, 5)
    assert frames.receive(peer)[0] == {"number": 1, "failure": "Flower: RuntimeError: no link"}


@pytest.mark.parametrize(
    "content", [{}, {"head": {}}, {"head": {"json": "["}}, {"head": {"json": "[]"}}, {"head": {"json": "[" * 9999}}]
)  # fmt: skip
def test_an_answer_that_cannot_be_read_is_a_failure(relay, content):
    peer, grid, _ = relay
    grid.answers[5] = Message(content)
    _ask(peer, 0, 5)
    assert "ValueError" in frames.receive(peer)[0]["failure"]


def test_the_client_hands_on_to_the_process_that_has_the_data(app, tmp_path):
    (tmp_path / "door").write_bytes(b"k" * 32)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()

    def node():
        peer, _ = listener.accept()
        frames.greet(peer, b"k" * 32, called=True)
        head, buffers = frames.receive(peer)
        frames.send(peer, {"said": head["what"]}, {"payload": bytes(buffers["weights"])[::-1]})

    threading.Thread(target=node, daemon=True).start()
    config = {"socket": str(tmp_path / "s"), "door": str(tmp_path / "door")}
    context = types.SimpleNamespace(node_config=config)
    asked = Message(app.records.packed({"what": "x", "within": 9.0}, {"weights": b"123"}))
    said = app.client.train(asked, context)
    head, buffers = app.records.opened(said.content)
    assert said.reply_to is asked and head == {"said": "x"} and bytes(buffers["payload"]) == b"321"
    listener.close()
    for broken in (asked, Message({}), Message({"head": {"json": json.dumps({})}})):
        head, _ = app.records.opened(app.client.query(broken, context).content)
        assert head["failure"].startswith("the process that has the data does not answer")


def test_the_app_imports_flwr_numpy_and_the_standard_library_alone():
    import ast

    known = {*sys.stdlib_module_names, "flwr", "numpy"}
    for path in APP.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            assert {name.partition(".")[0] for name in names} <= known, path


def test_nothing_else_of_the_project_imports_flwr():
    import re

    for folder in ("utils", "app"):
        for path in Path(ROOT / folder).rglob("*.py"):
            if APP not in path.parents and "static" not in path.parts:
                assert not re.search(r"^\s*(import|from) flwr\b", path.read_text(), re.M), path
