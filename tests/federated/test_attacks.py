"""What hostile clients train on and send, checked against published values."""

import numpy as np
import pytest
import torch

from tests.conftest import TINY
from tests.here import Here, trained
from utils.conf import ConfError, make_conf
from utils.engines.workers import Workers
from utils.experiment import run_repeat
from utils.federated.bench import Repeat, share_out
from utils.federated.client import vector
from utils.nets.build import build
from utils.nets.layout import Layout, read_weights, write_weights
from utils.packing import table_of
from utils.parts import names
from utils.results import values

X = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.float32)
ZERO = np.zeros(3, np.float32)


def _attack(name, **keys):
    part = make_conf({**TINY, "no_models": 9, "k": 9, "attack": {"name": name, **keys}}, "x").attack
    return part.module.Attack(part.keys)


def _rng():
    return np.random.default_rng(3)


def _drawn(count=5, size=70_000):
    sent, *trained = _rng().normal(size=(count + 1, size)).astype(np.float32)
    return sent, np.array(trained)


@pytest.mark.parametrize(
    ("name", "keys", "expected"),
    [
        ("ipm", {"eps": 2.0}, [-8, -10, -12]),
        ("alie", {"z": -1.5}, [8.5, 9.5, 10.5]),  # published with the other sign
        ("alie", {}, [-0.5, 0.5, 1.5]),
    ],
)
def test_published_values_of_those_who_know_of_each_other(name, keys, expected):
    found = _attack(name, **keys).together(X, ZERO, _rng())
    assert found.dtype == np.float32 and found.tolist() == expected


def test_the_published_value_of_a_flipped_sign():
    assert _attack("sign_flip").weights(X.mean(axis=0), ZERO, _rng()).tolist() == [-4, -5, -6]


@pytest.mark.parametrize("name", ["alie", "ipm"])
def test_what_they_send_together_is_the_formula_of_their_changes(name):
    sent, trained = _drawn()
    before, changes = trained.copy(), trained.astype(np.float64) - sent
    mean = changes.mean(axis=0)
    spread = np.sqrt(((changes - mean) ** 2).sum(axis=0) / 4)
    expected = sent + (mean - 0.7 * spread if name == "alie" else -0.7 * mean)
    found = _attack(name, **{"z" if name == "alie" else "eps": 0.7}).together(trained, sent, _rng())
    assert np.allclose(found, expected, atol=1e-5) and np.array_equal(trained, before)


def test_what_one_sends_alone():
    sent, (trained,) = _drawn(1)
    assert np.allclose(
        _attack("sign_flip", scale=3.0).weights(trained, sent, _rng()), 4 * sent - 3 * trained, atol=1e-5
    )
    assert np.array_equal(_attack("backdoor").weights(trained, sent, _rng()), trained)
    scaled = _attack("backdoor", scale=10.0).weights(trained, sent, _rng())
    assert np.allclose((scaled - sent) / 10, trained - sent, atol=1e-5)
    noise = _attack("gaussian", sd=0.5).weights(sent, sent, _rng()) - sent
    assert noise.std() == pytest.approx(0.5, rel=0.01) and noise.mean() == pytest.approx(0, abs=0.01)
    assert np.array_equal(_attack("free_rider").weights(sent, sent, _rng()), sent)
    disguised = _attack("free_rider", sd=1e-3).weights(sent, sent, _rng()) - sent
    assert disguised.std() == pytest.approx(1e-3, rel=0.01)


def test_a_replaced_model_is_the_hostile_one():
    """With scale n / lambda, once the honest send what they were sent."""
    from tests.federated.folding import played, strategy_of

    sent, (wanted,) = _drawn(1)
    hostile = _attack("backdoor", scale=5 / 0.5).weights(wanted, sent, _rng())
    new = played(strategy_of("fedavg", 0.5), sent, [hostile, *[sent.copy() for _ in range(4)]])
    assert np.allclose(new, wanted, atol=1e-5)


@pytest.mark.parametrize("name", names("attack"))
def test_the_first_clients_are_hostile_in_every_round_and_what_they_send_is_float32(name):
    attack, conf = _attack(name, hostile=3), make_conf({**TINY, "no_models": 9}, "x")
    assert [client for client in range(9) if attack.is_hostile(client, conf)] == [0, 1, 2]
    sent, trained = _drawn(3)
    if hasattr(attack, "together"):
        assert attack.together(trained, sent, _rng()).dtype == np.float32
    elif hasattr(attack, "weights"):
        assert attack.weights(trained[0], sent, _rng()).dtype == np.float32
    assert attack.TRAINS is (name not in ("free_rider", "gaussian"))
    assert any(hasattr(attack, method) for method in ("targets", "examples", "weights", "together", "copies"))


def test_flipped_classes_and_how_often_they_are_believed():
    attack = _attack("label_flip")
    assert attack.targets(np.array([0, 1, 2, 3]), 4).tolist() == [3, 2, 1, 0]
    assert attack.targets(np.array([0, 1]), 2).tolist() == [1, 0]
    called, targets = np.array([2, 0, 1, 0, 2]), np.array([0, 0, 1, 2, 2])
    # Of the four whose flipped class is another one, the first and the fourth are called it.
    assert attack.success(np.eye(3)[called], targets) == pytest.approx(2 / 4)
    assert attack.success(np.eye(3)[[1]], np.array([1])) == 0.0


@pytest.mark.parametrize("channels_last", [False, True])
def test_the_trigger_lies_in_the_lower_right_corner_and_what_was_given_stays(channels_last):
    attack, inputs = _attack("backdoor", size=3, value=9.0), torch.rand(4, 2, 8, 6)
    if channels_last:
        inputs = inputs.to(memory_format=torch.channels_last)
    before, shown = inputs.clone(), attack.shown(inputs)
    assert torch.equal(inputs, before)
    assert torch.all(shown[:, :, 5:, 3:] == 9.0)
    shown[:, :, 5:, 3:] = before[:, :, 5:, 3:]
    assert torch.equal(shown, before)


def test_of_rows_of_numbers_the_last_are_the_trigger():
    shown = _attack("backdoor", size=2, value=-5.0).shown(torch.zeros(3, 6))
    assert shown.tolist() == [[0, 0, 0, 0, -5, -5]] * 3


@pytest.mark.parametrize(("poison", "count"), [(0.0, 0), (0.25, 4), (1.0, 16)])
def test_a_share_of_a_batch_is_poisoned(poison, count):
    attack = _attack("backdoor", poison=poison, target=1, size=2, value=9.0)
    inputs, targets = torch.rand(16, 5), np.full(16, 3)
    before = inputs.clone()
    for shown, told in [attack.examples(inputs, targets, _rng()) for _ in range(2)]:
        bad = told == 1
        assert bad.sum() == count and torch.equal(inputs, before) and np.all(targets == 3)
        assert torch.all(shown[bad][:, 3:] == 9.0) and torch.equal(shown[~bad], inputs[~bad])
        assert torch.equal(shown[:, :3], inputs[:, :3])
    assert np.array_equal(attack.examples(inputs, targets, _rng())[1], told), (
        "the same numbers, the same examples"
    )


def test_a_backdoor_succeeds_with_those_it_turns():
    attack = _attack("backdoor", target=1)
    assert attack.success(np.eye(3)[[1, 1, 0, 2]], np.array([1, 0, 0, 2])) == pytest.approx(1 / 3)
    assert attack.success(np.eye(3)[[1]], np.array([1])) == 0.0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"attack": {"name": "ipm", "hostile": 4}}, "x: attack: ipm needs no_models at least 4, found 3"),
        ({"attack": {"name": "alie", "hostile": 1}}, "x: attack.hostile: expected a value in [2, 100000], found 1"),
        ({"attack": {"name": "backdoor", "poison": 2}}, "x: attack.poison: expected a value in [0.0, 1.0], found 2.0"),
        ({"attack": {"name": "backdoor", "size": 33}}, "x: attack.size: expected at most 32, found 33"),
        ({"attack": {"name": "backdoor", "target": 2}}, "x: attack.target: expected a value in [0, 1], found 2"),
        ({"type": "dialogue", "network": "char_gru", "attack": "backdoor"},
         "x: attack: backdoor does not go with type dialogue"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_where_the_conf_is_read(changes, says):
    with pytest.raises(ConfError) as error:
        base = TINY if "network" not in changes else {
            key: value for key, value in TINY.items() if key not in ("model_name", "image_size", "width", "norm")
        }  # fmt: skip
        make_conf({**base, **changes}, "x")
    assert str(error.value) == says


@pytest.mark.parametrize("name", ["label_flip", "backdoor"])
def test_what_needs_classes_does_not_go_with_a_number_to_foretell(name):
    conf = {"type": "diabetes", "network": "mlp", "no_models": 2, "k": 2, "global_epochs": 1, "local_epochs": 1,
            "batch_size": 8, "lr": 0.1, "momentum": 0.0}  # fmt: skip
    make_conf({**conf, "attack": "sign_flip"}, "x")
    with pytest.raises(ConfError, match=f"attack: {name} does not go with type diabetes"):
        make_conf({**conf, "attack": name}, "x")


FIRST = Repeat(0, 0, 0)


def test_triggered_examples_are_taught_and_judged_and_the_rest_is_as_without(tiny, photos):
    """A backdoor of half of the clients: its success is that of the model on triggered test examples, every round."""
    attack = {"name": "backdoor", "hostile": 2, "target": 1, "size": 12, "value": 3.0}
    conf = tiny(no_models=4, k=4, lr=0.05, local_epochs=2, global_epochs=6, attack=attack)
    state = run_repeat(conf, FIRST, photos, Here())
    assert state.record["hostile"] == [0, 1]
    assert len(values(state.record, "attack_success")) == 6
    mine, weights = share_out(conf, FIRST, photos).test, state.weights
    net = build(conf, 0)
    write_weights(net, weights)
    with torch.inference_mode():
        views = conf.task.module.for_judging(photos.inputs[mine], conf)
        for view in views:
            view[:, :, -12:, -12:] = 3.0
        said = torch.stack([net.eval()(view) for view in views]).mean(0).argmax(1).numpy()
    others = photos.targets[mine] != 1
    assert values(state.record, "attack_success")[-1] == pytest.approx((said[others] == 1).mean())


def test_those_who_know_each_other_send_the_same_and_their_updates_are_of_what_each_trained(tiny, photos):
    conf = tiny(no_models=4, k=4, global_epochs=1, attack={"name": "ipm", "hostile": 2, "eps": 2.0})
    state = run_repeat(conf, FIRST, photos, Here())
    shares, start = share_out(conf, FIRST, photos).clients, read_weights(build(conf, 0))
    honest = [vector(trained(tiny(), photos, mine, start, number=n).payload) for n, mine in enumerate(shares)]
    bad = start - 2.0 * np.mean([one - start for one in honest[:2]], axis=0)
    sizes = [len(mine) for mine in shares]
    assert np.allclose(state.weights, np.average([bad, bad, *honest[2:]], axis=0, weights=sizes), atol=1e-6)


def test_free_riders_send_what_they_were_sent_and_have_no_loss(tiny, photos):
    conf = tiny(no_models=3, global_epochs=1, attack={"name": "free_rider", "hostile": 2})
    state = run_repeat(conf, FIRST, photos, Here())
    shares, start = share_out(conf, FIRST, photos).clients, read_weights(build(conf, 0))
    reply = trained(tiny(), photos, shares[2], start, number=2)
    sizes = [len(mine) for mine in shares]
    expected = np.average([start, start, vector(reply.payload)], axis=0, weights=sizes)
    assert np.allclose(state.weights, expected, atol=1e-6)
    assert values(state.record, "training_loss") == [pytest.approx(reply.metrics["loss"])]
    assert table_of(state.record["updates"])["norm"][:2].tolist() == [0.0, 0.0]
    with pytest.raises(ConfError, match=r"attack\.hostile: expected less than k \(3\), found 3"):
        tiny(attack={"name": "free_rider", "hostile": 3})


def test_what_is_behind_the_parameters_goes_out_as_it_was_trained(tiny, photos):
    """A variance below zero would end a training and not mislead it."""
    conf = tiny(norm="batch", global_epochs=2, attack={"name": "sign_flip", "hostile": 3, "scale": 5.0})
    state = run_repeat(conf, FIRST, photos, Here())
    named = Layout.of(build(conf, 0)).named(state.weights)
    assert all((array > 0).all() for name, array in named.items() if name.endswith("running_var"))


@pytest.mark.parametrize("name", ["alie", "gaussian", "backdoor"])
def test_attacked_runs_are_the_same_on_any_number_of_workers(name, tiny, photos):
    conf = tiny(no_models=4, k=3, global_epochs=2, attack={"name": name, "hostile": 2})
    here = run_repeat(conf, FIRST, photos, Here())
    with Workers(2) as engine:
        there = run_repeat(conf, FIRST, photos, engine)
    assert np.array_equal(here.weights, there.weights)
    assert here.record["updates"] == there.record["updates"]
