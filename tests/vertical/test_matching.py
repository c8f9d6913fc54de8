"""Owners of columns find whom all have, and no more is counted than was said."""

import hashlib
import hmac

import pytest

from utils.federated import RunError
from utils.vertical import Wire, matching
from utils.vertical.matching import common, hashed

GUEST = [f"person {number}" for number in range(30)]
HOSTS = [[*GUEST[3:20], "stranger 1", "stranger 2"], ["stranger 1", *GUEST[19:0:-2]]]
ALL = sorted(set(GUEST) & set(HOSTS[0]) & set(HOSTS[1]))


def test_hashes_find_exactly_whom_all_have():
    wire = Wire()
    assert 0 < len(ALL) < len(HOSTS[1]) and common(GUEST, HOSTS, "hashes", b"salt", wire) == ALL
    assert (wire.up, wire.down) == (32 * (len(HOSTS[0]) + len(HOSTS[1])), 2 * 32 * len(ALL))
    assert wire.messages == 4
    assert common(GUEST, [["nobody"]], "hashes", b"salt", Wire()) == []


def test_without_a_host_everybody_is_matched_and_nothing_travels():
    wire = Wire()
    assert common(GUEST, [], "hashes", b"salt", wire) == sorted(GUEST) and wire == Wire()


def test_a_hash_is_that_of_its_salt():
    assert hashed("a", b"s") == hmac.digest(b"s", b"a", hashlib.sha256) != hashed("a", b"t")


@pytest.mark.skipif(not matching.PYTHON.exists(), reason="OpenMined's PSI is not installed (make psi)")
def test_private_set_intersection_finds_the_same_people():
    wires = Wire(), Wire()
    found = [common(GUEST, HOSTS, "psi", b"", wire) for wire in wires]
    assert found == [ALL, ALL] and wires[0] == wires[1], "keys differ, and lengths do not"
    assert wires[0].messages == 2 * 3 + 2  # a question and two messages back for each host, and whom all have
    assert common(GUEST, [["nobody"]], "psi", b"", Wire()) == []


def test_without_it_there_is_one_line_with_the_command(monkeypatch, tmp_path):
    monkeypatch.setattr(matching, "PYTHON", tmp_path / "python")
    with pytest.raises(RunError, match=r"^rounds: match psi needs .* make psi installs it$"):
        common(GUEST, HOSTS, "psi", b"", Wire())
    (tmp_path / "python").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python").chmod(0o755)
    with pytest.raises(RunError, match=r"gave no answer; make psi installs it anew$"):
        common(GUEST, HOSTS, "psi", b"", Wire())
