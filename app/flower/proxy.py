"""Which keys the proxy in front of Flower lets through."""

from __future__ import annotations

from utils.engines.flower_home import FlowerError, Home


def allow(home: Home) -> None:
    """Have the proxy let through the joined nodes and nobody else. Raises FlowerError."""
    raise FlowerError(f"{home.folder}: there is no proxy yet")
