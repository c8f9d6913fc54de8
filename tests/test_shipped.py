"""The shipped results are what they say: whole, on the committed photos, with models that match."""

import csv
import hashlib

import numpy as np
import pytest
import safetensors.numpy
import torch

from tests.conftest import ROOT
from utils.comparison import answers, estimated
from utils.conf import load_conf, make_conf
from utils.data.split import deck_of, fold_of, split_of
from utils.model_card import model_card
from utils.nets.stored import load_model
from utils.partition.schemes import partition
from utils.results import read_result, result_path, values
from utils.studies import first, left_out
from utils.studies.weather.shipped import FOLDS, PHOTOS, SEEDS

CACHE = ROOT / "cache"
CONFS = {path.stem: load_conf(path) for path in sorted((ROOT / "utils").glob("conf_*.json"))}
OF_PHOTOS = [name for name, conf in CONFS.items() if conf.task.name == "weather"]
BROUGHT = [name for name, conf in CONFS.items() if hasattr(conf.task.module, "DATA")]
OF_HOSPITALS = [name for name, conf in CONFS.items() if conf.task.name == "heart"]
OF_SPEAKERS = [name for name, conf in CONFS.items() if conf.task.name == "dialogue"]
SERVED = ("conf_f10", "conf_centralized_all", "conf_centralized1_3", "conf_alone", "conf_f10_full")


def _listed():
    with PHOTOS.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _as_told(conf, result):
    """The conf as JSON, of the keys that there were when the result was made."""
    return {key: value for key, value in conf.as_json().items() if key in result["conf"]}


@pytest.fixture(scope="module")
def kept():
    return [row for row in _listed() if not row["duplicate_of"]]


@pytest.mark.parametrize("name", BROUGHT)
def test_every_shipped_conf_of_what_a_package_brings_has_its_result_and_model(name, tmp_path):
    result, conf, net = load_model(CACHE, name)
    assert conf == CONFS[name] and _as_told(conf, result) == result["conf"]
    examples = conf.task.module.open_examples(conf, tmp_path)
    assert result["data"]["fingerprint"] == examples.fingerprint
    assert len(result["repeats"]) == FOLDS * SEEDS * conf.rotations
    for repeat in result["repeats"]:
        test = examples.split(repeat["fold"], "test")
        assert repeat["test"]["id"] == [examples.ids[index] for index in test]
        assert repeat["test"]["truth"] == examples.targets[test].tolist()
        figure, found = _scored(result, np.array(repeat["test"]["truth"]), np.array(repeat["test"]["said"]))
        assert values(repeat, figure)[-1] == pytest.approx(found)
    card = (CACHE / f"{name}.json.md").read_text()
    assert card == model_card(result) and "doi 10." in card
    test = examples.split(0, "test")
    with torch.inference_mode():
        outputs = net(torch.from_numpy(np.array(examples.inputs[test]))).numpy()
    said = outputs.argmax(1) if result["classes"] else outputs[:, 0]
    figure, found = _scored(result, examples.targets[test], said)
    assert found == pytest.approx(result["model"]["test"][figure], abs=0.004)


def _scored(result, truth, said):
    """The figure that runs like this are compared by."""
    if result["classes"]:
        return "accuracy", np.mean(truth == said)
    return "rmse", np.sqrt(np.mean((truth - said) ** 2))


@pytest.mark.parametrize("name", OF_HOSPITALS)
def test_every_shipped_conf_of_the_hospitals_has_its_result_and_model(name):
    result, conf, _ = load_model(CACHE, name)
    assert conf == CONFS[name] and _as_told(conf, result) == result["conf"]
    assert len(result["repeats"]) == (1 if conf.train_on else FOLDS) * SEEDS * conf.rotations
    patients = {"cleveland": 303, "hungarian": 261, "switzerland": 46, "va": 130}
    assert {one["name"]: one["examples"] for one in result["data"]["sources"]} == patients
    for repeat in result["repeats"]:
        judged, right = repeat["test"], 0
        if conf.train_on:
            assert judged["source"] == [conf.judge_on[0]] * patients[conf.judge_on[0]]
            assert len(repeat["owners"]) == 3 and all(
                owner["sources"] == {source: owner["examples"]}
                for source, owner in zip(conf.train_on, repeat["owners"], strict=True)
            )
        right = np.mean(np.array(judged["truth"]) == judged["said"])
        assert values(repeat, "accuracy")[-1] == pytest.approx(right)
    card = (CACHE / f"{name}.json.md").read_text()
    assert card == model_card(result) and "Not a medical device" in card


@pytest.mark.parametrize("name", OF_SPEAKERS)
def test_every_shipped_conf_of_the_speakers_has_its_result_and_model(name):
    result, conf, _ = load_model(CACHE, name)
    assert conf == CONFS[name] and _as_told(conf, result) == result["conf"]
    assert len(result["repeats"]) == FOLDS * SEEDS * conf.rotations
    assert len(result["data"]["sources"]) == 64 and result_path(CACHE, name).stat().st_size < 4_000_000
    speakers = sorted(one["name"] for one in result["data"]["sources"])
    judged: dict[int, dict[str, int]] = {}
    for repeat in result["repeats"]:
        test = repeat["test"]
        judged.setdefault(repeat["seed"], {}).update(zip(test["id"], test["truth"], strict=True))
        assert all(fold_of(deck_of(scene)) == repeat["fold"] for scene in set(test["scene"]))
        right = np.mean(np.array(test["truth"]) == test["said"])
        assert values(repeat, "accuracy")[-1] == pytest.approx(right)
        if conf.partition == "source":
            assert [list(owner["sources"]) for owner in repeat["owners"]] == [[one] for one in speakers]
    assert len(judged) == SEEDS and judged[0] == judged[1] == judged[2] and len(judged[0]) == 8047
    first_of_all = read_result(result_path(CACHE, OF_SPEAKERS[0]))
    assert result["data"]["fingerprint"] == first_of_all["data"]["fingerprint"]
    card = (CACHE / f"{name}.json.md").read_text()
    assert card == model_card(result) and "public domain" in card


@pytest.mark.parametrize("name", OF_PHOTOS)
def test_every_shipped_conf_has_its_result(name, kept):
    result = read_result(result_path(CACHE, name))
    conf = load_conf(ROOT / "utils" / f"{name}.json")
    assert make_conf(result["conf"], name) == conf
    assert len(result["acc"]) == len(result["loss"]) == conf.global_epochs
    folds, seeds = {r["fold"] for r in result["repeats"]}, {r["seed"] for r in result["repeats"]}
    assert folds == ({0} if conf.train_on else set(range(FOLDS)))
    assert len(seeds) >= (1 if "_full" in name else SEEDS)
    assert len(result["repeats"]) == len(folds) * len(seeds) * conf.rotations
    assert result["acc"][-1] == pytest.approx(np.mean([values(r, "accuracy")[-1] for r in result["repeats"]]))
    by_hash = {row["sha256"]: row for row in kept}
    for repeat in result["repeats"]:
        expected = {
            row["sha256"]
            for row in kept
            if (row["source"] in conf.judge_on if conf.train_on else int(row["fold"]) == repeat["fold"])
        }
        assert set(repeat["test"]["id"]) == expected
        right = 0
        for photo, truth, said in zip(
            repeat["test"]["id"], repeat["test"]["truth"], repeat["test"]["said"], strict=True
        ):
            assert truth == (by_hash[photo]["label"] == "sunny")
            right += said == truth
        assert values(repeat, "accuracy")[-1] == pytest.approx(right / len(expected))


@pytest.mark.parametrize("name", SERVED)
def test_served_models_fit_their_figures(name):
    result = read_result(result_path(CACHE, name))
    raw = (CACHE / result["model"]["file"]).read_bytes()
    assert hashlib.sha256(raw).hexdigest() == result["model"]["sha256"]
    assert len(raw) == result["model"]["bytes"] <= 25_000_000
    tensors = safetensors.numpy.load(raw)
    assert {key: list(array.shape) for key, array in tensors.items()} == dict(result["layers"])
    assert all(array.dtype == np.float16 and np.isfinite(array).all() for array in tensors.values())
    assert (result["model"]["fold"], result["model"]["seed"], result["model"]["rotation"]) == (0, 0, 0)
    card = (CACHE / f"{name}.json.md").read_text()
    assert card == model_card(result, left_out(CACHE, name)) and "CC BY 4.0" in card
    assert "a source left out" in card


def test_centralized_training_on_all_photos_reaches_what_was_asked():
    result = read_result(result_path(CACHE, "conf_centralized_all"))
    assert np.mean([values(repeat, "balanced_accuracy")[-1] for repeat in result["repeats"]]) >= 0.88


def test_the_model_that_is_asked_first_is_the_best_federated_one_on_a_source_left_out():
    study = first()
    found = {}
    for run in study.runs:
        if run.left_out and load_conf(ROOT / "utils" / f"{run.run}.json").no_models > 1:
            found[run.run] = estimated(
                answers(left_out(CACHE, run.run)), "balanced_accuracy", resamples=10
            ).value
    assert study.by_role(study.models[0]).run == max(found, key=found.get), found


def test_photos_without_colour_are_not_among_them_and_doubtful_ones_taught_nothing(kept):
    result = read_result(result_path(CACHE, "conf_f10"))
    doubtful = first().doubtful_ids() & {row["sha256"] for row in kept}
    for repeat in result["repeats"]:
        train = [r for r in kept if split_of(int(r["deck"]), repeat["fold"]) == "train"]
        taught = sum(row["sha256"] not in doubtful for row in train)
        assert sum(client["examples"] for client in repeat["clients"]) == taught < len(train)


def test_folds_and_owners_are_those_of_the_committed_list(kept):
    assert [row["sha256"] for row in kept] == sorted(row["sha256"] for row in kept)
    labels = np.array([row["label"] == "sunny" for row in kept], dtype=np.int64)
    for row in _listed():
        assert int(row["deck"]) == deck_of(row["scene"]) and int(row["fold"]) == int(row["deck"]) // 2
    for column, name in (("owner", "f10"), ("owner_noniid", "f10_noniid")):
        conf = load_conf(ROOT / "utils" / f"conf_{name}.json")
        for fold in range(FOLDS):
            train = np.flatnonzero([split_of(int(row["deck"]), fold) == "train" for row in kept])
            for seed in range(SEEDS):
                letters = np.array([row[column][fold * SEEDS + seed] for row in kept])
                assert all(letters[i] == "-" for i in set(range(len(kept))) - set(train))
                for number, part in enumerate(partition(labels[train], conf, seed)):
                    assert set(letters[train[part]]) == {chr(ord("A") + number)}


def test_ambiguous_photos_are_in_the_list():
    names = {row["sha256"]: row["name"] for row in _listed()}
    with (ROOT / first().doubtful).open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            assert names[row["sha256"]] == row["name"] and row["source"] and row["reason"]
    assert 30 < len(first().doubtful_ids()) < 80
