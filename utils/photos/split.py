"""Which fold and split a photo belongs to. Both follow from its group alone, so adding photos moves none."""

import hashlib

DECKS = 10
FOLDS = 5
SPLITS = ("train", "val", "test")


def deck_of(group: str) -> int:
    """The deck, 0 to 9, of a group given by its id: uniform over groups, the same for ever."""
    return int(hashlib.sha256(b"skyfed deck " + group.encode()).hexdigest()[:8], 16) % DECKS


def fold_of(deck: int) -> int:
    """The fold, 0 to 4, in which a deck is held out as test."""
    return deck // 2


def split_of(deck: int, fold: int) -> str:
    """Where a deck stands when `fold` is held out: two decks of ten test, one val, seven train."""
    if fold_of(deck) == fold:
        return "test"
    return "val" if deck == (2 * fold + 2) % DECKS else "train"
