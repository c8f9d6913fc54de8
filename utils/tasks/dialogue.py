"""Which character comes next? Shakespeare's speakers: the owners are those who say enough."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.data.rows import as_judged, card_of, decks_of, kept, told
from utils.parts import key

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from utils.conf import Conf
    from utils.data.examples import Examples, Outline
    from utils.data.speeches import Speech

__all__ = ["as_judged", "told"]

ABOUT = ("the next character of Shakespeare's dialogue", "莎士比亚对白的下一个字符")
LEARNS = "Guesses the next character of a speech from those before it."
CLASSES = ("↵", "␣", *"!$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
NETWORK = {"network": "char_gru"}
INPUT, INPUT_SAYS = "characters", "the numbers of the characters before, the last one last"
LICENCE = "public domain"


@dataclass(frozen=True)
class Keys:
    """How a text becomes examples."""

    window: int = key(
        "how many characters before it a character is guessed from; before a speech stand line ends",
        zh="根据前面多少个字符来猜下一个字符；一段话之前视为换行",
        default=6,
        low=1,
        high=256,
        cost=True,
    )
    stride: int = key(
        "every how many characters of a speech one is an example",
        zh="一段话中每隔多少个字符取一个样本",
        default=2,
        low=1,
        high=1000,
    )
    judge_every: int = key(
        "one in how many of the held-out examples is judged; a result keeps every answer",
        zh="留出的样本中每多少个评判一个；结果会保存每一个回答",
        default=50,
        low=1,
        high=10_000,
    )


def _speeches(conf: Conf, data: Path) -> list[Speech]:
    from utils.data.examples import NoSetError
    from utils.data.speeches import FILE

    file = data / conf.data / FILE
    try:
        found = file.stat()
    except OSError:
        raise NoSetError("", "no_set", file=file) from None
    return _read(file, found.st_mtime_ns, found.st_size, found.st_ino)


@lru_cache(maxsize=2)
def _read(file: Path, *as_it_is: int) -> list[Speech]:
    from utils.data.speeches import speeches

    return speeches(file.read_bytes(), str(file))


def _told(
    found: list[Speech], keys: Keys
) -> tuple[list[str], list[str], NDArray[np.int64], NDArray[np.bool_]]:
    """Scenes, speakers, targets and what is judged, of all examples in order.

    Where in a speech the first judged example lies follows from the speech, so that beginnings have no more weight.
    """
    import numpy as np

    counts = [len(range(0, len(one.codes), keys.stride)) for one in found]
    scenes = [one.scene for one, count in zip(found, counts, strict=True) for _ in range(count)]
    speakers = [one.speaker for one, count in zip(found, counts, strict=True) for _ in range(count)]
    targets = np.concatenate([one.codes[:: keys.stride] for one in found]).astype(np.int64)
    first = [int(one.id[:8], 16) for one in found]
    numbers = np.concatenate([np.arange(count) for count in counts]) + np.repeat(first, counts)
    return scenes, speakers, targets, numbers % keys.judge_every == 0


def open_examples(conf: Conf, data: Path) -> Examples:
    """See `utils.tasks`; an example is called by its speech and the place of its character in it."""
    import numpy as np

    keys, found = conf.task.keys, _speeches(conf, data)
    scenes, speakers, targets, judged = _told(found, keys)
    before = np.zeros(keys.window, dtype=np.uint8)  # number 0 ends a line
    windows = [
        np.lib.stride_tricks.sliding_window_view(np.concatenate([before, one.codes[:-1]]), keys.window)
        for one in found
    ]
    inputs = np.concatenate([of_one[:: keys.stride] for of_one in windows])
    ids = [f"{one.id}-{place:05}" for one in found for place in range(0, len(one.codes), keys.stride)]
    licences = dict.fromkeys(speakers, LICENCE)
    return replace(
        kept(conf.data, data / ".store", ids, scenes, speakers, inputs, targets, judged, licences),
        sizes=np.full(len(ids), keys.stride, dtype=np.int64),  # windows overlap, the text is there once
    )


def outline(conf: Conf, data: Path) -> Outline:
    """See `utils.tasks`."""
    from utils.data.examples import Outline

    scenes, speakers, targets, judged = _told(_speeches(conf, data), conf.task.keys)
    return Outline(targets, decks_of(scenes), speakers, scenes, judged)


def for_training(inputs: NDArray[np.uint8], conf: Conf, rng: np.random.Generator) -> torch.Tensor:
    """See `utils.tasks`."""
    return for_judging(inputs, conf)[0]


def for_judging(inputs: NDArray[np.uint8], conf: Conf) -> list[torch.Tensor]:
    """See `utils.tasks`."""
    import torch

    return [torch.from_numpy(inputs.astype("int64"))]


def input_shape(conf: Conf) -> tuple[int, ...]:
    """See `utils.tasks`."""
    return (int(conf.task.keys.window),)


judged_shape = input_shape


def input_tokens(conf: Conf) -> int:
    """See `utils.tasks`."""
    return len(CLASSES)


def card(result: dict[str, Any], left_out: Any = None) -> dict[str, Any]:
    """See `utils.tasks`."""
    return card_of(
        f"{result['conf']['window']} whole numbers: {INPUT_SAYS}; 0 where the speech has not begun.",
        CLASSES,
        "Knows the 65 characters and the English of these plays, and nothing of what is said.",
    )
