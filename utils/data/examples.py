"""A set of examples of any task as trainings see it: arrays in one order, and a store that all processes share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from utils.data.split import DECKS, split_of
from utils.refusal import Refusal, Said, said


class DataError(ValueError):
    """What is wrong with a set of examples, in one line that names file and place."""


class NoSetError(Refusal, DataError):
    """There is no such set on this machine."""


class TooFewError(Refusal, DataError):
    """A set lacks examples that a conf needs."""


def read_of_set(file: Path) -> bytes:
    """The file of a set. Raises NoSetError where it is not on this machine."""
    try:
        return file.read_bytes()
    except OSError:
        raise NoSetError("", "no_set", file=file) from None


def of_sources(names: Sequence[str]) -> Said | str:
    """What a refusal adds where only examples of these sources count; nothing where all do."""
    return said("of_sources", names=" and ".join(names)) if names else ""


@dataclass(frozen=True)
class Outline:
    """What is known of a set of n examples without opening them, see `Examples`: targets, decks and judged (n,)."""

    targets: NDArray[Any]
    decks: NDArray[np.int64]
    sources: list[str]
    scenes: list[str]
    judged: NDArray[np.bool_]


@dataclass(frozen=True)
class Examples:
    """The examples of one set, n of them, in the order of their ids, which no machine changes.

    Attributes
    ----------
    name : of the set. store : the file that holds the inputs, from which every process reads them (`inputs`).
    ids, scenes, sources : of each example; what belongs together shares a scene, and with it fold and deck.
    targets : (n,) class numbers (int64), or numbers to foretell (float64). sizes : (n,) bytes of each example's file.
    usable : (n,) False for what stands in the set and cannot be read (`unreadable` names the files): it keeps its
        place, so that the others fall to the same folds and owners, but nothing may be trained or judged on it.
    taught : (n,) False for what is judged and never trained on, because its truth is doubtful.
    judged : (n,) False for what is trained on and never judged, because there is plenty of its like.
    fingerprint : of ids, targets, decks and doubts of what is usable.
    licences : of each source, as far as they are known.
    owner : (n,) which owner on another machine has the example, -1 where it is here; None where all are here.
    told : (n,) False where an owner withholds what the example's target is; None where all are here.
    """

    name: str
    store: Path
    ids: tuple[str, ...]
    targets: NDArray[Any]
    scenes: tuple[str, ...]
    sources: tuple[str, ...]
    decks: NDArray[np.int64]
    sizes: NDArray[np.int64]
    inputs: NDArray[Any]
    usable: NDArray[np.bool_]
    taught: NDArray[np.bool_]
    judged: NDArray[np.bool_]
    fingerprint: str
    unreadable: tuple[str, ...]
    licences: dict[str, str]
    owner: NDArray[np.int64] | None = None
    told: NDArray[np.bool_] | None = None

    def split(self, fold: int, part: str) -> NDArray[np.int64]:
        """Indices of all examples in `part` ("train", "val" or "test") while `fold` is held out."""
        return np.flatnonzero(np.isin(self.decks, [d for d in range(DECKS) if split_of(d, fold) == part]))
