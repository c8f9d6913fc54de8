"""What people have stays with them: nothing of it is in what they sent, nor in anything that the site keeps."""

import base64
import json

import numpy as np
import pytest

from tests.board.search import Pieces
from tests.board.visits import DIABETES, DIGITS, SKIES, everything
from utils.calls.described import checked_call

RUN = 24  # bytes of pixels, which are three rows of a digit
FILE = 64


def test_the_search_finds_what_is_there_wherever_it_begins():
    rng = np.random.default_rng(1)
    row = rng.bytes(64)
    wanted = Pieces([row], RUN)
    assert len(wanted) == wanted.of_all == 41
    for before in range(17):
        hay = rng.bytes(before) + row[9 : 9 + RUN] + rng.bytes(1000)
        assert row[9 : 9 + RUN] in wanted.within([hay])
    assert not wanted.within([row[: RUN - 1] + bytes(5000) + row[-RUN + 1 :], b""])
    assert not len(Pieces([row], RUN, [row])) and not len(Pieces([bytes(500)], RUN))


def _rows(person):
    """Rows of the cleaned pictures, as long as any run that is looked for."""
    found = np.load(person.data / "inputs.npy")
    flat = found.reshape(-1, found.shape[-1] if found.shape[-1] >= RUN else found[0].size)
    return [row.tobytes() for row in flat]


def _files(person):
    paths = sorted(
        path for path in (person.home.parent / person.home.name.replace("home", "data")).rglob("*.png")
    )
    return [path.read_bytes() for path in paths]


def _values(person):
    inputs, answers = np.load(person.data / "inputs.npy"), np.load(person.data / "answers.npy")
    return _encoded(person, np.column_stack([inputs, answers]))


def _encoded(of_task, table):
    """Two and more neighbouring values of a row, as bytes that they could be written as."""
    [row] = of_task.site.rows("select described from calls where id = ?", of_task.task)
    of = checked_call(json.loads(row["described"])).format
    low, high = (
        np.array([getattr(field, end) for field in (*of.fields, of.number)]) for end in ("low", "high")
    )
    found = set()
    for one in (table, 2 * (table - low) / (high - low) - 1):  # as it is, and as the network is given it
        for kind in ("<f4", ">f4", "<f8", ">f8"):
            found |= {row[at : at + 2].astype(kind).tobytes() for row in one for at in range(len(row) - 1)}
    for row in table:
        cells = [f"{value:g}" for value in row]
        for between in (",", ", ", ";", "\t", " ", '","', "\n"):
            found |= {between.join(cells[at : at + 3]).encode() for at in range(len(cells) - 2)}
    return found


def _found(wanted, hay):
    """Those of `wanted`, byte by byte; short ones of eight bytes and more."""
    found = set()
    for width in {len(one) // 8 * 8 for one in wanted if len(one) >= 8}:
        of_it = [one for one in wanted if len(one) // 8 * 8 == width]
        begins = Pieces([one[:width] for one in of_it], width, least=4).within(hay)
        found |= {one for one in of_it if one[:width] in begins and any(one in raw for raw in hay)}
    return found


def _all_of(visit):
    return [bytes(visit.line.seen), *everything(visit.site)]


def _nothing_of_pictures(visit):
    hay = _all_of(visit)
    assert len(hay[0]) > 12 * visit.site.trainings(visit.task)[0]["bytes"]  # the updates were in it
    pixels = Pieces([row for one in visit.people for row in _rows(one)], RUN, visit.before)
    files = Pieces([raw for one in visit.people for raw in _files(one)], FILE, visit.before, step=16)
    assert len(pixels) > 0.9 * pixels.of_all and len(files) > 0.9 * files.of_all
    print(f"{len(pixels):,} of {pixels.of_all:,} runs of pixels, {len(files):,} of {files.of_all:,} of files, looked "
          f"for in {sum(map(len, hay)):,} bytes of {len(hay) - 1} files and what was sent")  # fmt: skip
    assert not pixels.within(hay)
    assert not files.within(hay)
    in_text = [base64.b64encode(raw[at:]) for one in visit.people for raw in _files(one) for at in range(3)]
    assert not Pieces([one[:512] for one in in_text], FILE, visit.before).within(hay)
    return pixels, files


def _contributed(visit, example):
    person = visit.people[0]
    path = f"/calls/{visit.task}/examples"
    status, told = visit.site.ask("POST", path, person.token, {"consent": True, "examples": [example]})
    assert status == 200, told


def test_nothing_of_digits(visited):
    visit = visited(DIGITS)
    pixels, _ = _nothing_of_pictures(visit)
    raw = _files(visit.people[0])[0]
    _contributed(visit, {"picture": base64.b64encode(raw).decode(), "answer": 1})
    assert pixels.within(everything(visit.site)), (
        "what was contributed is not found, so the search finds nothing"
    )


@pytest.mark.long
def test_nothing_of_skies(visited):
    visit = visited(SKIES)
    pixels, _ = _nothing_of_pictures(visit)
    raw = _files(visit.people[0])[0]
    _contributed(visit, {"picture": base64.b64encode(raw).decode(), "answer": 1})
    assert pixels.within(everything(visit.site)), (
        "what was contributed is not found, so the search finds nothing"
    )


def test_nothing_of_patients(visited):
    visit = visited(DIABETES)
    hay, wanted = _all_of(visit), set().union(*map(_values, visit.people))
    known = _found(wanted, visit.before)
    left = {one for one in wanted if len(one) >= 8 and len(set(one)) >= 4} - known
    print(f"{len(left):,} of {len(wanted):,} encodings looked for; {len(known):,} stood there before")
    assert len(left) > 0.8 * len(wanted)
    assert not _found(left, hay)
    person = visit.people[0]
    values = np.load(person.data / "inputs.npy")[3]
    _contributed(visit, {"values": values.tolist(), "answer": 100})
    assert _found(left, everything(visit.site)), (
        "what was contributed is not found, so the search finds nothing"
    )


def _kept(browser):
    """Rows of the pixels, or values and answers, that a browser keeps."""
    found = browser.stored("examples")
    if "pixels" in found[0]:
        return [
            bytes(one["pixels"][at : at + 64]) for one in found for at in range(0, len(one["pixels"]), 64)
        ]
    return np.array([[*one["values"], one["answer"]] for one in found])


def _asked_by(visit):
    """All that left the browsers: each request's address, headers and body; and what the line saw of them."""
    for one in visit.browsers:
        assert {url.split("/", 3)[2] for _, url, _, _ in one.asked} == {visit.line.address.split("/")[2]}
    asked = [part for one in visit.browsers for _, url, *rest in one.asked for part in (url.encode(), *rest)]
    return [b"\n".join(asked), bytes(visit.line.seen), *everything(visit.site)]


def test_nothing_of_digits_leaves_a_browser(browsed):
    visit = browsed(DIGITS)
    hay = _asked_by(visit)
    assert len(hay[1]) > 12 * visit.site.trainings(visit.task)[0]["bytes"]  # the updates were in it
    rows = [row for one in visit.browsers for row in _kept(one)]
    raw = [path.read_bytes() for one in visit.browsers for path in sorted(one.data.rglob("*.png"))]
    pixels, files = Pieces(rows, RUN, visit.before), Pieces(raw, FILE, visit.before, step=16)
    assert len(pixels) > 0.9 * pixels.of_all and len(files) > 0.9 * files.of_all
    print(
        f"{len(pixels):,} runs of pixels and {len(files):,} of files, looked for in {sum(map(len, hay)):,} bytes"
    )
    assert not pixels.within(hay) and not files.within(hay)
    as_floats = [(np.frombuffer(row, np.uint8) / np.float32(255)).tobytes() for row in rows[::7]]
    assert not Pieces(as_floats, FILE, visit.before, step=4).within(hay)
    in_text = [base64.b64encode(one[at:])[:512] for one in raw[::5] for at in range(3)]
    assert not Pieces(in_text, FILE, visit.before).within(hay)
    assert not [
        path
        for one in visit.browsers
        for path in one.data.rglob("*.png")
        if f"/{path.name}".encode() in hay[0]
    ]
    assert pixels.within([b"".join(rows)])


def test_nothing_of_patients_leaves_a_browser(browsed):
    visit = browsed(DIABETES)
    hay, table = _asked_by(visit), np.concatenate([_kept(one) for one in visit.browsers])
    wanted = _encoded(visit, table)
    known = _found(wanted, visit.before)
    left = {one for one in wanted if len(one) >= 8 and len(set(one)) >= 4} - known
    print(f"{len(left):,} of {len(wanted):,} encodings looked for")
    assert len(left) > 0.8 * len(wanted)
    assert not _found(left, hay)
    assert _found(left, [json.dumps(table.tolist()).encode()])
