"""Codes of updates: values known by hand or from the papers' reference code, sizes, what comes out again."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from tests.here import Here
from utils.experiment import run_repeat
from utils.federated.bench import Repeat
from utils.federated.links import Way, _coded
from utils.federated.update import Reply
from utils.nets.layout import Layout
from utils.parts import checked_part, names
from utils.results import values

FIRST = Repeat(0, 0, 0)
G = np.array([4, 1, -3, 0.5], np.float32)
RNG = np.random.default_rng(0)


def line(size):
    """The layout of a network that is one tensor of so many values."""
    return Layout(("w",), ((size,),), 1)


def link_of(name, layout=None, size=4, **keys):
    part = checked_part("link", {"name": name, **keys}, "x")
    return part.module.Link(part.keys, layout or line(size))


def through(link, values, rng=RNG):
    return link.decode(_coded(link, np.asarray(values, np.float32), 1, rng))


def with_feedback(link, update, left):
    """What is sent of an update, and what is left of it, as the way does it."""
    whole = update + left
    sent = through(link, whole)
    return sent, whole - sent


def test_the_largest_values_and_what_is_left_comes_later():
    link = link_of("topk", share=0.5)
    sent, left = with_feedback(link, G, 0)
    assert sent.tolist() == [4, 0, -3, 0] and left.tolist() == [0, 1, 0, 0.5]
    sent, left = with_feedback(link, np.array([0, 1, 0, 0.5], np.float32), left)
    assert sent.tolist() == [0, 2, 0, 1] and left.tolist() == [0, 0, 0, 0]
    assert len(link.encode(G, 1, RNG)) == 2 * 8


def test_scaled_signs_and_ternary_values():
    assert through(link_of("efsign"), G).tolist() == [2.125, 2.125, -2.125, 2.125]
    assert through(link_of("ternary", share=0.5), G).tolist() == [3.5, 0, -3.5, 0]


def test_a_level_is_one_of_two_and_right_in_the_mean():
    link, rng = link_of("qsgd", levels=4), np.random.default_rng(1)
    norm = np.float32(5.123475)
    drawn = np.array([through(link, G, rng) for _ in range(4000)]) / norm * 4
    exact = np.array([3.12288, 0.78072, -2.34216, 0.39036])
    assert np.allclose(np.abs(drawn - np.round(drawn)), 0, atol=1e-5)
    assert (np.abs(drawn - exact) < 1).all()
    spread = np.sqrt(np.abs(exact) % 1 * (1 - np.abs(exact) % 1) / 4000)
    assert (np.abs(drawn.mean(0) - exact) < 4 * spread).all()


def test_random_values_are_right_in_the_mean_and_unscaled_with_feedback():
    link, rng = link_of("randomk", share=0.25), np.random.default_rng(2)
    drawn = np.array([through(link, G, rng) for _ in range(4000)])
    assert all(np.count_nonzero(one) == 1 for one in drawn)
    assert np.allclose(drawn.mean(0), G, atol=5 * 4 * math.sqrt(3 / 4000))
    plain = through(link_of("randomk", share=0.25, error_feedback=True), G)
    assert plain[np.flatnonzero(plain)[0]] in G


def test_a_vote_of_three():
    link = link_of("signsgd", step=0.5)
    for one in ([1, -1, 2, -3], [4, 1, -9, -1], [-5, -2, -1, 0.1]):
        link.fold(link.encode(np.array(one, np.float32), 10, RNG), 0)
    assert link.open(30).tolist() == [0.5, -0.5, -0.5, -0.5]
    for one in ([1, 1, 1, 1], [1, -1, 1, -1]):
        link.fold(link.encode(np.array(one, np.float32), 10, RNG), 0)
    assert link.open(20).tolist() == [0.5, 0, 0.5, 0]


def test_a_matrix_of_rank_one_comes_out_again_and_a_larger_rank_by_and_by():
    layout = Layout(("w", "b"), ((20, 30), (20,)), 2)
    link, rng = link_of("powersgd", layout, rank=1), np.random.default_rng(3)
    matrix = np.outer(rng.standard_normal(20), rng.standard_normal(30))
    update = np.concatenate([matrix.ravel(), rng.standard_normal(20)]).astype(np.float32)
    payload = link.encode(update, 1, rng)
    assert len(payload) == 4 * (20 + 30 + 20)
    assert np.allclose(link.decode(payload), update, atol=1e-5)
    # From its last Q it goes on to the best matrix of that rank, whatever it began from.
    whole = rng.standard_normal((20, 30)) @ np.diag(0.8 ** np.arange(30))
    link = link_of("powersgd", layout, rank=2)
    update = np.concatenate([whole.ravel(), np.zeros(20)]).astype(np.float32)
    for _ in range(40):
        payload = link.encode(update, 1, rng)
    u, s, v = np.linalg.svd(whole)
    best = (u[:, :2] * s[:2]) @ v[:2]
    assert np.allclose(link.decode(payload)[:600].reshape(20, 30), best, atol=1e-2)


def test_the_layers_that_change_most_go_whole():
    layout = Layout(("a.weight", "b.weight", "b.bias", "c.bias"), ((2,), (2,), (1,), (1,)), 4)
    link = link_of("changed_layers", layout, layers=0.5)
    update = np.array([0.1, -0.1, 5, 0, 0, -1.5], np.float32)
    assert through(link, update).tolist() == [0, 0, 5, 0, 0, -1.5]
    assert len(link.encode(update, 1, RNG)) == 2 * 2 + 4 * 4


CODECS = [name for name in names("link") if hasattr(link_of(name).__class__, "decode")]


def expected_bytes(name, size):
    """By the formula of each, of one tensor that is no matrix."""
    few = min(size, math.ceil(size * 0.1 - 1e-9))
    return {
        "topk": 8 * few,
        "randomk": 8 + 4 * few,
        "qsgd": 4 * math.ceil(size / 512) + math.ceil(4 * size / 8),
        "efsign": 4 + math.ceil(size / 8),
        "powersgd": 4 * size,
        "float16": 2 * size,
        "changed_layers": 2 + 4 * size,
    }.get(name)


@settings(max_examples=60, deadline=None)
@given(
    name=some.sampled_from(CODECS),
    size=some.integers(1, 1200),
    seed=some.integers(0, 2**32 - 1),
    scale=some.sampled_from([0.0, 1e-30, 1e-3, 1.0, 1e4]),
    zeros=some.floats(0, 1),
)
def test_whatever_is_coded_comes_out_as_long_finite_and_no_larger_than_the_formula_says(
    name, size, seed, scale, zeros
):
    rng = np.random.default_rng(seed)
    keys = {"share": 0.1} if name in ("topk", "randomk", "ternary") else {}
    link = link_of(name, size=size, **keys)
    update = (rng.standard_normal(size) * scale * (rng.random(size) >= zeros)).astype(np.float32)
    payload = _coded(link, update, 1, rng)
    found = link.decode(memoryview(payload))
    assert found.shape == (size,) and found.dtype == np.float32 and np.isfinite(found).all()
    if not update.any():
        assert not found.any()
    if expected_bytes(name, size) is not None:
        assert len(payload) == expected_bytes(name, size)
    if getattr(link, "feedback", False):  # what is left is never more than there was
        assert np.linalg.norm(update - found) <= np.linalg.norm(update) * (1 + 1e-5)
    for bad in (np.nan, np.inf):
        update[size // 2] = bad
        with pytest.raises(FloatingPointError, match="not finite"):
            _coded(link, update, 1, rng)


@pytest.mark.parametrize("name", CODECS)
def test_a_payload_that_is_cut_off_is_refused(name):
    link = link_of(name, size=1000)
    payload = link.encode(np.random.default_rng(0).standard_normal(1000).astype(np.float32), 1, RNG)
    for bad in (payload[: len(payload) // 2], payload + b"\xff" * 8, b""):
        if bad != payload:
            with pytest.raises((ValueError, IndexError)):
                link.decode(memoryview(bad))


def test_golombs_code_is_as_long_as_expected_where_positions_are_random():
    size, share = 1_000_000, 0.01
    link = link_of("ternary", size=size, share=share)
    update = np.random.default_rng(5).standard_normal(size).astype(np.float32)
    payload = link.encode(update, 1, RNG)
    width = 1 + math.floor(math.log2(math.log((math.sqrt(5) + 1) / 2 - 1) / math.log(1 - share)))
    per_place = width + 1 / (1 - (1 - share) ** 2**width)
    assert abs(8 * len(payload) / (size * share) - (per_place + 1)) < 0.05
    assert abs(per_place - 8.11) < 0.01  # of the table for one per cent
    assert np.count_nonzero(link.decode(payload)) == size * share


def test_feedback_gives_all_that_was_ever_learnt():
    """The sum of what is sent and the last rest is the sum of all updates."""
    rng = np.random.default_rng(6)
    for name in ("topk", "efsign", "ternary", "randomk", "powersgd", "changed_layers"):
        layout = Layout(("w", "b"), ((30, 20), (7,)), 2)
        link = link_of(name, layout, error_feedback=True)
        left, sent, wanted = np.zeros(607, np.float32), np.zeros(607), np.zeros(607)
        for _ in range(30):
            update = rng.standard_normal(607).astype(np.float32)
            now, left = with_feedback(link, update, left)
            sent, wanted = sent + now, wanted + update
        assert np.allclose(sent + left, wanted, atol=1e-3), name


def test_clients_remember_what_they_left_out_and_the_server_what_it_did_not_send(tiny, photos):
    """Two rounds by hand: up with feedback, down coded, a client that missed a round is sent what it missed."""
    conf = tiny(no_models=3, k=2, global_epochs=4, link=[{"name": "topk", "share": 0.05, "down": True}])
    state = run_repeat(conf, FIRST, photos, Here())
    again = run_repeat(conf, FIRST, photos, Here())
    assert np.array_equal(state.weights, again.weights)
    whole, coded = 4 * len(state.weights), 8 * math.ceil(0.05 * len(state.weights) - 1e-9)
    up, down = values(state.record, "bytes_up"), values(state.record, "bytes_down")
    assert up == [2 * coded] * 4
    assert down[0] == 2 * whole
    assert all(one in {2 * coded, 3 * coded, coded + whole, 4 * coded} for one in down[1:])
    headers = values(state.record, "header_bytes")
    assert len(headers) == 4 and 0 < headers[0] < 400
    lengths = state.vectors["way/lengths"]
    assert lengths.tolist() == [0] + [coded] * 4 and state.vectors["way/left"].any()


def test_what_the_server_codes_adds_up_to_what_it_would_have_sent(tiny):
    conf = tiny(link=[{"name": "ternary", "share": 0.1, "down": True}])
    way, rng = Way(conf, line(500)), np.random.default_rng(7)
    public, wanted = np.zeros(500, np.float32), np.zeros(500)
    for round_ in range(10):
        step = rng.standard_normal(500).astype(np.float32)
        wanted += step
        public = way.down(public + step, public, round_, rng)
    assert np.allclose(public + way.state()["left"], wanted, atol=1e-4)
    other = Way(conf, line(500))
    other.restore(way.state())
    a, b = (one.down(public + 1, public, 10, np.random.default_rng(8)) for one in (way, other))
    assert np.array_equal(a, b)


@pytest.mark.parametrize("name", [name for name in CODECS if name != "local_dp"] + ["signsgd"])
def test_training_goes_on_through_every_code(tiny, photos, name):
    conf = tiny(global_epochs=2, norm="batch", link=[name])
    state = run_repeat(conf, FIRST, photos, Here())
    assert np.isfinite(state.weights).all()
    assert values(state.record, "bytes_up")[0] < (4.1 if name == "powersgd" else 4) * 3 * len(state.weights)


def test_attackers_that_act_together_go_through_links_that_remember(tiny, photos):
    attack = {"name": "alie", "hostile": 2}
    conf = tiny(no_models=4, k=2, global_epochs=4, attack=attack, link=[{"name": "topk", "share": 0.1}])
    assert run_repeat(conf, FIRST, photos, Here()).record["failures"] == []


def test_four_bytes_are_no_update(tiny):
    way = Way(tiny(link=[{"name": "local_dp"}]), line(500))
    with pytest.raises(ValueError, match="an update of 1 values, expected 500"):
        way.receive(Reply(0, b"\0" * 4, 5), np.zeros(500, np.float32))
