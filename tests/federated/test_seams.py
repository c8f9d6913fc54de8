"""Where later parts go: each family takes a part that is dropped into its folder, and it does what it says."""

import numpy as np
import pytest

from tests.conftest import TINY
from tests.here import Here, trained
from utils.conf import ConfError, make_conf
from utils.experiment import run_repeat
from utils.federated.bench import Repeat, share_out
from utils.federated.client import vector
from utils.nets.build import build
from utils.nets.layout import Layout, read_weights
from utils.results import values

FIRST = Repeat(0, 0, 0)
ABOUT = "ABOUT = ('x', 'x')\n"
HEAD = ABOUT + "from dataclasses import dataclass\nimport numpy as np\nfrom utils.parts import key\n"

ATTACK = (
    HEAD
    + """
@dataclass(frozen=True)
class Keys:
    hostile: int = key('how many', zh='x', default=1, low=0, high=9)

class Attack:
    def __init__(self, keys): self.keys = keys
    def is_hostile(self, client, conf): return client < self.keys.hostile
    def targets(self, targets, classes): return classes - 1 - targets
    def weights(self, weights, sent, rng): return sent - 2 * (weights - sent)
"""
)
LOCAL = (
    HEAD
    + """
from utils.nets.layout import pieces

@dataclass(frozen=True)
class Keys:
    mu: float = key('pull', zh='x', default=0.0, low=0.0, high=10.0)

class Local:
    def __init__(self, keys, start): self.mu, self.sent = keys.mu, start.sent
    def gradients(self, net):
        if not self.mu: return
        for tensor, start in zip(net.parameters(), pieces(net, self.sent)):
            tensor.grad += self.mu * (tensor.detach() - start)
"""
)
SELECTION = (
    HEAD
    + """
def loss(asked):
    logits = asked.logits(asked.buffers['weights']).astype(np.float64)
    likely = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(asked.targets)), asked.targets]
    return np.float64(likely.mean()).tobytes()

ANSWERS = {'loss': loss}

class Selection:
    def __init__(self, conf, sizes): self.all, self.told = len(sizes), []
    def select(self, rng, count, ask):
        found = [np.frombuffer(one.payload)[0] for one in ask('loss', range(self.all), ['weights'])]
        self.told.append(found)
        return sorted(np.argsort(found)[-count:].tolist())
    def state(self): return {'losses': np.array(self.told)}
    def restore(self, state): self.told = state.get('losses', np.zeros((0, self.all))).tolist()
"""
)
LINK = (
    HEAD
    + """
@dataclass(frozen=True)
class Keys:
    bound: float = key('largest change of a weight', zh='x', default=0.01, low=0.0, high=9.0, above_low=True)

class Link:
    def __init__(self, keys, layout): self.bound = keys.bound
    def apply(self, difference, rng): return np.clip(difference, -self.bound, self.bound)
    def encode(self, difference, samples, rng): return difference.astype(np.float16).tobytes()
    def decode(self, payload): return np.frombuffer(payload, np.float16).astype(np.float32)
"""
)
RING = (
    HEAD
    + """
class Link:
    def __init__(self, keys, layout): self.total = None
    def encode(self, difference, samples, rng):
        fixed = np.round(difference.astype(np.float64) * samples * 2**12).astype(np.int64)
        return (fixed % 2**32).astype('<u4').tobytes()
    def fold(self, payload, client):
        one = np.frombuffer(payload, '<u4').astype(np.uint64)
        self.total = one if self.total is None else (self.total + one) % 2**32
    def open(self, samples):
        signed, self.total = self.total.astype(np.uint32).astype(np.int32), None
        return signed.astype(np.float64) / 2**12 / samples
"""
)


def test_hostile_clients_train_on_other_targets_and_send_other_weights(dropped, tiny, photos):
    dropped("attack", "contrary", ATTACK)
    conf = tiny(global_epochs=1, attack={"name": "contrary", "hostile": 1})
    state = run_repeat(conf, FIRST, photos, Here())
    shares, start = share_out(conf, FIRST, photos), read_weights(build(conf, 0))
    honest = [
        vector(trained(tiny(), photos, mine, start, number=n).payload)
        for n, mine in enumerate(shares.clients)
    ]
    sizes = [len(mine) for mine in shares.clients]
    from dataclasses import replace

    turned = replace(photos, targets=1 - photos.targets)
    bad = vector(trained(tiny(), turned, shares.clients[0], start).payload)
    expected = np.average([start - 2 * (bad - start), *honest[1:]], axis=0, weights=sizes)
    assert np.allclose(state.weights, expected, atol=1e-6)
    nobody = run_repeat(
        tiny(global_epochs=1, attack={"name": "contrary", "hostile": 0}), FIRST, photos, Here()
    )
    assert np.array_equal(nobody.weights, run_repeat(tiny(global_epochs=1), FIRST, photos, Here()).weights)


def test_a_way_of_training_changes_gradients_and_without_a_pull_is_the_plain_one(dropped, tiny, photos):
    dropped("local", "pulled", LOCAL)
    plain, none, some = (
        run_repeat(tiny(global_epochs=2, local_epochs=3, **changes), FIRST, photos, Here()).weights
        for changes in ({}, {"local": "pulled"}, {"local": {"name": "pulled", "mu": 5.0}})
    )
    start = read_weights(build(tiny(), 0))
    assert np.array_equal(plain, none)
    assert np.linalg.norm(some - start) < np.linalg.norm(plain - start)


def test_a_selection_asks_clients_and_what_that_sends_is_counted(dropped, tiny, photos):
    dropped("selection", "needy", SELECTION)
    conf = tiny(no_models=4, k=2, global_epochs=2, selection="needy")
    state = run_repeat(conf, FIRST, photos, Here())
    size = 4 * len(state.weights)
    assert values(state.record, "bytes_down") == [(4 + 2) * size] * 2
    assert values(state.record, "bytes_up") == [2 * size + 4 * 8] * 2
    losses = state.vectors["selection/losses"]
    assert losses.shape == (2, 4)
    chosen = sorted(np.argsort(losses[0])[-2:].tolist()) + sorted(np.argsort(losses[1])[-2:].tolist())
    assert [client["rounds"] for client in state.record["clients"]] == [chosen.count(n) for n in range(4)]


def test_links_change_what_travels_and_the_bytes_are_those_of_the_payload(dropped, tiny, photos):
    dropped("link", "bounded", LINK)
    conf = tiny(global_epochs=1, norm="batch", link=[{"name": "bounded", "bound": 0.001}])
    state = run_repeat(conf, FIRST, photos, Here())
    shares, start = share_out(conf, FIRST, photos), read_weights(build(conf, 0))
    layout = Layout.of(build(conf, 0))
    parameters = layout.trained
    updates = []
    for number, mine in enumerate(shares.clients):
        change = vector(trained(tiny(norm="batch"), photos, mine, start, number=number).payload) - start
        change[:parameters] = np.clip(change[:parameters], -0.001, 0.001).astype(np.float16)
        updates.append(start + change)
    expected = np.average(updates, axis=0, weights=[len(mine) for mine in shares.clients])
    assert np.allclose(state.weights, expected, atol=1e-6)
    buffers = 4 * (layout.size - parameters)
    assert values(state.record, "bytes_up") == [3 * (2 * parameters + buffers)]
    assert values(state.record, "bytes_down") == [3 * 4 * layout.size]


def test_a_link_may_open_nothing_but_the_sum(dropped, tiny, photos):
    dropped("link", "ring", RING)
    plain, summed = (
        run_repeat(tiny(global_epochs=2, **changes), FIRST, photos, Here())
        for changes in ({}, {"link": ["ring"]})
    )
    assert np.allclose(plain.weights, summed.weights, atol=2e-3)
    assert not np.array_equal(plain.weights, summed.weights)
    assert [one["rounds"] for one in summed.record["clients"]] == [2, 2, 2]


def test_only_the_last_link_may_give_updates_a_form_of_its_own_and_they_are_few(dropped):
    dropped("link", "coded", LINK)
    with pytest.raises(
        ConfError, match="link: coded gives updates a form of its own, so it can only be the last"
    ):
        make_conf({**TINY, "link": ["coded", "coded"]}, "x")
    with pytest.raises(ConfError, match="link: expected at most 20, found 100000"):
        make_conf({**TINY, "link": ["coded"] * 100_000}, "x")
