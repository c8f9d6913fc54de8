"""Tasks that people publish and take part in, by the API alone: publish, join, train, send, fold."""

import uuid

import numpy as np

from app.calls import folding
from app.jobs import runner
from app.jobs import service as jobs
from utils.calls.weights import read, written

VALUES = {
    "format": {
        "input": {"kind": "values", "fields": [{"key": "a", "low": 0, "high": 1}, {"key": "b", "low": 0, "high": 10}]},
        "answer": {"kind": "label", "labels": ["no", "yes"]},
    },
    "network": {"layers": [{"dense": 4, "activation": "relu"}]},
    "training": {"lr": 0.1, "batch_size": 8},
    "aggregation": {"goal": 2, "least": 2},
    "limits": {"examples": 2, "per_version": 1},
    "consent": "What is computed: a **change** of the model.",
}  # fmt: skip


def publish(browser, described=VALUES, name="a and b"):
    made = browser.send(
        "POST", "/api/v1/calls", json={"name": name, "description": "# What\nfor", "described": described}
    )
    assert made.status_code == 200, made.json
    number = made.json["id"]
    done = browser.send("POST", f"/api/v1/calls/{number}/publish")
    assert done.status_code == 200, done.json
    return number


def model(browser, number, version):
    raw = browser.get(f"/api/v1/calls/{number}/versions/{version}/model.safetensors").data
    shapes = browser.get(f"/api/v1/calls/{number}").json["update"]["shapes"]
    return read(raw, shapes)


def train(browser, number, change=0.01, samples=20):
    """Join, begin, and send a change of every weight by so much; what the site says of it."""
    consent = browser.get(f"/api/v1/calls/{number}").json["consent"]["version"]
    assert browser.send("POST", f"/api/v1/calls/{number}/join", json={"consent": consent}).status_code == 200
    name = str(uuid.uuid4())
    begun = browser.send("POST", f"/api/v1/calls/{number}/trainings", json={"id": name})
    assert begun.status_code == 200, begun.json
    weights = model(browser, number, begun.json["training"]["version"])
    body = written({key: np.full_like(one, change) for key, one in weights.items()})
    path = f"/api/v1/calls/{number}/trainings/{name}?samples={samples}&steps=3&loss=0.5"
    sent = browser.send("PUT", path, data=body, content_type="application/octet-stream")
    assert sent.status_code == 200, sent.json
    return sent.json["training"]


def fold(site):
    """What the supervisor does: begin folds that are due, carry them out, adopt what they made."""
    import threading

    with site.app_context():
        folding.tend()
        while claimed := jobs.claim_next(folds=True):
            runner.carry_out(site, *claimed, threading.Event())
        folding.tend()


def test_two_updates_make_a_version_that_is_their_mean(site, browse):
    researcher, one, other = browse("researcher"), browse("user"), browse("admin")
    number = publish(researcher)
    before = model(one, number, 1)
    assert train(one, number, 0.01, 10)["state"] == "waiting"
    assert train(other, number, 0.04, 20)["state"] == "waiting"
    fold(site)
    told = one.get(f"/api/v1/calls/{number}").json
    assert (told["version"], told["progress"]["waiting"], told["progress"]["folding"]) == (2, 0, False)
    after = model(one, number, 2)
    for key in before:
        np.testing.assert_allclose(after[key] - before[key], 0.03, atol=1e-6)
    [mine] = one.get(f"/api/v1/calls/{number}/trainings").json["trainings"]
    assert (mine["state"], mine["version_after"]) == ("folded", 2)
    [first, second] = one.get(f"/api/v1/calls/{number}/versions").json["versions"]
    assert (second["parent"], second["updates"], second["examples"], first["parent"]) == (1, 2, 30, None)
