"""Ways of local training, against what can be worked out by hand."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from tests.conftest import TINY
from tests.here import Here
from utils.conf import ConfError, make_conf
from utils.engines.workers import Workers
from utils.experiment import run_repeat
from utils.federated.bench import Bench, Repeat, share_out
from utils.federated.kept import read
from utils.federated.local import Start, feddyn, scaffold
from utils.federated.local.fedprox import pull
from utils.federated.update import Reply
from utils.nets.build import build
from utils.nets.layout import Layout, read_weights
from utils.results import values

FIRST = Repeat(0, 0, 0)
STATEFUL = ("scaffold", "feddyn", "ditto", "fedbn")


def walked(valleys, rounds, **changes):
    """The model's one number after each round, from two valleys at 0 and at 4, three times as steep."""
    examples, conf = valleys([1.0, 3.0], [0.0, 4.0], global_epochs=rounds, **changes)
    found = []
    run_repeat(conf, FIRST, examples, Here(), hook=lambda _, state: found.append(float(state.weights[0])))
    return found


def test_fedavg_stalls_where_scaffold_and_feddyn_reach_the_optimum_of_the_sum(valleys):
    fedavg = walked(valleys, 50)
    assert fedavg[:3] == pytest.approx([1.943505, 2.309784, 2.378814], abs=2e-6)
    assert fedavg[-1] == pytest.approx(2.394844, abs=2e-6)
    scaffold = walked(valleys, 50, local="scaffold")
    assert scaffold[:4] == pytest.approx([1.943505, 2.627939, 2.868973, 2.953857], abs=2e-6)
    assert scaffold[-1] == pytest.approx(3.0, abs=2e-6)
    # So many steps that the minimum is exact. The learning rate is below 2 over the steepest curvature.
    feddyn = walked(valleys, 200, local={"name": "feddyn", "alpha": 0.1}, local_epochs=100, lr=0.3)
    assert feddyn[:3] == pytest.approx([3.87097, 2.28739, 2.23631], abs=1e-4)
    assert feddyn[-1] == pytest.approx(2.999998, abs=5e-6)


def test_scaffold_and_feddyn_weigh_clients_by_their_examples(valleys):
    """Held by one client, two valleys of one curvature are one twice as steep in the sum."""
    holds = {"no_models": 2, "k": 2, "owners": 3, "holds": [[0], [1, 2]], "batch_size": 4}
    for local, more in (("scaffold", {}), ({"name": "feddyn", "alpha": 0.1}, {"local_epochs": 100})):
        examples, conf = valleys([1.0] * 3, [0.0, 3.0, 6.0], global_epochs=150, local=local, **(holds | more))
        state = run_repeat(conf, FIRST, examples, Here())
        assert state.weights[0] == pytest.approx(3.0, abs=1e-4)


def test_scaffold_sends_as_much_again_both_ways_and_wants_no_momentum(valleys):
    examples, conf = valleys([1.0, 3.0], [0.0, 4.0], local="scaffold")
    record = run_repeat(conf, FIRST, examples, Here()).record
    assert values(record, "bytes_down") == values(record, "bytes_up") == [2 * (4 + 4)] * 4
    with pytest.raises(ConfError, match=r"local: scaffold needs momentum 0, found 0\.9"):
        valleys([1.0, 3.0], [0.0, 4.0], local="scaffold", momentum=0.9)


def test_fedprox_without_a_pull_is_fedavg_to_the_bit_and_with_one_stays_nearer(tiny, photos):
    plain, none, some = (
        run_repeat(tiny(global_epochs=2, local_epochs=3, **local), FIRST, photos, Here()).weights
        for local in ({}, {"local": {"name": "fedprox", "mu": 0}}, {"local": {"name": "fedprox", "mu": 5}})
    )
    start = read_weights(build(tiny(), 0))
    assert np.array_equal(plain, none)
    assert np.linalg.norm(some - start) < 0.8 * np.linalg.norm(plain - start)


def test_fedprox_adds_the_gradient_of_half_mu_times_the_square(valleys):
    """One step a round: w - lr (curvature (w - bottom) + mu (w - sent)), the second step from elsewhere."""
    examples, conf = valleys(
        [2.0], [1.0], local_epochs=2, global_epochs=1, local={"name": "fedprox", "mu": 3.0}
    )
    first = 0.1 * 2.0 * 1.0
    second = first - 0.1 * (2.0 * (first - 1.0) + 3.0 * first)
    state = run_repeat(conf, FIRST, examples, Here())
    assert state.weights[0] == pytest.approx(second, abs=1e-6)


def test_ditto_leaves_the_common_model_as_it_is_and_pulls_personal_ones_to_it(valleys, tmp_path):
    common = walked(valleys, 30)
    for strength, expected in ((0.0, [0.0, 4.0]), (1.0, None)):
        examples, conf = valleys(
            [1.0, 3.0], [0.0, 4.0], global_epochs=30, local={"name": "ditto", "strength": strength}
        )
        home = tmp_path / str(strength)
        state = run_repeat(conf, FIRST, examples, Here(), home=home)
        assert state.weights[0] == np.float32(common[-1])
        last = state.vectors["kept/last"]
        own = [float(read(str(home), client, int(last[client]))["personal"][0]) for client in range(2)]
        # Where a client's two pulls are equal: curvature (v - bottom) = strength (x - v).
        x = common[-2]
        expected = expected or [(0.0 + x) / 2, (3 * 4.0 + x) / 4]
        assert own == pytest.approx(expected, abs=1e-3)


def test_fedbn_keeps_batch_norm_at_home_and_sends_what_was_sent(tiny, photos, tmp_path):
    conf = tiny(norm="batch", local="fedbn", global_epochs=2)
    state = run_repeat(conf, FIRST, photos, Here(), home=tmp_path)
    layout, start = Layout.of(build(conf, 0)), read_weights(build(conf, 0))
    now, before = layout.named(state.weights), layout.named(start)
    mine = [name for name in layout.names if "bn" in name or "downsample.1" in name]
    assert mine and all(np.array_equal(now[name], before[name]) for name in mine)
    assert not np.array_equal(now["fc.weight"], before["fc.weight"])
    kept = [read(str(tmp_path), client, 1)["norm"] for client in range(3)]
    assert len(kept[0]) == sum(now[name].size for name in mine) and not np.array_equal(kept[0], kept[1])
    with pytest.raises(ConfError, match="local: fedbn needs network with batch norm, found none"):
        make_conf({**TINY, "local": "fedbn"}, "x")


@pytest.mark.parametrize("local", STATEFUL)
def test_what_clients_remember_is_as_before_a_kill_and_on_any_number_of_workers(
    local, tiny, photos, tmp_path
):
    conf = tiny(norm="batch", momentum=0.0, no_models=4, k=2, global_epochs=4, local=local)
    whole = run_repeat(conf, FIRST, photos, Here(), home=tmp_path / "whole")
    kept = []

    def killed(repeat, state):
        kept.append((dict(state.vectors), state.record, state.round))
        if state.round == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_repeat(conf, FIRST, photos, Here(), hook=killed, home=tmp_path / "killed")
    from utils.federated.bench import State

    vectors, record, round_ = kept[1]
    for folder in (tmp_path / "killed").iterdir():  # a round that was begun and never checkpointed
        np.savez(
            folder / "2.npz", personal=np.zeros(1), control=np.zeros(1), moved=np.zeros(1), norm=np.zeros(1)
        )
    state = State(vectors, record, round_)
    with Workers(2) as engine:
        state = run_repeat(conf, FIRST, photos, engine, state, home=tmp_path / "killed")
    assert np.array_equal(state.weights, whole.weights)
    told = [one for one in whole.record["series"] if "seconds" not in one["name"]]
    assert [one for one in state.record["series"] if "seconds" not in one["name"]] == told
    files = list((tmp_path / "whole").glob("*/*.npz"))
    assert 0 < len(files) <= 8  # of each client the last state and the one before


def test_personal_models_are_judged_on_examples_such_as_the_clients_own(tiny, photos):
    """Where owners have labels of their own, personal models that learn alone answer with them."""
    changes = {
        "partition": "shards",
        "shards_per_owner": 1,
        "no_models": 2,
        "k": 2,
        "lr": 0.1,
        "local_epochs": 4,
    }
    alone = {"local": {"name": "ditto", "strength": 0}}
    common, own = (
        run_repeat(tiny(**changes, **local), FIRST, photos, Here()).record for local in ({}, alone)
    )
    assert values(common, "accuracy") == values(own, "accuracy")
    assert values(own, "client_accuracy")[-1] > 0.95 > values(common, "client_accuracy")[-1]


def test_how_clients_fare_weighs_recalls_by_the_labels_they_have(tiny, photos):
    conf = tiny(partition="dirichlet", alpha=0.3, no_models=4, k=4, global_epochs=1)
    state = run_repeat(conf, FIRST, photos, Here())
    test = state.record["test"]
    truth, said = np.array(test["truth"]), np.array(test["said"])
    recall = [float((said[truth == label] == label).mean()) for label in (0, 1)]
    clients = share_out(conf, FIRST, photos).clients
    expected = np.array(
        [np.average(recall, weights=[np.sum(photos.targets[mine] == n) for n in (0, 1)]) for mine in clients]
    )
    told = {
        name: values(state.record, name)[-1]
        for name in ("client_accuracy", "client_accuracy_spread", "client_accuracy_worst")
    }
    assert list(told.values()) == pytest.approx([expected.mean(), expected.std(), expected.min()])


def test_pulls_are_where_the_network_is(tiny):
    """As on a GPU: the network's tensors are elsewhere than the vectors that were sent."""
    net, layout = build(tiny(), 0).to("meta"), Layout.of(build(tiny(), 0))
    for tensor in net.parameters():
        tensor.grad = torch.zeros_like(tensor)
    pull(net, np.zeros(layout.size, np.float32), 1.0)
    start = Start(
        np.zeros(layout.size, np.float32), layout, 0.1, 1.0, {}, np.ones(layout.trained, np.float32)
    )
    scaffold.Local(None, start).gradients(net)


def test_a_run_that_an_earlier_version_began_ends_without_what_that_did_not_measure(tiny, photos):
    conf, kept = tiny(), []
    whole = run_repeat(conf, FIRST, photos, Here(), hook=lambda _, state: kept.append(deepcopy(state)))
    begun = kept[0]
    del begun.record["measured"], begun.record["updates"]
    begun.record["series"] = [
        one for one in begun.record["series"] if not one["name"].startswith(("client_", "update_"))
    ]
    state = run_repeat(conf, FIRST, photos, Here(), begun)
    assert np.array_equal(state.weights, whole.weights) and not values(state.record, "update_norm")
    assert {len(one["values"]) for one in state.record["series"]} == {3}


def test_hostile_clients_have_no_part_in_how_clients_fare(tiny, photos):
    conf = tiny(partition="shards", shards_per_owner=1, no_models=2, k=2, attack={"name": "label_flip"})
    record = run_repeat(conf, FIRST, photos, Here()).record
    assert values(record, "client_accuracy") == values(record, "client_accuracy_worst")


def test_an_update_that_is_not_finite_does_not_reach_the_servers_half(tiny, photos):
    flip = {"name": "sign_flip", "scale": 1e6}
    conf = tiny(local="feddyn", strategy="median", lr=0.5, local_epochs=3, attack=flip, no_models=5, k=5)
    server = feddyn.Server(conf, Layout.of(build(conf, 0)))
    bench = Bench(conf, FIRST, photos, Here())
    bench.local, sent = server, bench.start()
    bench.begin(sent, 0)
    for client, value in enumerate((np.nan, np.inf, 1.0)):
        weights = sent.copy()
        weights[0] = value
        bench.take(Reply(client, weights.tobytes(), 1, {"steps": 1.0}), sent, 0)
    assert np.isfinite(server.state()["mean"]).all() and server.state()["mean"][0] != 0
