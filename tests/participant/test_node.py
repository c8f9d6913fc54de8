"""A node for its owner, by the command line: what is shown and sent, what runs, what is said."""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.flower.fakes import KEYS, alive, commands, mode
from tests.flower.test_units import verified
from tests.participant.fake_site import CA, INVITE, TOKEN, FakeSite
from tests.test_supervision import until
from utils.participant import machine, node_running
from utils.participant.node_flower import HEART, Words, environment, made_keys
from utils.participant.node_home import NodeAbout, NodeHome, Nodes
from utils.participant.node_site import site_of
from utils.participant.refusals import ParticipantError, WrongError
from utils.units import owner_of

PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----\n"
PROCESS = """cd {folder}
echo $$ > {name}.pid
echo "$@" > {name}.told
env > {name}.draft
mv {name}.draft {name}.env
{then}"""


@pytest.fixture
def site():
    made = FakeSite()
    yield made
    made.close()


@pytest.fixture
def bin(tmp_path):
    """Flower's commands, as far as a node needs them."""
    process = {
        name: PROCESS.format(folder=tmp_path, name=name, then="exec sleep 1000")
        for name in ("flower-supernode", "flower-superexec")
    }
    process["flower-supernode"] = (
        'if [ "$1" = --version ]; then echo "Flower version: 1.42.0"; exit; fi\n'
        + process["flower-supernode"]
    )
    keys = f"cat <<'END'\n{PRIVATE}\n{KEYS[0]}END"
    return commands(tmp_path / "flower" / "bin", python=keys, **process)


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data"
    (path / "skies").mkdir(parents=True)
    return path


@pytest.fixture
def join(run, site, bin, data):
    """Joins, with more arguments and without the ones in `lacks`."""

    def join_(*more, says=None, accept=True):
        return run(
            "node", "join", site.url, "--invite", INVITE, "--name", "school", "--type", "weather", "--data", data,
            "--bin", bin, *(["--accept", "1"] if accept else []), *more, says=says,
        )  # fmt: skip

    return join_


@pytest.fixture
def joined(join, home):
    status, _, errors = join()
    assert (status, errors) == (0, "")
    return NodeHome(home / "nodes" / "school")


def test_what_leaves_is_shown_and_nothing_is_sent_unless_it_is_accepted(join, site, home):
    status, out, errors = join(accept=False, says=["n"])
    assert (status, errors) == (0, "") and "not accepted; nothing was sent" in out
    for words in (
        "what training changed",
        "how many examples of each kind",
        "never leaves",
        "You may stop",
        "9443",
    ):
        assert words in out
    assert not site.joins and not (home / "nodes").exists()


def test_joined_it_has_keys_a_token_and_a_ledger_that_nobody_else_reads(join, site, home, data):
    status, out, errors = join("--set", "skies", "--source", "roof", "--no-judging", "--about", "on the roof")
    assert (status, errors) == (0, "") and "has to approve it" in out and "node run school" in out
    node = NodeHome(home / "nodes" / "school")
    assert mode(node.folder) == 0o700
    assert {mode(node.folder / name) for name in ("key", "token", "secret", "door")} == {0o600}
    assert len(node.secret.read_bytes()) == len(node.door.read_bytes()) == 32
    assert node.key.read_text() == PRIVATE and node.public_key.read_text() == KEYS[0] and node.token == TOKEN
    about = node.about
    assert (about.type, about.data, about.set, about.sources) == ("weather", str(data), "skies", ["roof"])
    assert (about.counts, about.judges, about.consent, about.public) == (True, False, 1, "127.0.0.1:9443")
    assert site.joins == [
        {
            "invite": INVITE, "name": "school", "public_key": KEYS[0], "version": "1.42.0", "consent": 1,
            "tells": {"counts": True, "judges": False}, "about": "on the roof",
        }
    ]  # fmt: skip
    assert [line["event"] for line in node.ledger.lines()] == ["accepted", "joined"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--accept", "7"], "--accept 7: the consent text is version 1"),
        (["--type", "wether"], "--type wether: expected one of"),
        (["--data", "/nowhere/at/all"], "no folder"),
        (["--set", "../skies"], "no set"),
        (["--set", "none"], "no set none"),
        (["--name", "School!"], "a name has 1 to 40"),
        (["--bin", "/nowhere"], "make flower installs Flower"),
    ],
)
def test_what_cannot_be_is_one_line_and_sends_nothing(join, site, more, says):
    status, _, errors = join(*more)
    assert status == 2 and says in errors and errors.count("\n") == 1 and not site.joins


def test_another_flower_than_the_sites_is_refused(join, site):
    site.version = "1.43.0"
    status, _, errors = join()
    assert status == 2 and "Flower 1.42.0 is there, and the site has 1.43.0" in errors


def test_a_machine_without_room_is_told_of(join, site, monkeypatch):
    monkeypatch.setattr(
        machine,
        "_memory",
        lambda need, _: machine.Found("memory", "9 MB free", "this needs some 600 MB", False),
    )
    status, _, errors = join()
    assert status == 1 and "lacks memory (9 MB free, this needs some 600 MB)" in errors and not site.joins
    assert join("--anyway")[0] == 0


def test_an_invite_that_is_none_is_said(join, site, monkeypatch, run, bin, data):
    status, _, errors = run(
        "node", "join", site.url, "--invite", "wrong", "--name", "a", "--type", "heart", "--data", data, "--bin", bin,
        "--accept", "1",
    )  # fmt: skip
    assert status == 1 and "no such invite" in errors and errors.count("\n") == 1


def test_a_site_without_nodes_and_one_that_is_not_set_up(join, site):
    site.failures = [("terms", 404, {})]
    status, _, errors = join()
    assert status == 2 and "takes no nodes" in errors
    site.public = ""
    status, _, errors = join()
    assert status == 1 and "is Flower set up there?" in errors


def test_joined_again_it_keeps_its_key_and_after_leaving_it_has_another(join, run, joined, bin, site):
    commands(bin, python=f"cat <<'END'\n{PRIVATE}\n{KEYS[1]}END")
    assert join()[0] == 0 and joined.public_key.read_text() == KEYS[0]
    assert run("node", "leave")[0] == 0 and joined.is_left and site.state == "left"
    site.state = "waiting"
    assert join()[0] == 0 and joined.public_key.read_text() == KEYS[1] and not joined.is_left
    commands(bin, python=f"cat <<'END'\n{PRIVATE}\n{KEYS[0]}END")
    assert join("--new-key")[0] == 0 and joined.public_key.read_text() == KEYS[0]
    assert [one["public_key"] for one in site.joins] == [KEYS[0], KEYS[0], KEYS[1], KEYS[0]]


def test_keys_by_the_library_of_flower_are_what_openssh_and_the_site_take(tmp_path):
    pytest.importorskip("cryptography")
    (tmp_path / "python").symlink_to(sys.executable)
    private, public = made_keys(tmp_path)
    path = tmp_path / "key"
    path.write_text(private)
    path.chmod(0o600)
    told = subprocess.run(["ssh-keygen", "-y", "-f", path], capture_output=True, text=True, check=False)
    assert told.returncode in (0, 127) and (told.returncode or told.stdout.startswith("ecdsa-sha2-nistp384 "))
    raw = base64.b64decode("".join(public.splitlines()[1:-1]))
    assert len(raw) == 120 and made_keys(tmp_path)[0] != private


def test_status_pause_resume_and_ledger(run, joined, site):
    assert run("node", "pause") == (0, "school: paused: every training is refused; resume goes on\n", "")
    assert joined.is_paused
    site.state, site.rounds = "joined", [
        {"at": 1795773600.5, "node": "school", "run": "heart", "round": 3, "verb": "train", "seconds": 8.25,
         "down": 2_800_000, "up": 2_800_100, "failure": ""},
        {"at": "\x1b", "node": "school", "run": "heart", "round": 4, "verb": "train", "seconds": 50,
         "down": 0, "up": 0, "failure": "\x1b[31moffline"},
    ]  # fmt: skip
    status, out, _ = run("node", "status")
    assert status == 0 and "here: paused" in out and "site: joined, number 77" in out
    assert (
        "2026-11-27T10:00:00+00:00 heart round 3, train: 8.2 s, 2,800,000 bytes here, 2,800,100 back" in out
    )
    assert "  ? heart round 4, train: [31moffline" in out and "\x1b" not in out
    assert run("node", "resume")[0] == 0 and not joined.is_paused
    joined.ledger.add("sending", run="heart", round=3, bytes=2_800_100)
    out = run("node", "ledger")[1]
    assert "sending: run heart, round 3, bytes 2,800,100" in out and "accepted" in out
    assert json.loads(run("node", "ledger", "--json")[1])[-1]["node"] == "school"


def test_which_node_is_asked_where_there_are_several(run, joined):
    assert run("node", "status", "none")[0] == 2
    joined.keep(joined.about)
    NodeHome(joined.folder.parent / "second").keep(joined.about)
    status, _, errors = run("node", "pause")
    assert status == 2 and "which node? one of school, second" in errors
    assert run("node", "pause", "second")[0] == 0


def test_without_a_node_there_is_a_hint(run):
    for command in ("status", "run", "leave", "pause"):
        status, _, errors = run("node", command)
        assert status == 2 and "no node yet; node join SITE makes one" in errors
    assert run("node", "ledger") == (0, "nothing was sent: no node was joined\n", "")


def test_a_site_that_cannot_be_told_of_leaving_is_told_later(run, joined, site):
    site.failures = [("leave", 503, {})] * 4
    status, _, errors = run("node", "leave")
    assert status == 1 and "run this again" in errors and joined.is_left
    assert run("node", "leave")[0] == 0 and site.state == "left"


class Kept:
    """In the place of what keeps programs running."""

    all = ()

    def __init__(self, programs, say):
        Kept.all = (*Kept.all, programs)

    def start(self):
        pass

    def end(self):
        pass


@pytest.fixture
def kept(monkeypatch):
    monkeypatch.setattr(node_running, "Kept", Kept)
    Kept.all = ()
    return Kept


def test_it_waits_until_it_is_approved_with_more_and_more_patience(
    run, joined, site, waits, kept, monkeypatch
):
    site.approves = 8
    monkeypatch.setattr(node_running, "_until_changed", lambda home, *_: home.mark(left=True))
    status, out, errors = run("node", "run")
    assert (
        (status, errors) == (0, "")
        and out.count("waiting until") == 1
        and "left: nothing runs any more" in out
    )
    assert site.count("/me") == 8 and 120 < sum(waits) < 480
    assert [one.name for one in kept.all[0]] == ["data", "node", "superexec"]
    assert (joined.folder / "link" / "ca.crt").read_text() == CA


def test_a_site_that_is_away_is_asked_again_and_one_that_revokes_ends_it(run, joined, site, waits, kept):
    site.failures = [("me", 503, {})] * 9
    site.state = "revoked"
    status, out, errors = run("node", "link")
    assert status == 2 and "has revoked this node" in errors and errors.count("\n") == 1
    assert out.count("is busy or out of order") == 1 and not kept.all
    site.failures = [("me", 401, {})]
    status, _, errors = run("node", "run")
    assert status == 2 and "ask for another invite" in errors
    site.state = "left"
    assert run("node", "run")[0] == 0


def test_while_it_runs_the_site_may_revoke_it_or_have_another_server(run, joined, site, waits, kept):
    site.state = "joined"

    def look(*_):
        site.public = "127.0.0.1:9555"
        if len(kept.all) == 2:
            site.state = "revoked"

    site.asked = _Heard(look, 1)
    status, out, errors = run("node", "link")
    assert status == 2 and "has revoked this node" in errors and "the site says revoked" in out
    assert "the site has another server for nodes" in out
    assert ["127.0.0.1:9443" in programs[0].command for programs in kept.all] == [True, False]
    assert [one.name for one in kept.all[0]] == ["node", "superexec"]  # the data are another user's


class _Heard(list):
    """Does something with each request after the first few."""

    def __init__(self, then, after):
        super().__init__()
        self._then, self._after = then, after

    def append(self, one):
        super().append(one)
        if len(self) > self._after:
            self._then()


def test_a_clock_that_is_wrong_is_told_of(run, joined, site, waits, kept, monkeypatch):
    site.state = "joined"
    monkeypatch.setattr(node_running, "_until_changed", lambda home, *_: home.mark(left=True))
    site.ahead = 60
    out = run("node", "link")[1]
    assert "the clock here is 60 s ahead" in out or "the clock here is 59 s ahead" in out
    joined.mark(left=False)
    site.ahead = 2
    assert "clock" not in run("node", "link")[1]


@pytest.fixture
def started(joined, site, tmp_path):
    """Starts the program for real; ended in the end."""
    processes = []

    def started_(*arguments):
        log = tmp_path / f"said{len(processes)}"
        with log.open("w") as out:
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "utils.participant", "node", *arguments], cwd=ROOT, stdout=out,
                    stderr=subprocess.STDOUT, env={**os.environ, "SKYFED_TOKEN": "a-secret"},
                )
            )  # fmt: skip
        return processes[-1], log

    yield started_
    for process in processes:
        with suppress(ProcessLookupError):
            process.terminate()
        process.wait(timeout=30)


def test_for_real_flowers_processes_are_started_as_they_have_to_and_all_ends(started, joined, site, tmp_path):
    site.state = "joined"
    process, log = started("link", "school")
    until(
        lambda: (tmp_path / "flower-superexec.env").exists() and (tmp_path / "flower-supernode.env").exists(),
        30,
    )
    told = (tmp_path / "flower-supernode.told").read_text()
    for words in (
        "--superlink 127.0.0.1:9443", f"--root-certificates {joined.folder}/link/ca.crt", "--isolation process",
        f"--auth-supernode-private-key {joined.key}", f"--superexec-auth-secret-file {joined.secret}",
        f'--node-config socket="{joined.socket}" door="{joined.door}"',
    ):  # fmt: skip
        assert words in told
    port = told.partition("--port ")[2].split()[0]
    assert (
        f"--runtime-api-address 127.0.0.1:{port} --insecure"
        in (tmp_path / "flower-superexec.told").read_text()
    )
    around = (tmp_path / "flower-superexec.env").read_text()
    assert f"FLWR_HOME={joined.folder}/link/flwr" in around and "a-secret" not in around
    assert f"\nPATH={joined.about.bin}:" in f"\n{around}"
    status = subprocess.run(
        [sys.executable, "-m", "utils.participant", "node", "link", "school"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert status.returncode == 1 and "its link process runs already" in status.stderr
    pids = [int((tmp_path / f"{name}.pid").read_text()) for name in ("flower-supernode", "flower-superexec")]
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 130 and not any(map(alive, pids))
    assert "node: started" in log.read_text() and "Traceback" not in log.read_text()


def test_for_real_it_ends_when_the_owner_leaves(started, joined, site, run, tmp_path):
    site.state = "joined"
    process, log = started("link")
    until(lambda: (tmp_path / "flower-supernode.pid").exists(), 30)
    assert run("node", "leave")[0] == 0
    assert process.wait(timeout=30) == 0 and "left: nothing runs any more" in log.read_text()


def test_what_units_hand_over_is_a_home_to_the_link(started, joined, site, tmp_path):
    site.state = "joined"
    given, work = tmp_path / "credentials", tmp_path / "state"
    given.mkdir()
    for name in ("node.json", "key", "secret", "door", "token"):
        (given / name).write_bytes((joined.folder / name).read_bytes())
    given.chmod(0o500)
    started("link", "--folder", str(given), "--work", str(work))
    until(lambda: (tmp_path / "flower-supernode.env").exists(), 30)
    assert f"--auth-supernode-private-key {given}/key" in (tmp_path / "flower-supernode.told").read_text()
    assert (work / "ca.crt").read_text() == CA


def test_two_units_for_two_users(run, joined, tmp_path, data):
    status, out, errors = run("node", "units", tmp_path / "units", "--link-user", "other")
    assert (status, errors) == (0, "") and "useradd --system" in out and "chooses the code" in out
    paths = [tmp_path / "units" / f"skyfed-{kind}-school.service" for kind in ("data", "link")]
    ours, theirs = (path.read_text() for path in paths)
    for text in (ours, theirs):
        assert "Restart=always\nRestartSec=10\n" in text and "RestartPreventExitStatus=0 2" in text
        assert "SKYFED_NODE_SOCKET=/run/skyfed-data-school/door.sock" in text
    assert "PrivateNetwork=yes" in ours and f"ReadWritePaths={joined.folder} {data}" in ours
    assert "User=other" in theirs and f"InaccessiblePaths={joined.folder} {data}" in theirs
    assert f"LoadCredential=key:{joined.folder}/key" in theirs and "ledger" not in theirs
    assert "who sees\n# neither the data" in theirs
    assert verified(*paths) == (0, "")
    owner = owner_of(joined.folder)
    assert run("node", "units", tmp_path / "units", "--link-user", owner)[0] == 2


class _Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_what_flowers_words_mean():
    clock = _Clock()
    words = Words(clock)
    assert words("INFO :      Starting Flower SuperNode") is None
    refused = "[code: 2004] Failed to activate SuperNode."
    assert "within 60 s of a kill; trying again" in words(refused).text
    clock.now += HEART / 2
    assert "within 60 s of a kill" in words(refused).text
    clock.now += HEART
    assert "another process uses its key, or it is not registered" in words(refused).text
    connected = words("INFO :      SuperNode ID: 3086006401878106619")
    assert connected.text == "connected, as number 3086006401878106619" and not connected.is_fault
    assert "within 60 s" in words(refused).text  # a new time of being refused
    assert "key" in words("[code: 2001] SuperNode authentication is enabled.").text
    assert "another authority" in words("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed").text
    assert "the clock here is wrong" in words("INFO :      SuperNode terminated gracefully.").text
    closed = words(
        "httpx.HTTPStatusError: Client error '403 Forbidden' for url 'https://x/v1/fleet/activate-node'"
    )
    assert closed.is_stuck and "not approved yet, or revoked" in closed.text
    ignored = "INFO :      Run transitioned to a non-`RUNNING` status while receiving a message. Ignoring the message."
    assert [words(ignored) is None for _ in range(4)] == [True, True, False, True]


def test_nothing_that_skyfed_is_told_is_around_flower():
    around = environment(Path("/f/bin"), Path("/w"), {"SKYFED_TOKEN": "x", "HOME": "/h", "PATH": "/usr/bin"})
    assert around["PATH"] == "/f/bin:/usr/bin" and "SKYFED_TOKEN" not in around and around["HOME"] == "/h"


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://Sky.example/", "https://sky.example"),
        ("https://sky.example:443/nodes", "https://sky.example"),
        ("http://localhost:5000/home", "http://localhost:5000"),
        ("https://sky.example/lab", "https://sky.example/lab"),
    ],
)
def test_a_sites_address(url, site):
    assert site_of(url) == site


def test_what_is_no_sites_address_is_refused():
    for url in ("", "sky.example", "ftp://a", "https://me:pw@a"):
        with pytest.raises(WrongError, match="expected a site's address"):
            site_of(url)


def test_a_socket_has_a_place_that_fits(tmp_path, monkeypatch):
    short = NodeHome(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", None)
    near = NodeHome(Path("/tmp/n"))
    assert near.socket == Path("/tmp/n/door.sock")
    far = NodeHome(tmp_path / ("x" * 100))
    assert len(os.fsencode(far.socket)) < 100 and far.socket != NodeHome(tmp_path / ("y" * 100)).socket
    place = far.open_place()
    assert mode(place.parent) == 0o700
    place.touch()
    far.open_place()
    assert not place.exists()
    place.parent.rmdir()
    monkeypatch.setenv("SKYFED_NODE_SOCKET", str(tmp_path / "here"))
    assert short.socket == tmp_path / "here"


def test_a_home_that_is_broken_is_one_line(run, joined):
    path = joined.folder / "node.json"
    whole = path.read_text()
    for broken in ("{", "[]", whole.replace('"format": 1', '"format": 2'), whole.replace('"weather"', "3")):
        path.write_text(broken)
        status, _, errors = run("node", "status")
        assert status == 1 and "not as this program wrote it" in errors and errors.count("\n") == 1
    with pytest.raises(ParticipantError):
        Nodes(joined.folder.parent.parent).find("school").about  # noqa: B018


def test_wishes_are_seen_while_it_waits(run, joined, site, kept, monkeypatch):
    """Without the clock of the tests: somebody leaves while it waits for approval."""
    monkeypatch.setattr("utils.participant.waiting._sleep", time.sleep)
    threading.Timer(0.5, lambda: joined.mark(left=True)).start()
    began = time.monotonic()
    assert run("node", "link")[0] == 0 and time.monotonic() - began < 4


def test_the_about_of_a_node_says_all_that_was_agreed():
    about = NodeAbout("https://s", "a", "h:1", "1.42.0", "/b", "heart", "/d", "", ["x"])
    assert (about.counts, about.judges, about.consent) == (True, True, 0)
