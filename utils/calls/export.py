"""A version of a call as ONNX, in a process of its own.

python3 -m utils.calls.export CALL.json N.safetensors -o N.onnx --cache DIR
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from utils.apart import limit
from utils.calls.described import Call, checked_call
from utils.calls.weights import UpdateError, read
from utils.conf import ConfError
from utils.files import atomic_write, place
from utils.parts import Part


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python3 -m utils.calls.export", description="Write a version as ONNX."
    )
    parser.add_argument("call", type=Path, metavar="CALL.json")
    parser.add_argument("model", type=Path, metavar="N.safetensors")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="N.onnx")
    parser.add_argument("--cache", type=Path, default=place("cache"), metavar="DIR", help="where results lie")
    given = parser.parse_args(arguments)
    import torch

    torch.set_num_threads(1)
    limit(cpu_seconds=120, memory=6 * 10**9)
    try:
        call = checked_call(json.loads(given.call.read_bytes()))
        raw = exported(call, given.model.read_bytes(), given.cache, given.model.stem)
        with atomic_write(given.out) as file:
            file.write(raw)
    except (ConfError, UpdateError, ValueError, MemoryError) as error:
        print((str(error) or "takes too much memory").splitlines()[0], file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def exported(call: Call, model: bytes, cache: Path, name: str) -> bytes:
    """The model of a version as ONNX: from pixels in 0..1, or values in their units, to logits or the number."""
    from torch import nn

    from utils.nets.build import layout_of, shape_of
    from utils.nets.layout import write_weights
    from utils.nets.stored import as_onnx, load_model

    conf = call.conf
    net, layout = shape_of(conf), layout_of(conf)
    write_weights(net, layout.flat(read(model, dict(zip(layout.names, layout.shapes, strict=True)))))
    if call.backbone:  # which becomes a part of it
        _, _, below = load_model(cache, call.backbone)
        net = nn.Sequential(*list(below.children())[:-1], nn.Flatten(), net)
        conf = replace(conf, task=Part("task", "_call", replace(call.format, features=0)))
    return as_onnx(net.eval(), conf, name)


if __name__ == "__main__":
    sys.exit(main())
