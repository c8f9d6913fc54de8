"""Setting Flower up: once, again, and for another name; and what is refused."""

import ssl

import pytest

from app.flower.certificates import read_certificate
from tests.flower.fakes import commands, free_port, mode


def _all(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


def test_it_is_whole_private_and_understood_by_tls(ready, public):
    folder = ready.folder
    assert mode(folder) == 0o700
    assert {mode(folder / name) for name in ("ca.key", "server.key", "secret", "keys.map")} == {0o600}
    assert len((folder / "secret").read_bytes()) == 32
    settings = ready.read()
    assert (settings.public, settings.connection, settings.version) == (public, "skyfed", "1.42.0")
    toml = (folder / "flwr" / "config.toml").read_text()
    assert "[superlink.skyfed]" in toml and settings.address in toml and str(folder / "ca.crt") in toml
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    assert {"127.0.0.1", "::1", "localhost"} <= read_certificate(folder / "server.crt").names


def test_run_twice_it_changes_nothing(run, ready, bin, public):
    before = _all(ready.folder)
    port = ready.read().address.rpartition(":")[2]
    status, out, errors = run("setup", "--public", public, "--port", port, "--bin", bin)
    assert (status, errors) == (0, "") and _all(ready.folder) == before
    assert "kept the certificates" in out and "wrote" not in out and "made" not in out


def test_another_name_makes_another_certificate_of_the_same_authority(run, ready, bin, public):
    before = _all(ready.folder)
    arguments = [
        "setup",
        "--public",
        public,
        "--bin",
        bin,
        "--name",
        "Nodes.Example.ORG",
        "--name",
        "10.1.2.3",
    ]
    status, out, _ = run(*arguments)
    after = _all(ready.folder)
    assert status == 0 and "nodes.example.org, 10.1.2.3 was not in the one before" in out
    changed = {str(path) for path in after if before.get(path) != after[path]}
    assert {"server.crt", "server.key"} <= changed and not {"ca.crt", "ca.key", "secret"} & changed
    assert {"nodes.example.org", "10.1.2.3"} <= read_certificate(ready.folder / "server.crt").names
    status, out, _ = run("setup", "--public", public, "--bin", bin)  # who uses a name keeps it
    assert "nodes.example.org" in out and "made" not in out


@pytest.mark.parametrize(
    ("public", "says"),
    [
        ("nodes.example.org", "expected HOST:PORT"),
        ("a b:9443", "neither a name nor"),
        ("a:99999", "expected HOST:PORT"),
    ],
)
def test_what_nodes_cannot_connect_to_is_refused(run, bin, home, public, says):
    status, _, errors = run("setup", "--public", public, "--bin", bin)
    assert (
        status == 1
        and says in errors
        and errors.count("\n") == 1
        and not (home.folder / "flower.json").exists()
    )


def test_without_the_right_flower_nothing_is_set_up(run, tmp_path, home):
    status, _, errors = run("setup", "--public", "a.example:9443", "--bin", tmp_path / "nowhere")
    assert status == 1 and "there is no" in errors and errors.count("\n") == 1
    other = commands(tmp_path / "other", version="1.41.0")
    status, _, errors = run("setup", "--public", "a.example:9443", "--bin", other)
    assert status == 1 and "1.41.0 is there, 1.42.0 is needed" in errors
    assert not (home.folder / "flower.json").exists()


def test_two_things_cannot_have_one_port(run, bin, home):
    port = free_port()
    status, _, errors = run("setup", "--public", f"a.example:{port}", "--port", port, "--bin", bin)
    assert status == 1 and "need one each" in errors
