"""What lies in cache/ is read without building anything but plain values, and written whole or not at all."""

import builtins
import json
import os
import pickle
import re
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import ROOT
from utils.results import (
    MAX_RESULT_BYTES,
    UNITS,
    ResultError,
    parse_plain_pickle,
    read_result,
    result_names,
    result_path,
    values,
    write_result,
)

OF_NUMBERS = ("rmse", "mae", "r2", "validation_rmse")
MODEL = {"file": "conf_x.json.safetensors", "bytes": 9, "sha256": "0" * 64}


def series(**values):
    """The series of a repeat of two rounds, with some of them changed."""
    lists = {name: [0.5, 0.75] for name in UNITS if name not in OF_NUMBERS} | values
    return [
        {
            "name": name,
            "unit": UNITS.get(name, ("", ""))[0],
            "better": UNITS.get(name, ("", "none"))[1],
            "values": one,
        }
        for name, one in lists.items()
    ]


def make_result(**changes):
    """A result as small as the schema allows: two rounds, one repeat, two test photos."""

    def counted():
        return {"examples": 4, "counts": [2, 2], "sources": {"mwd": 4}}

    client = {**counted(), "owners": ["A"], "rounds": 2, "seconds": 1.0, "failures": 0, "accuracy": 1.0}
    repeat = {
        "fold": 0, "seed": 0, "rotation": 0, "series": series(), "failures": [], "clients": [client],
        "owners": [counted()], "degree": {"jensen_shannon": 0.0, "hellinger": 0.0, "gini": 0.0},
        "confusion": [[1, 0], [0, 1]],
        "test": {
            "id": ["aa", "bb"], "scene": ["aa", "bb"], "source": ["mwd", "mwd"], "truth": [0, 1], "said": [0, 1],
            "probability": [0.9, 0.9], "probability_of_truth": [0.9, 0.9],
        },
    }  # fmt: skip
    return {
        "format": 2, "name": "conf_x", "classes": ["cloudy", "sunny"], "acc": [0.5, 0.75], "loss": [0.6, 0.5],
        "repeats": [repeat], "conf": {"no_models": 1, "k": 1, "global_epochs": 2}, "versions": {},
        "data": {"set": "mwd", "fingerprint": "f", "folds": 1, "seeds": 1}, "layers": [["fc.bias", [2]]],
        "degree": {"jensen_shannon": 0.0, "hellinger": 0.0, "gini": 0.0}, **changes,
    }  # fmt: skip


def make_format_1(**changes):
    """The same as format 1 had it."""
    lists = {
        key: [0.5, 0.75]
        for key in (
            "acc", "loss", "balanced_acc", "val_acc", "val_loss", "seconds", "train_seconds", "bytes_up",
            "bytes_down", "steps", "photos_seen",
        )
    }  # fmt: skip
    client = {
        "photos": 4,
        "cloudy": 2,
        "sunny": 2,
        "owners": ["A"],
        "rounds": 2,
        "seconds": 1.0,
        "failures": 0,
        "accuracy": 1.0,
    }
    repeat = {
        "fold": 0, "seed": 0, "rotation": 0, **lists, "train_loss": [0.5, 0.4], "failures": [],
        "clients": [client], "owners": [{"photos": 4, "cloudy": 2, "sunny": 2}],
        "degree": {"jensen_shannon": 0.0, "hellinger": 0.0, "gini": 0.0}, "confusion": [[1, 0], [0, 1]],
        "test": {"hash": ["aa", "bb"], "label": [0, 1], "probability": [0.1, 0.9], "probability_grey": [0.1, 0.8]},
    }  # fmt: skip
    return {
        "format": 1, "name": "conf_x", "acc": [0.5, 0.75], "loss": [0.6, 0.5], "repeats": [repeat],
        "conf": {"no_models": 1, "k": 1, "global_epochs": 2}, "versions": {},
        "data": {"set": "mwd", "fingerprint": "f", "folds": 1, "seeds": 1}, "layers": [["fc.bias", [2]]],
        "degree": {"jensen_shannon": 0.0, "hellinger": 0.0, "gini": 0.0}, **changes,
    }  # fmt: skip


def _for_classes(classes):
    """A repeat of so many classes, with 4,000 scenes."""
    repeat, ids = make_result()["repeats"][0], [f"p{n}" for n in range(4000)]
    test = {
        "id": ids, "scene": list(ids), "source": ["s"] * 4000, "truth": [0] * 4000, "said": [0] * 4000,
        "probability": [0.5] * 4000, "probability_of_truth": [0.5] * 4000,
    }  # fmt: skip
    return {**repeat, "test": test}


def _changed(path, value, result=None):
    """A small result with the entry at `path` replaced."""
    result = result or make_result()
    *way, last = path
    place = result
    for step in way:
        place = place[step]
    place[last] = value
    return result


class _Code:
    def __reduce__(self):
        return (os.system, ("touch pwned",))


class _Evaluated:
    def __reduce__(self):
        return (builtins.eval, ("1+1",))


def _laughs():
    value = "ha"
    for _ in range(60):
        value = [value] * 10
    return value


def _cycle():
    value = []
    value.append(value)
    return value


def _deep():
    value = make_result()
    nested = []
    for _ in range(200):
        nested = [nested]
    value["repeats"][0]["failures"] = nested
    return value


HOSTILE = {
    "code": pickle.dumps(_Code()),
    "eval": pickle.dumps(_Evaluated(), protocol=2),
    "code in text protocol": b"cos\nsystem\n(S'touch pwned'\ntR.",
    "a class": pickle.dumps(ResultError),
    "persistent id": b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01aQ.",
    "billion laughs": pickle.dumps(_laughs()),
    "cycle": pickle.dumps(_cycle()),
    "NaN": pickle.dumps({"acc": [float("nan")]}),
    "infinity": pickle.dumps([float("inf")]),
    "bytes": pickle.dumps(b"x"),
    "tuple": pickle.dumps((1, 2)),
    "set": pickle.dumps({1}),
    "number as key": pickle.dumps({1: 2}),
    "huge integer": pickle.dumps(1 << 5000),
    "huge text length": b"\x80\x04\x8d" + (1 << 60).to_bytes(8, "little") + b"a.",
    "huge bytes length": b"\x80\x04\x8e" + (1 << 60).to_bytes(8, "little") + b"a.",
    "huge frame": b"\x80\x04\x95" + (1 << 62).to_bytes(8, "little") + b"N.",
    "huge memo index": b"\x80\x04Nr\xff\xff\xff\x7f0N.",
    "huge long": b"\x80\x04\x8b\xff\xff\xff\x7f.",
    "unknown memo": b"\x80\x04h\x07.",
    "stack underflow": b"\x80\x04a.",
    "append to a number": b"\x80\x04K\x01K\x02a.",
    "odd dict": b"\x80\x04}(K\x01u.",
    "a mark left": b"\x80\x04(.",
    "nothing": b"",
    "no pickle": b"hello",
    "too many values": b"\x80\x04](" + b"N" * 8_100_000 + b"e.",
}
BROKEN = {
    "not a dict": [],
    "other format": make_result(format=99),
    "no acc": make_result(acc=None),
    "acc above one": make_result(acc=[0.5, 1.5]),
    "acc a text": make_result(acc="high"),
    "loss shorter": make_result(loss=[0.1]),
    "no rounds": make_result(acc=[], loss=[]),
    "no repeats": make_result(repeats=[]),
    "repeats a dict": make_result(repeats={}),
    "repeat a number": _changed(("repeats", 0), 3),
    "fold a text": _changed(("repeats", 0, "fold"), "0"),
    "no classes and no unit": make_result(classes=None),
    "one class": make_result(classes=["sunny"]),
    "a class twice": make_result(classes=["sunny", "sunny"]),
    "no series": _changed(("repeats", 0, "series"), None),
    "a series without values": _changed(("repeats", 0, "series"), series(loss=None)),
    "a needed series missing": _changed(("repeats", 0, "series"), series()[:4]),
    "a series twice": _changed(("repeats", 0, "series"), series() + series()[:1]),
    "a series without a name": _changed(("repeats", 0, "series", 0, "name"), "<b>"),
    "a series better sideways": _changed(("repeats", 0, "series", 0, "better"), "sideways"),
    "a unit that is a number": _changed(("repeats", 0, "series", 0, "unit"), 1),
    "one round too few": _changed(("repeats", 0, "series"), series(steps=[1])),
    "one round too few in a series of a part": _changed(("repeats", 0, "series"), series(epsilon=[1])),
    "accuracy above one": _changed(("repeats", 0, "series"), series(accuracy=[0.5, 2])),
    "confusion of three": _changed(("repeats", 0, "confusion"), [[1, 2, 3]]),
    "truth of two": _changed(("repeats", 0, "test", "truth"), [0, 2]),
    "said of two": _changed(("repeats", 0, "test", "said"), [0, 2]),
    "probability above one": _changed(("repeats", 0, "test", "probability"), [0.1, 7]),
    "probability of truth missing": _changed(("repeats", 0, "test", "probability_of_truth"), [0.1]),
    "id a number": _changed(("repeats", 0, "test", "id"), [1, 2]),
    "scene a number": _changed(("repeats", 0, "test", "scene"), [1, 2]),
    "no source": _changed(("repeats", 0, "test", "source"), None),
    "clients numbers": _changed(("repeats", 0, "clients"), [1]),
    "owners missing": _changed(("repeats", 0, "owners"), None),
    "an owner without counts": _changed(("repeats", 0, "owners"), [{"examples": 4}]),
    "an owner with one count": _changed(("repeats", 0, "owners"), [{"examples": 4, "counts": [4]}]),
    "a column twice": _changed(("repeats", 0, "owners", 0, "columns"), [3, 3]),
    "a column before the first": _changed(("repeats", 0, "owners", 0, "columns"), [-1]),
    "columns by name": _changed(("repeats", 0, "owners", 0, "columns"), ["age"]),
    "client without examples": _changed(("repeats", 0, "clients", 0, "examples"), "4"),
    "client's accuracy a text": _changed(("repeats", 0, "clients", 0, "accuracy"), "good"),
    "a failure that is none": _changed(("repeats", 0, "failures"), [[1, 2]]),
    "degree empty": make_result(degree={}),
    "conf empty": make_result(conf={}),
    "a layer without shape": make_result(layers=[["fc.bias"]]),
    "versions numbers": make_result(versions={"torch": 2}),
    "model a text": make_result(model="good"),
    "model without hash": make_result(model={"file": "x", "bytes": 1}),
    "validation figures a list": make_result(parameters=1, model={**MODEL, "val": [1]}),
    "parameters missing": make_result(model=MODEL),
    "degree of a repeat a text": _changed(("repeats", 0, "degree", "gini"), "0"),
    "the same repeat twice": make_result(repeats=make_result()["repeats"] + make_result()["repeats"]),
    "an example judged twice": _changed(("repeats", 0, "test", "id"), ["aa", "aa"]),
    "seeds that ask for a table of their own": make_result(
        repeats=[
            {
                **make_result()["repeats"][0],
                "seed": n,
                "rotation": n,
                "test": {**make_result()["repeats"][0]["test"], "id": [f"a{n}", f"b{n}"]},
            }
            for n in range(200)
        ]
    ),
    "a seed that judged other examples": make_result(
        repeats=[
            make_result()["repeats"][0],
            {
                **make_result()["repeats"][0],
                "seed": 1,
                "test": {**make_result()["repeats"][0]["test"], "id": ["aa", "cc"]},
            },
        ]
    ),
    "seeds and rotations that do not meet": make_result(
        repeats=[{**make_result()["repeats"][0], "seed": n, "rotation": n} for n in range(2)]
    ),
    "an example in two folds": make_result(
        repeats=[{**make_result()["repeats"][0], "fold": n} for n in range(2)]
    ),
    "classes and scenes that ask for more memory than there is": make_result(
        classes=[f"c{n}" for n in range(10_000)],
        repeats=[{**_for_classes(10_000), "seed": n} for n in range(1)],
    ),
    "more points than a chart could hold": make_result(acc=[0.5] * 200_000, loss=[0.5] * 200_000),
    "deep": _deep(),
    "format 1, a label of two": _changed(("repeats", 0, "test", "label"), [0, 2], make_format_1()),
    "format 1, probability above one": _changed(
        ("repeats", 0, "test", "probability"), [0.1, 7], make_format_1()
    ),
    "format 1, acc above one": make_format_1(acc=[0.5, 1.5]),
    "format 1, steps too few": _changed(("repeats", 0, "steps"), [1], make_format_1()),
    "format 1, the same repeat twice": make_format_1(
        repeats=make_format_1()["repeats"] + make_format_1()["repeats"]
    ),
}
TORN = {
    "no repeats": make_format_1(repeats=None),
    "repeats a number": make_format_1(repeats=3),
    "repeat a number": _changed(("repeats", 0), 3, make_format_1()),
    "no test": _changed(("repeats", 0, "test"), None, make_format_1()),
    "seconds missing": {**make_format_1(), "repeats": [{"fold": 0}]},
    "a client without photos": _changed(("repeats", 0, "clients", 0), {}, make_format_1()),
    "more labels than photos": _changed(("repeats", 0, "test", "label"), [0, 1, 1], make_format_1()),
    "no data": make_format_1(data=None),
    "a model's figures in a list": make_format_1(model={**MODEL, "val": [1]}, parameters=1),
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_pickle_is_refused_with_one_line_and_little_memory(tmp_path, monkeypatch, raw):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "conf_x.json.pkl"
    path.write_bytes(raw)
    tracemalloc.start()
    with pytest.raises(ResultError) as error:
        read_result(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert peak < 150_000_000 and not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("value", BROKEN.values(), ids=BROKEN)
def test_a_pickle_that_is_no_result_is_refused_with_the_place(tmp_path, value):
    path = tmp_path / "conf_x.json.pkl"
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(ResultError, match="expected"):
        read_result(path)


@pytest.mark.parametrize("value", TORN.values(), ids=TORN)
def test_a_torn_result_of_format_1_is_refused_in_one_line(tmp_path, value):
    path = tmp_path / "conf_x.json.pkl"
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(ResultError, match=r"format 1|expected") as error:
        read_result(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_format_1_is_lifted_when_it_is_read(tmp_path):
    path = tmp_path / "conf_x.json.pkl"
    path.write_bytes(pickle.dumps(make_format_1()))
    lifted = read_result(path)
    assert lifted["format"] == 2 and lifted["classes"] == ["cloudy", "sunny"]
    (repeat,) = lifted["repeats"]
    expected = make_result()["repeats"][0]["test"]
    for name in ("id", "scene", "source", "truth", "said"):
        assert repeat["test"][name] == expected[name]
    for name in ("probability", "probability_of_truth"):
        assert repeat["test"][name] == pytest.approx(expected[name])
    assert repeat["owners"] == make_result()["repeats"][0]["owners"]
    assert values(repeat, "examples") == values(repeat, "accuracy") == [0.5, 0.75]
    write_result(path, lifted)  # and what was lifted is a result of today
    assert read_result(path) == lifted


def test_only_one_file_knows_format_1():
    for folder in ("utils", "app"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.name != "format1.py":
                words = set(re.findall(r'"(\w+)"', path.read_text()))
                assert not words & {"photos_seen", "train_seconds", "probability_grey"}, path


def test_a_result_of_a_number_needs_no_classes(tmp_path):
    repeat = make_result()["repeats"][0]
    test = {**repeat["test"], "truth": [1.5, 2.5], "said": [1.0, 3.0]}
    counted = {"examples": 4, "counts": [], "sources": {"mwd": 4}}
    every = series(rmse=[2.0, 1.0], r2=[0.1, 0.7])
    numbers = [one for one in every if one["unit"] not in ("fraction", "nats")]
    number = {
        **repeat, "test": test, "series": numbers, "owners": [counted], "degree": {"wasserstein": 0.4, "gini": 0.0},
        "clients": [{**repeat["clients"][0], **counted, "accuracy": None}],
    }  # fmt: skip
    result = make_result(classes=None, unit="mm", repeats=[number], degree={"wasserstein": 0.4, "gini": 0.0})
    del result["classes"], result["acc"], result["loss"]
    path = result_path(tmp_path, "conf_x")
    write_result(path, result)
    assert read_result(path) == result
    for fault, changes in {
        "series": {"repeats": [{**number, "series": series(seconds=[0.1, 0.1])}]},
        "degree": {"degree": {"jensen_shannon": 0.0, "gini": 0.0}},
        "unit": {"unit": "m" * 41},
        "rmse": {"repeats": [{**number, "clients": [{**number["clients"][0], "rmse": -1.0}]}]},
    }.items():
        with pytest.raises(ResultError, match="clients" if fault == "rmse" else fault):
            write_result(path, {**result, **changes})


@pytest.mark.parametrize("number", [1e101, -1e300, 1e308])
def test_numbers_whose_sums_could_be_infinite_are_refused(tmp_path, number):
    path = tmp_path / "conf_x.json.pkl"
    path.write_bytes(pickle.dumps(_changed(("repeats", 0, "series"), series(seconds=[0.5, number]))))
    with pytest.raises(ResultError, match="beyond 1e"):
        read_result(path)


def test_every_truncation_is_refused(tmp_path):
    raw = pickle.dumps(make_result(), protocol=4)
    for length in range(0, len(raw) - 1, 7):
        with pytest.raises(ResultError):
            parse_plain_pickle(raw[:length], "x")


@given(st.binary(max_size=200))
def test_random_bytes_never_do_worse_than_a_refusal(raw):
    try:
        parse_plain_pickle(b"\x80\x04" + raw, "x")
    except ResultError as error:
        assert "\n" not in str(error)


_plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(-1e100, 1e100)
    | st.sampled_from(["", "a", "ü", "☀" * 300]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=20,
)  # fmt: skip


@given(_plain, st.sampled_from([2, 3, 4, 5]))
def test_plain_values_come_back_as_pickle_itself_gives_them(value, protocol):
    own = json.loads(json.dumps(value))
    assert parse_plain_pickle(pickle.dumps(own, protocol=protocol), "x") == pickle.loads(pickle.dumps(own))


def test_a_result_is_a_plain_pickle_and_reads_back(tmp_path):
    path = result_path(tmp_path, "conf_x")
    write_result(path, make_result())
    assert read_result(path) == make_result() == pickle.loads(path.read_bytes())
    assert result_names(tmp_path) == ["conf_x"]


def test_a_file_too_large_is_not_read(tmp_path):
    path = tmp_path / "conf_x.json.pkl"
    with path.open("wb") as file:
        file.truncate(MAX_RESULT_BYTES + 1)
    with pytest.raises(ResultError, match="larger than"):
        read_result(path)


@pytest.mark.parametrize(
    "name",
    ["../conf_x", "conf_x/../y", "", ".hidden", "conf x", "conf_x@0", "a" * 200, "conf_x\n", "conf_x@2@3"],
)
def test_names_that_could_climb_are_refused(tmp_path, name):
    with pytest.raises(ResultError):
        result_path(tmp_path, name)


def test_an_invalid_result_is_never_written(tmp_path):
    path = result_path(tmp_path, "conf_x")
    for broken in (make_result(acc=[2.0, 0.1]), make_result(acc=[0.1])):
        with pytest.raises(ResultError):
            write_result(path, broken)
    with pytest.raises(ResultError, match="not finite"):
        write_result(path, make_result(acc=[float("nan"), 0.1]))
    assert not path.exists()
