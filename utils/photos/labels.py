"""The class a person gave a photo by naming its file or a folder above it."""

import re
from pathlib import PurePosixPath

from utils.photos.cleaning import Refused

LABELS = ("cloudy", "sunny")
"""A label's place here is its number: sunny = 1."""

_WORDS = {
    "sunny": "sunny",
    "shine": "sunny",
    "clear": "sunny",
    "cloudy": "cloudy",
    "cloud": "cloudy",
    "overcast": "cloudy",
}
_WORD = re.compile(r"[^\W\d_]+")


def label_of(path: PurePosixPath) -> str:
    """The label in a path's whole words: `shine12.jpg` is sunny, `sunshine.jpg` and `cloudless.jpg` say nothing.

    Raises
    ------
    Refused
        Where file or folders name two classes, disagree with each other, or name none.
    """
    by_file = _named(path.stem)
    by_folder = {label for part in path.parts[:-1] for label in _named(part)}
    if len(by_file) > 1 or len(by_folder) > 1:
        raise Refused("two classes in one name")
    if by_file and by_folder and by_file != by_folder:
        raise Refused("file and folder disagree", f"{by_file.pop()} in {by_folder.pop()}")
    named = by_file or by_folder
    if not named:
        raise Refused("no class in its name")
    return named.pop()


def _named(text: str) -> set[str]:
    return {_WORDS[word] for word in _WORD.findall(text.casefold()) if word in _WORDS}
