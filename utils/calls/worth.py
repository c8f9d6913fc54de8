"""What each update of a fold was worth, measured on the call's test examples: see `utils.federated.worth`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from utils.calls.described import Call
from utils.federated.worth import Groups, flags, leave_one_out, shapley


class TestSet:
    """The test examples of a call, ready to judge weights."""

    __test__ = False

    def __init__(self, call: Call, inputs: NDArray[Any], answers: NDArray[Any]) -> None:
        from utils.calls.home import in_memory

        self._call, self._answers = call, answers
        self._net, self.count = in_memory(call, inputs), len(answers)

    @classmethod
    def of(cls, call: Call, path: Path, cache: Path) -> TestSet:
        """Of a file that the site wrote; the run of a backbone lies in `cache`."""
        from utils.calls.home import prepared

        with np.load(path, allow_pickle=False) as found:
            return cls(call, prepared(call, found["inputs"], cache), found["answers"])

    def scores(self, weights: NDArray[np.float32]) -> dict[str, float]:
        """See `utils.calls.home.scores`."""
        from utils.calls.home import scores

        return scores(self._call, self._net(weights), self._answers)

    def value(self, weights: NDArray[np.float32]) -> float:
        """What a model is worth: its accuracy, or the share of the variance that it explains (no less than 0)."""
        told = self.scores(weights)
        return told["accuracy"] if "accuracy" in told else max(0.0, told.get("r2", 0.0))


def worth_of(
    call: Call,
    before: NDArray[np.float32],
    differences: Sequence[NDArray[np.float32]],
    told: Sequence[dict[str, Any]],
    tested: TestSet,
    seconds: float,
) -> dict[str, Any]:
    """By place of each update: leave-one-out, Shapley value and its standard error; and what looks wrong: `duplicate`
    (of the update at that place), or `free rider` (it changes nothing).
    """
    value = Groups(before, differences, [one["samples"] for one in told], tested.value).value
    began = time.monotonic()
    alone = leave_one_out(len(told), value)
    shares = shapley(len(told), value, np.random.default_rng(0), lambda: time.monotonic() - began > seconds)
    return {
        "leave_one_out": alone.tolist(), "shapley": shares.values.tolist(), "errors": shares.errors.tolist(),
        "permutations": shares.permutations, "settled": shares.settled, "flags": flags(differences),
    }  # fmt: skip
