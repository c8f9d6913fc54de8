"""The proxy for real, in front of a server that only looks like a SuperLink: what it lets through, and what not."""

import http.client
import http.server
import ssl
import subprocess
import threading
import time

import pytest

from app.flower import proxy
from app.flower.certificates import make_authority, make_server
from app.flower.keys import header_of
from tests.flower.fakes import KEYS, free_port
from utils.engines.flower_home import Home, JoinedNode

pytestmark = pytest.mark.skipif(proxy.nginx() is None, reason="no nginx on this machine")
NOWHERE = [
    "/", "/v1/control/list-runs", "/v1/control/start-run", "/v1/runtime/acquire-task", "/v1/fleet", "/V1/fleet/x",
    "/v1/fleet/../control/list-runs", "/v1/fleet/%2e%2e/control/list-runs", "/v1/fleet/..%2fcontrol/list-runs",
    "//v1/control/x", "/v1/fleet/../../etc/passwd",
]  # fmt: skip


class Upstream(http.server.BaseHTTPRequestHandler):
    """Says what arrived."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        length = self.headers.get("Content-Length")
        body = self.rfile.read(int(length)) if length else b""
        said = f"{self.path} {len(body)} {self.headers.get('flwr-signature')}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass


@pytest.fixture
def upstream(ready):
    """A server in the SuperLink's place, with its certificate."""
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", int(ready.read().address.rpartition(":")[2])), Upstream
    )
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ready.folder / "server.crt", ready.folder / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def running(ready, upstream):
    """The proxy of this home, with the first of two keys let through."""
    ready.write_joined([JoinedNode("a", "1", KEYS[0], "")])
    proxy.allow(ready)
    tested = subprocess.run([*proxy.command(ready), "-t"], capture_output=True, text=True)
    assert tested.returncode == 0 and "warn" not in tested.stderr, tested.stderr
    process = subprocess.Popen(proxy.command(ready), stderr=subprocess.PIPE)
    port = int(ready.read().public.rpartition(":")[2])
    for _ in range(200):
        if proxy.running(ready) and _can_connect(port):
            break
        time.sleep(0.05)
    yield process
    process.terminate()
    process.wait(timeout=30)
    process.stderr.close()


def _can_connect(port):
    try:
        http.client.HTTPConnection("127.0.0.1", port, timeout=5).connect()
    except OSError:
        return False
    return True


def _ask(home: Home, path, key=KEYS[0], body=b"", line=None, method="POST"):
    """Status and body, and the line, which may be used again."""
    port = int(home.read().public.rpartition(":")[2])
    context = ssl.create_default_context(cafile=str(home.folder / "ca.crt"))
    line = line or http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
    headers = {"flwr-signature": "abc", **({"flwr-public-key": header_of(key)} if key else {})}
    line.request(method, path, body, headers)
    answer = line.getresponse()
    return answer.status, answer.read(), line


def test_a_node_that_joined_gets_through_with_all_that_it_sent(ready, running):
    assert _ask(ready, "/v1/fleet/pull-messages", body=b"x" * 10)[:2] == (
        200,
        b"/v1/fleet/pull-messages 10 abc",
    )
    assert _ask(ready, "/v1/fleet/push-object", body=b"x" * 6_000_000)[:2] == (
        200,
        b"/v1/fleet/push-object 6000000 abc",
    )


@pytest.mark.parametrize("path", NOWHERE)
def test_nothing_but_what_nodes_need_is_there_for_anybody(ready, running, path):
    status, said, _ = _ask(ready, path)
    assert (status, said.count(b"\n")) == (403, 1) or status == 400


@pytest.mark.parametrize("key", [None, KEYS[1]], ids=["no key", "another key"])
def test_a_stranger_is_refused(ready, running, key):
    assert _ask(ready, "/v1/fleet/activate-node", key)[:2] == (
        403,
        b"this node's key is not among those that joined\n",
    )


def test_too_much_at_once_is_refused(ready, running):
    port = int(ready.read().public.rpartition(":")[2])
    context = ssl.create_default_context(cafile=str(ready.folder / "ca.crt"))
    line = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
    line.putrequest("POST", "/v1/fleet/push-object")
    line.putheader("flwr-public-key", header_of(KEYS[0]))
    line.putheader("Content-Length", str(65 * 2**20))
    line.endheaders()
    assert line.getresponse().status == 413


def test_a_revoked_node_is_refused_at_once_on_the_line_that_it_has(ready, running):
    status, _, line = _ask(ready, "/v1/fleet/pull-messages")
    assert status == 200
    ready.write_joined([JoinedNode("b", "2", KEYS[1], "")])
    proxy.allow(ready)
    for _ in range(100):
        try:
            status, _, line = _ask(ready, "/v1/fleet/pull-messages", line=line)
        except (http.client.HTTPException, OSError):
            line = None  # the old line ends
            continue
        if status == 403:
            break
        time.sleep(0.02)
    assert status == 403 and _ask(ready, "/v1/fleet/pull-messages", KEYS[1])[0] == 200


def test_it_speaks_only_to_a_superlink_of_its_own_authority(ready, running, upstream, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    make_authority(other)
    make_server(other, ["localhost", "127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(other / "server.crt", other / "server.key")
    upstream.socket._context = context  # of the lines to come
    assert _ask(ready, "/v1/fleet/pull-messages")[0] == 502


def test_a_node_that_does_not_know_the_authority_does_not_speak_to_it(ready, running, tmp_path):
    make_authority(tmp_path)
    port = int(ready.read().public.rpartition(":")[2])
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    with pytest.raises(ssl.SSLCertVerificationError):
        http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context).connect()


def test_a_name_is_reachable_from_everywhere_and_the_loopback_address_from_here():
    assert "listen 9443 ssl;" in proxy.configuration("127.0.0.1:9091", "nodes.example.org:9443")
    here = proxy.configuration("127.0.0.1:9091", f"localhost:{free_port()}")
    assert "listen 127.0.0.1:" in here and "listen [::]" not in here


def test_where_nodes_come_from_elsewhere_nginx_takes_it_too(run, bin, home):
    assert run("setup", "--public", f"nodes.example.org:{free_port()}", "--bin", bin)[0] == 0
    tested = subprocess.run([*proxy.command(home), "-t"], capture_output=True, text=True, check=False)
    assert tested.returncode == 0 and "warn" not in tested.stderr, tested.stderr
