"""Dialogue as a text: found among files, read into speeches with its faults, laid into `data/`.

Tiny Shakespeare, public domain: 1.1 MB of the plays, as Karpathy put them together (2015, char-rnn).
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from utils.data.examples import DataError
from utils.data.split import scene_of
from utils.files import Files, atomic_write

CHARACTERS = "\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""All that a text may be made of, by number."""
LEAST = 5000
"""Characters a speaker needs in order to own something."""
FILE = "input.txt"
URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
"""Unverified: it could not be tried where this was written."""
PAGE = "https://github.com/karpathy/char-rnn"
FETCHED = FILE
MAX_DOWNLOAD = 50_000_000
COUNTED = "of those who say enough"


@dataclass(frozen=True)
class Speech:
    """What a speaker says at once: `codes` (n,) uint8, the places of its characters in CHARACTERS.

    The `id` is 12 hexadecimal digits; a speech in the same words of the same speaker has another, but shares its scene.
    """

    id: str
    scene: str
    speaker: str
    codes: NDArray[np.uint8]


def speeches(raw: bytes, where: str) -> list[Speech]:
    """The speeches of speakers with LEAST characters or more, in the order of their ids.

    A text is blocks with an empty line between: a line `NAME:`, then what is said; where nothing is, the block does not
    count, nor do further empty lines and the returns of CRLF. Raises DataError, one line, with file and line.
    """
    try:
        text = raw.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not a text in UTF-8 (byte {error.start})") from None
    if strange := re.search(f"[^{re.escape(CHARACTERS)}]", text):
        line = text.count("\n", 0, strange.start()) + 1
        raise DataError(
            f"{where}: line {line} has {strange.group()!a}, which is none of the {len(CHARACTERS)} characters known"
        )
    said: dict[str, list[str]] = defaultdict(list)
    for block in re.finditer(r"[^\n]+(\n[^\n]+)*", text):
        name, _, words = block.group().partition("\n")
        if not re.fullmatch(r"[^\n]*[^\s:]:", name):
            line = text.count("\n", 0, block.start()) + 1
            raise DataError(f"{where}: line {line} begins a speech, expected NAME: alone in it")
        if words:
            said[name[:-1]].append(words)
    kept = {name: those for name, those in said.items() if sum(map(len, those)) >= LEAST}
    if not kept:
        raise DataError(f"{where}: nobody says {LEAST} characters or more in it")
    codes = np.zeros(128, dtype=np.uint8)
    codes[[ord(one) for one in CHARACTERS]] = np.arange(len(CHARACTERS))
    found, alike = [], Counter[str]()
    for name, those in kept.items():
        for words in those:
            scene = scene_of(name, words)
            alike[scene] += 1
            id_ = hashlib.sha256(f"{scene} {alike[scene]}".encode()).hexdigest()[:12]
            found.append(Speech(id_, scene, name, codes[np.frombuffer(words.encode(), dtype=np.uint8)]))
    return sorted(found, key=lambda one: one.id)


def gather(files: Files, folder: Path, where: str) -> dict[str, int]:
    """Lay the text among `files` into `folder`, unchanged; how many speakers, speeches and characters there are.

    It is the file called FILE, or the only one that ends in .txt. Raises DataError, one line, before anything is
    written, where there is none or it cannot be used.
    """
    texts = {path: read for path, read in files if path.suffix.casefold() == ".txt"}
    named = [path for path in texts if path.name.casefold() == FILE] or list(texts)
    if len(named) != 1:
        raise DataError(f"{where}: {len(named)} texts in it, expected one, or one called {FILE}")
    raw = texts[named[0]]()
    found = speeches(raw, f"{where}: {PurePosixPath(named[0]).name}")
    with atomic_write(folder / FILE) as file:
        file.write(raw)
    return {
        "speakers": len({one.speaker for one in found}),
        "speeches": len(found),
        "characters": sum(len(one.codes) for one in found),
    }
