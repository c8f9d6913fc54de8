"""What the API takes and tells of trainings; that they are carried out, test_queue.py shows."""

import json
import re
from datetime import timedelta
from threading import Event

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask_migrate import downgrade, upgrade
from sqlalchemy import inspect, select

from app.auth import service as people
from app.config import demo
from app.extensions import db
from app.jobs import reasons, runner, service
from app.models import ApiToken, AuditEntry, Job, User, hash_secret, now
from tests.app.conftest import PASSWORD, whole_result
from tests.app.test_confs import _ask
from tests.conftest import TINY
from utils import checkpoints
from utils.report import write_log
from utils.results import read_result, result_path, write_result


@pytest.fixture
def ask(browse):
    """Asks the API for something as somebody of a role."""
    browsers = {}

    def call(method, path="", status=200, role="researcher", **body):
        if role not in browsers:
            browser = browse(role)
            browsers[role] = browser, {"X-CSRFToken": browser.token()}
        browser, headers = browsers[role]
        answer = browser.client.open(
            f"/api/v1/jobs{path}", method=method, headers=headers, **({"json": body} if body else {})
        )
        assert answer.status_code == status, answer.get_data(as_text=True)
        return answer.json

    return call


def _submit(ask, status=200, role="researcher", **more):
    told = ask("POST", status=status, role=role, **{"conf": TINY, "name": "my first", **more})
    return told["jobs"] if status == 200 else told["error"]["message"]


def test_a_training_is_queued_as_it_was_described(ask, site):
    [job] = _submit(ask, note="why not", folds=2, seeds=3)
    assert (job["state"], job["position"], job["run"]) == ("queued", 1, f"my_first-{job['id']}")
    assert job["kind"] == "training"
    told = ask("GET", f"/{job['id']}")
    assert told["conf"]["width"] == 4 and told["repeats"] == 6 and told["rounds"] == 3
    assert told["curves"] == {} and told["at_work"] == [] and told["note"] == "why not"
    with site.app_context():
        assert db.session.scalars(select(AuditEntry.action)).all()[-1] == "training queued"
    machine = ask("GET")["machine"]
    assert machine["alive"] is False and machine["cores"] >= 1 and machine["free_megabytes"] > 0


def test_a_sweep_is_a_training_for_every_combination_or_none(ask):
    made = _submit(ask, sweep={"lr": [0.01, 0.1], "partition": ["equal", "shards"]})
    assert [job["name"] for job in made] == [
        f"my first lr {lr} partition {partition}" for lr in (0.01, 0.1) for partition in ("equal", "shards")
    ]
    confs = [ask("GET", f"/{job['id']}")["conf"] for job in made]
    assert [(conf["lr"], conf["partition"]) for conf in confs] == [
        (0.01, "equal"), (0.01, "shards"), (0.1, "equal"), (0.1, "shards")
    ]  # fmt: skip
    assert "lr: expected" in _submit(ask, 422, sweep={"lr": [0.01, -1]})
    assert "101 of your" in _submit(ask, 422, sweep={"seed": list(range(97))})
    everything = {
        key: list(range(100)) for key in ("seed", "partition_seed", "warmup", "alpha", "early_stop", "k")
    }
    assert f"{100**6 + 4} of your" in _submit(ask, 422, sweep=everything)  # counted, not tried
    assert len(ask("GET")["jobs"]) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conf": {**TINY, "k": 9}}, "k: expected at most no_models (3), found 9"),
        ({"conf": {}}, "type"), ({"conf": []}, "conf: "), ({"conf": {**TINY, "momentums": 1}}, "momentums"),
        ({"name": ""}, "name: "), ({"name": "x" * 61}, "name: "), ({"folds": 6}, "folds: "),
        ({"folds": "2"}, "folds: "),
        ({"seeds": 0}, "seeds: "), ({"sweep": {"lr": []}}, "sweep.lr"), ({"sweep": {"nothing": [1]}}, "nothing"),
        ({"note": "x" * 2001}, "note: "), ({"priority": 9}, "priority: "),
        ({"name": "\ud800x"}, "name: "), ({"note": "a\0b"}, "note: "), ({"name": "  "}, "name: "),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(ask, change, message):
    said = _submit(ask, 422, **change)
    assert message in said and "\n" not in said
    assert ask("GET")["jobs"] == []


def test_a_key_that_stands_twice_is_refused_as_in_a_file(browse):
    browser = browse("researcher")
    raw = json.dumps({"conf": TINY, "name": "twice"}).replace('"k": 3', '"k": 3, "k": 2')
    answer = browser.client.post(
        "/api/v1/jobs", data=raw, content_type="application/json", headers={"X-CSRFToken": browser.token()}
    )
    assert answer.status_code == 422 and 'key "k" stands twice' in answer.json["error"]["message"]


def test_nobody_else_sees_or_touches_it(ask, site, browse):
    [job] = _submit(ask, note="secret")
    with site.app_context():
        people.register("other@example.org", "Other", PASSWORD, "researcher")
    other = browse()
    other.log_in("other@example.org")
    headers = {"X-CSRFToken": other.token()}
    for method, path in (
        ("GET", ""), ("GET", "/log"), ("PUT", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/stop"),
        ("POST", "/resume"), ("POST", "/repeat"),
    ):  # fmt: skip
        body = {"json": {"note": "mine now"}} if method == "PUT" else {}
        answer = other.client.open(f"/api/v1/jobs/{job['id']}{path}", method=method, headers=headers, **body)
        assert answer.status_code == 404, (method, path)
    assert other.get(f"/jobs/{job['id']}").status_code == 404
    [seen] = other.get("/api/v1/jobs").json["jobs"]
    assert (seen["who"], seen["mine"], seen["note"]) == ("Researcher", False, "")
    assert ask("GET", f"/{job['id']}", role="admin")["note"] == "secret"


def test_a_token_needs_the_scope(site, ask):
    [job] = _submit(ask)
    with site.app_context():
        user = people.find_user("researcher@example.org")
        for scope in ("read", "train"):
            user.tokens.append(ApiToken(name=scope, secret_hash=hash_secret(scope), scopes=scope))
        db.session.commit()
    client = site.test_client()
    for scope, method, path, status in (
        ("read", "GET", f"/{job['id']}", 200), ("read", "POST", f"/{job['id']}/stop", 403),
        ("train", "POST", f"/{job['id']}/stop", 200), ("train", "GET", f"/{job['id']}", 403),
    ):  # fmt: skip
        headers = {"Authorization": f"Bearer {scope}"}
        assert client.open(f"/api/v1/jobs{path}", method=method, headers=headers).status_code == status


def test_states_change_only_as_they_may(ask):
    [job] = _submit(ask)
    number = job["id"]
    allowed = {
        "queued": {"pause": "paused", "stop": "stopped"}, "paused": {"resume": "queued", "stop": "stopped"},
        "stopped": {"resume": "queued"},
    }  # fmt: skip
    for state, reach in (("queued", []), ("paused", ["pause"]), ("stopped", ["stop"])):
        for action in ("pause", "stop", "resume"):
            for step in reach:
                ask("POST", f"/{number}/{step}")
            assert ask("GET", f"/{number}")["state"] == state
            after = allowed[state].get(action)
            told = ask("POST", f"/{number}/{action}", 200 if after else 409)
            assert ask("GET", f"/{number}")["state"] == (after or state)
            if not after:
                assert told["error"]["message"].endswith(f"{state}.")
            if ask("GET", f"/{number}")["state"] != "queued":
                ask("POST", f"/{number}/resume")
    assert ask("DELETE", f"/{number}") == {"gone": True} and ask("GET")["jobs"] == []
    [later] = _submit(ask)
    assert later["id"] > number  # a number names files, so it never comes twice


def test_priority_is_for_admins_and_goes_first(ask, site):
    jobs = [_submit(ask, name=name)[0]["id"] for name in "abc"]
    ask("PUT", f"/{jobs[2]}", 403, priority=1)
    assert ask("PUT", f"/{jobs[2]}", role="admin", priority=1)["position"] == 1
    places = {job["id"]: job["position"] for job in ask("GET")["jobs"]}
    assert [places[number] for number in jobs] == [2, 3, 1]
    assert ask("PUT", f"/{jobs[0]}", name="anew", note="n")["name"] == "anew"
    assert ask("GET", f"/{jobs[0]}")["run"] == f"a-{jobs[0]}"  # what files are called stays
    with site.app_context():
        assert service.claim_next()[0] == jobs[2]


def test_limits_hold(ask, site):
    site.config["PER_USER"] = 1
    first, second = (_submit(ask)[0]["id"] for _ in range(2))
    with site.app_context():
        assert service.claim_next()[0] == first
        assert service.claim_next() is None
    site.config["QUOTA"] = 10
    (folder := site.config["INSTANCE"] / "jobs" / str(second)).mkdir(parents=True)
    (folder / "log.jsonl").write_text("x" * 20)
    assert "MB; delete some first" in _submit(ask, 422)
    ask("DELETE", f"/{second}")
    assert not folder.exists() and _submit(ask)


@pytest.mark.parametrize("change", [{"disabled": True}, {"role": "user"}])
def test_who_may_not_train_any_more_gets_no_turn(ask, site, change):
    _submit(ask)
    with site.app_context():
        user = people.find_user("researcher@example.org")
        for key, value in change.items():
            setattr(user, key, value)
        db.session.commit()
        assert service.claim_next() is None
        user.disabled, user.role = False, "researcher"
        db.session.commit()
        assert service.claim_next() is not None


def test_who_loses_the_right_while_it_trains_is_paused(ask, site):
    _submit(ask)
    with site.app_context():
        number, claim = service.claim_next()
        people.find_user("researcher@example.org").disabled = True
        db.session.commit()
        assert service.beat(number, claim) == "pause"
        service.settle(number, claim, 130, "")
        assert db.session.get(Job, number).state == "paused"


def _another_person(site):
    with site.app_context():
        return people.register("other@example.org", "other", "a long enough password", "researcher")


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_nobody_takes_all_places(slots):
    assert demo({"SKYFED_SLOTS": str(slots)})["PER_USER"] == max(1, slots - 1)


def test_who_has_had_its_time_makes_room_for_others_and_goes_on_after_them(ask, site, cache):
    site.config.update(SLOTS=1, MAX_HOURS=1)
    _another_person(site)
    _submit(ask)
    with site.app_context():
        number, claim = service.claim_next()
        job = db.session.get(Job, number)
        unfinished = checkpoints.folder_of(cache, job.run)
        unfinished.mkdir(parents=True)
        job.started = now() - timedelta(hours=2)
        db.session.commit()
        assert service.beat(number, claim) == ""  # nobody waits
        own = service.submit(job.user, json.loads(job.conf), name="own", note="", folds=1, seeds=1, sweep={})[
            0
        ]
        assert service.beat(number, claim) == ""  # one's own can wait
        user = people.find_user("other@example.org")
        other = service.submit(user, json.loads(job.conf), name="x", note="", folds=1, seeds=1, sweep={})[0]
        other.started = now() - timedelta(minutes=10)  # had a turn meanwhile
        db.session.commit()
        assert service.beat(number, claim) == ""  # has not got on: nothing would ever come of it
        (unfinished / "fold0.npz").write_bytes(b"a round")
        assert service.beat(number, claim) == "make room"
        other.priority = -1
        db.session.commit()
        assert service.beat(number, claim) == ""
        other.priority = 0
        db.session.commit()
        service.settle(number, claim, 130, "")
        assert db.session.get(Job, number).state == "queued"
        assert [one.id for one in service.queue()] == [other.id, own.id, number]
        assert service.claim_next()[0] == other.id
        site.config["SLOTS"] = 2
        assert service.beat(number, claim) is None


def test_a_giant_needs_an_admins_word(ask, site, data):
    site.config.update(DATA=data, GIANT_HOURS=1)
    giant = {**TINY, "global_epochs": 100_000}
    [held] = _submit(ask, conf=giant, seeds=100)
    assert held["state"] == "held" and "an admin has to allow that" in held["reason"]
    with site.app_context():
        assert service.claim_next() is None and service.queue() == []
    for action in ("resume", "pause", "stop"):
        ask("POST", f"/{held['id']}/{action}", 409)
    assert ask("POST", f"/{held['id']}/repeat")["state"] == "held"
    assert ask("POST", f"/{held['id']}/resume", role="admin")["state"] == "queued"
    [small] = _submit(ask, conf={**TINY, "global_epochs": 1})
    assert small["state"] == "queued"
    assert "no such file" in _submit(ask, 422, conf={**giant, "data": "nowhere"})
    assert _submit(ask, conf=giant, seeds=100, role="admin")[0]["state"] == "queued"


@pytest.mark.parametrize(
    "said",
    [
        "would take about 77 hours; an admin has to allow that",
        "its process was lost; goes on from the last whole round",
        "its process was killed (signal 9), 5 times in a row; resuming goes on from the last whole round",
        "the trainings of Ada take more than 1000 MB",
    ],
)
def test_reasons_are_told_in_the_readers_language(site, said):
    with site.test_request_context():
        assert reasons.in_ones_language(said) == said
    with site.test_request_context(headers={"Accept-Language": "zh"}):
        told = reasons.in_ones_language(said)
        assert told != said and all(number in told for number in re.findall(r"\d+", said))
        assert reasons.in_ones_language("conf: lr: found -1") == "conf: lr: found -1"
        assert reasons.in_ones_language(f"{said} and more") == f"{said} and more"


def test_nothing_takes_a_delete_back(ask, site, monkeypatch):
    site.config["PER_USER"], numbers = 2, []
    for _ in range(2):
        [job] = _submit(ask)
        with site.app_context():
            numbers.append(service.claim_next())
        assert ask("DELETE", f"/{job['id']}") == {"gone": False}
        for action in ("pause", "stop"):
            ask("POST", f"/{job['id']}/{action}", 409)
    with site.app_context():
        service.settle(*numbers[0], 130, "")
        assert service.requeue_lost(now()) == [numbers[1][0]]
        assert db.session.scalars(select(Job)).all() == []


def test_a_delete_that_comes_while_it_is_settled_is_kept(ask, site, monkeypatch):
    _submit(ask)
    with site.app_context():
        number, claim = service.claim_next()
        real, first = service._change, []

        def meanwhile(*given, **values):
            if not first:
                first.append(real(number, ("running",), wish="delete"))
            return real(*given, **values)

        monkeypatch.setattr(service, "_change", meanwhile)
        service.settle(number, claim, 0, "")
        assert db.session.get(Job, number) is None


def test_what_lies_there_already_is_never_mistaken_for_ones_own(ask, site):
    taken = site.config["CACHE"] / "my_first-1.json.pkl"
    taken.write_text("of another database")
    [job] = _submit(ask)
    assert job["id"] == 1 and job["run"].startswith("my_first-1-")
    ask("DELETE", "/1")
    assert taken.exists()
    with site.app_context():
        site.config["DEMO"] = True
        assert service.folder_of(1) != site.config["INSTANCE"] / "jobs" / "1"


def test_a_full_quota_ends_what_waits_and_forbids_more(ask, site):
    [job] = _submit(ask)
    folder = site.config["INSTANCE"] / "jobs" / str(job["id"])
    folder.mkdir(parents=True)
    (folder / "log.jsonl").write_text("x" * 20)
    site.config["QUOTA"] = 10
    with site.app_context():
        assert service.claim_next() is None
    assert "take more than" in ask("GET", f"/{job['id']}")["reason"]
    ask("POST", f"/{job['id']}/resume", 409)


def test_a_lost_claim_changes_nothing_and_losses_are_counted(site, ask):
    [job] = _submit(ask)
    with site.app_context():
        number, claim = service.claim_next()
        assert service.beat(number, claim) == "" and service.beat(number, "other") is None
        for losses in range(1, service.MAX_LOSSES + 1):
            assert service.requeue_lost(now() - timedelta(seconds=60)) == []
            assert service.requeue_lost(now()) == [number]
            service.settle(number, claim, 0, "")  # too late: somebody else may be at it
            row = db.session.get(Job, number)
            assert row.losses == losses
            if losses < service.MAX_LOSSES:
                assert row.state == "queued" and "goes on" in row.reason
                number, claim = service.claim_next()
        assert row.state == "failed" and "5 times" in row.reason
    ask("POST", f"/{job['id']}/resume")
    assert ask("GET", f"/{job['id']}")["reason"] == ""


def test_a_kind_that_nobody_knows_fails_in_one_line(site, ask):
    [job] = _submit(ask)
    with site.app_context():
        db.session.get(Job, job["id"]).kind = "dreaming"
        db.session.commit()
        runner.carry_out(site, *service.claim_next(), Event())
    told = ask("GET", f"/{job['id']}")
    assert (told["state"], told["kind"]) == ("failed", "dreaming")
    assert told["reason"] == "kind: expected one of drawing, fold, leaks, study, training, found dreaming"


def test_what_was_queued_before_there_were_kinds_is_a_training(site, ask):
    [job] = _submit(ask)
    folder = f"{site.root_path}/migrations"
    with site.app_context():
        downgrade(folder, revision="0003")
        assert "kind" not in {column["name"] for column in inspect(db.engine).get_columns("jobs")}
        upgrade(folder)
        assert compare_metadata(MigrationContext.configure(db.session.connection()), db.metadata) == []
    told = ask("GET", f"/{job['id']}")
    assert {key: told[key] for key in job} == job and job["kind"] == "training"
    ask("DELETE", f"/{job['id']}")
    assert _submit(ask)[0]["id"] > job["id"]  # numbers still never come twice


def test_the_log_tells_what_is_new_and_survives_a_torn_line(site, ask):
    [job] = _submit(ask)
    folder = site.config["INSTANCE"] / "jobs" / str(job["id"])
    folder.mkdir(parents=True)
    write_log(folder, "info", "began")
    write_log(folder, "warning", "client 2: out of memory")
    with (folder / "log.jsonl").open("a") as file:
        file.write('{"at": "2026')
    lines = ask("GET", f"/{job['id']}/log")["lines"]
    assert [(one["line"], one["level"], one["text"]) for one in lines] == [
        (1, "info", "began"), (2, "warning", "client 2: out of memory")
    ]  # fmt: skip
    assert [one["line"] for one in ask("GET", f"/{job['id']}/log?after=1")["lines"]] == [2]
    ask("GET", f"/{job['id']}/log?after=-1", 422)


def test_the_estimate_comes_from_what_was_measured_here(site, ask, browse, data):
    site.config["DATA"] = data
    browser = browse("researcher")
    told = _ask(browser, json.dumps(TINY)).json  # the results that are there were made elsewhere
    assert (told["measured_by"], told["likened_to"]) == (None, "a")
    [job] = _submit(ask)
    with site.app_context():
        service.claim_next()
    folder = site.config["INSTANCE"] / "jobs" / str(job["id"])
    folder.mkdir(parents=True)
    (folder / "status.json").write_text(json.dumps({"examples_per_second": 123.0, "seconds_measured": 9.0}))
    [tiny] = _submit(ask)  # a later one that was over before anything could be measured
    with site.app_context():
        service.claim_next()
    (folder.with_name(str(tiny["id"]))).mkdir()
    (folder.with_name(str(tiny["id"])) / "status.json").write_text(
        json.dumps({"examples_per_second": 6.0, "seconds_measured": 0.1})
    )
    told = _ask(browser, json.dumps({**TINY, "lr": 0.5})).json
    assert (told["examples_per_second"], told["measured_by"]) == (123.0, job["id"])
    assert told["likened_to"] is None
    assert _ask(browser, json.dumps({**TINY, "width": 8})).json["examples_per_second"] is None


def test_with_the_account_go_its_trainings_but_not_an_unreadable_result(site, ask, browse):
    [job] = _submit(ask)
    cache, folder = site.config["CACHE"], site.config["INSTANCE"] / "jobs" / str(job["id"])
    (cache / ".unfinished" / job["run"]).mkdir(parents=True)
    (cache / f"{job['run']}.json.pkl").write_text("a result")
    folder.mkdir(parents=True)
    browser = browse("researcher")
    exported = browser.get("/profile/export").json["trainings"]
    assert [(one["name"], one["conf"]["width"]) for one in exported] == [("my first", 4)]
    browser.post("/profile/delete", {"password": PASSWORD})
    with site.app_context():
        assert db.session.scalars(select(Job)).all() == []
        assert db.session.scalar(select(User).where(User.email == "researcher@example.org")) is None
    assert not folder.exists() and not (cache / ".unfinished" / job["run"]).exists()
    [left] = cache.glob("run-*.json.pkl")
    assert left.read_text() == "a result" and not list(cache.glob(f"{job['run']}*"))


def _finished(site, ask):
    """A training with result, model and card."""
    [job] = _submit(ask)
    result = whole_result(job["run"])
    result["model"] = {"file": f"{job['run']}.json.safetensors", "bytes": 2, "sha256": "0" * 64}
    path = result_path(site.config["CACHE"], job["run"])
    write_result(path, result)
    path.with_suffix(".safetensors").write_text("it")
    path.with_suffix(".md").write_text(f"# {job['run']}")
    return job["run"]


def test_who_leaves_is_told_that_runs_stay_and_they_stay_without_a_name(site, ask, browse):
    name, other = _finished(site, ask), browse("user")
    other.put(f"/api/v1/labels/{name}", {"tags": ["good"], "note": ""})
    page = browse("researcher").get("/profile").text
    assert "Everybody sees them" in page and "stay, without the names I gave them" in page
    browse("researcher").post("/profile/delete", {"password": PASSWORD, "runs": "anonymise"})
    cache = site.config["CACHE"]
    [path] = cache.glob("run-*.json.pkl")
    run = path.name.removesuffix(".json.pkl")
    found = read_result(path)
    assert (found["name"], found["model"]["file"]) == (run, f"{run}.json.safetensors")
    assert (
        path.with_suffix(".safetensors").read_text() == "it"
        and path.with_suffix(".md").read_text() == f"# {run}"
    )
    assert not list(cache.glob(f"*{name}*")) and name.encode() not in path.read_bytes()
    assert list(other.get("/api/v1/labels").json["labels"]) == [run]
    assert (
        browse().get(f"/runs/{run}").status_code == 200 and browse().get(f"/runs/{name}").status_code == 404
    )


def test_who_leaves_may_take_the_runs_along(site, ask, browse):
    name, kept = _finished(site, ask), {path.name for path in site.config["CACHE"].glob("conf_*")}
    browse("researcher").post("/profile/delete", {"password": PASSWORD, "runs": "delete"})
    left = {path.name for path in site.config["CACHE"].glob("*.json.*")}
    assert left == kept and name not in str(left)


def test_a_password_that_is_wrong_changes_no_run(site, ask, browse):
    name = _finished(site, ask)
    wrong = {"password": "wrong", "runs": "delete"}
    assert browse("researcher").post("/profile/delete", wrong).status_code == 422
    sure = {"password": PASSWORD, "runs": "sell"}
    assert browse("researcher").post("/profile/delete", sure).status_code == 422
    assert result_path(site.config["CACHE"], name).exists()
