"""Whose key the SuperLink and the proxy know; keys in their three forms."""

import base64
import subprocess

import pytest

from app.flower import proxy, registry
from app.flower.keys import checked_key, header_of, openssh_of
from tests.flower.fakes import KEYS, nodes_of
from utils.engines.flower_home import FlowerError, JoinedNode


def test_a_key_is_registered_once_and_told_again(ready, bin):
    number = registry.register(ready, KEYS[0])
    assert registry.register(ready, KEYS[0].replace("\n", "\r\n")) == number
    assert registry.register(ready, KEYS[1]) != number
    assert list(nodes_of(bin)) == [openssh_of(key) for key in KEYS]


def test_a_revoked_key_never_comes_back(ready):
    number = registry.register(ready, KEYS[0])
    registry.unregister(ready, number)
    registry.unregister(ready, number)  # once more is no fault
    with pytest.raises(FlowerError, match="join again with a new key"):
        registry.register(ready, KEYS[0])


def test_where_the_database_is_new_a_key_is_registered_anew(ready, bin):
    registry.register(ready, KEYS[0])
    (bin / "flwr.json").unlink()
    registry.register(ready, KEYS[1])
    assert registry.register(ready, KEYS[0]) == nodes_of(bin)[openssh_of(KEYS[0])]["node-id"]


def test_what_fails_is_one_line(ready, bin):
    (bin / "flwr").write_text("#!/bin/sh\necho 'all is lost' >&2\nexit 1\n")
    with pytest.raises(FlowerError, match=r"^the node cannot be registered: all is lost$"):
        registry.register(ready, KEYS[0])
    with pytest.raises(FlowerError, match=r"^the node cannot be unregistered: all is lost$"):
        registry.unregister(ready, "1")
    with pytest.raises(FlowerError, match="no node's number"):
        registry.unregister(ready, "1; rm")


def test_openssh_understands_the_key(tmp_path):
    path = tmp_path / "node.pub"
    path.write_text(openssh_of(KEYS[0]))
    told = subprocess.run(
        ["ssh-keygen", "-e", "-m", "PKCS8", "-f", path], capture_output=True, text=True, check=False
    )
    if told.returncode == 127:
        pytest.skip("no ssh-keygen on this machine")
    assert told.stdout == KEYS[0]


def _point(key, at):
    lines = key.splitlines()
    raw = bytearray(base64.b64decode("".join(lines[1:-1])))
    raw[at] ^= 1
    return "\n".join([lines[0], base64.b64encode(raw).decode(), lines[-1]])


@pytest.mark.parametrize(
    "key",
    [
        "",
        "ssh-ed25519 AAAA",
        KEYS[0][:100],
        _point(KEYS[0], -1),
        _point(KEYS[0], 10),
        KEYS[0] + KEYS[1],
        KEYS[0] * 20,
    ],
    ids=["none", "another form", "half", "off the curve", "another curve", "two", "long"],
)
def test_what_is_no_key_of_the_curve_is_refused(key):
    with pytest.raises(FlowerError, match="public key"):
        checked_key(key)


def test_only_the_nodes_that_joined_are_let_through(ready):
    ready.write_joined([JoinedNode("a", "1", KEYS[0], ""), JoinedNode("b", "2", KEYS[1], "mia")])
    proxy.allow(ready)
    assert (ready.folder / "keys.map").read_text() == "".join(f'"{header_of(key)}" 1;\n' for key in KEYS)
    ready.write_joined([])
    proxy.allow(ready)
    assert (ready.folder / "keys.map").read_bytes() == b""
