"""What a conf may say, and the one line it gets when it says something else."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import i2main
from tests.conftest import ROOT, TINY
from utils.conf import ConfError, all_keys, load_conf, make_conf, owners_held
from utils.studies import first

ORIGINAL_KEYS = (
    "model_name", "no_models", "type", "global_epochs", "local_epochs", "k", "batch_size", "lr", "momentum", "lambda",
)  # fmt: skip

BROKEN = {
    "unknown key": ({"learning_rate": 0.1}, "learning_rate"),
    "unknown model": ({"model_name": "vgg16"}, "model_name"),
    "model is a number": ({"model_name": 18}, "model_name"),
    "other type": ({"type": "cats"}, "type"),
    "no clients": ({"no_models": 0}, "no_models"),
    "half a client": ({"no_models": 2.5}, "no_models"),
    "clients as text": ({"no_models": "3"}, "no_models"),
    "clients true": ({"no_models": True}, "no_models"),
    "k above clients": ({"k": 4}, "k"),
    "k null": ({"k": None}, "k"),
    "no rounds": ({"global_epochs": 0}, "global_epochs"),
    "negative epochs": ({"local_epochs": -1}, "local_epochs"),
    "no batch": ({"batch_size": 0}, "batch_size"),
    "lr zero": ({"lr": 0}, "lr"),
    "lr negative": ({"lr": -0.1}, "lr"),
    "lr NaN": ({"lr": float("nan")}, "lr"),
    "lr infinite": ({"lr": float("inf")}, "lr"),
    "lr beyond floats": ({"lr": 10**400}, "lr"),
    "momentum one": ({"momentum": 1.0}, "momentum"),
    "lambda zero": ({"lambda": 0}, "lambda"),
    "lambda list": ({"lambda": [1]}, "lambda"),
    "data climbs": ({"data": "../mwd"}, "data"),
    "unknown partition": ({"partition": "iid"}, "partition"),
    "alpha zero": ({"alpha": 0}, "alpha"),
    "image too small": ({"image_size": 8}, "image_size"),
    "crop of nothing": ({"min_crop": 0}, "min_crop"),
    "unknown judging": ({"judging": "ten_crop"}, "judging"),
    "width not a multiple": ({"width": 18}, "width"),
    "unknown norm": ({"norm": "layer"}, "norm"),
    "pretrained text": ({"pretrained": "yes"}, "pretrained"),
    "pretrained narrow": ({"pretrained": True}, "pretrained"),
    "holds a number": ({"holds": 3}, "holds"),
    "holds an empty list": ({"holds": [[0], [], [1]]}, "holds"),
    "holds too few": ({"holds": [[0]]}, "holds"),
    "holds an unknown owner": ({"holds": [[0], [1], [9]]}, "holds"),
    "holds an owner twice": ({"holds": [[0], [1], [1]]}, "holds"),
    "fewer owners than clients": ({"owners": 2}, "owners"),
    "min_clients above k": ({"min_clients": 4}, "min_clients"),
    "rotations that repeat": ({"rotations": 2}, "rotations"),
    "a resnext too narrow": ({"model_name": "resnext50_32x4d", "width": 12}, "width"),
    "warm-up to the end": ({"warmup": 3}, "warmup"),
    "seed beyond range": ({"seed": 2**40}, "seed"),
}
BROKEN_FILES = {
    "not JSON": b"model_name = resnet18",
    "binary": bytes(range(256)),
    "empty": b"",
    "a list": b"[]",
    "a text": b'"conf"',
    "null": b"null",
    "key twice": b'{"lr": 1, "lr": 2}',
    "nested deep": b"[" * 100_000,
    "holds nested deep": b'{"model_name": "resnet18", "no_models": 1, "type": "weather", "global_epochs": 1,'
    b' "local_epochs": 1, "k": 1, "batch_size": 1, "lr": 1, "momentum": 0, "holds": [['
    + b"[" * 969
    + b"]" * 971
    + b"}",
    "long number": b'{"lr": ' + b"9" * 10_000 + b"}",
    "too large": b" " * 2_000_000,
}


@pytest.fixture
def refusal(tmp_path, capsys):
    """Gives a conf to the command line, which must refuse it with status 2; the one line it says after the path."""

    def refuse(path):
        status = i2main.main(["-c", str(path), "--data", str(tmp_path), "--out", str(tmp_path / "out")])
        said, line = capsys.readouterr()
        assert (status, said, line.count("\n")) == (2, "", 1)
        assert line.startswith(f"{path}: ") and len(line) < 400 + len(str(path))
        assert not (tmp_path / "out").exists()
        return line.removeprefix(f"{path}: ")

    return refuse


@pytest.mark.parametrize(("changes", "key"), BROKEN.values(), ids=BROKEN)
def test_a_broken_value_gets_one_line_naming_key_and_file(tmp_path, refusal, changes, key):
    path = tmp_path / "conf_broken.json"
    path.write_text(json.dumps({**TINY, **changes}))
    assert re.search(rf"\b{key}\b", refusal(path))


@pytest.mark.parametrize("missing", ORIGINAL_KEYS[:-1])
def test_an_original_key_that_is_missing_is_named(tmp_path, refusal, missing):
    path = tmp_path / "conf_broken.json"
    path.write_text(json.dumps({key: value for key, value in TINY.items() if key != missing}))
    assert f"key {missing} is missing" in refusal(path)


@pytest.mark.parametrize("raw", BROKEN_FILES.values(), ids=BROKEN_FILES)
def test_a_broken_file_gets_one_line(tmp_path, refusal, raw):
    path = tmp_path / "conf_broken.json"
    path.write_bytes(raw)
    assert refusal(path)


def test_no_file_or_a_bad_name_gets_one_line(tmp_path, refusal, conf_file):
    (tmp_path / "conf_folder.json").mkdir()
    refused = [tmp_path / "conf_missing.json", tmp_path / "conf_folder.json"]
    refused += [conf_file(name) for name in ("conf_x@2", "conf x", ".hidden", "conf_\u2600", "a" * 100)]
    for path in refused:
        assert refusal(path)


def test_the_process_ends_with_one_line_and_status_2(tmp_path, script):
    path = tmp_path / "conf_broken.json"
    path.write_text(json.dumps({**TINY, "lr": "fast"}))
    for given_path in (path, tmp_path / "missing.json", tmp_path):
        done = script("i2main.py", "-c", given_path, "--out", tmp_path / "out")
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1 and str(given_path) in done.stderr
        assert not (tmp_path / "out").exists()


def test_the_ten_original_keys_alone_are_a_valid_conf():
    conf = make_conf({key: TINY[key] for key in ORIGINAL_KEYS}, "x")
    assert conf.pool == 3 and conf.held() == ((0,), (1,), (2,))
    assert make_conf({**TINY, "type": "whether_datasets"}, "x").type == "weather"


def test_rotations_turn_the_owners_by_as_many_as_are_held(tiny):
    alone = tiny(no_models=1, k=1, owners=10, holds=[[0]], rotations=10)
    assert [alone.held(r) for r in range(10)] == [((r,),) for r in range(10)]
    centre = tiny(no_models=1, k=1, owners=10, holds=[[0, 1, 2]], rotations=3)
    assert [centre.held(r)[0] for r in range(4)] == [(0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 0, 1)]


def test_a_conf_survives_json(tiny):
    conf = tiny(holds=[[2], [0], [1]], alpha=0.25)
    assert make_conf(json.loads(json.dumps(conf.as_json())), "x") == conf


@given(
    st.dictionaries(
        st.sampled_from([one.name for one in all_keys()]),
        st.one_of(
            st.integers(-5, 200),
            st.floats(),
            st.text(max_size=5),
            st.none(),
            st.booleans(),
            st.lists(st.integers()),
        ),
        max_size=4,
    )
)
def test_whatever_stands_in_a_conf_it_is_valid_or_refused_in_one_line(changes):
    try:
        conf = make_conf({**TINY, **changes}, "x.json")
    except ConfError as error:
        assert "\n" not in str(error) and str(error).startswith("x.json: ")
    else:
        assert make_conf(conf.as_json(), "y") == conf


def test_every_shipped_conf_is_valid_and_the_originals_are_what_they_were():
    every = {
        path.stem.removeprefix("conf_"): load_conf(path) for path in (ROOT / "utils").glob("conf_*.json")
    }
    confs = {name: conf for name, conf in every.items() if conf.task.name == "weather"}
    assert len(confs) == 17 and len(every) == 47
    for name, passes in (("centralized1_1", 1), ("centralized1_2", 2), ("centralized1_3", 4)):
        assert (confs[name].no_models, confs[name].local_epochs, len(confs[name].held()[0])) == (1, passes, 3)
    for name, clients in (("f5", 5), ("f10", 10)):
        assert confs[name].no_models == confs[name].k == clients
    assert {conf.global_epochs for conf in confs.values()} == {20}
    assert {conf.pool for conf in confs.values()} == {10}
    assert all(conf.network.keys.width == (64 if "full" in name else 16) for name, conf in confs.items())


def test_what_is_judged_elsewhere_is_the_same_recipe_but_for_its_sources():
    for run in first().elsewhere:
        there, here = (load_conf(ROOT / "utils" / f"{name}.json") for name in (run.run, run.of))
        assert there.train_on and replace(there, train_on=(), judge_on=()) == here


def test_clients_are_called_by_the_owners_they_hold():
    conf = make_conf(
        TINY | {"no_models": 2, "k": 2, "owners": 30, "holds": [[0, 29], [1, 2, 3, 4, 5]]}, "conf"
    )
    assert owners_held(conf) == ["A, 29", "B, C, D, E, ..."]
