"""Differential privacy: what it costs by published values, what it does by independent computations."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.conftest import TINY
from tests.federated.folding import drawn, goes_on, played, strategy_of
from tests.here import Here, judged, trained
from utils.conf import ConfError, make_conf, parse_conf
from utils.engines.workers import Workers
from utils.experiment import run_repeat
from utils.federated import client
from utils.federated.bench import Repeat, State, share_out
from utils.federated.client import vector
from utils.federated.links.local_dp import Link
from utils.federated.local.dp_sgd import Local
from utils.federated.privacy import epsilon
from utils.federated.schedule import rounds_of
from utils.federated.strategies.dp_fedavg import noise_of_sum
from utils.nets.build import build
from utils.nets.layout import read_weights
from utils.refusal import Refusal
from utils.results import read_result, result_path, values
from utils.runs import carry_out, prepare
from utils.tasks import inputs_of

pytest.importorskip("dp_accounting")
pytest.importorskip("opacus")

FIRST = Repeat(0, 0, 0)
CENTRAL = {"selection": "poisson", "min_clients": 0}


def central(**keys):
    return {"strategy": {"name": "dp_fedavg", **keys}, **CENTRAL}


# noise, chance, steps, then epsilon at delta 1e-5 for neighbours by adding or removing one: Rényi divergences at
# dp-accounting's orders in the improved conversion, and privacy loss distributions
KNOWN = [
    (1.1, 256 / 60_000, 14_063, 2.597, 2.382),  # TensorFlow Privacy's tutorial
    (1.1, 0.004, 15_000, 2.503, 2.296),  # opacus's MNIST, 60 epochs
    (1.3, 0.004, 3750, 0.922, 0.834),
    (0.7, 0.004, 11_250, 6.094, 5.431),
    (1.5, 0.04, 2250, 7.3293, 6.7688),  # opacus's own tests
    (2.4, 1, 20, 9.8416, 9.166),
    (1.0, 1, 1, 4.7285, 4.3772),
    (5.0, 1, 20, 4.1616, 3.8486),
]


@pytest.mark.parametrize(("noise", "chance", "steps", "by_rdp", "by_pld"), KNOWN)
def test_epsilon_is_that_of_published_settings(noise, chance, steps, by_rdp, by_pld):
    digits = {"abs": 6e-4}
    assert epsilon("rdp", noise, chance, steps, 1e-5) == pytest.approx(by_rdp, **digits)
    assert epsilon("pld", noise, chance, steps, 1e-5) == pytest.approx(by_pld, **digits)


def test_epsilon_is_within_what_other_accountants_find():
    assert epsilon("rdp", 1.5, 0.04, 2250, 1e-5) == pytest.approx(7.32911117143, rel=1e-4)  # opacus, by Rényi
    assert epsilon("pld", 1.5, 0.04, 2250, 1e-5) == pytest.approx(6.777395712, rel=2e-3)  # opacus, by PRV
    for noise, steps in ((1.416, 90 * 25), (1.3562, 2000)):  # what opacus finds for an epsilon of 8
        assert epsilon("rdp", noise, 0.04, steps, 1e-5) == pytest.approx(8.0, rel=2e-3)
    for noise, steps in ((1.34765625, 90 * 25), (1.2915, 2000)):
        assert epsilon("pld", noise, 0.04, steps, 1e-5) == pytest.approx(8.0, rel=5e-3)
    assert epsilon("rdp", 1.2, 120 / 3383, 100, 1e-5) == pytest.approx(1.9861, abs=1e-4)  # TFF's tutorial: 2


def test_epsilon_of_so_few_clients_as_here():
    for clients, cohort, noise, found in ((10, 5, 1.0, 8.05), (10, 5, 2.0, 2.41), (100, 10, 2.0, 0.56)):
        got = epsilon("rdp", noise, cohort / clients, 20, clients**-1.1)
        assert got == pytest.approx(found, abs=6e-3)
        assert epsilon("pld", noise, cohort / clients, 20, clients**-1.1) < got


@pytest.mark.parametrize(
    ("noise", "chance", "steps", "printed"),
    [
        (1.1, 256 / 60_000, 14_063, 3.01),
        (1.1, 0.004, 15_000, 2.91),
        (1.3, 0.004, 3750, 1.16),
        (0.7, 0.004, 11_250, 6.86),
    ],
)
def test_what_older_programs_print_is_the_same_divergence_in_an_older_conversion(
    noise, chance, steps, printed
):
    from opacus.accountants.analysis.rdp import compute_rdp

    orders = [1 + x / 10 for x in range(1, 100)] + list(range(12, 64))
    spent = compute_rdp(q=chance, noise_multiplier=noise, steps=steps, orders=orders)
    older = min(one - math.log(1e-5) / (order - 1) for one, order in zip(spent, orders, strict=True))
    assert older == pytest.approx(printed, abs=6e-3)
    assert epsilon("rdp", noise, chance, steps, 1e-5) < older


def test_an_absurd_epsilon_takes_no_longer_and_pld_is_never_the_larger_one():
    for noise, chance, steps in ((0.05, 1, 1000), (0.1, 0.1, 1000), (0.001, 0.5, 10), (50.0, 0.01, 10)):
        assert 0 < epsilon("pld", noise, chance, steps, 1e-5) <= epsilon("rdp", noise, chance, steps, 1e-5)


def test_updates_are_clipped_and_weigh_alike_whatever_they_are_made_of():
    old, vectors = drawn(1, 5)
    clip = 5.0
    differences = [np.float64(vector) - old for vector in vectors]
    norms = [np.linalg.norm(one) for one in differences]
    assert min(norms) < clip < max(norms)
    expected = sum(one * min(1, clip / norm) for one, norm in zip(differences, norms, strict=True)) / 3
    conf = {"no_models": 6, "k": 3}
    for rate in (1.0, 0.5):
        rule = strategy_of("dp_fedavg", rate, {**conf, **CENTRAL}, clip=clip, noise=0.0)
        new = played(rule, old, [one.copy() for one in vectors], samples=[1, 50, 2, 3, 4])
        assert np.allclose(new, old + rate * expected, atol=1e-6)
    assert [one.kept for one in rule.verdicts()] == [norm <= clip for norm in norms]
    assert [one.score for one in rule.verdicts()] == pytest.approx(norms)


def test_updates_of_no_length_and_such_as_are_not_finite_are_minded():
    old = np.ones(9, np.float32)
    rule = strategy_of("dp_fedavg", conf={"k": 2, **CENTRAL}, clip=1.0, noise=0.0)
    bad = old.copy()
    bad[3] = np.inf
    assert np.array_equal(played(rule, old, [old.copy(), bad]), old)
    assert [(one.score, one.kept) for one in rule.verdicts()] == [(0.0, True), (None, False)]


def noised(size, seed=0, **keys):
    """What a round without any update makes of zeros."""
    rule = strategy_of("dp_fedavg", conf={"k": 3, **CENTRAL}, **keys)
    rule.draw_from(np.random.default_rng(seed))
    return played(rule, np.zeros(size), [])


def test_the_noise_is_as_strong_as_it_says_and_that_of_no_other_round():
    noise = noised(100_000, clip=2.0, noise=1.5)
    assert noise.std() == pytest.approx(1.5 * 2.0 / 3, rel=0.01) and abs(noise.mean()) < 0.01
    assert np.array_equal(noised(50, noise=1.0), noised(50, noise=1.0))
    assert not np.array_equal(noised(50, noise=1.0), noised(50, seed=1, noise=1.0))


def adapting(norms, rounds, start, noise=0.0, quantile=0.5):
    """The clip after so many rounds in which updates have these norms."""
    conf = {"no_models": len(norms), "k": len(norms), **CENTRAL}
    rule = strategy_of("dp_fedavg", conf=conf, clip=start, noise=noise, adaptive=True, quantile=quantile)
    for round_ in range(rounds):
        rule.draw_from(np.random.default_rng(round_))
        played(rule, np.zeros(4), [np.array([norm, 0, 0, 0]) for norm in norms])
    return rule.clip


def test_a_clip_adapts_to_where_half_of_the_updates_are_shorter():
    assert adapting([0.01] * 20, 1, 0.1) == pytest.approx(0.0904837, abs=1e-7)
    assert adapting([5.0] * 20, 1, 0.1) == pytest.approx(0.1105171, abs=1e-7)  # all were clipped, so it grows
    norms = np.linspace(0.5, 1.5, 20) + 0.075
    for start in (0.1, 5.0):
        assert adapting(norms, 80, start) == pytest.approx(np.median(norms), rel=0.06)
    assert adapting(norms, 80, 0.1, noise=0.5) == pytest.approx(np.median(norms), rel=0.2)
    assert adapting(norms, 80, 0.1, quantile=0.9) > 1.4


def test_an_adaptive_clip_takes_its_part_of_the_noise():
    def split(expected, noise=1.0):
        return noise_of_sum(strategy_conf(expected, noise).strategy.keys, expected)

    def strategy_conf(expected, noise):
        conf = {**TINY, "no_models": expected, "k": expected, **central(adaptive=True, noise=noise)}
        return make_conf(conf, "x")

    assert split(100) == pytest.approx(1.005038, abs=1e-6)
    assert split(20) == pytest.approx(1.154701, abs=1e-6)
    assert split(20, 0.0) == 0
    with pytest.raises(ConfError) as error:
        split(10)
    assert str(error.value) == (
        "x: strategy.noise: expected less than 1, a tenth of the 10 clients expected in a round, where the clip "
        "adapts; found 1"
    )
    both = [noise_of_sum(strategy_conf(20, 1.0).strategy.keys, 20) ** -2, (2 * 20 / 20) ** -2]
    assert sum(both) == pytest.approx(1.0)


def test_a_clip_goes_on_as_it_was():
    conf = {"no_models": 30, "k": 30, **CENTRAL}
    assert goes_on(lambda: strategy_of("dp_fedavg", conf=conf, adaptive=True, clip=0.5, noise=0.0))


def test_each_client_comes_by_itself_with_the_same_chance(tiny):
    rule = tiny(selection="poisson").selection.module.Selection(tiny(), [5] * 40)
    cohorts = [rule.select(np.random.default_rng([2, round_]), 10, None) for round_ in range(3000)]
    assert all(one == sorted(set(one)) for one in cohorts)
    counts = np.array([len(one) for one in cohorts])
    assert counts.mean() == pytest.approx(10, abs=0.2)
    assert counts.var() == pytest.approx(40 * 0.25 * 0.75, rel=0.1)  # binomial, where a fixed cohort has none
    each = np.bincount(np.concatenate(cohorts), minlength=40) / 3000
    assert each.min() > 0.21 and each.max() < 0.29
    assert rule.select(np.random.default_rng(0), 40, None) == list(range(40))


def test_a_round_that_nobody_came_to_is_one_of_noise_alone_or_nothing_at_all(tiny, photos):
    few = {"no_models": 3, "k": 1, "global_epochs": 8, **CENTRAL}
    plain = run_repeat(tiny(**few), FIRST, photos, Here()).record
    conf = tiny(**few, strategy={"name": "dp_fedavg", "noise": 0.01})
    seen = []
    state = run_repeat(conf, FIRST, photos, Here(), hook=lambda repeat, state: seen.append(state.weights))
    empty = [round_ for round_, up in enumerate(values(state.record, "bytes_up")) if not up]
    assert len(empty) in range(1, 7) and state.round == 8
    before = [read_weights(build(conf, 0)), *seen]
    held = np.concatenate(share_out(conf, FIRST, photos).clients)
    for round_ in empty:
        moved = seen[round_] - before[round_]
        assert moved.std() == pytest.approx(0.01, rel=0.1)
        for name in ("steps", "examples", "bytes_down", "update_norm", "update_cosine"):
            assert values(state.record, name)[round_] == 0
        logits = torch.from_numpy(judged(conf, photos, held, seen[round_]))
        loss = float(F.cross_entropy(logits, torch.from_numpy(photos.targets[held])))
        assert values(state.record, "training_loss")[round_] == pytest.approx(loss, rel=1e-5)
    assert all(len(one["values"]) == 8 for one in state.record["series"])
    stays = [round_ for round_, up in enumerate(values(plain, "bytes_up")) if not up and round_]
    for round_ in stays:
        assert values(plain, "loss")[round_] == values(plain, "loss")[round_ - 1]
    assert stays == [round_ for round_ in empty if round_]


def test_an_update_leaves_a_client_clipped_and_covered():
    rng = np.random.default_rng(3)
    difference = rng.normal(size=50_000).astype(np.float32)
    keys = make_conf({**TINY, "link": [{"name": "local_dp", "clip": 2.0, "noise": 0.0}]}, "x").link[0].keys
    clipped = Link(keys, None).apply(difference, rng)
    assert clipped.dtype == np.float32 and np.linalg.norm(clipped) == pytest.approx(2.0, rel=1e-5)
    assert clipped @ difference == pytest.approx(2.0 * np.linalg.norm(difference), rel=1e-5)
    short = difference / 1000
    assert np.array_equal(Link(keys, None).apply(short, rng), short)
    keys = make_conf({**TINY, "link": [{"name": "local_dp", "clip": 2.0, "noise": 3.0}]}, "x").link[0].keys
    for given in (np.zeros(50_000, np.float32), np.full(50_000, np.nan, np.float32)):
        assert Link(keys, None).apply(given, rng).std() == pytest.approx(6.0, rel=0.02)
    conf = make_conf({**TINY, "global_epochs": 20, "link": [{"name": "local_dp", "noise": 10.0}]}, "x")
    of_rounds = conf.link[0].module.spent(conf, [5] * 3, 20)
    assert of_rounds == {"epsilon": (epsilon("rdp", 5.0, 1.0, 20, 1e-5), "RDP, replace one update", "lower")}
    assert of_rounds["epsilon"][0] == pytest.approx(4.1616, abs=1e-4)


def by_hand(conf, photos, indices, batches, clip):
    """Weights after steps along the mean of clipped gradients, each computed by itself."""
    net = build(conf, 0).to(memory_format=torch.channels_last).train()
    inputs_of = conf.task.module.for_training
    rng = np.random.default_rng(0)
    for batch, expected in batches:
        total = [torch.zeros_like(one) for one in net.parameters()]
        for index in batch:
            inputs = inputs_of(photos.inputs[[indices[index]]], conf, rng)
            net.zero_grad()
            F.cross_entropy(net(inputs), torch.from_numpy(photos.targets[[indices[index]]])).backward()
            norm = math.sqrt(sum(float((one.grad**2).sum()) for one in net.parameters()))
            for into, one in zip(total, net.parameters(), strict=True):
                into += one.grad * min(1.0, clip / norm)
        with torch.no_grad():
            for one, step in zip(net.parameters(), total, strict=True):
                one -= conf.lr * step / expected
    return read_weights(net)


def sgd(**keys):
    return {"local": {"name": "dp_sgd", **keys}}


@pytest.fixture
def plain(tiny):
    """Makes a conf that trains on examples as they are, without momentum."""
    return lambda **changes: tiny(**{"augment": "none", "momentum": 0.0, "lr": 0.1, **changes})


def test_gradients_are_those_of_each_example_by_itself_clipped(plain, photos):
    conf, indices = plain(local_epochs=2, batch_size=5, **sgd(clip=0.7, noise=0.0)), list(range(17))
    start = read_weights(build(conf, 0))
    reply = trained(conf, photos, indices, start)
    rng, batches = np.random.default_rng([client.CLIENT_STREAM, 0, 0, 0]), []
    for _ in range(2 * 4):
        batches.append((np.flatnonzero(rng.random(17) < 1 / 4), 17 / 4))
    assert len({len(batch) for batch, _ in batches}) > 2
    expected = by_hand(conf, photos, indices, batches, 0.7)
    assert np.linalg.norm(expected - start) > 0.1
    assert np.allclose(vector(reply.payload), expected, atol=2e-6)
    assert reply.metrics["steps"] == 8


def test_without_clip_and_noise_it_is_plain_sgd_on_the_same_batches(plain, photos):
    start = read_weights(build(plain(), 0))
    one_batch = {"batch_size": 20, "local_epochs": 3, "momentum": 0.9, "weight_decay": 0.01}
    usual, own = (
        vector(trained(plain(**one_batch, **how), photos, list(range(20)), start).payload)
        for how in ({}, sgd(clip=1e6, noise=0.0))
    )
    assert np.allclose(usual, own, atol=1e-5) and not np.allclose(usual, start, atol=1e-3)


def test_the_noise_of_a_step_is_as_strong_as_it_says_even_where_no_example_came(plain, photos):
    conf = plain(batch_size=10, lr=1.0, **sgd(clip=1e-3, noise=1000.0))
    start = read_weights(build(conf, 0))
    reply = trained(conf, photos, list(range(20)), start)  # two steps, of ten expected
    moved = vector(reply.payload) - start
    assert moved.std() == pytest.approx(math.sqrt(2) / 10, rel=0.03)
    lonely = plain(batch_size=1, lr=1.0, **sgd(clip=1e-3, noise=1000.0))
    reply = trained(lonely, photos, [3, 4, 5], start, round=1)
    assert reply.metrics["steps"] == 3
    assert (vector(reply.payload) - start).std() == pytest.approx(math.sqrt(3), rel=0.03)
    silent = [trained(lonely, photos, [3, 4], start, round=round_).metrics for round_ in range(60)]
    assert any("loss" not in one for one in silent) and any("loss" in one for one in silent)


def test_the_network_is_left_as_it_was_found_also_by_a_training_that_failed(plain, photos):
    start, usual = read_weights(build(plain(), 0)), plain()
    before = trained(usual, photos, list(range(12)), start).payload
    own = plain(**sgd())
    trained(own, photos, list(range(12)), start)
    with pytest.raises(FloatingPointError):
        trained(own, photos, list(range(12)), np.full_like(start, np.nan))
    net = client._kept(own, "cpu").net
    clean = client._kept(usual, "cpu").net
    assert [vars(one).keys() for one in net.modules()] == [vars(one).keys() for one in clean.modules()]
    assert not any(one._forward_hooks or one._backward_hooks for one in net.modules())
    assert all(not vars(one) for one in net.parameters())
    assert trained(usual, photos, list(range(12)), start).payload == before


def test_epsilon_of_examples_is_that_of_the_client_that_loses_most_and_claims_nothing_of_cohorts(tiny):
    conf = tiny(no_models=3, k=1, local_epochs=2, batch_size=8, **sgd(noise=1.2))
    one = conf.local.module.spent(conf, [80, 20, 0], 5)["epsilon"]
    each = [epsilon("rdp", 1.2, 1 / steps, 5 * 2 * steps, 1e-5) for steps in (10, 3)]
    assert one == (max(each), "RDP, add or remove one example", "lower")
    assert conf.local.module.spent(tiny(**sgd(noise=0.0)), [80], 5) == {}


WAYS = {
    "central": central(noise=1.0, clip=0.1),
    "adaptive": {**central(noise=0.5, clip=0.1, adaptive=True), "no_models": 12, "k": 6},
    "local": {"link": [{"name": "local_dp", "clip": 0.1, "noise": 1.0}]},
    "examples": sgd(noise=1.0),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_run_goes_on_to_the_bit_and_is_the_same_on_any_number_of_workers(way, tiny, photos):
    conf = tiny(**{"no_models": 4, "k": 2, "global_epochs": 4, **WAYS[way]})
    kept = []

    def hook(repeat, state):
        kept.append((dict(state.vectors), json.loads(json.dumps(state.record)), state.round))

    whole = run_repeat(conf, FIRST, photos, Here(), hook=hook)
    assert len(values(whole.record, "epsilon")) == 4 and np.diff(values(whole.record, "epsilon")).min() > 0
    vectors, record, round_ = kept[1]
    with Workers(2) as engine:
        state = run_repeat(conf, FIRST, photos, engine, State(vectors, record, round_))
    assert np.array_equal(state.weights, whole.weights)
    told = [one for one in whole.record["series"] if "seconds" not in one["name"]]
    assert [one for one in state.record["series"] if "seconds" not in one["name"]] == told
    assert values(whole.record, "clip") == [] or values(whole.record, "clip")[0] == 0.1


@pytest.mark.parametrize("accountant", ["rdp", "pld"])
def test_a_run_ends_before_it_would_pass_its_budget(accountant, tiny, photos, tmp_path):
    budget = epsilon(accountant, 1.0, 2 / 4, 3, 1e-5) * 1.001
    conf = tiny(no_models=4, k=2, global_epochs=9, **central(budget=budget, accountant=accountant))
    run = prepare("conf_dp", conf, photos, folds=1, seeds=2, cache=tmp_path)
    carry_out([run], Here(), 1, lambda *_: None)
    result = read_result(result_path(tmp_path, "conf_dp"))
    for repeat in result["repeats"]:
        spent = values(repeat, "epsilon")
        assert len(spent) == 3 and spent[-1] <= budget < epsilon(accountant, 1.0, 2 / 4, 4, 1e-5)
        unit = {one["name"]: one["unit"] for one in repeat["series"]}["epsilon"]
        assert unit == f"{accountant.upper()}, add or remove one client"
    assert rounds_of(conf, [5] * 4) == 3 and rounds_of(tiny(), [5] * 3) == 3


@pytest.mark.parametrize(
    "way", [central(budget=0.01), {"link": [{"name": "local_dp", "budget": 0.01}]}, sgd(budget=0.01)]
)
def test_a_budget_that_lasts_for_no_round_is_refused_before_any(way, tiny, photos, tmp_path):
    family = {"strategy": "strategy", "link": "link", "local": "local"}[next(iter(way))]
    with pytest.raises(
        Refusal, match=f"{family}: the budget of 0.01 does not last for one round, which takes"
    ):
        prepare("conf_dp", tiny(**way), photos, folds=1, seeds=1, cache=tmp_path)
    with pytest.raises(Refusal):
        share_out(tiny(**way), FIRST, photos)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {**central(), "norm": "batch"},
            "strategy: dp_fedavg needs network without values beside its parameters (statistics of batch norm, agreed "
            "scaling), which are neither clipped nor noised, found 600 of them",
        ),
        ({**sgd(), "norm": "batch"}, "local: dp_sgd needs network without values beside its parameters"),
        (
            {"link": ["local_dp"], "norm": "batch"},
            "link: local_dp needs network without values beside its param",
        ),
        ({"strategy": "dp_fedavg"}, "strategy: dp_fedavg needs selection poisson, found uniform"),
        (
            {"strategy": "dp_fedavg", "selection": "poisson"},
            "strategy: dp_fedavg needs min_clients 0, found 1",
        ),
        (
            {**central(), "rounds": {"name": "synchronous", "over_select": 1.5}},
            "strategy: dp_fedavg needs rounds as they usually are, found",
        ),
        (
            {**central(), "local": "scaffold", "momentum": 0.0},
            "strategy: dp_fedavg does not go with local scaffold",
        ),
        (
            {"link": ["local_dp"], "local": "scaffold", "momentum": 0.0},
            "link: local_dp does not go with local scaffold",
        ),
        (
            {"link": ["local_dp"], "selection": "power_of_choice"},
            "link: local_dp does not go with selection power_of_choice",
        ),
        ({"link": ["local_dp", "local_dp"]}, "link: local_dp does not go with link local_dp"),
        ({**central(), **sgd()}, "local: dp_sgd does not go with strategy dp_fedavg"),
        ({"link": ["local_dp"], **sgd()}, "local: dp_sgd does not go with link local_dp"),
        (central(noise=0.0, budget=3.0), "strategy: dp_fedavg needs noise above 0, found 0"),
        (central(delta=0.0), "strategy.delta: expected a value in (0.0, 1.0), found 0.0"),
    ],
)
def test_what_would_not_be_private_is_refused_with_the_reason(changes, says):
    with pytest.raises(ConfError) as error:
        parse_conf(json.dumps({**TINY, **changes}).encode(), "x")
    assert str(error.value).startswith(f"x: {says}") and "\n" not in str(error.value)


def test_networks_whose_examples_have_no_gradients_of_their_own_are_refused():
    keys = ("model_name", "image_size", "width", "norm", "data")
    talk = {key: value for key, value in TINY.items() if key not in keys}
    talk |= {"type": "dialogue", "network": "char_gru"}
    make_conf(talk, "x")
    with pytest.raises(
        ConfError, match="local: dp_sgd needs network without gru and lstm, which give no gradi"
    ):
        make_conf({**talk, **sgd()}, "x")
    make_conf({**talk, "network": "char_mlp", **sgd()}, "x")


DESCRIBED = {
    "pictures": ({"type": "digits"}, [{"conv2d": 4, "padding": 1}, {"group_norm": 2}, {"pooling": "max"}, {"conv2d": 6},
                 {"global_pooling": "average"}]),
    "tokens": ({"type": "dialogue"}, [{"embedding": 5}, {"flatten": True}, {"dense": 7, "activation": "relu"}]),
    "resnet": (TINY, []),
}  # fmt: skip


@pytest.mark.parametrize("kind", DESCRIBED)
def test_the_gradient_of_each_example_is_what_it_is_where_it_is_alone(kind):
    conf, layers = DESCRIBED[kind]
    keys = ("no_models", "k", "global_epochs", "local_epochs", "batch_size", "lr", "momentum")
    conf = {
        **{name: TINY[name] for name in keys},
        **conf,
        **({"network": {"layers": layers}} if layers else {}),
    }
    conf = make_conf({**conf, **sgd()}, "x")
    for memory in (torch.contiguous_format, torch.channels_last):
        net, local = build(conf, 0).to(memory_format=memory).train(), Local(conf.local.keys, None)
        torch.manual_seed(1)
        shape = inputs_of(conf).shape
        inputs = torch.randint(9, (4, *shape)) if kind == "tokens" else torch.randn(4, *shape)
        inputs = inputs.to(memory_format=memory) if inputs.dim() == 4 else inputs
        targets = torch.tensor([0, 1, 1, 0])
        local.prepare(net)
        F.cross_entropy(net(inputs), targets).backward()
        local.release(net)
        for one in range(4):
            net.zero_grad()
            F.cross_entropy(net(inputs[[one]]), targets[[one]]).backward()
            for name, parameter in net.named_parameters():
                found = local._each[parameter][one]
                assert torch.allclose(found, parameter.grad, atol=1e-5), (kind, memory, name)
                assert parameter.grad.abs().max() > 0
