"""Trainings on nodes: which may be asked for, how they are carried out, and what is told of them."""

import time

import pytest

from app.extensions import db
from app.jobs import runner, service
from app.models import Job
from tests.app.conftest import whole_result
from tests.conftest import TINY
from utils.results import result_path, write_result

NODES = ["school", "clinic", "lab"]


@pytest.fixture
def submit(ask):
    """Queues a training of the smallest conf on nodes; returns it, or why it was refused."""

    def call(nodes, status=200, conf=None, **more):
        said = {"conf": conf or TINY, "name": "away", "nodes": nodes, **more}
        told = ask("POST", status=status, role="researcher", to="jobs", **said)
        return told["jobs"][0] if status == 200 else told["error"]["message"]

    return call


def test_a_training_on_nodes_is_queued_told_and_repeated_as_such(ask, joined, submit, site):
    joined(*NODES)
    job = submit(NODES)
    assert job["nodes"] == NODES and job["state"] == "queued"
    assert ask("GET", f"/{job['id']}", role="researcher", to="jobs")["nodes"] == NODES
    [again] = [ask("POST", f"/{job['id']}/repeat", role="researcher", to="jobs")]
    assert again["nodes"] == NODES
    assert submit([])["nodes"] == []
    with site.app_context():
        one = db.session.get(Job, job["id"])
        command = list(map(str, runner.COMMANDS["training"](site, one, service.folder_of(one.id))))
        here = db.session.get(Job, again["id"] + 1)
        assert "--engine" not in map(str, runner.COMMANDS["training"](site, here, service.folder_of(here.id)))
    place = command.index("--engine")
    assert command[place : place + 4] == ["--engine", "flower", "--nodes", "school,clinic,lab"]
    assert command[place + 4 : place + 6] == ["--flower", str(site.config["FLOWER"].resolve())]


@pytest.mark.parametrize(
    ("nodes", "conf", "message"),
    [
        (NODES[:2], {}, "nodes chosen 2, no_models 3"),
        ([*NODES[:2], "nobody"], {}, "no node called nobody"),
        ([*NODES[:2], "school"], {}, "school is chosen twice"),
        (NODES, {"k": 4}, "k: expected at most no_models (3), found 4"),
        (NODES, {"owners": 5}, "leave out owners"),
        (NODES, {"data": "nothing"}, "nothing"),
        (["School", *NODES[1:]], {}, "nodes.0"),
        (["a,b", *NODES[1:]], {}, "nodes.0"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_on_nodes_is_refused_in_one_line(ask, joined, submit, nodes, conf, message):
    joined(*NODES)
    said = submit(nodes, 422, conf={**TINY, **conf})
    assert message in said and "\n" not in said
    assert ask("GET", role="researcher", to="jobs")["jobs"] == []


def test_a_node_has_to_be_online_and_somebody_has_to_know(joined, submit, flower, told):
    joined(*NODES)
    there = {one.node_id: time.time() for one in flower.joined()}
    lab = next(one.node_id for one in flower.joined() if one.name == "lab")
    flower.write_online(time.time(), {**there, lab: None})
    assert "lab is offline" in submit(NODES, 422)
    flower.write_online(time.time() - 300, there)
    assert "Nobody knows" in submit(NODES, 422)
    flower.write_online(time.time(), there)
    (flower.folder / "flower.json").unlink()
    assert "not set up" in submit(NODES, 422)


def test_one_that_was_turned_away_is_not_chosen_any_more(ask, joined, submit):
    joined(*NODES)
    lab = next(one["id"] for one in ask("GET", role="admin")["nodes"] if one["name"] == "lab")
    job = submit(NODES)
    ask("POST", f"/{lab}/revoke", role="admin")
    assert "no node called lab" in submit(NODES, 422)
    said = ask("POST", f"/{job['id']}/repeat", 409, role="researcher", to="jobs")["error"]["message"]
    assert "no node called lab" in said


def test_what_nodes_took_says_nothing_of_how_fast_this_machine_is(joined, submit, site, monkeypatch):
    joined(*NODES)
    job = submit(NODES)
    told = {"seconds_measured": 30.0, "examples_per_second": 7.0}
    monkeypatch.setattr(service, "status_of", lambda number: told)
    with site.app_context():
        one = db.session.get(Job, job["id"])
        one.started = one.created
        db.session.commit()
        assert service.measured_speed(service.make_conf({**TINY}, "x")) is None
        one.nodes = ""
        db.session.commit()
        assert service.measured_speed(service.make_conf({**TINY}, "x")) == (7.0, job["id"])


def test_a_run_says_on_which_nodes_it_was_made(ask, cache):
    result = whole_result("away")
    result["machine"] = {"engine": "flower", "nodes": NODES}
    write_result(result_path(cache, "away"), result)
    assert ask("GET", "/away", to="runs")["machine"] == {"engine": "flower", "nodes": NODES}


def test_why_it_failed_is_told_without_where_things_lie(ask, joined, submit, site):
    joined(*NODES)
    number = submit(NODES)["id"]
    with site.app_context():
        one = db.session.get(Job, number)
        one.state, one.reason = "failed", f"{site.config['FLOWER']}: Flower is not set up here"
        db.session.commit()
    told = ask("GET", f"/{number}", role="researcher", to="jobs")
    assert told["reason"] == "flower: Flower is not set up here"
