"""SkyFed beside its peers at the same work, in interleaved pairs; `make benchmark-peers` installs them."""

import pytest

from tests.benchmarks.common_work import examples_in
from tests.benchmarks.peers.compare import REPEATS, WHO, is_ready, left_out, measure, times

LEAST = {"pfl-research": 1.3, "pfl-research, 2 threads": 0.9, "pfl-research, 2 processes": 0.9, "Flower": 1.3}
"""The limit itself is hardly faster than pfl-research on two cores, and 1.7 times as fast as Flower."""


@pytest.mark.parametrize("name", [name for name in WHO if name not in ("limit", "SkyFed")])
def test_skyfed_is_faster_than_its_peers(tmp_path, name):
    if not is_ready():
        pytest.skip("make benchmark-peers has not installed the peers' environment")
    if why := left_out(name):
        pytest.skip(f"{name} {why}")
    rates = measure(examples_in(tmp_path), ["SkyFed", name], REPEATS)
    print(f"SkyFed is {times(rates, name):.2f} times as fast as {name}, median of {REPEATS} pairs")
    assert times(rates, name) >= LEAST[name]
