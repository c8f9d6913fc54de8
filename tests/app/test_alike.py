"""Command line, API and form accept and refuse the same confs, of all tasks, with the same sentence."""

import json
import shutil
import subprocess
from collections import Counter

import pytest

import i2main
from app.frontend import FOLDER, environment
from tests.drawn_confs import FAULTS, many
from utils.conf import ConfError, all_keys, brought, load_conf, make_conf

CONFS = 240


class ReachedError(Exception):
    """The command line would train now."""


@pytest.fixture
def command_line(tmp_path, data, capsys, monkeypatch):
    """Gives a file to i2main.py; returns what it says, "" where it would train."""

    def train(*_):
        raise ReachedError

    monkeypatch.setattr("utils.engines.workers.Workers", train)

    def ask(path):
        try:
            status = i2main.main(["-c", str(path), "--data", str(data), "--cache", str(tmp_path / "out")])
        except ReachedError:
            shutil.rmtree(tmp_path / "out")
            return ""
        said, line = capsys.readouterr()
        assert (status, said, line.count("\n")) == (2, "", 1), line
        return line.removesuffix("\n").removeprefix(f"{path}: ")

    return ask


def _refusal(path):
    try:
        load_conf(path)
    except ConfError as error:
        return str(error).removeprefix(f"{path}: ")
    return ""


def test_command_line_and_api_accept_and_refuse_the_same(browse, tmp_path, command_line):
    browser, path, found = browse("researcher"), tmp_path / "conf_drawn.json", Counter()
    headers = {"X-CSRFToken": browser.token()}

    def post(where, asked):
        return browser.client.post(f"/api/v1/{where}", json=asked, headers=headers)

    for values, fault, key in many(CONFS):
        path.write_text(json.dumps(values))
        refused = _refusal(path)
        preview = post("confs/preview", values)
        queued = post("jobs", {"conf": values, "name": "x"})
        if refused:
            assert command_line(path) == refused, values
            for answer in (preview, queued):
                assert (answer.status_code, answer.json["error"]["message"]) == (422, refused), values
        else:
            whole, reason = load_conf(path).as_json(), preview.json["reason"]
            assert (preview.status_code, preview.json["conf"]) == (200, whole), values
            if "data" in brought(values["type"]):  # else photos would be read, or none are here
                there = command_line(path)
                assert there == reason or "are not drawn" in reason, values
            if reason:
                assert (queued.status_code, queued.json["error"]["message"]) == (422, reason), values
            else:
                number = queued.json["jobs"][0]["id"]
                assert browser.get(f"/api/v1/jobs/{number}").json["conf"] == whole
                browser.client.delete(f"/api/v1/jobs/{number}", headers=headers)
        found.update(
            [("key", key), ("fault", fault), "refused" if refused else "reason" if reason else "queued"]
        )
    assert {("key", one.name) for one in all_keys()} | {("fault", fault) for fault in FAULTS} <= set(found)
    assert min(found["refused"], found["queued"], found["reason"]) > CONFS / 10, found


@pytest.mark.skipif(not (FOLDER / "node_modules").exists(), reason="front end not installed (make install)")
def test_the_form_says_again_every_conf_that_it_is_filled_with(browse, tmp_path):
    told = browse().get("/api/v1/confs").json
    confs = [conf.as_json() for conf in map(_conf, many(2 * CONFS)) if conf] + list(told["confs"].values())
    assert len(confs) > CONFS / 2 and {conf["type"] for conf in confs} == set(told["tasks"])
    file = tmp_path / "drawn.json"
    file.write_text(json.dumps({"told": told, "confs": confs}))
    there = {**environment(), "SKYFED_DRAWN": str(file)}
    command = [shutil.which("npx", path=there["PATH"]), "vitest", "run", "tests/composing.test.ts"]
    done = subprocess.run(command, cwd=FOLDER, env=there, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    composed = json.loads((tmp_path / "drawn.json.composed").read_text())
    for conf, again in zip(confs, composed, strict=True):
        assert make_conf(again, "composed") == make_conf(conf, "drawn"), again
        assert len(again) <= len(conf)


def _conf(drawn):
    try:
        return make_conf(drawn[0], "x")
    except ConfError:
        return None
