"""Whether this machine can bear a training now: memory, disk, load and battery, as Linux tells of them."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from utils.calls.described import Call

BASE = 600_000_000
"""Bytes of memory that PyTorch takes before it does anything."""
SPARE = 100_000_000
"""Bytes of a disk that are left alone."""
LOW = 40
"""Percent of a battery that drains, below which it is left alone."""


@dataclass(frozen=True)
class Need:
    """What a training takes at most, in bytes."""

    memory: int
    disk: int


@dataclass(frozen=True)
class Found:
    """One of the checks: what is there, what is needed, and whether it is enough; None where nobody knows."""

    what: str
    there: str
    needed: str
    enough: bool | None

    def __str__(self) -> str:
        if self.enough is None:
            return f"{self.what}: not known here ({self.there})"
        return f"{self.what}: {self.there}{'' if self.enough else f', {self.needed}'}"


def need_of(call: Call, bytes_of_inputs: int) -> Need:
    """What a training of this call on so much takes: network and batch as they are estimated before anything is built,
    model, difference and update, and the examples, which lie on the disk twice.
    """
    from utils.nets.outline import known_of

    known = known_of(call.conf)
    training = known["bytes_of_training"] or 8 * call.update_bytes
    return Need(
        BASE + int(training) + 6 * call.update_bytes + bytes_of_inputs,
        SPARE + 2 * bytes_of_inputs + 3 * call.update_bytes,
    )


def checks(need: Need, home: Path, root: Path = Path("/")) -> list[Found]:
    """All checks; `root` is where /proc and /sys are."""
    return [_memory(need, root), _disk(need, home), _load(root), _battery(root)]


def _memory(need: Need, root: Path) -> Found:
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        free = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return Found("memory", "no /proc/meminfo", "", None)
    return Found(
        "memory", f"{_mega(free)} free", f"this needs some {_mega(need.memory)}", free >= need.memory
    )


def _disk(need: Need, home: Path) -> Found:
    try:
        free = shutil.disk_usage(home).free
    except OSError as error:
        return Found("disk", str(error.strerror), "", None)
    return Found("disk", f"{_mega(free)} free", f"this needs {_mega(need.disk)}", free >= need.disk)


def _load(root: Path) -> Found:
    """Of the last minute; one core has to be idle, or nearly."""
    try:
        load = float((root / "proc/loadavg").read_text().split()[0])
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    except (OSError, ValueError, IndexError):
        return Found("load", "no /proc/loadavg", "", None)
    told = f"{load:.1f} on {cores} core{'s' if cores > 1 else ''}"
    return Found("load", told, "which is busy; training would be in the way", load <= cores)


def _battery(root: Path) -> Found:
    """The emptiest battery that the machine itself runs on."""
    lowest: tuple[int, bool] | None = None
    try:
        for supply in sorted((root / "sys/class/power_supply").iterdir()):
            if _text(supply / "type") != "Battery" or _text(supply / "scope") == "Device":
                continue
            charge, drains = int(_text(supply / "capacity")), _text(supply / "status") == "Discharging"
            if lowest is None or charge < lowest[0]:
                lowest = charge, drains
    except (OSError, ValueError):
        return Found("battery", "no /sys/class/power_supply that can be read", "", None)
    if lowest is None:
        return Found("battery", "none, runs on mains", "", True)
    charge, drains = lowest
    told = f"{charge} %, {'draining' if drains else 'on mains'}"
    return Found("battery", told, f"at least {LOW} % where it drains", not drains or charge >= LOW)


def _text(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


def _mega(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
