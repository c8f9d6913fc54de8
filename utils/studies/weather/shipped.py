"""The photos behind the shipped results: their hashes, folds and owners.

The list was committed before the first training. No photo is shipped; whoever has the two sources rebuilds the
same set with them (README, "Repeat the shipped results").

    python3 -m utils.studies.weather.shipped data/skies
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from utils.conf import Conf, load_conf, owner_name
from utils.data.split import split_of
from utils.files import atomic_write
from utils.partition.schemes import partition
from utils.photos.dataset import PhotoRow, read_manifest

UTILS = Path(__file__).resolve().parents[2]
PHOTOS = UTILS / "photos" / "skies_photos.csv"
FOLDS, SEEDS = 5, 3


def owner_letters(rows: list[PhotoRow], conf: Conf) -> dict[str, str]:
    """Per photo one letter for each fold and seed (fold 0 seed 0, fold 0 seed 1, ...): its owner in `conf`.

    A dash stands where the photo is held out for test or validation. `rows` are the kept photos by SHA-256.
    """
    letters = {row.sha256: "" for row in rows}
    labels = np.array([row.label == "sunny" for row in rows], dtype=np.int64)
    for fold in range(FOLDS):
        train = np.flatnonzero([split_of(row.deck, fold) == "train" for row in rows])
        for seed in range(SEEDS):
            owner = dict.fromkeys(letters, "-")
            for number, part in enumerate(partition(labels[train], conf, conf.partition_seed + seed)):
                owner.update((rows[index].sha256, owner_name(number)) for index in train[part])
            for photo, letter in owner.items():
                letters[photo] += letter
    return letters


def photo_list(rows: list[PhotoRow]) -> list[dict[str, str]]:
    """The committed list for a manifest's `rows`: every photo, duplicates with an empty owner."""
    kept = [row for row in rows if row.file]
    equal, skewed = (
        owner_letters(kept, load_conf(UTILS / f"conf_{name}.json")) for name in ("f10", "f10_noniid")
    )
    return [
        {
            "sha256": row.sha256,
            "source": row.source,
            "name": row.name,
            "label": row.label,
            "duplicate_of": row.duplicate_of,
            "group": row.group,
            "scene": row.scene,
            "deck": str(row.deck),
            "fold": str(row.fold),
            "owner": equal.get(row.sha256, ""),
            "owner_noniid": skewed.get(row.sha256, ""),
        }
        for row in rows
    ]


def main(folder: Path) -> None:
    """Write the list of the set in `folder` to its place in this package."""
    listed = photo_list(read_manifest(folder))
    with atomic_write(PHOTOS) as file:
        lines = [",".join(listed[0]), *(",".join(row.values()) for row in listed)]
        file.write(("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
