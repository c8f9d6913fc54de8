"""Trained on some sources and judged on others: what a new camera costs."""

import json
import shutil

import numpy as np
import pytest

from tests.conftest import TINY, draw_set
from tests.here import Here
from utils.comparison import answers, estimated, sources
from utils.conf import ConfError, make_conf
from utils.data.examples import DataError
from utils.experiment import plan_repeats, run_repeat
from utils.federated.bench import Repeat, share_out
from utils.partition.schemes import PartitionError
from utils.photos.dataset import photo_row, read_manifest, write_manifest
from utils.photos.store import open_photos
from utils.results import read_result, values

FIRST = Repeat(0, 0, 0)
ELSEWHERE = {"train_on": ["phone", "webcam"], "judge_on": ["archive"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data folder whose set `drawn` comes from three sources, some of it in scenes."""
    folder = draw_set(tmp_path_factory.mktemp("data") / "drawn", count=90)
    rows = []
    for number, row in enumerate(read_manifest(folder)):
        source = ("archive", "phone", "webcam")[number % 3]
        moved = photo_row(row.sha256, row.label, row.group, row.sha256, source, row.name)
        (folder / moved.file).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder / row.file, folder / moved.file)
        rows.append(moved)
    write_manifest(folder, rows)
    return folder.parent


@pytest.fixture(scope="module")
def skies(folder):
    return open_photos(folder / "drawn", make_conf(TINY, "x").task.keys.store_side, folder / ".store")


def _conf(**changes):
    return make_conf({**TINY, "global_epochs": 1, **changes}, "x.json")


def test_what_is_judged_comes_from_elsewhere_and_every_bit_of_it_once(skies):
    shares = share_out(_conf(**ELSEWHERE), FIRST, skies)
    of = np.array(skies.sources)
    assert set(of[shares.test]) == {"archive"} and len(shares.test) == (of == "archive").sum()
    trained = np.concatenate(shares.clients)
    assert set(of[trained]) == set(of[shares.val]) == {"phone", "webcam"}
    assert len(trained) + len(shares.val) == (of != "archive").sum()
    assert len(set(skies.decks[shares.val])) == 1, "one deck for validation"
    assert not set(skies.decks[shares.val]) & set(skies.decks[trained])


def test_there_is_one_repeat_a_seed_however_many_folds_are_asked_for():
    assert plan_repeats(_conf(**ELSEWHERE), folds=5, seeds=3) == [Repeat(0, seed, 0) for seed in range(3)]
    assert len(plan_repeats(_conf(), folds=5, seeds=3)) == 15


def test_owners_by_source(skies):
    conf = _conf(partition="source", no_models=3, k=3)
    shares = share_out(conf, FIRST, skies)
    assert [set(np.array(skies.sources)[mine]) for mine in shares.owners] == [
        {"archive"},
        {"phone"},
        {"webcam"},
    ]
    with pytest.raises(
        PartitionError, match=r"come from 3 sources \(archive, phone, webcam\), so there must be 3 owners"
    ):
        share_out(_conf(partition="source", no_models=2, k=2), FIRST, skies)
    both = share_out(_conf(**ELSEWHERE, partition="source", no_models=2, k=2), FIRST, skies)
    assert [set(np.array(skies.sources)[mine]) for mine in both.owners] == [{"phone"}, {"webcam"}]


def test_a_record_tells_the_source_of_every_answer_and_owner(skies):
    state = run_repeat(_conf(**ELSEWHERE, partition="source", no_models=2, k=2), FIRST, skies, Here())
    assert set(state.record["test"]["source"]) == {"archive"}
    assert [list(owner["sources"]) for owner in state.record["owners"]] == [["phone"], ["webcam"]]
    whole = run_repeat(_conf(), FIRST, skies, Here()).record
    result = {"classes": ["cloudy", "sunny"], "repeats": [whole]}
    assert sources(result) == ["archive", "phone", "webcam"]
    parts = [answers(result, source=source) for source in sources(result)]
    right = sum(estimated(part, "accuracy").value * len(part.ids) for part in parts)
    assert right / sum(len(part.ids) for part in parts) == pytest.approx(values(whole, "accuracy")[-1])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"train_on": ["phone"]}, "judge_on: expected a list of names of sources, found []"),
        ({"judge_on": ["phone"]}, "train_on: expected a list of names of sources, found []"),
        ({"train_on": ["a"], "judge_on": ["a"]}, "judge_on: a is trained on as well"),
        ({"train_on": ["a", "a"], "judge_on": ["b"]}, "train_on: expected each name once"),
        ({"train_on": "a", "judge_on": ["b"]}, "train_on: expected a list of names of sources, found a text"),
        ({"train_on": [["a"]], "judge_on": ["b"]}, "train_on: expected a list of names of sources"),
        ({"train_on": ["../a"], "judge_on": ["b"]}, "train_on: expected a list of names of sources"),
    ],
)
def test_sources_that_cannot_be_are_refused_in_one_line(changes, says):
    with pytest.raises(ConfError) as error:
        _conf(**changes)
    assert str(error.value).startswith(f"x.json: {says}")


def test_a_source_that_the_set_does_not_have_is_one_line(skies):
    for changes, says in (
        ({"train_on": ["nobody"], "judge_on": ["phone"]}, "drawn: no training examples of nobody"),
        ({"train_on": ["phone"], "judge_on": ["nobody"]}, "drawn: fold 0 has no test examples of nobody"),
    ):
        with pytest.raises(DataError, match=says):
            share_out(_conf(**changes), FIRST, skies)


def test_the_command_line_trains_it_and_knows_when_it_is_finished(folder, tmp_path, script):
    conf = tmp_path / "conf_new.json"
    conf.write_text(json.dumps({**TINY, "global_epochs": 1, **ELSEWHERE}))
    arguments = (
        "i2main.py",
        "-c",
        conf,
        "--data",
        folder,
        "--out",
        tmp_path / "out",
        "--folds",
        "5",
        "--seeds",
        "2",
    )
    done = script(*arguments)
    assert done.returncode == 0 and "2 repeats, 30 test examples" in done.stdout, done.stderr
    result = read_result(tmp_path / "out" / "conf_new.json.pkl")
    assert result["conf"]["judge_on"] == ["archive"]
    assert [one["name"] for one in result["data"]["sources"]] == ["archive", "phone", "webcam"]
    assert "finished already" in script(*arguments, "--resume").stdout
