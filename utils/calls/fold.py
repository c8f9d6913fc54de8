"""Make the next version of a call: fold its updates by its strategy, judge what comes out, say what each was worth.

python3 -m utils.calls.fold FOLDER

`FOLDER/asked.json` says what: the call, the folder of its versions, the parent's number, the updates in their order
(file, samples, steps), its test examples, the folder `cache` where the run of a backbone lies, and the `seconds`
that their worth may take to be found. What is made goes into `FOLDER/made`, whole or not at all: `model.safetensors`,
`state.npz` (what the strategy remembers) and, last, `made.json`. The same question gives the same answer, so a fold
that was killed is simply done again. The site writes and reads; nothing of it is touched here.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from utils.calls.described import Call, checked_call
from utils.calls.weights import UpdateError, read, written
from utils.federated import RunError
from utils.files import atomic_write
from utils.interrupt import end_with_standard_input

ASKED, MADE = "asked.json", "made"
MOST_VALUED = 50
"""Updates of one fold whose worth is found out; of more it takes too long."""
MODEL, STATE, TOLD = "model.safetensors", "state.npz", "made.json"


class FoldError(ValueError):
    """Why no version could be made; the text is one line."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python3 -m utils.calls.fold", description="Make a call's next version."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--tied", action="store_true", help="end when standard input does")
    given = parser.parse_args(arguments)
    if given.tied:
        end_with_standard_input()
    import torch

    torch.set_num_threads(1)
    try:
        asked = json.loads((given.folder / ASKED).read_bytes())
        make(asked, given.folder / MADE)
    except (FoldError, RunError, UpdateError) as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def make(asked: dict[str, Any], made: Path) -> None:
    """Carry out what `asked.json` says."""
    from utils.nets.build import layout_of

    call = checked_call(asked["call"])
    layout = layout_of(call.conf)
    shapes = dict(zip(layout.names, layout.shapes, strict=True))
    versions, parent = Path(asked["versions"]), int(asked["parent"])
    before = layout.flat(read((versions / f"{parent}.safetensors").read_bytes(), shapes))
    differences = [layout.flat(read(Path(one["file"]).read_bytes(), shapes)) for one in asked["updates"]]
    state = _state(versions / f"{parent}.npz")
    after, state, verdicts = folded(call, before, differences, asked["updates"], state)
    if not np.isfinite(after).all():
        raise FoldError("the fold made a number that is not finite; the version before stays")
    told: dict[str, Any] = {"verdicts": verdicts, "scores": {}, "worth": None}
    if asked.get("test"):
        from utils.calls.worth import TestSet, worth_of

        tested = TestSet.of(call, Path(asked["test"]), Path(asked["cache"]))
        told["scores"] = tested.scores(after)
        if 1 < len(asked["updates"]) <= MOST_VALUED:
            told["worth"] = worth_of(call, before, differences, asked["updates"], tested, asked["seconds"])
    made.mkdir(parents=True, exist_ok=True)
    with atomic_write(made / MODEL) as file:
        file.write(written(layout.named(after)))
    with atomic_write(made / STATE) as file:
        np.savez(file, **state)  # type: ignore[arg-type]
    with atomic_write(made / TOLD) as file:
        file.write(json.dumps(told, allow_nan=False).encode())


def folded(
    call: Call,
    before: NDArray[np.float32],
    differences: Sequence[NDArray[np.float32]],
    told: Sequence[dict[str, Any]],
    state: dict[str, NDArray[Any]],
) -> tuple[NDArray[np.float32], dict[str, NDArray[Any]], list[dict[str, Any]]]:
    """New weights, what the strategy then remembers, and what it made of each update, by place. Strategies are those of
    every other training; an update stands for its own part of a cohort, whoever sent it.

    Raises RunError where they are too few for the strategy.
    """
    from utils.federated.strategies import STRATEGY_STREAM, make_strategy
    from utils.federated.update import Update

    strategy = make_strategy(call.conf)
    if state and hasattr(strategy, "restore"):
        strategy.restore(state)
    if hasattr(strategy, "draw_from"):
        strategy.draw_from(np.random.default_rng([STRATEGY_STREAM, len(told)]))
    strategy.begin(before)
    mean = sum(one["samples"] for one in told) / len(told)
    for place, (difference, one) in enumerate(zip(differences, told, strict=True)):
        weights = (before + difference).astype(np.float32)
        metrics = {"steps": float(one["steps"])}
        strategy.fold(Update(place, weights, one["samples"], metrics, weight=one["samples"] / mean))
    after = strategy.finish()
    verdicts = [
        {"place": one.client, "score": one.score if one.score is None or math.isfinite(one.score) else None,
         "kept": one.kept}
        for one in (strategy.verdicts() if hasattr(strategy, "verdicts") else [])
    ]  # fmt: skip
    return after, strategy.state() if hasattr(strategy, "state") else {}, verdicts


def _state(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as found:
        return {name: found[name] for name in found.files}


if __name__ == "__main__":
    sys.exit(main())
