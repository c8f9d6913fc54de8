"""Which nodes Flower itself knows: registered by their public keys, and struck off again."""

from __future__ import annotations

from utils.engines.flower_home import FlowerError, Home


def register(home: Home, public_key: str) -> str:
    """Flower's number of the node with this public key (PEM). Raises FlowerError."""
    raise FlowerError(f"{home.folder}: nodes cannot be registered yet")


def unregister(home: Home, node_id: str) -> None:
    """Have Flower forget the node. Raises FlowerError."""
    raise FlowerError(f"{home.folder}: node {node_id} cannot be struck off yet")
