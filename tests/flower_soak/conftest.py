"""What these tests need, and the world that most of them share."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.flower_soak.world import BIN, World, skies


def _missing():
    """What is not here; empty where all is."""
    if sys.platform != "linux" or not hasattr(os, "getuid") or os.getuid():
        return "root on Linux: machines are network namespaces"
    lacks = [name for name in ("ip", "tc", "nft", "openssl") if not shutil.which(name)]
    if not (shutil.which("nginx") or Path("/usr/sbin/nginx").exists()):
        lacks.append("nginx")
    if not (BIN / "flower-superlink").exists():
        lacks.append(f"Flower in {BIN} (make flower, or SKYFED_FLOWER_BIN)")
    return ", ".join(lacks)


@pytest.fixture(scope="session", autouse=True)
def _machines():
    if lacks := _missing():
        pytest.skip(f"needs {lacks}")


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """Where everything lies; it is told where something fails."""
    return tmp_path_factory.mktemp("soak")


@pytest.fixture(scope="session")
def drawn(place):
    """Skies of four places: all of them, and what each owner and the server has."""
    return skies(place)


@pytest.fixture(scope="session")
def sky(drawn, place):
    """Three owners of skies and a server, all at work."""
    _, data = drawn
    folder = place / "sky"
    folder.mkdir()
    given = {name: ["--set", "skies", "--source", name] for name in data if name != "server"}
    world = World(folder, "weather", data, given)
    yield world
    world.close()
