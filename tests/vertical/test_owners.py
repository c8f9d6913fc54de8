"""What owners of columns hold and send, and that what they learn is what one place would have learnt."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from utils.vertical import Wire
from utils.vertical.joint import Joint, first_of
from utils.vertical.owners import Guest, Host, passes

PEOPLE, COLUMNS = 40, ((0, 3, 5), (1, 6), (2, 4, 7, 8))


def _network(hidden=True):
    torch.manual_seed(0)
    layers = [nn.Linear(9, 7), nn.Tanh(), nn.Linear(7, 3)] if hidden else [nn.Linear(9, 3)]
    return nn.Sequential(nn.Flatten(), *layers)


def _people(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(PEOPLE, 9)), rng.integers(0, 3, PEOPLE)


def _batches():
    rng = np.random.default_rng(5)
    return [batch for _ in range(3) for batch in np.array_split(rng.permutation(PEOPLE), 6)]


def _trained(net, rows, targets, columns=COLUMNS, apart=False, wire=None):
    joint = Joint(net, columns, apart)
    guest, hosts = joint.owners([rows[:, of] for of in columns], targets)
    for one in (guest, *hosts):
        one.begin(0.1, 0.9, 1e-3)
    told = passes(guest, hosts, _batches(), wire or Wire())
    return joint.read(guest, hosts), told, guest, hosts


def _in_one_place(net, rows, targets):
    net = net.double()
    sgd = torch.optim.SGD(net.parameters(), 0.1, 0.9, weight_decay=1e-3)
    for batch in _batches():
        sgd.zero_grad()
        nn.functional.cross_entropy(net(torch.tensor(rows[batch])), torch.tensor(targets[batch])).backward()
        sgd.step()
    return nn.utils.parameters_to_vector(net.parameters()).detach().numpy()


@pytest.mark.parametrize("hidden", [False, True])
def test_owners_whose_scores_are_added_learn_what_one_place_would(hidden):
    rows, targets = _people()
    found = _trained(_network(hidden), rows, targets)[0]
    assert np.abs(found - _in_one_place(_network(hidden), rows, targets)).max() < 1e-10
    alone = _trained(_network(hidden), rows, targets, [range(9)])[0]  # one owner who has all columns
    assert np.abs(found - alone).max() < 1e-10


def test_owners_with_units_of_their_own_learn_what_a_network_without_the_other_weights_would():
    rows, targets = _people()
    net = _network()
    mask = torch.from_numpy(Joint(net, COLUMNS, apart=True).mask())
    assert mask.any(dim=0).all() and mask.sum() == 3 * 3 + 2 * 2 + 2 * 4  # units 0-2, 3-4, 5-6
    whole = _network().double()
    with torch.no_grad():
        net[1].weight.mul_(mask)
        whole[1].weight.mul_(mask)
    whole[1].weight.register_hook(lambda gradient: gradient * mask)
    found = _trained(net, rows, targets, apart=True)[0]
    assert np.abs(found - _in_one_place(whole, rows, targets)).max() < 1e-10
    assert not found[:63].reshape(7, 9)[~mask.numpy()].any()


@pytest.mark.parametrize("apart", [False, True])
def test_bytes_and_messages_are_those_that_were_made(monkeypatch, apart):
    made = []
    scores, step = Host.scores, Guest.step

    def noted_scores(self, batch):
        made.append(("up", scores(self, batch)))
        return made[-1][1]

    def noted_step(self, batch, told):
        answers, loss = step(self, batch, told)
        made.extend(("down", one) for one in answers)
        return answers, loss

    monkeypatch.setattr(Host, "scores", noted_scores)
    monkeypatch.setattr(Guest, "step", noted_step)
    wire = Wire()
    (steps, _) = _trained(_network(), *_people(), apart=apart, wire=wire)[1]
    assert (steps, wire.messages) == (18, len(made)) and len(made) == 18 * 4
    for way in ("up", "down"):
        assert getattr(wire, way) == sum(len(message) for kind, message in made if kind == way)
    units = 7 * 2 if not apart else 2 + 2  # of two hosts
    assert wire.up == wire.down == 3 * PEOPLE * units * 8


@pytest.mark.parametrize("apart", [False, True])
def test_nobody_holds_anothers_columns_and_hosts_hold_no_labels(apart):
    rows, _ = _people()
    targets = np.random.default_rng(9).normal(size=PEOPLE)  # numbers that occur nowhere else
    _, _, guest, hosts = _trained(_network(), rows, targets, apart=apart)

    def holds(owner, number):
        return np.float64(number).tobytes() in pickle.dumps(vars(owner))

    for position, owner in enumerate((guest, *hosts)):
        for other, columns in enumerate(COLUMNS):
            for column in columns:
                assert all(holds(owner, one) == (other == position) for one in rows[::13, column])
        assert all(holds(owner, one) == (position == 0) for one in targets)


def test_without_a_hidden_layer_what_a_host_is_answered_names_every_label():
    rows, targets = _people()
    joint = Joint(_network(hidden=False), COLUMNS, apart=False)
    guest, hosts = joint.owners([rows[:, of] for of in COLUMNS], targets)
    guest.begin(0.1, 0.0, 0.0)
    answers, _ = guest.step(np.arange(PEOPLE), [host.scores(np.arange(PEOPLE)) for host in hosts])
    for answer in answers:
        assert np.array_equal(np.frombuffer(answer).reshape(PEOPLE, 3).argmin(axis=1), targets)


def test_a_loss_that_is_not_finite_ends_it():
    rows, targets = _people()
    with pytest.raises(FloatingPointError, match="training loss is not finite"):
        _trained(_network(hidden=False), rows * 1e200, targets)


def test_a_network_that_does_not_begin_with_a_dense_layer_has_no_first_one():
    assert first_of(nn.Sequential(nn.Conv1d(1, 1, 1), nn.Flatten(), nn.Linear(9, 3))) is None
    assert first_of(nn.Sequential(nn.Flatten())) is None
    assert first_of(_network()) is not None
