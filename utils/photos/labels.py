"""The class a person gave a photo by naming its file or a folder above it."""

import re
import unicodedata
from collections.abc import Iterable
from itertools import pairwise
from pathlib import PurePosixPath

from utils.photos.cleaning import Refused

LABELS = ("cloudy", "sunny")
"""A label's place here is its number: sunny = 1."""

WORDS = {
    "sunny": ("sunny", "shine", "shines", "clear"),
    "cloudy": ("cloudy", "cloud", "clouds", "overcast"),
}
SIGNS = {"sunny": ("晴",), "cloudy": ("多云", "阴")}
"""What counts in a name: whole words, and in Chinese, which puts no spaces between words, signs anywhere."""

_DENIALS = ("not", "non", "never", "without", "isnt", "hardly", "partly", "partially")
_NO = ("no", "un", "less", "few")  # which deny the word that follows at once; "no 5" is a number
_CHINESE_DENIALS = "不非无没未少"
_MEANING = {word: label for label, words in WORDS.items() for word in words}
_WORD = re.compile(r"[^\W\d_]+")
_SIGN = re.compile(f"([{_CHINESE_DENIALS}]?)({'|'.join(sign for signs in SIGNS.values() for sign in signs)})")


def label_of(path: PurePosixPath) -> str:
    """The label in a path's words: `shine12.jpg` is sunny, `sunshine.jpg` and `cloudless.jpg` say nothing.

    Raises
    ------
    Refused
        Where file or folders name two classes, deny one, disagree with each other, or name none.
    """
    by_file = _named(path.stem)
    by_folder = {label: word for part in path.parts[:-1] for label, word in _named(part).items()}
    for found in (by_file, by_folder):
        if len(found) > 1:
            raise Refused("two classes in one name", " and ".join(found.values()))
    if by_file and by_folder and by_file.keys() != by_folder.keys():
        raise Refused("file and folder disagree", f"{_only(by_file.values())} in {_only(by_folder.values())}")
    named = by_file or by_folder
    if not named:
        raise Refused("no class in its name")
    return _only(named)


def words_that_count() -> str:
    """The words that name a class, for people."""
    return "; ".join(f"{label}: {', '.join((*WORDS[label], *SIGNS[label]))}" for label in reversed(LABELS))


def _only(found: Iterable[str]) -> str:
    (one,) = found
    return one


def _named(text: str) -> dict[str, str]:
    """The labels that a file's or folder's name says, each with the word that says it. Raises Refused on a denial."""
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold().replace("'", "").replace("’", ""))
    found, denied = {}, ""
    for before, word in pairwise(["", *words]):
        denied = word if word in _DENIALS else denied
        if word in _MEANING:
            if no := denied or (before if before in _NO else ""):
                raise Refused("a class denied", f"{no} ... {word}" if no != before else f"{no} {word}")
            found[_MEANING[word]] = word
        for no, sign in _SIGN.findall(word):
            if no:
                raise Refused("a class denied", f"{no}{sign}")
            found[next(label for label in LABELS if sign in SIGNS[label])] = sign
    return found
