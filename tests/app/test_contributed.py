"""Test examples of published tasks: the only ones that reach the site, knowingly, reviewed, decoded apart."""

import base64
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from app.calls.contributed import MOST_OF_ONE
from tests.app.test_calls import VALUES, _join, fold, known, publish, train, tried_once

__all__ = ["known", "tried_once"]
PICTURES = {
    **VALUES,
    "format": {
        "input": {"kind": "picture", "side": 8, "channels": 1},
        "answer": {"kind": "label", "labels": ["dark", "light"]},
    },
    "network": {"layers": [{"flatten": True}]},
}


def png(light=200, side=8, form="PNG"):
    made = io.BytesIO()
    Image.fromarray(np.full((side, side), light, np.uint8)).save(made, form)
    return made.getvalue()


def zipped(**files):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, raw in files.items():
            archive.writestr(name.replace("__", "/"), raw)
    return made.getvalue()


def contribute(browser, number, *examples, consent=True):
    body = {"consent": consent, "examples": list(examples)}
    return browser.send("POST", f"/api/v1/calls/{number}/examples", json=body)


def one(a=0.5, b=5, answer=1):
    return {"values": [a, b], "answer": answer}


def test_they_are_reviewed_before_they_count_and_their_giver_sees_what_became_of_them(site, browse):
    researcher, user, other = browse("researcher"), browse("user"), browse("admin")
    number = publish(researcher)
    assert contribute(user, number, one()).status_code == 404  # not joined
    _join(user, number)
    assert contribute(user, number, one(), consent=False).status_code == 422
    told = contribute(user, number, one(), one(0.1, answer=0), one(0.2)).json
    assert told["counts"] == {"waiting": 3}
    assert contribute(user, number, one()).json["counts"] == {"waiting": 3}  # the same once more
    path = f"/api/v1/calls/{number}/examples"
    waiting = researcher.get(path).json["examples"]
    assert {tuple(example["values"]) for example in waiting} == {(0.5, 5), (0.1, 5), (0.2, 5)}
    assert all(example["who"].count(" ") == 2 for example in waiting)  # a pseudonym
    for place, (word, reason) in enumerate((("accept", ""), ("accept", ""), ("refuse", "not of this kind"))):
        address = f"{path}/{waiting[place]['id']}/{word}"
        assert user.send("POST", address, json={"reason": ""}).status_code == 403
        assert researcher.send("POST", address, json={"reason": reason}).status_code == 200
    mine = user.get(path).json
    assert mine["counts"] == {"accepted": 2, "refused": 1}
    assert [example["reason"] for example in mine["examples"] if example["state"] == "refused"] == [
        "not of this kind"
    ]
    train(user, number)
    train(other, number)
    fold(site)
    [_, second] = user.get(f"/api/v1/calls/{number}/versions").json["versions"]
    assert second["tested"] == 2 and 0 <= second["scores"]["accuracy"] <= 1
    [sent] = user.get(f"/api/v1/calls/{number}/trainings").json["trainings"]
    assert {"shapley", "error", "leave_one_out", "flag"} <= set(sent["worth"])
    assert user.get(f"/api/v1/calls/{number}").json["me"]["worth"]["credits"] is None


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ({"values": [0.5], "answer": 1}, "Example 1: expected 2 values, found 1"),
        (one(7), "Example 1: a is not in its range"),
        (one(answer=2), "Example 1: there is no label of the number 2"),
        (one(answer=0.5), "Example 1: there is no label of the number 0.5"),
        ({"picture": "AAAA", "answer": 1}, "Example 1: expected 2 values, found 0"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line_and_none_is_taken(browse, example, message):
    number, user = publish(browse("researcher")), browse("user")
    _join(user, number)
    told = contribute(user, number, example, one(0.9))
    assert (told.status_code, told.json["error"]["message"]) == (422, message)
    assert user.get(f"/api/v1/calls/{number}/examples").json["counts"] == {}


def test_pictures_are_decoded_apart_and_shown_to_giver_and_publisher_alone(browse):
    researcher, user, other = browse("researcher"), browse("user"), browse("admin")
    number = publish(researcher, PICTURES)
    _join(user, number)
    given = {"picture": base64.b64encode(png(side=40, form="JPEG")).decode(), "answer": 1}
    [made] = contribute(user, number, given).json["examples"]
    path = f"/api/v1/calls/{number}/examples/{made['id']}.png"
    for who in (user, researcher, other):  # an admin looks after all
        shown = Image.open(io.BytesIO(who.get(path).data))
        assert shown.size == (8, 8) and abs(int(np.asarray(shown).mean()) - 200) < 3
    second = publish(researcher, PICTURES, name="another")
    assert user.get(path.replace(f"/{number}/", f"/{second}/")).status_code == 404
    for raw in (b"", b"\x89PNG\r\n\x1a\n" + b"x" * 50, b"<svg/>"):
        bad = {"picture": base64.b64encode(raw or b"x").decode(), "answer": 1}
        assert contribute(user, number, bad).status_code == 422
    assert contribute(user, number, {"picture": "§", "answer": 1}).status_code == 422


def test_who_gave_one_takes_it_back_and_who_leaves_those_that_wait(browse):
    researcher, user, other = browse("researcher"), browse("user"), browse("admin")
    number = publish(researcher)
    _join(user, number)
    examples = contribute(user, number, one(), one(0.1), one(0.2)).json["examples"]
    path = f"/api/v1/calls/{number}/examples"
    researcher.send("POST", f"{path}/{examples[0]['id']}/accept", json={})
    assert user.send("DELETE", f"{path}/{examples[1]['id']}").json["counts"] == {"accepted": 1, "waiting": 1}
    user.send("POST", f"/api/v1/calls/{number}/leave")
    assert user.get(path).json["counts"] == {"accepted": 1}
    assert user.send("DELETE", f"{path}/{examples[0]['id']}").json["counts"] == {}
    assert other.send("DELETE", f"{path}/99").status_code == 404


def test_nobody_fills_the_test_set_alone(browse, monkeypatch):
    number, user = publish(browse("researcher")), browse("user")
    _join(user, number)
    monkeypatch.setattr("app.calls.contributed.MOST_OF_ONE", 3)
    assert MOST_OF_ONE > 3
    assert contribute(user, number, one(), one(0.1), one(0.2)).status_code == 200
    refused = contribute(user, number, one(0.3))
    assert (refused.status_code, refused.json["error"]["message"]) == (
        422,
        "At most 3 test examples are taken.",
    )
    assert user.get(f"/api/v1/calls/{number}/examples").json["counts"] == {"waiting": 3}


def give(browser, number, what, raw):
    return browser.send(
        "PUT", f"/api/v1/calls/{number}/{what}", data=raw, content_type="application/octet-stream"
    )


def test_the_publisher_gives_test_examples_a_starter_pack_and_a_cover(browse):
    researcher, user = browse("researcher"), browse("user")
    number = publish(researcher)
    table = b"a,b,label\n0.5,5,yes\n0.1,1,no\n9,1,no\n0.2,2,maybe\n"
    told = give(researcher, number, "test", table).json
    assert (told["used"], told["unused_count"]) == (2, 2)
    assert told["unused"] == [
        ["row 4", "a: expected 0 to 1, found 9"],
        ["row 5", "label: expected one of no, yes, found 'maybe'"],
    ]
    assert user.get(f"/api/v1/calls/{number}").json["test"] == {"accepted": 2, "waiting": 0}
    assert give(researcher, number, "starter", table).json["used"] == 2
    pack = zipfile.ZipFile(io.BytesIO(user.get(f"/api/v1/calls/{number}/starter.zip").data))
    assert pack.namelist() == ["examples.csv"]
    assert give(researcher, number, "cover", png(side=100)).status_code == 200
    cover = Image.open(io.BytesIO(user.get(f"/api/v1/calls/{number}/cover").data))
    assert (cover.format, cover.size) == ("JPEG", (640, 320))
    assert give(researcher, number, "cover", b"").status_code == 200
    assert user.get(f"/api/v1/calls/{number}/cover").mimetype == "image/svg+xml"
    assert give(user, number, "test", table).status_code == 403


def test_pictures_come_as_a_zip_of_folders_called_as_labels(browse):
    researcher = browse("researcher")
    number = publish(researcher, PICTURES)
    raw = zipped(light__a=png(250), dark__b=png(5), dark__c=png(5), odd__d=png(), light__e=b"none")
    told = give(researcher, number, "test", raw).json
    assert (told["used"], told["unused_count"]) == (3, 2)
    assert researcher.get(f"/api/v1/calls/{number}").json["test"]["accepted"] == 2  # two are the same
    for bad in (b"", b"a,b\n1,2", zipped()[:-5], b"PK\x03\x04" + b"\0" * 200):
        assert give(researcher, number, "test", bad).status_code == 422


def test_a_bomb_is_refused(browse):
    researcher = browse("researcher")
    number = publish(researcher, PICTURES)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in range(30):
            archive.writestr(f"light/{name}.png", b"\0" * 24_000_000)
    refused = give(researcher, number, "test", made.getvalue())
    assert (
        refused.status_code == 422
        and "more than 5000 files, or more than 500 MB" in refused.json["error"]["message"]
    )
