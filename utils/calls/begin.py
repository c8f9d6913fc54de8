"""Try a call on drawn examples before anybody sees it, and make its first version.

python3 -m utils.calls.begin FOLDER --cache DIR

Reads `FOLDER/call.json` and, if it is there, `FOLDER/test.npz`, writes `FOLDER/1.safetensors` and prints, as JSON, what
was found out: shapes of the weights, bytes of an update, seconds and megabytes of a training, the loss before and
after, scores on the test examples. What does not fit is one line and exit status 2.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from utils.apart import limit
from utils.calls.described import Call, checked_call
from utils.calls.format import CallError
from utils.calls.weights import written
from utils.conf import ConfError
from utils.files import atomic_write, place
from utils.refusal import said

DRAWN = 32
"""Examples that are drawn for a try."""
_SECONDS, _MEMORY = 100, 6 * 10**9


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m utils.calls.begin", description="Try a call.")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--cache", type=Path, default=place("cache"), metavar="DIR", help="where results lie")
    given = parser.parse_args(arguments)
    import torch

    torch.set_num_threads(1)
    limit(cpu_seconds=_SECONDS, memory=_MEMORY)
    try:
        call = checked_call(json.loads((given.folder / "call.json").read_bytes()))
        print(json.dumps(begin(call, given.folder, given.cache), allow_nan=False))
    except MemoryError:
        print("network: takes more memory than it may have", file=sys.stderr)
        return 2
    except (ConfError, ValueError, FloatingPointError) as error:
        print(str(error).splitlines()[0], file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def begin(call: Call, folder: Path, cache: Path) -> dict[str, Any]:
    """Write the first version into `folder`, try it, and score it on the test examples there, if any.

    Raises ConfError, FloatingPointError, ModelError, ResultError.
    """
    from utils.calls.home import Home, prepared, scores
    from utils.calls.home import in_memory as outputs_of
    from utils.calls.worth import TestSet
    from utils.nets.build import layout_of

    weights, layout = _start(call, cache), layout_of(call.conf)
    inputs, answers = drawn(call, DRAWN, seed=0)
    started = time.monotonic()
    ready = prepared(call, inputs, cache)
    outputs = outputs_of(call, ready)
    with TemporaryDirectory() as aside:
        home = Home(call, ready, answers, Path(aside))
        trained = home.train(weights, seed=0)
    seconds = time.monotonic() - started
    after = weights + layout.flat(trained.difference)
    told = [scores(call, outputs(one), answers) for one in (weights, after)]
    figure = "loss" if call.format.number is None else "rmse"
    raw = written(layout.named(weights))
    tested = TestSet.of(call, folder / "test.npz", cache) if (folder / "test.npz").is_file() else None
    with atomic_write(folder / "1.safetensors") as file:
        file.write(raw)
    return {
        "scores": tested.scores(weights) if tested else {}, "tested": tested.count if tested else 0,
        "shapes": {name: list(shape) for name, shape in zip(layout.names, layout.shapes, strict=True)},
        "parameters": layout.size, "bytes": len(raw), "examples": DRAWN, "seconds": seconds, "figure": figure,
        "before": told[0][figure], "after": told[1][figure], "norm": trained.norm,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }  # fmt: skip


def drawn(call: Call, count: int, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Examples of a call's format that mean nothing: noise, with answers that can be learnt from it."""
    of, rng = call.format, np.random.default_rng(seed)
    light = rng.random(count)
    if of.is_picture:
        noise = rng.random((count, *of.stored_shape))
        inputs: NDArray[Any] = (255 * (0.5 * noise + 0.5 * light[:, None, None, None])).astype(np.uint8)
    else:
        low, high = (np.array([getattr(field, end) for field in of.fields]) for end in ("low", "high"))
        share = 0.5 * rng.random((count, len(of.fields))) + 0.5 * light[:, None]
        inputs = (low + share * (high - low)).astype(np.float64)
    if of.number is None:
        return inputs, np.minimum((light * len(of.labels)).astype(np.int64), len(of.labels) - 1)
    return inputs, of.number.low + light * (of.number.high - of.number.low)


def _start(call: Call, cache: Path) -> NDArray[np.float32]:
    from utils.calls.home import fresh
    from utils.nets.build import layout_of
    from utils.nets.layout import read_weights
    from utils.nets.stored import load_model
    from utils.results import ResultError

    if call.start["from"] == "fresh":
        return fresh(call, call.start["seed"])
    name = str(call.start["run"])
    try:
        _, conf, net = load_model(cache, name)
    except (ResultError, ValueError):
        raise CallError("", "expected_found", key="start.run", what=said("kept_run"), found=name) from None
    of, wanted = layout_of(conf), layout_of(call.conf)
    if (of.names, of.shapes) != (wanted.names, wanted.shapes):
        raise CallError("", "expected_found", key="start.run", what=said("same_network"), found=name)
    colours = getattr(conf.task.keys, "colours", call.format.colours)
    if call.format.is_picture and colours != call.format.colours:
        what = said("colours_as", colours=colours)
        raise CallError(
            "", "expected_found", key="format.input.colours", what=what, found=call.format.colours
        )
    return read_weights(net)


if __name__ == "__main__":
    sys.exit(main())
