"""The data process of a node."""

from __future__ import annotations

from collections.abc import Callable

from utils.participant.node_home import NodeHome
from utils.participant.refusals import ParticipantError


def serve(home: NodeHome, say: Callable[[str], None]) -> None:
    """Answer at the node's socket until this process is interrupted. Raises ParticipantError."""
    raise ParticipantError("the data process is not there yet")
