"""What a training reports to programs that watch it: where it stands, its clients, a log with each round once."""

import json
import shutil

import pytest

from utils.engines.workers import Workers
from utils.federated.update import Failure
from utils.report import LOG, STATUS, Report, write_log
from utils.runs import carry_out, prepare


def _train(conf, photos, cache, folder, engine, until=99, resume=False):
    run = prepare("conf_t", conf, photos, folds=1, seeds=1, cache=cache, resume=resume)
    report = Report(folder, [run])

    def hook(run, repeat, state):
        report(run, repeat, state)
        if state.round == until:
            raise KeyboardInterrupt

    try:
        carry_out([run], engine, 1, hook, report.watched)
    finally:
        report.close()


def _log(folder):
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


def test_a_resumed_training_reports_every_round_once(tiny, photos, tmp_path):
    conf, cache, folder = tiny(global_epochs=3), tmp_path / "cache", tmp_path / "report"
    with Workers(1) as engine, pytest.raises(KeyboardInterrupt):
        _train(conf, photos, cache, folder, engine, until=1)
    with Workers(1) as engine:
        _train(conf, photos, cache, folder, engine, resume=True)
    texts = [line["text"].removeprefix("conf_t fold0-seed0-rotation0 ") for line in _log(folder)]
    expected = ["conf_t", "round 1 of 3", "conf_t", "goes on after round 1", "round 2 of 3", "round 3 of 3"]
    told = [text.removeprefix("conf_t fold0-seed0-rotation0: ").partition(":")[0] for text in texts]
    assert told == expected
    status = json.loads((folder / STATUS).read_text())
    assert status["examples"] == status["examples_done"] > 0 and status["examples_per_second"] > 0
    assert status["repeats"]["conf_t fold0-seed0-rotation0"] == {
        "round": 3, "rounds": 3, "done": True, "clients": {}
    }  # fmt: skip


class _Scripted:
    """An engine of two workers whose second client fails; keeps what the status says while each is at work."""

    def __init__(self, engine, folder):
        self.engine, self.folder, self.seen = engine, folder, []

    def train(self, work, jobs, buffers):
        for job, outcome in zip(jobs, [None, "out of memory", None], strict=True):
            self.seen.append(json.loads((self.folder / STATUS).read_text())["repeats"])
            yield Failure(job.client, outcome) if outcome else next(self.engine.train(work, [job], buffers))

    def judge(self, work, jobs, buffers):
        return self.engine.judge(work, jobs, buffers)

    def ask(self, work, questions, buffers):
        return self.engine.ask(work, questions, buffers)

    def close(self):
        self.engine.close()


def test_clients_wait_train_and_end_and_a_failure_is_a_warning(tiny, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("utils.report._WRITE_EVERY_SECONDS", 0)
    folder = tmp_path / "report"
    with Workers(1) as engine:
        scripted = _Scripted(engine, folder)
        _train(tiny(global_epochs=1), photos, tmp_path / "cache", folder, scripted)
    states = [
        [seen["conf_t fold0-seed0-rotation0"]["clients"][str(n)]["state"] for n in range(3)]
        for seen in scripted.seen
    ]
    assert [seen["conf_t fold0-seed0-rotation0"]["clients"]["1"]["owners"] for seen in scripted.seen] == [
        "B"
    ] * 3
    assert states == [
        ["training", "waiting", "waiting"], ["done", "training", "waiting"], ["done", "failed", "training"]
    ]  # fmt: skip
    [warning] = [line["text"] for line in _log(folder) if line["level"] == "warning"]
    assert warning.endswith("round 1: owner B: out of memory")


def test_a_report_that_cannot_be_written_does_not_end_the_work(tiny, photos, tmp_path):
    folder = tmp_path / "report"
    run = prepare("conf_t", tiny(), photos, folds=1, seeds=1, cache=tmp_path / "cache")
    report = Report(folder, [run])
    shutil.rmtree(folder)
    folder.write_text("no folder any more")
    with Workers(1) as engine:
        outcome = carry_out([run], engine, 1, report, report.watched)
    assert outcome["conf_t"]["acc"]


def test_lines_of_the_log_are_never_mixed_up(tmp_path):
    write_log(tmp_path, "info", "one\ntwo")
    write_log(tmp_path, "error", "three")
    assert [(line["level"], line["text"]) for line in _log(tmp_path)] == [
        ("info", "one\ntwo"),
        ("error", "three"),
    ]
