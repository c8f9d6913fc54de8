"""What links cost, against averaging the plain updates: bytes and seconds, as ratios within one run.

make benchmark
"""

import statistics
import time

import numpy as np
import pytest

from tests.federated.test_sealed import Round
from utils.nets.layout import Layout
from utils.parts import checked_part, names

SIZE, CLIENTS, TURNS = 700_000, 10, 3
ROWS = 700  # a tensor that is a matrix, so that low ranks have something to do
LAYOUT = Layout(("w",), ((ROWS, SIZE // ROWS),), 1)
MOST = 100
"""Times as long as adding the plain updates, at most: adding is all that those take."""


def link_of(name, layout=LAYOUT, **keys):
    part = checked_part("link", {"name": name, **keys}, "x")
    return part.module.Link(part.keys, layout)


def _plain(updates):
    began = time.perf_counter()
    total = np.zeros(SIZE)
    for one in updates:
        total += np.frombuffer(one.tobytes(), np.float32)
    return time.perf_counter() - began


def test_time_and_bytes_of_every_code_against_plain_weights():
    rng = np.random.default_rng(0)
    updates = [rng.standard_normal(SIZE).astype(np.float32) for _ in range(CLIENTS)]
    codes = {name: one for name in names("link") if hasattr(one := link_of(name), "decode")}
    ratios, sizes = {name: [] for name in codes}, {}
    for turn in range(TURNS + 1):
        for name, link in codes.items():
            plain = _plain(updates)
            began = time.perf_counter()
            payloads = [link.encode(one, 1, rng) for one in updates]
            for payload in payloads:
                link.decode(payload)
            if turn:
                ratios[name].append((time.perf_counter() - began) / plain)
            sizes[name] = len(payloads[0]) / (4 * SIZE)
    for name, of in ratios.items():
        print(f"\n{name}: {sizes[name]:.4f} of the bytes, {statistics.median(of):.0f} times adding", end="")
    found = {name: statistics.median(of) for name, of in ratios.items()}
    assert {name: one for name, one in found.items() if one > MOST} == {}


def test_masks_and_encryption_against_plain_weights(tmp_path):
    """Secure aggregation of ten clients, one of whom vanishes after it trained or none; CKKS; both with all of it."""
    pytest.importorskip("tenseal")
    rng = np.random.default_rng(1)
    updates = [(0.1 * rng.standard_normal(SIZE)).astype(np.float32) for _ in range(CLIENTS)]
    plain = statistics.median(_plain(updates) for _ in range(TURNS))
    found = {}
    for name, gone in (("masks", {}), ("masks, one vanished", {"train": [3]})):
        played = Round(tmp_path, updates, [10] * CLIENTS, gone)
        began = time.perf_counter()
        played.play()
        found[name] = time.perf_counter() - began, len(played.payloads[0])
    link, client = (link_of("ckks", Layout(("w",), ((SIZE,),), 1)) for _ in range(2))
    try:
        began = time.perf_counter()
        _, buffers = link.prepare(range(CLIENTS), [10] * CLIENTS, None)
        client.join(0, "", buffers)
        for number, one in enumerate(updates):
            payload = client.encode(one, 10, rng)
            link.fold(payload, number)
        link.open(10 * CLIENTS)
        found["ckks"] = time.perf_counter() - began, len(payload)
    finally:
        link.close()
    for name, (seconds, size) in found.items():
        print(
            f"\n{name}: {size / (4 * SIZE):.2f} times the bytes, {seconds / plain:.0f} times adding", end=""
        )
    assert found["masks"][1] == 4 * SIZE
    assert found["ckks"][0] > found["masks"][0]


def test_paillier_number_by_number_against_many_together():
    pytest.importorskip("lightphe")
    few, rng = Layout(("w",), ((31,),), 1), np.random.default_rng(2)
    update, seconds = rng.standard_normal(31).astype(np.float32), {}
    for together in (1, 63):
        link, client = (link_of("paillier", few, together=together) for _ in range(2))
        try:
            _, buffers = link.prepare([0, 1, 2], [10, 10, 10], None)
            client.join(0, "", buffers)
            began = time.perf_counter()
            payload = client.encode(update, 10, rng)
            seconds[together] = time.perf_counter() - began
            for number in range(3):
                link.fold(payload, number)
            assert np.abs(link.open(30) - update).max() < 1e-5
        finally:
            link.close()
        print(f"\n{together} together: {len(payload) / (4 * 31):.0f} times the bytes", end="")
    print(f"\nnumber by number takes {seconds[1] / seconds[63]:.0f} times as long", end="")
    assert seconds[1] > 10 * seconds[63]
