"""Examples that fit into memory as they are: rows of a table, small pictures. What their tasks share.

A task of rows that a package brings makes a `Brought` of them and offers what that has; `for_training`, `for_judging`,
`as_judged`, `told` and, where it scales, `ANSWERS` are for every task of rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.data.split import deck_of, scene_of

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from utils.conf import Conf
    from utils.data.examples import Examples, Outline
    from utils.federated.client import Asked


@dataclass(frozen=True)
class Rows:
    """n examples of one source in the order of that source: `inputs` (n, ...) as stored, `targets` (n,) class numbers
    (int64), or numbers to foretell (float64).

    What is alike in every input is one scene, however often the source has it; where `alike` is given, n of bytes,
    what is alike in these, from whichever source it is.
    """

    source: str
    licence: str
    inputs: NDArray[Any]
    targets: NDArray[np.int64] | NDArray[np.float64]
    alike: Sequence[bytes] | None = None


def open_rows(name: str, parts: Sequence[Rows], store_folder: Path) -> Examples:
    """The set `name` of these rows, its inputs in a store that all processes read. Raises OSError naming that file."""
    import numpy as np

    ids, scenes, sources, order = _told(parts)
    inputs = np.concatenate([one.inputs for one in parts])[order]
    targets = np.concatenate([one.targets for one in parts])[order]
    licences = {one.source: one.licence for one in parts}
    every = np.ones(len(ids), dtype=bool)
    return kept(name, store_folder, ids, scenes, sources, inputs, targets, every, licences)


def kept(
    name: str,
    store_folder: Path,
    ids: Sequence[str],
    scenes: Sequence[str],
    sources: Sequence[str],
    inputs: NDArray[Any],
    targets: NDArray[np.int64],
    judged: NDArray[np.bool_],
    licences: dict[str, str],
) -> Examples:
    """The set `name` of examples in the order of their ids. Raises OSError naming the store that cannot be written."""
    import numpy as np

    from utils.data.examples import Examples
    from utils.files import atomic_write

    decks, inputs = decks_of(scenes), np.ascontiguousarray(inputs)
    lines = "".join(f"{one} {target} {deck}\n" for one, target, deck in zip(ids, targets, decks, strict=True))
    fingerprint = hashlib.sha256(lines.encode()).hexdigest()
    shape = "x".join(map(str, inputs.shape[1:]))
    path = store_folder / f"{name}-{shape}-{fingerprint[:16]}.npy"
    if not _holds(path, inputs):
        with atomic_write(path) as file:
            np.save(file, inputs)
    count = len(ids)
    return Examples(
        name, path, tuple(ids), targets, tuple(scenes), tuple(sources), decks,
        np.full(count, inputs[0].nbytes, dtype=np.int64), np.load(path, mmap_mode="r"), np.ones(count, dtype=bool),
        np.ones(count, dtype=bool), judged, fingerprint, (), licences,
    )  # fmt: skip


def _holds(path: Path, inputs: NDArray[Any]) -> bool:
    import numpy as np

    try:
        found = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return False
    return (found.dtype, found.shape) == (inputs.dtype, inputs.shape) and np.array_equal(found, inputs)


def decks_of(scenes: Sequence[str]) -> NDArray[np.int64]:
    """The deck of each scene (n,)."""
    import numpy as np

    known = {scene: deck_of(scene) for scene in set(scenes)}
    return np.array([known[scene] for scene in scenes], dtype=np.int64)


def outline_of(parts: Sequence[Rows]) -> Outline:
    """What is known of these rows without a store."""
    import numpy as np

    from utils.data.examples import Outline

    _, scenes, sources, order = _told(parts)
    targets = np.concatenate([one.targets for one in parts])[order]
    return Outline(targets, decks_of(scenes), list(sources), list(scenes), np.ones(len(targets), dtype=bool))


def _told(
    parts: Sequence[Rows],
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], list[int]]:
    """Ids, scenes and sources in the order of the ids, and where each example stood before."""
    found: list[tuple[str, str, str, int]] = []
    for one in parts:
        for number, row in enumerate(one.inputs):
            alike = row.tobytes().hex()
            named = hashlib.sha256(
                f"{one.source}\n{number}\n{alike}\n{one.targets[number]}".encode()
            ).hexdigest()
            scene = (
                scene_of(one.source, alike) if one.alike is None else scene_of("", one.alike[number].hex())
            )
            found.append((named, scene, one.source, len(found)))
    found.sort()
    ids, scenes, sources, order = zip(*found, strict=True)
    return ids, scenes, sources, list(order)


@dataclass(frozen=True)
class Brought:
    """The set `name` that a package brings: its rows, read once, and what a task offers of them."""

    name: str
    read: Callable[[], Rows]
    shape: tuple[int, ...]

    def open_examples(self, conf: Conf, data: Path) -> Examples:
        """See `utils.tasks`."""
        return open_rows(self.name, self._rows(conf), data / ".store")

    def outline(self, conf: Conf, data: Path) -> Outline:
        """See `utils.tasks`."""
        return outline_of(self._rows(conf))

    def input_shape(self, conf: Conf) -> tuple[int, ...]:
        """See `utils.tasks`: of what is judged as well."""
        return self.shape

    def _rows(self, conf: Conf) -> list[Rows]:
        from utils.data.examples import NoSetError

        if conf.data != self.name:
            raise NoSetError("", "only_set", set=conf.data, only=self.name)
        return [_read(self)]


def scikit(
    name: str,
    file: str,
    header: int,
    shape: tuple[int, ...],
    *,
    scale: float = 1.0,
    licence: str = "CC BY 4.0",
    targets: str = "",
) -> Brought:
    """What scikit-learn brings as `file`: the set `name`, each row of `shape`, divided by `scale`. The last column is
    the class, unless `targets` names a file of numbers to foretell.
    """

    def read() -> Rows:
        import numpy as np

        from utils.data.scikit import table

        found = table(file, header)
        wanted = table(targets, 0)[:, 0] if targets else found[:, -1].astype(np.int64)
        inputs = found if targets else found[:, :-1]
        return Rows("scikit-learn", licence, (inputs.reshape(-1, *shape) / scale).astype(np.float32), wanted)

    return Brought(name, read, shape)


@cache
def _read(brought: Brought) -> Rows:
    return brought.read()


def for_training(inputs: NDArray[np.float32], conf: Conf, rng: np.random.Generator) -> torch.Tensor:
    """See `utils.tasks`: as they are."""
    import torch

    return torch.from_numpy(inputs)


def for_judging(inputs: NDArray[np.float32], conf: Conf) -> list[torch.Tensor]:
    """See `utils.tasks`: as they are."""
    return [for_training(inputs, conf, None)]  # type: ignore[arg-type]


def as_judged(net: nn.Module, conf: Conf) -> nn.Module:
    """See `utils.tasks`: the network alone."""
    return net


def told(result: Mapping[str, Any], left_out: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """See `utils.tasks`: nothing further."""
    return {}


def card_of(inputs: str, outputs: Sequence[str] | str, limits: str) -> dict[str, Any]:
    """See `utils.tasks.card`: `outputs` are the classes, or what the number is."""
    number = isinstance(outputs, str)
    return {
        "input": inputs,
        "output": f"{outputs}." if number else f"{len(outputs)} logits: {', '.join(outputs)}.",
        "limits": limits,
        "sections": {},
    }


def answers_of(seen: Callable[[NDArray[Any]], NDArray[Any]]) -> dict[str, Callable[[Any], bytes]]:
    """What owners of rows tell of them where inputs are scaled, see `utils.data.scaling`; of the inputs as they are
    `seen` by a network, and of what is foretold where that is a number.
    """

    def flat(asked: Asked) -> NDArray[np.float64]:
        import numpy as np

        rows = seen(np.asarray(asked.inputs, dtype=np.float64)).reshape(len(asked.inputs), -1)
        return np.column_stack([rows, asked.targets]) if asked.targets.dtype.kind == "f" else rows

    def sums(asked: Asked) -> bytes:
        import numpy as np

        rows = flat(asked)
        return np.concatenate([[len(rows)], rows.sum(axis=0)]).tobytes()

    def squares(asked: Asked) -> bytes:
        import numpy as np

        mean = np.frombuffer(asked.buffers["mean"], np.float64)
        return np.asarray(((flat(asked) - mean) ** 2).sum(axis=0)).tobytes()

    return {"sums": sums, "squares": squares}


ANSWERS = answers_of(lambda inputs: inputs)
"""Of inputs as they are."""
