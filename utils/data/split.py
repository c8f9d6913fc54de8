"""Which fold and split an example belongs to. Both follow from its scene alone, so adding examples moves none."""

import hashlib

DECKS = 10
FOLDS = 5
SPLITS = ("train", "val", "test")


def scene_of(source: str, together: str) -> str:
    """The id of a scene: what belongs together at a source (an outing, a patient, a speech), as a SHA-256."""
    return hashlib.sha256(f"{source}\n{together}".encode("utf-8", "surrogateescape")).hexdigest()


def deck_of(scene: str) -> int:
    """The deck, 0 to 9, of a scene given by its id: uniform over scenes, the same for ever."""
    return int(hashlib.sha256(b"skyfed deck " + scene.encode()).hexdigest()[:8], 16) % DECKS


def fold_of(deck: int) -> int:
    """The fold, 0 to 4, in which a deck is held out as test."""
    return deck // 2


def split_of(deck: int, fold: int) -> str:
    """Where a deck stands when `fold` is held out: two decks of ten test, one val, seven train."""
    if fold_of(deck) == fold:
        return "test"
    return "val" if deck == (2 * fold + 2) % DECKS else "train"
