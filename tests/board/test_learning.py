"""Four people whose data differ learn together, through the real site, about what one machine learns of all of it."""

import json

import numpy as np
import pytest
import torch

from tests.board.visits import DIABETES, DIGITS, PEOPLE, SKIES, VERSIONS
from utils.calls.described import checked_call
from utils.calls.home import Home, in_memory, scores
from utils.calls.weights import read


def _prepared(visit):
    return tuple(
        np.concatenate([np.load(one.data / f"{what}.npy") for one in visit.people])
        for what in ("inputs", "answers")
    )


def _central(visit, inputs, answers, folder, seeds=3):
    """Scores of what corresponds to each version in one place: all examples, the same first version, as many passes, in
    the mean over some seeds, as one alone says little of a small test.
    """
    [row] = visit.site.rows("select described, shapes from calls where id = ?", visit.task)
    call, shapes = checked_call(json.loads(row["described"])), json.loads(row["shapes"])
    of_test = visit.site.rows(
        "select input, answer from test_examples where call_id = ? order by id", visit.task
    )
    kind = np.uint8 if call.format.is_picture else np.float64
    tested = np.stack(
        [np.frombuffer(one["input"], kind).reshape(call.format.stored_shape) for one in of_test]
    )
    truth = np.array([one["answer"] for one in of_test])
    torch.set_num_threads(1)  # two threads wait for each other where others are at work
    home, judge, found = Home(call, inputs, answers, folder), in_memory(call, tested), []
    first = visit.site.instance / "demo-calls" / str(visit.task) / "versions" / "1.safetensors"
    for seed in range(seeds):
        weights, told = home.layout.flat(read(first.read_bytes(), shapes)), []
        for number in range(VERSIONS):
            weights = weights + home.layout.flat(home.train(weights, 100 * seed + number).difference)
            told.append(scores(call, judge(weights), truth))
        found.append(told)
    return [{key: np.mean([one[at][key] for one in found]) for key in found[0][at]} for at in range(VERSIONS)]


def _is_whole(visit):
    versions = visit.site.versions(visit.task)
    assert [one["parent"] for one in versions] == [None, 1, 2, 3]
    assert [one["updates"] for one in versions[1:]] == [PEOPLE] * VERSIONS
    for one in visit.people:
        assert [sent["version"] for sent in one.sent()][:VERSIONS] == [1, 2, 3]


def close(visit, examples, folder, figure, within):
    """Hold the last version's figure against that of one place with the same examples; the figures of all versions."""
    ours, central = visit.series(figure), [one[figure] for one in _central(visit, *examples, folder)]
    print(f"{figure}: together {np.round(ours, 3)}, in one place {np.round(central, 3)}")
    assert within(ours[-1], central[-1]), (ours, central)
    return ours[1:]


def test_diabetes(visited, tmp_path):
    visit = visited(DIABETES)
    _is_whole(visit)
    errors = close(visit, _prepared(visit), tmp_path, "rmse", lambda ours, central: ours < 1.05 * central)
    assert errors == sorted(errors, reverse=True)


def test_digits(visited, tmp_path):
    visit = visited(DIGITS)
    _is_whole(visit)
    right = close(visit, _prepared(visit), tmp_path, "accuracy", lambda ours, central: ours > central - 0.05)
    assert right[-1] > right[0]


@pytest.mark.long
def test_skies(visited, tmp_path):
    visit = visited(SKIES)
    _is_whole(visit)
    right = close(visit, _prepared(visit), tmp_path, "accuracy", lambda ours, central: ours > central - 0.05)
    assert right[-1] > right[0]
