"""Text goes out compressed, built files as the build compressed them; what is compressed is the same text."""

import gzip

import brotli
import pytest

from app import vite
from tests.app.conftest import begin_training

CODINGS = {"br": brotli.decompress, "gzip": gzip.decompress}


@pytest.fixture
def dist(site, tmp_path, monkeypatch):
    """A built file in three forms."""
    folder = tmp_path / "dist" / "assets"
    folder.mkdir(parents=True)
    text = b"export const said = 'a sky';\n" * 100
    (folder / "x-1.js").write_bytes(text)
    (folder / "x-1.js.br").write_bytes(brotli.compress(text))
    (folder / "x-1.js.gz").write_bytes(gzip.compress(text))
    (folder / "bare-1.js").write_bytes(text)
    site.static_folder = str(folder.parent)
    monkeypatch.setattr(vite, "DIST", folder.parent)
    return text


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("path", ["/why", "/api/v1/runs", "/api/v1/confs", "/api/v1/openapi.json"])
def test_pages_and_json_are_the_same_compressed(browse, path, coding):
    browser = browse("researcher")
    plain = browser.get(path, headers={"Accept-Encoding": "identity"})
    packed = browser.get(path, headers={"Accept-Encoding": coding})
    assert packed.headers["Content-Encoding"] == coding and "Content-Encoding" not in plain.headers
    assert len(packed.data) < len(plain.data) / 1.5
    if path != "/why":  # whose token is another each time
        assert CODINGS[coding](packed.data) == plain.data
    for answer in (plain, packed):
        assert "Accept-Encoding" in answer.headers["Vary"]


@pytest.mark.parametrize("coding", [*CODINGS, "identity"])
def test_what_has_not_changed_is_not_sent_again(browse, coding):
    headers = {"Accept-Encoding": coding}
    tag = browse().get("/api/v1/runs", headers=headers).headers["ETag"]
    again = browse().get("/api/v1/runs", headers={**headers, "If-None-Match": tag})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)


@pytest.mark.parametrize("coding", CODINGS)
def test_built_files_go_out_as_the_build_compressed_them(browse, dist, coding):
    answer = browse().get("/static/assets/x-1.js", headers={"Accept-Encoding": coding})
    assert (answer.status_code, answer.headers["Content-Encoding"]) == (200, coding)
    assert answer.mimetype in ("text/javascript", "application/javascript")
    assert CODINGS[coding](answer.data) == dist and "immutable" in answer.headers["Cache-Control"]
    tag = answer.headers["ETag"]
    again = browse().get("/static/assets/x-1.js", headers={"Accept-Encoding": coding, "If-None-Match": tag})
    assert again.status_code == 304


def test_a_browser_that_takes_both_gets_the_smaller_and_one_that_takes_none_the_plain(browse, dist):
    for accepted, coding in (
        ("gzip, deflate, br", "br"),
        ("gzip, br;q=0", "gzip"),
        ("", None),
        ("deflate", None),
    ):
        answer = browse().get("/static/assets/x-1.js", headers={"Accept-Encoding": accepted})
        assert answer.headers.get("Content-Encoding") == coding, accepted
        assert "Accept-Encoding" in answer.headers["Vary"]
    assert browse().get("/static/assets/bare-1.js", headers={"Accept-Encoding": "br"}).data == dist


@pytest.mark.parametrize("path", ["../secret", "%2e%2e/secret", "..%2fsecret", "nothing.js"])
def test_no_way_out_of_the_built_files(browse, dist, tmp_path, path):
    (tmp_path / "secret.br").write_bytes(b"secret")
    assert browse().get(f"/static/{path}", headers={"Accept-Encoding": "br"}).status_code == 404


def test_events_are_neither_compressed_nor_held_back(browse, cache):
    checkpoints, rounds = begin_training(cache, "conf_live")
    rounds(0, [0.5])
    answer = browse().get("/api/v1/live/events", headers={"Accept-Encoding": "br, gzip"})
    assert "Content-Encoding" not in answer.headers
    read = b""
    for piece in answer.response:
        read += piece if isinstance(piece, bytes) else piece.encode()
        if b'"acc"' in read:
            break
    assert b'"acc"' in read
    answer.close()
    checkpoints.remove()


def test_the_build_has_compressed_what_is_text():
    if not vite.DIST.exists():
        pytest.skip("front end not built (make install)")
    built = [path for path in vite.DIST.rglob("*") if path.suffix in (".js", ".css", ".svg", ".wasm")]
    assert built
    for path in built:
        whole = path.read_bytes()
        for coding, ending in (("br", ".br"), ("gzip", ".gz")):
            assert CODINGS[coding](path.with_name(path.name + ending).read_bytes()) == whole, path.name
