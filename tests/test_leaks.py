"""What updates and models give away: attacks that must succeed where nothing protects, and figures known by hand."""

from __future__ import annotations

import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from tests.asked import both, tiny_question, value
from tests.conftest import ROOT
from tests.here import Here
from utils.conf import load_conf, make_conf
from utils.federated.bench import Repeat
from utils.leaks import CAVEAT, LeaksError
from utils.leaks.__main__ import main
from utils.leaks.inversion import Attacker, exact_input, matched
from utils.leaks.measure import SMALL_NETWORK, figures_of, invert, protections, report_of
from utils.leaks.membership import told_apart
from utils.leaks.report import leaks_path, pictures_of, read_leaks, write_leaks
from utils.leaks.sent import FirstRound, attacked
from utils.results import ResultError
from utils.runs import carry_out
from utils.studies.evidence import evidence
from utils.studies.measured import read_study, study_path
from utils.studies.questions import QuestionError
from utils.studies.training import prepare_study

FIRST = Repeat(0, 0, 0)
ONE = {"batch_size": 1, "local_epochs": 1}
DIGITS = {
    "type": "digits", "no_models": 3, "k": 3, "global_epochs": 1, "local_epochs": 2, "batch_size": 16, "lr": 0.1,
    "momentum": 0.9, "network": SMALL_NETWORK,
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def _opened(conf, folder):
    return conf.task.module.open_examples(conf, folder)


def _digits(**changes):
    return attacked(make_conf(DIGITS, "x"), {**ONE, **changes})


def _psnr(found):
    return float(np.mean(found.psnr))


def test_a_dense_layer_with_a_bias_gives_its_input_away():
    torch.manual_seed(0)
    layer, seen = nn.Linear(12_288, 2), torch.rand(1, 12_288)
    nn.functional.cross_entropy(layer(seen), torch.tensor([1])).backward()
    found = exact_input(layer.weight.grad, layer.bias.grad)
    assert (found - seen).abs().max() < 1e-6
    assert exact_input(torch.zeros(2, 3), torch.zeros(2)) is None


@pytest.mark.parametrize("task", ["breast_cancer", "diabetes"])
def test_a_row_of_a_table_is_read_off_the_update_of_one_example(tmp_path, task):
    conf = load_conf(ROOT / "utils" / f"conf_{task}_f10.json")
    examples = _opened(conf, tmp_path)
    found = invert(attacked(conf, ONE), FIRST, examples, seconds=0.5)
    assert found.exact == found.updates and max(found.error) < 1e-3 < 0.5 < found.guess
    assert found.label_told == (1.0 if task == "breast_cancer" else None) and found.original is None
    several = invert(attacked(conf, {**ONE, "batch_size": 4}), FIRST, examples, seconds=0.5)
    assert min(several.error) > 0.1 and several.exact == 0


def test_the_attacker_trains_as_the_client_did(tmp_path):
    """The truth explains the update whatever the conf: momentum, weight decay, several passes, several examples."""
    for changes in ({}, {"batch_size": 3}, {"local_epochs": 3, "weight_decay": 0.01}, {"network": "mlp"}):
        conf = _digits(**changes)
        first = FirstRound(conf, FIRST, _opened(conf, tmp_path))
        attacker = Attacker(first.sent(first.mine[: conf.batch_size]))
        assert float(attacker.distance(attacker.truth).detach()) < 1e-5, changes
        other = Attacker(first.sent(first.mine[10 : 10 + conf.batch_size]))
        assert float(attacker.distance(other.truth)) > 0.01, changes


def test_a_picture_is_found_again_and_the_better_the_more_of_the_update_comes(tmp_path):
    plain = _digits()
    examples = _opened(plain, tmp_path)
    found = invert(plain, FIRST, examples, seconds=0.6, most=1)
    sparse = invert(_digits(link=[{"name": "topk", "share": 0.01}]), FIRST, examples, seconds=0.6, most=1)
    assert _psnr(found) > 25 > found.guess
    assert _psnr(found) > _psnr(sparse) + 6
    assert found.label_told == 1.0
    assert found.original.shape == found.found.shape == (1, 1, 8, 8)
    signs = invert(_digits(link=["signsgd"]), FIRST, examples, seconds=0.3, most=1)
    assert _psnr(signs) < _psnr(found)


def test_a_picture_is_found_in_the_colours_it_had(tiny, photos):
    """What the network is given, opponent colours, is turned back; and training shows no other view of it."""
    conf = attacked(tiny(colours="opponent"), ONE)
    first = FirstRound(conf, FIRST, photos)
    sent = first.sent(first.mine[:1])
    attacker = Attacker(sent)
    wanted = conf.task.module.pictures(photos.inputs[first.mine[:1]], conf)
    assert torch.allclose(attacker.truth, wanted, atol=1e-5)
    assert torch.allclose(attacker.terms.given(wanted), sent.inputs, atol=1e-5)
    assert float(attacker.distance(attacker.truth).detach()) < 1e-4


def test_the_same_seed_finds_the_same(tmp_path):
    conf = _digits()
    examples = _opened(conf, tmp_path)
    torch.manual_seed(5)
    once, again = (invert(conf, FIRST, examples, seconds=0.15, most=1) for _ in range(2))
    assert once.psnr == again.psnr and np.array_equal(once.found, again.found)
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.rand(1) == after  # torch's own generator is left alone
    other = invert(conf, FIRST, examples, seconds=0.15, seed=1, most=1)
    assert other.psnr != once.psnr


def test_nothing_is_attacked_where_nothing_can_be(tmp_path):
    conf = _digits(batch_size=4000)
    with pytest.raises(LeaksError, match="no client has 4000 examples"):
        invert(conf, FIRST, _opened(conf, tmp_path), seconds=0.1)


def test_a_batch_is_matched_to_what_is_nearest():
    truth = np.arange(12, dtype=np.float32).reshape(4, 3)
    assert np.array_equal(matched(truth[[2, 0, 3, 1]] + 0.1, truth), truth + np.float32(0.1))


def _apart(members, others, scenes=None):
    names = scenes or ([f"m{n}" for n in range(len(members))], [f"o{n}" for n in range(len(others))])
    return told_apart(np.array(members), np.array(others), *names, np.random.default_rng(0))


def test_who_was_trained_on_is_told_as_counted_by_hand():
    told = _apart([0.1, 0.2, 0.9], [0.5, 0.6, 0.2, 1.0])
    assert told.auc.value == pytest.approx((4 + 3.5 + 1) / 12)  # pairs, an equal one counts half
    assert told.tpr.value == pytest.approx(1 / 3)  # below every other's
    assert (told.members, told.others) == (3, 4)
    many = _apart([0.0] * 30 + [0.5] * 70, [0.25] + [1.0] * 99)
    assert many.tpr.value == 1.0  # one in a hundred may be wrong
    fewer = _apart([0.0] * 30 + [0.5] * 70, [0.25, 0.3] + [1.0] * 98)
    assert fewer.tpr.value == pytest.approx(0.3)


def test_a_model_that_memorised_tells_all_and_a_constant_one_nothing():
    rng = np.random.default_rng(0)
    assert _apart(0.01 * rng.random(50), 1 + rng.random(60)).auc.value == 1.0
    same = _apart([0.7] * 50, [0.7] * 60)
    assert (same.auc.value, same.auc.low, same.auc.high, same.tpr.value) == (0.5, 0.5, 0.5, 0.0)


def test_the_interval_is_of_scenes_not_of_examples():
    rng = np.random.default_rng(1)
    members, others = rng.normal(0, 1, 20), rng.normal(0.3, 1, 20)
    alone = _apart(np.repeat(members, 10), np.repeat(others, 10))
    scenes = [list(np.repeat([f"{which}{n}" for n in range(20)], 10)) for which in "mo"]
    together = _apart(np.repeat(members, 10), np.repeat(others, 10), scenes)
    once = _apart(members, others)
    assert together.auc.value == alone.auc.value == once.auc.value
    width = [one.auc.high - one.auc.low for one in (alone, together, once)]
    assert width[0] < 0.6 * width[1] and width[1] == pytest.approx(width[2], rel=0.15)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report on digits, quickly made."""
    conf = make_conf(DIGITS, "x")
    return report_of("conf_x", conf, _opened(conf, tmp_path_factory.mktemp("data")), None, seconds=1.0)


def test_a_report_comes_back_as_it_was_written(tmp_path, report):
    path = leaks_path(tmp_path, "conf_x")
    write_leaks(path, report)
    found = read_leaks(path)
    assert found == json.loads(json.dumps(report)) and found["caveat"] == CAVEAT[0]
    assert [row["network"] for row in found["rows"]] == sorted(
        (row["network"] for row in found["rows"]), key=["own", "small"].index
    )
    original, rebuilt = pictures_of(found["rows"][0])
    assert original.shape == rebuilt.shape == (1, 1, 8, 8) and original.max() > 100


def test_a_broken_report_is_refused_with_one_line(tmp_path, report):
    path = leaks_path(tmp_path, "conf_x")
    with pytest.raises(ResultError, match="cannot be read"):
        read_leaks(path)
    path.parent.mkdir()
    plain = json.loads(json.dumps(report))
    for place, wrong, told in (
        (("kind",), "study", "kind: expected leaks"),
        (("rows",), [], "rows: expected a list"),
        (("rows", 0, "psnr"), ["x"], "psnr: expected a list of numbers"),
        (("rows", 0, "psnr"), [], "psnr: expected PSNR, or error"),
        (("rows", 0, "pictures", "shape"), [1, 1, 8, 9], "pictures.original: expected 72 bytes"),
        (("rows", 0, "pictures", "found"), "!", "not base64"),
        (("rows", 0, "iterations"), -1, "iterations: expected a whole number"),
        (("membership",), {"members": 1}, "membership.others: expected a whole number"),
        (("run",), "../x", "run: expected NAME"),
    ):
        broken = json.loads(json.dumps(plain))
        inner = broken
        for step in place[:-1]:
            inner = inner[step]
        inner[place[-1]] = wrong
        path.write_bytes(pickle.dumps(broken, protocol=4))
        with pytest.raises(ResultError, match=told) as refused:
            read_leaks(path)
        assert "\n" not in str(refused.value) and str(path) in str(refused.value)
    path.write_bytes(b"\0")
    with pytest.raises(ResultError, match="not a readable pickle"):
        read_leaks(path)


def test_pictures_are_kept_only_of_what_may_be_shown(tmp_path):
    conf = _digits()
    examples = _opened(conf, tmp_path)
    assert invert(conf, FIRST, examples, seconds=0.1, most=1).found is not None
    object.__setattr__(examples, "licences", {"scikit-learn": ""})
    private = invert(conf, FIRST, examples, seconds=0.1, most=1)
    assert private.found is private.original is None and private.psnr


def test_every_protection_is_a_conf(tmp_path):
    conf = make_conf(DIGITS | {"link": [{"name": "topk", "share": 0.5}]}, "x")
    found = protections(conf)
    for one in found:
        attacked(conf, {**ONE, **one.changes})
    assert [one.name for one in found][0] == "none" and found[-1].changes == {
        "link": [part.as_json() for part in conf.link]
    }


def test_a_repeat_has_figures_for_a_study(tmp_path):
    conf = make_conf(DIGITS | {"batch_size": 2, "local_epochs": 1}, "x")
    examples = _opened(conf, tmp_path)
    weights = FirstRound(conf, FIRST, examples).weights
    found = figures_of(conf, FIRST, examples, weights, seconds=0.2)
    assert set(found) == {"inversion_psnr", "membership_auc", "membership_tpr"}
    assert 0.4 < found["membership_auc"] < 0.6  # of a model that has learnt nothing


def test_the_command_writes_a_report_on_a_run_with_the_caveat(tmp_path, capsys):
    for path in (ROOT / "cache").glob("conf_breast_cancer_f10.json.*"):
        shutil.copy(path, tmp_path)
    asked = ["conf_breast_cancer_f10", "--seconds", "1", "--cache", str(tmp_path), "--data", str(tmp_path)]
    assert main(asked) == 0
    told = capsys.readouterr().out
    assert CAVEAT[0] in told and "AUC" in told and "standard deviations" in told
    found = read_leaks(leaks_path(tmp_path, "conf_breast_cancer_f10"))
    assert 0.4 < found["membership"]["auc"]["value"] < 0.6 and found["rows"][0]["pictures"] is None
    assert all(row["network"] == "own" for row in found["rows"])


def test_what_cannot_be_asked_is_refused_with_one_line(tmp_path, capsys):
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "conf_y.json.pkl").write_bytes(b"\0")
    for asked, said in (
        (["conf_none"], "cannot be read"),
        (["../conf"], "not the name of a result"),
        (["conf_y"], "not a readable pickle"),
        ([str(tmp_path / "broken.json")], "not valid JSON"),
        ([str(tmp_path / "none.json")], "cannot be read"),
    ):
        assert main([*asked, "--cache", str(tmp_path), "--data", str(tmp_path)]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert said in line
    for path in (ROOT / "cache").glob("conf_f10.json.*"):
        shutil.copy(path, tmp_path)
    assert main(["conf_f10", "--cache", str(tmp_path), "--data", str(tmp_path)]) == 2
    assert "no such file" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["conf_f10", "--seconds", "0"])
    assert ended.value.code == 2


def test_a_study_measures_what_its_cells_give_away(tmp_path):
    few = {key: DIGITS[key] for key in DIGITS if key not in ("batch_size", "local_epochs")} | ONE
    sparse = [value("all", link=[]), value("few", link=[{"name": "topk", "share": 0.01}])]
    question = tiny_question(
        tmp_path, conf=few, axes=[{"name": "link", "label": both("Link"), "values": sparse}],
        against=[{"link": "all"}], leaks={"seconds": 0.3},
        figures=[{"name": name, "label": both(name)} for name in ("accuracy", "inversion_psnr", "membership_auc")],
    )  # fmt: skip
    work = prepare_study(question, "tiny", lambda conf: _opened(conf, tmp_path), seeds=2, cache=tmp_path)
    outcome = carry_out(work.runs, Here(), 1, lambda run, repeat, state: None)
    result = work.finish(outcome)
    told = evidence(question, read_study(study_path(tmp_path, "tiny"))).found
    assert told["all"].figures["inversion_psnr"].mean > told["few"].figures["inversion_psnr"].mean + 3
    assert 0.3 < told["all"].figures["membership_auc"].mean < 0.7 and told["all"].estimate is not None
    assert (
        result.series["inversion_psnr"] == ("dB", "lower")
        and told["all"].figures["inversion_psnr"].seeds == 2
    )
    for wrong in ({"seconds": -1}, {"seconds": True}, {}, 5):
        with pytest.raises(QuestionError, match=r"leaks"):
            tiny_question(tmp_path, leaks=wrong)
