"""Folds and splits follow from the group alone."""

from collections import Counter

from utils.data.split import DECKS, FOLDS, deck_of, fold_of, split_of


def test_decks_are_as_they_were_when_the_first_results_were_made() -> None:
    assert [deck_of(f"{number:064x}") for number in range(8)] == [5, 8, 7, 0, 5, 8, 9, 3]


def test_each_fold_tests_two_decks_validates_on_one_and_trains_on_seven() -> None:
    for fold in range(FOLDS):
        assert Counter(split_of(deck, fold) for deck in range(DECKS)) == {"test": 2, "val": 1, "train": 7}


def test_each_deck_is_tested_once_and_never_validated_on_while_tested() -> None:
    for deck in range(DECKS):
        assert [fold for fold in range(FOLDS) if split_of(deck, fold) == "test"] == [fold_of(deck)]


def test_decks_are_about_equally_full() -> None:
    counts = Counter(deck_of(f"group {number}") for number in range(20_000))
    assert set(counts) == set(range(DECKS))
    assert max(counts.values()) < 1.1 * min(counts.values())
