"""What goes with what: every pair of parts is checked by what they declare, and some of them train a round."""

from itertools import combinations

import numpy as np
import pytest

from tests.here import Here
from utils import parts
from utils.conf import ConfError, make_conf
from utils.experiment import run_repeat
from utils.federated.bench import Repeat

FAMILIES = ("strategy", "local", "selection", "attack", "rounds", "link")
IRIS = {
    "type": "iris", "no_models": 6, "k": 6, "global_epochs": 1, "local_epochs": 1, "batch_size": 16, "lr": 0.05,
    "momentum": 0.0, "network": {"layers": [{"flatten": True}, {"dense": 8}, {"batch_norm": True}]},
}  # fmt: skip
PIXELS = {"type": "digits", "network": "logistic"}
BESIDE = {
    "dp_fedavg": {"selection": "poisson", "min_clients": 0},
    "poisson": {"min_clients": 0},
    "columns": {"no_models": 2, "k": 2, "partition": "columns"},
}
"""What else a conf needs that names such a part."""
COVERED = {"dp_fedavg", "dp_sgd", "selective", "local_dp", "buffered", "gossip", "columns"}
"""Parts that take no network with batch norm or scaling."""
HERE = {
    family: [name for name in parts.names(family) if not parts.missing(family, name)] for family in FAMILIES
}
PAIRS = [
    ((first, one), (second, other))
    for first, second in combinations(FAMILIES, 2)
    for one in HERE[first]
    for other in HERE[second]
]


def conf_of(pair):
    names = [name for _, name in pair]
    conf = {
        **IRIS,
        **{key: value for name in names for key, value in BESIDE.get(name, {}).items()},
        **dict(pair),
    }
    if COVERED & set(names):
        conf |= PIXELS
    if "link" in conf:
        conf["link"] = [{"name": "paillier", "together": 63} if conf["link"] == "paillier" else conf["link"]]
    return make_conf(conf, "x")


def refused(pair):
    try:
        conf_of(pair)
    except ConfError as error:
        assert str(error).count("\n") == 0
        return str(error)
    return ""


def test_all_pairs_are_checked_and_only_those_do_not_go_together_that_say_so():
    told = {tuple(name for _, name in pair): why for pair in PAIRS if (why := refused(pair))}
    keeping = {"scaffold", "feddyn", "ditto", "fedbn"}
    apart = {(local, attack) for local in keeping for attack in ("alie", "ipm", "copycat")}
    apart |= {("pseudo_label", other) for other in ("alie", "ipm", "power_of_choice")}
    private = {("dp_fedavg", other) for other in ("scaffold", "feddyn", "fedbn", "dp_sgd")}
    private |= {("dp_fedavg", other) for other in parts.names("selection") if other != "poisson"} | {
        ("dp_sgd", "power_of_choice")
    }
    apart |= {("fednova", "feddyn")} | (private if "dp_fedavg" in HERE["strategy"] else set())
    sums = {name for name in ("signsgd", "secure_aggregation", "ckks", "paillier") if name in HERE["link"]}
    looking = {
        "fednova",
        "median",
        "trimmed_mean",
        "krum",
        "multikrum",
        "geometric_median",
        "norm_clipping",
        "dp_fedavg",
    }
    looking |= {"scaffold", "feddyn", "by_size", "power_of_choice"}
    apart |= {
        (one, other)
        for one in looking & {*HERE["strategy"], *HERE["local"], *HERE["selection"]}
        for other in sums
    }
    if "local_dp" in HERE["link"]:  # what else would tell of clients
        apart |= {
            (one, "local_dp") for one in ("dp_sgd", "power_of_choice", "dp_fedavg", "fedbn", "scaffold")
        }
    others = set(HERE["rounds"]) - {"synchronous"}
    assert {pair for pair in told if not others & set(pair)} == apart
    for rounds in others:  # ways of their own, so that little else goes with them
        goes = {"fedavg", "sgd", "fedprox", "uniform", *HERE["attack"]}
        if rounds == "columns":
            goes -= {"fedprox", *HERE["attack"]}
        if rounds == "buffered":
            goes |= {*HERE["strategy"], *HERE["link"]} - {"dp_fedavg", "local_dp"} - sums
        every = {
            tuple(sorted((one, rounds))) for family in FAMILIES if family != "rounds" for one in HERE[family]
        }
        alone = every - {tuple(sorted((one, rounds))) for one in goes}
        assert {tuple(sorted(pair)) for pair in told if rounds in pair} == alone
    assert told["ditto", "ipm"] == "x: attack: ipm does not go with local ditto"
    assert len(PAIRS) > 300


@pytest.mark.parametrize("number", range(6))
def test_drawn_pairs_train_a_round(number, tmp_path):
    good = [pair for pair in PAIRS if not refused(pair)]
    drawn = np.random.default_rng(20261126).permutation(len(good))[:80]
    for place in np.array_split(drawn, 6)[number]:
        conf = conf_of(good[place])
        examples = conf.task.module.open_examples(conf, tmp_path)
        try:
            state = run_repeat(conf, Repeat(0, 0, 0), examples, Here())
        except Exception as error:
            raise AssertionError(f"{good[place]}: {error}") from error
        assert np.isfinite(state.weights).all() and state.round == 1, good[place]


def test_where_only_a_sum_is_opened_nobody_looks_at_single_updates(dropped):
    from tests.federated.test_seams import RING

    dropped("link", "ring", RING)
    looking = {"strategy": ("fednova", "median", "krum", "norm_clipping"), "local": ("scaffold", "feddyn"),
               "selection": ("by_size", "power_of_choice")}  # fmt: skip
    for family, names in looking.items():
        for name in names:
            with pytest.raises(ConfError, match=f"{family}: {name} does not go with link ring"):
                make_conf({**IRIS, family: name, "link": ["ring"]}, "x")
    for name in ("fedavg", "fedavgm", "fedadam"):
        make_conf({**IRIS, "strategy": name, "link": ["ring"]}, "x")
