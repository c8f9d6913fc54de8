"""How far the updates of a round differ: their norms, and how far each points where their mean points.

Of a difference to the weights that were sent (layout.size,) a fixed random projection to 1,024 numbers is kept, a count
sketch (Charikar, Chen and Farach-Colton 2002) whose buckets come in turn: angles between projections are those between
differences to some hundredths, and a round of a hundred clients costs the memory of one small vector.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from utils.packing import UPDATES, packed, unpacked

if TYPE_CHECKING:
    from utils.federated.update import Update, Verdict
    from utils.nets.layout import Vector

BUCKETS, MOST_CLIENTS, MOST_ROWS = 1024, 100, 200_000
"""Of a round with more clients, and of a run with more updates in all, only norms are told, of no update by itself."""
_BLOCK = 32 * BUCKETS
_rng = np.random.default_rng([5, 1024])
_SIGNS = (_rng.integers(0, 2, 2 * _BLOCK) * 2 - 1).astype(np.float32)


@dataclass(frozen=True)
class Row:
    """One update of a round: its norm, the cosine of its angle to the mean, what a strategy judged of it. What is not
    finite has no finite norm.
    """

    client: int
    norm: float
    cosine: float
    score: float  # NaN where there is none
    kept: bool


class Spread:
    """Of the updates of one round after the other."""

    def __init__(self, with_angles: bool) -> None:
        self._angles = with_angles
        self.begin()

    def begin(self) -> None:
        """A round begins."""
        self._clients: list[int] = []
        self._norms: list[float] = []
        self._sketches: list[NDArray[np.float32]] = []

    def fold(self, update: Update, sent: Vector) -> None:
        """Take in one update; it may be forgotten afterwards."""
        square, sketch = 0.0, np.zeros(BUCKETS, np.float32)
        with np.errstate(over="ignore", invalid="ignore"):  # hostile clients send what they like
            for number, start in enumerate(range(0, len(sent), _BLOCK)):
                change = update.weights[start : start + _BLOCK] - sent[start : start + _BLOCK]
                square += float(np.dot(change, change))
                if self._angles:
                    turn = number * 7919 % _BLOCK  # other signs for every block
                    change *= _SIGNS[turn : turn + len(change)]
                    whole = len(change) // BUCKETS * BUCKETS
                    sketch += change[:whole].reshape(-1, BUCKETS).sum(axis=0)
                    sketch[: len(change) - whole] += change[whole:]
        self._clients.append(update.client)
        self._norms.append(square**0.5)
        if self._angles:
            self._sketches.append(sketch)

    def finish(self, verdicts: list[Verdict]) -> tuple[dict[str, tuple[float, str, str]], list[Row]]:
        """Series of the round, of what is finite (0 where nothing is), and a row of every update where angles are
        measured.
        """
        norms = np.array(self._norms)
        finite = np.isfinite(norms)
        known = norms[finite] if finite.any() else np.zeros(1)
        series = {
            "update_norm": (float(known.mean()), "", "none"),
            "update_norm_most": (float(known.max()), "", "none"),
        }
        if not self._angles:
            return series, []
        table = np.array(self._sketches, np.float64).reshape(-1, BUCKETS)
        mean = table[finite].sum(axis=0)
        with np.errstate(invalid="ignore"):
            lengths = np.linalg.norm(table, axis=1) * np.linalg.norm(mean)
            cosines = np.divide(table @ mean, lengths, out=np.zeros(len(table)), where=lengths > 0).clip(
                -1, 1
            )
        known = cosines[finite] if finite.any() else np.zeros(1)
        series["update_cosine"] = (float(known.mean()), "", "none")
        series["update_cosine_least"] = (float(known.min()), "", "none")
        judged = {one.client: one for one in verdicts}
        rows = []
        for client, norm, cosine in zip(self._clients, norms, cosines, strict=True):
            one = judged.get(client)
            rows.append(
                Row(
                    client,
                    float(norm),
                    float(cosine),
                    math.nan if one is None or one.score is None else one.score,
                    one.kept if one else True,
                )
            )
        return series, rows


def add_rows(
    table: Mapping[str, str], round_: int, rows: Sequence[Any], kinds: Mapping[str, str] = UPDATES
) -> dict[str, str]:
    """The packed table of all updates of a repeat, with those of another round."""
    new = {name: [getattr(row, name) for row in rows] for name in kinds if name != "round"}
    new["round"] = [round_] * len(rows)
    return {
        name: packed(np.concatenate([unpacked(table.get(name, ""), kind), np.array(new[name], kind)]))
        for name, kind in kinds.items()
    }
