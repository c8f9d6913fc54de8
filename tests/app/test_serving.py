"""The site as it is really served: gunicorn for production, behind nginx with the shipped configuration."""

import http.client
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest

from tests.app.conftest import begin_training, whole_result
from tests.conftest import ROOT
from utils.results import result_path, write_result

NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
NAME = "skyfed.example"
SLOW = 40  # more than the site has threads


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def instance(tmp_path_factory):
    return tmp_path_factory.mktemp("instance")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    write_result(result_path(folder, "conf_a"), whole_result("conf_a"))
    return folder


@pytest.fixture(scope="module")
def site(instance, cache):
    """The port of a site served for real."""
    port = _free_port()
    settings = {
        "SKYFED_SECRET_KEY": os.urandom(32).hex(), "SKYFED_HOSTS": NAME, "SKYFED_PROXIES": "1",
        "SKYFED_INSTANCE": str(instance), "SKYFED_CACHE": str(cache),
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "i4wsgi.py", "--port", str(port)], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        env={**os.environ, **settings},
    )  # fmt: skip
    next(line for line in process.stdout if "SkyFed is at" in line)
    yield port
    process.terminate()
    process.communicate(timeout=60)


@pytest.fixture(scope="module")
def nginx(site, tmp_path_factory):
    """The port of nginx with the shipped configuration: other ports, another certificate, nothing else changed."""
    if NGINX is None:
        pytest.skip("no nginx on this machine")
    folder, port, plain = tmp_path_factory.mktemp("nginx"), _free_port(), _free_port()
    subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={NAME} -keyout key.pem -out cert.pem".split(),
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    text = (ROOT / "app" / "serving" / "nginx.conf").read_text()
    for old, new in (
        ("/etc/ssl/skyfed/fullchain.pem", "cert.pem"), ("/etc/ssl/skyfed/key.pem", "key.pem"),
        ("127.0.0.1:5000", f"127.0.0.1:{site}"), ("listen 443", f"listen 127.0.0.1:{port}"),
        ("listen 80", f"listen 127.0.0.1:{plain}"),
    ):  # fmt: skip
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    user = "user root; " if os.getuid() == 0 else ""  # else its workers could not enter the folder
    (folder / "site.conf").write_text(text)
    (folder / "nginx.conf").write_text(
        f"{user}pid {folder}/pid; error_log {folder}/error.log; daemon off;\n"
        f"events {{}}\nhttp {{ access_log off; {paths}\ninclude site.conf; }}\n"
    )
    command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")]
    tested = subprocess.run([*command, "-t"], capture_output=True, text=True)
    assert tested.returncode == 0 and "warn" not in tested.stderr, tested.stderr
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield port
    process.terminate()
    process.wait(timeout=30)


@pytest.fixture
def through(nginx):
    """Asks the site through nginx: answer and body."""

    def ask(path, method="GET", body=None, headers=None, read=True):
        connection = http.client.HTTPSConnection("127.0.0.1", nginx, timeout=60, context=_trusting())
        connection.request(method, path, body, {"Host": NAME, **(headers or {})})
        answer = connection.getresponse()
        return (answer, answer.read()) if read else (answer, connection)

    return ask


def _trusting():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def test_the_site_answers_behind_nginx_with_secure_cookies(through):
    answer, body = through("/login")
    assert answer.status == 200 and b"SkyFed" in body
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-session=") and "Secure" in cookie and "HttpOnly" in cookie
    assert through("/login", headers={"Host": "evil.example"})[0].status == 400


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_what_the_site_compresses_passes_as_it_is(through, coding):
    takes = {"Accept-Encoding": coding}
    answer, body = through("/api/v1/runs", headers=takes)
    assert answer.headers.get_all("Content-Encoding") == [coding] and not body.startswith(b"{")
    again, nothing = through("/api/v1/runs", headers={**takes, "If-None-Match": answer.headers["ETag"]})
    assert (again.status, nothing) == (304, b"")
    page = through("/home", headers=takes)[0]
    style = re.search(r'href="(/static/assets/style-[^"]+)"', through("/home")[1].decode())
    assert page.headers["Content-Encoding"] == coding and style, "the front end is built"
    assert through(style[1], headers=takes)[0].headers["Content-Encoding"] == coding


def test_events_pass_as_they_come(through, cache):
    checkpoints, rounds = begin_training(cache, "conf_live")
    rounds(0, [0.5])
    answer, connection = through("/api/v1/live/events", read=False)
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/event-stream")
    try:
        read = b""
        while b'"acc": [0.5]' not in read:
            read += answer.read1(4096)
        assert not answer.isclosed()  # the stream goes on
        rounds(0, [0.5, 0.75])
        while b'"acc": [0.75]' not in read:
            piece = answer.read1(4096)
            assert piece, "the stream ended"
            read += piece
    finally:
        connection.close()
        checkpoints.remove()


def test_a_request_that_is_too_large_is_refused_by_whoever_sees_it_first(through, site):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert through("/login", "POST", b"x" * 2_000_000, form)[0].status == 413  # nginx
    answer, body = through("/login", "POST", b"email=" + b"x" * 400_000, form)  # the site
    assert answer.status == 413 and b"too large" in body


BEGUN = {
    "nothing": b"",
    "half a header": b"GET /home HT",
    "half a body": b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\nem",
}


@pytest.mark.parametrize("begun", BEGUN.values(), ids=list(BEGUN))
def test_slow_visitors_hold_nobody_else_up(nginx, through, begun):
    with ExitStack() as open_connections:
        for _ in range(SLOW):
            raw = open_connections.enter_context(socket.create_connection(("127.0.0.1", nginx), timeout=60))
            open_connections.enter_context(_trusting().wrap_socket(raw)).sendall(begun)
        assert through("/why")[0].status == 200


def test_who_asked_is_logged_on_one_line_and_without_secrets(through, instance):
    through("/reset/a-secret-of-somebody")
    through("/nothing%0aforged%20line")
    log = instance / "logs" / "access.log"
    for _ in range(100):
        if "forged" in log.read_text():
            break
        time.sleep(0.1)
    lines = log.read_text().splitlines()
    assert any(re.search(r'127\.0\.0\.1 "GET /reset/\.\.\." 404 \d+ bytes \d+ ms', line) for line in lines)
    assert any('"GET /nothing\\nforged line" 404' in line for line in lines)
    assert "a-secret-of-somebody" not in log.read_text()
    assert (instance / "logs").stat().st_mode & 0o077 == 0
