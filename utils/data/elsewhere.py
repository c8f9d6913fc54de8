"""A set of which the part that is trained on lies with its owners, on other machines: what they tell of it stands in
for it, and what is here is judged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from utils.data.examples import Examples


@dataclass(frozen=True)
class Owned:
    """What an owner tells of an example set: how many are in each deck, by class where `told`, else in all."""

    name: str
    decks: tuple[tuple[int, ...], ...]
    told: bool
    fingerprint: str


def with_owners(here: Examples, owners: Sequence[Owned], judge_on: Sequence[str] = ()) -> Examples:
    """The examples that are here, of the sources `judge_on` if there are any, with a place for each that an owner has.

    A place has deck and, where that is told, class; nothing else of it is known here, nothing can be read.
    """
    judged = here.judged & (np.isin(here.sources, list(judge_on)) if judge_on else True)
    owner, deck, target, known = [], [], [], []
    for number, one in enumerate(owners):
        for place, counts in enumerate(one.decks):
            for label, count in enumerate(counts):
                owner += [number] * count
                deck += [place] * count
                target += [label if one.told else 0] * count
                known += [one.told] * count
    count = len(owner)
    names = [f"{owners[one].name}/{place}" for place, one in enumerate(owner)]
    yes, no = np.ones(count, bool), np.zeros(count, bool)
    told = "\n".join([here.fingerprint, *judge_on, *(f"{one.name} {one.fingerprint}" for one in owners)])
    return replace(
        here,
        ids=(*here.ids, *names),
        targets=np.concatenate([here.targets, np.array(target, here.targets.dtype)]),
        scenes=(*here.scenes, *names),
        sources=(*here.sources, *(owners[one].name for one in owner)),
        decks=np.concatenate([here.decks, np.array(deck, np.int64)]),
        sizes=np.concatenate([here.sizes, np.zeros(count, np.int64)]),
        usable=np.concatenate([here.usable & judged, yes]),
        taught=np.concatenate([here.taught & False, yes]),
        judged=np.concatenate([judged, no]),
        fingerprint=hashlib.sha256(told.encode()).hexdigest(),
        owner=np.concatenate([np.full(len(here.ids), -1, np.int64), np.array(owner, np.int64)]),
        told=np.concatenate([np.ones(len(here.ids), bool), np.array(known, bool)]),
    )
