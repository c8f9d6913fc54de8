"""What the machine has against what a training needs."""

import pytest

from tests.participant.fake_board import DESCRIBED
from utils.calls.described import checked_call
from utils.participant.machine import BASE, SPARE, Need, checks, need_of


def _root(tmp_path, free=4_000_000, load="0.10"):
    (tmp_path / "proc").mkdir(exist_ok=True)
    (tmp_path / "proc/meminfo").write_text(f"MemTotal: 9 kB\nMemAvailable:   {free} kB\n")
    (tmp_path / "proc/loadavg").write_text(f"{load} 0.1 0.1 1/100 1\n")
    (tmp_path / "sys/class/power_supply").mkdir(parents=True, exist_ok=True)
    return tmp_path


def _found(root, need=None):
    return {one.what: one.enough for one in checks(need or Need(10**9, 1), root, root)}


def test_a_machine_that_has_enough(tmp_path):
    assert _found(_root(tmp_path)) == {"memory": True, "disk": True, "load": True, "battery": True}


def test_each_want_is_found(tmp_path):
    assert _found(_root(tmp_path, free=1000))["memory"] is False
    assert _found(_root(tmp_path), Need(1, 10**18))["disk"] is False
    assert _found(_root(tmp_path, load="999.0"))["load"] is False


@pytest.mark.parametrize(
    ("charge", "status", "scope", "enough"),
    [(10, "Discharging", "System", False), (10, "Charging", "System", True), (90, "Discharging", "System", True),
     (5, "Discharging", "Device", True)],
)  # fmt: skip
def test_a_draining_battery_is_spared_and_that_of_a_mouse_is_none(tmp_path, charge, status, scope, enough):
    root = _root(tmp_path)
    for name, text in {"type": "Battery", "capacity": charge, "status": status, "scope": scope}.items():
        path = root / "sys/class/power_supply/BAT0" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{text}\n")
    assert _found(root)["battery"] is enough


def test_what_is_not_known_is_said_and_stops_nothing(tmp_path):
    found = checks(Need(1, 1), tmp_path, tmp_path / "other system")
    assert {one.what for one in found if one.enough is None} == {"memory", "load", "battery"}
    assert "not known here (no /proc/meminfo)" in str(found[0])


def test_a_larger_network_needs_more():
    small = need_of(checked_call(DESCRIBED), 1000)
    layers = {"layers": [{"dense": 2000}, {"dense": 1000}]}
    large = need_of(checked_call(DESCRIBED | {"network": layers}), 1000)
    assert small.memory > BASE and small.disk > SPARE
    assert large.memory > small.memory + 2000 * 1000 * 4 * 4
