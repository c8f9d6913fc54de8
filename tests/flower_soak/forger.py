"""An owner's process that has the data and sends what it should not; started by test_strangers.py; not a test.

usage: python -m tests.flower_soak.forger HOME
"""

import sys
from pathlib import Path

import numpy as np

from utils.participant import node
from utils.participant.node_home import NodeHome
from utils.supervision import said


class Forger(node.Node):
    """In the first rounds its updates are: too short, not finite, that of the first once more, of another run."""

    first = None

    def answer(self, head, buffers):
        """What would be right, made wrong."""
        told, back = super().answer(head, buffers)
        if "reply" not in told:
            return told, back
        payload, round_ = bytes(back["payload"]), head["job"]["round"]
        if self.first is None:
            self.first = told, {"payload": payload}
        if round_ == 0:
            return told, {"payload": payload[:-4]}
        if round_ == 1:
            return told, {"payload": np.full(len(payload) // 4, np.nan, np.float32).tobytes()}
        if round_ == 2:
            return self.first
        return ({**told, "run": "0" * 32} if round_ == 3 else told), {"payload": payload}


if __name__ == "__main__":
    node.Node = Forger
    node.serve(NodeHome(Path(sys.argv[1])), said)
