"""Who is not invited gets nowhere, by Flower's own programs over real sockets; and what a node sends that it should not
is refused, which its owner and the researcher can read.
"""

import json
import os
import re
import socket
import time

import pytest

from app.flower.certificates import make_authority
from app.flower.keys import openssh_of
from tests.conftest import ROOT
from tests.flower_soak.test_curves import WEATHER
from tests.flower_soak.world import BIN, LINE_PORT, PYTHON, until
from utils.engines.flower import APP
from utils.participant.node_flower import Words, made_keys

VICTIM, CLIENT = "south", 2


@pytest.fixture
def stranger(sky, tmp_path):
    """Runs Flower's node from outside for at most 25 s: what it said, and what of it an owner would read."""

    def run(*arguments, authority=None):
        folder = tmp_path / "stranger"
        folder.mkdir(exist_ok=True)
        command = [
            "timeout", "-s", "INT", "25", BIN / "flower-supernode", "--superlink",
            f"{sky.net.address('server')}:{LINE_PORT}", "--root-certificates", authority or sky.flower / "ca.crt",
            "--isolation", "process", "--port", "9777", *arguments,
        ]  # fmt: skip
        around = {**sky.around, "FLWR_HOME": str(folder), "FLWR_TELEMETRY_ENABLED": "0", "COLUMNS": "400"}
        status, said = sky.net.run("outside", command, around)
        words = Words()
        read = [meaning.text for line in said.splitlines() if (meaning := words(line))]
        print("\nstatus", status, "an owner would read:", read)
        return said, read

    return run


def _refused_at_the_proxy(sky, since):
    return [line for line in sky.said("flower")[since:].splitlines() if "refused" in line]


def test_a_node_without_a_key_or_with_one_that_nobody_approved_is_turned_away_by_the_proxy(
    sky, stranger, tmp_path
):
    private, _ = made_keys(BIN)
    key = tmp_path / "key"
    key.write_text(private)
    key.chmod(0o600)
    for given in ((), ("--auth-supernode-private-key", key)):
        since = len(sky.said("flower"))
        said, read = stranger(*given)
        assert "403" in said and "SuperNode ID" not in said
        assert any("does not let this node's key through" in one for one in read)
        print("the server's log:", _refused_at_the_proxy(sky, since)[:1])
    assert set(sky.nodes()) == set(sky.owners)


def test_a_node_that_trusts_another_authority_sends_nothing(stranger, tmp_path, sky):
    make_authority(tmp_path)
    key = sky.home("east") / "key"
    said, read = stranger("--auth-supernode-private-key", key, authority=tmp_path / "ca.crt")
    assert "CERTIFICATE_VERIFY_FAILED" in said and "SuperNode ID" not in said
    assert any("a certificate of another authority" in one for one in read)


COMMANDS = (
    ("list",), ("supernode", "list"), ("supernode", "register", "key.pub"), ("run", APP), ("stop", "1"),
)  # fmt: skip


@pytest.mark.parametrize(
    "words", COMMANDS, ids=["list", "supernode list", "supernode register", "run", "stop"]
)
def test_whoever_has_the_authority_alone_may_ask_for_nothing(sky, tmp_path, words):
    (tmp_path / "key.pub").write_text(openssh_of(made_keys(BIN)[1]))
    address = f"{sky.net.address('server')}:{LINE_PORT}"
    (tmp_path / "config.toml").write_text(
        f'[superlink.x]\naddress = "{address}"\nroot-certificates = "{sky.flower / "ca.crt"}"\n'
    )
    around = {**sky.around, "FLWR_HOME": str(tmp_path), "FLWR_TELEMETRY_ENABLED": "0", "COLUMNS": "400"}
    around["PATH"] = f"{BIN}{os.pathsep}{around['PATH']}"
    command = [BIN / "flwr", *words, "x"]
    before = sky.nodes()
    status, said = sky.net.run("outside", command, around, cwd=tmp_path)
    plain = " ".join(re.sub(r"\x1b\[[0-9;]*m|[╭╮╰╯│─]", " ", said).split())
    print(f"\nflwr {words[0]}: status {status}: {plain[-160:]}")
    assert status != 0 and '"success": true' not in said
    assert "403" in said or "nothing here" in said or "denied" in said.lower(), said
    assert set(sky.nodes()) == set(before)


def test_the_superlinks_own_port_is_closed_from_outside(sky):
    port = int(json.loads((sky.flower / "flower.json").read_text())["address"].rpartition(":")[2])
    for other in (port, port + 1, 9092, 9093, 9094, 5080):
        with pytest.raises(OSError), sky.net.inside("outside"):
            socket.create_connection((sky.net.address("server"), other), 3)


def test_forged_updates_are_refused_and_both_can_read_why(sky):
    home = sky.home(VICTIM)
    sky.stop_node(VICTIM)
    since = len(sky.said(VICTIM))
    sky.net.start(
        VICTIM, [PYTHON, "-m", "tests.flower_soak.forger", home], sky.log("forger"), sky.around, cwd=ROOT
    )
    link = [PYTHON, "-m", "utils.participant", "node", "link", VICTIM, "--home", sky.folder / VICTIM]
    sky.net.start(VICTIM, link, sky.log(VICTIM), sky.around, cwd=ROOT)
    try:
        sky.until_back(VICTIM, since)
        conf = {**WEATHER, "global_epochs": 5, "min_clients": 2}
        number, began = sky.submit(conf), time.time()
        result, model = sky.whole(number, 400)
    finally:
        sky.net.kill(VICTIM, "tests.flower_soak.forger")
        sky.stop_node(VICTIM)
        since = len(sky.said(VICTIM))
        sky.start_node(VICTIM)
        sky.until_back(VICTIM, since)
    size = sum(one.size for one in model.values())
    failures = {round_: why for round_, client, why in result["repeats"][0]["failures"] if client == CLIENT}
    print("\nthe researcher reads:", failures)
    assert failures == {
        0: f"an update of {size - 1} values, expected {size}", 1: "an update with values that are not finite",
        2: "an answer to something else", 3: "an answer to something else",
    }  # fmt: skip
    assert [one["rounds"] for one in result["repeats"][0]["clients"]] == [5, 5, 1]
    refused = [one["says"] for one in sky.ledger(VICTIM) if one["event"] == "refused"]
    print("the owner's ledger:", refused)
    assert refused == [f"round {round_ + 1}: {why}" for round_, why in failures.items()]
    rounds = [one for one in sky.node(VICTIM)["rounds"] if one["at"] > began and one["verb"] == "train"]
    assert [one["failure"] for one in rounds] == [*failures.values(), ""]
    seen = [text for text in sky.log_of(number) if "update" in text or "answer" in text]
    print("the training's page:", seen)


def test_a_node_that_is_revoked_is_out_at_once(sky):
    sky.data["guest"] = sky.data["east"]
    sky.given["guest"] = ["--set", "skies", "--source", "east"]
    status, told = sky.ask("POST", "/nodes/invites", "admin", {"owner": "user@example.org", "days": 1})
    assert status == 200
    ours = [PYTHON, "-m", "utils.participant", "node"]
    home = ["--home", sky.folder / "guest"]
    status, said = sky.net.run(
        "outside",
        [
            *ours, "join", sky.site, "--invite", told["code"], "--name", "guest", "--type", "weather", "--data",
            sky.data["east"], "--set", "skies", "--bin", BIN, "--accept", "1", *home,
        ],
        sky.around, cwd=ROOT,
    )  # fmt: skip
    assert status == 0, said
    number = sky.node("guest")["id"]
    assert sky.ask("POST", f"/nodes/{number}/approve", "admin", {}, patience=120)[0] == 200
    sky.net.start("outside", [*ours, "run", "guest", *home], sky.log("guest"), sky.around, cwd=ROOT)
    until(lambda: "guest" in sky.online(), "the guest online", 150)
    since = len(sky.said("flower"))
    status, told = sky.ask("POST", f"/nodes/{number}/revoke", "admin", {}, patience=120)
    revoked = time.monotonic()
    assert status == 200 and not told["trouble"], told
    until(lambda: _refused_at_the_proxy(sky, since), "a refusal", 60)
    print(
        f"\nrefused at the proxy within {time.monotonic() - revoked:.1f} s:",
        _refused_at_the_proxy(sky, since)[0],
    )
    until(lambda: not sky.net.processes("outside", "node run"), "the end of the node's program", 150)
    print("the owner reads:", [line for line in sky.said("guest").splitlines() if "revoked" in line])
    assert "has revoked this node" in sky.said("guest")
    assert sky.ask("DELETE", f"/nodes/{number}", "admin")[0] == 200
