"""A set whose training part lies with its owners: what they tell stands in for it, what they withhold is null."""

import numpy as np
import pytest

from utils.conf import make_conf
from utils.data.elsewhere import Owned, with_owners
from utils.data.split import DECKS, split_of
from utils.federated.bench import Repeat, share_out

CONF = {
    "type": "digits", "network": "logistic", "no_models": 2, "k": 2, "global_epochs": 1, "local_epochs": 1,
    "batch_size": 16, "lr": 0.1, "momentum": 0.9,
}  # fmt: skip
EAST = Owned("east", tuple((deck, 1, *[0] * 8) for deck in range(DECKS)), True, "e")
NORTH = Owned("north", tuple((3,) for _ in range(DECKS)), False, "n")


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    conf = make_conf(CONF, "test")
    return conf.task.module.open_examples(conf, tmp_path_factory.mktemp("data"))


def test_owners_examples_are_counted_by_deck_and_class_and_all_that_is_here_is_judged(here):
    examples = with_owners(here, [EAST, NORTH])
    shares = share_out(make_conf(CONF, "test"), Repeat(0, 0, 0), examples)
    left = [deck for deck in range(DECKS) if split_of(deck, 0) != "val"]
    assert [len(mine) for mine in shares.clients] == [sum(deck + 1 for deck in left), 3 * len(left)]
    assert np.bincount(examples.targets[shares.clients[0]]).tolist() == [sum(left), len(left)]
    assert {examples.sources[index] for index in shares.clients[1]} == {"north"}
    assert len(shares.test) == len(here.ids) and not len(shares.val)
    assert examples.told[shares.clients[0]].all() and not examples.told[shares.clients[1]].any()
    assert max(shares.test) < len(here.inputs)


def test_only_the_sources_that_are_to_be_judged_are(here):
    examples = with_owners(here, [EAST], [here.sources[0]])
    assert examples.judged.sum() == sum(one == here.sources[0] for one in here.sources)
    assert not with_owners(here, [EAST], ["elsewhere"]).judged.any()


def test_the_fingerprint_is_made_of_theirs_and_ours(here):
    prints = {
        with_owners(here, owners, sources).fingerprint
        for owners in ([EAST], [EAST, NORTH], [NORTH, EAST], [Owned("east", EAST.decks, True, "other")])
        for sources in ((), ("digits",))
    }
    assert len(prints) == 8 and here.fingerprint not in prints
