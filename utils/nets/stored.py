"""Models that lie in cache/: read back as networks, and handed on as ONNX.

python3 -m utils.nets.stored conf_f10 -o conf_f10.onnx
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import safetensors
import safetensors.numpy
import torch
from torch import nn

from utils.apart import limit
from utils.conf import Conf, ConfError, make_conf
from utils.files import atomic_write, place
from utils.nets.build import layout_of, shape_of
from utils.nets.layout import write_weights
from utils.results import ResultError, read_result, result_path
from utils.tasks import classes_of, inputs_of, unit_of

OPSET = 18


MAX_HEADER = 1_000_000
"""Bytes that names and shapes may take in a model's file."""


class ModelError(ValueError):
    """A stored model that cannot be used; the text is one line naming the file and what is wrong."""


def load_model(cache: Path, name: str) -> tuple[dict[str, Any], Conf, nn.Module]:
    """The run called `name`: its result, its conf, and its network in evaluation mode (float32).

    The file has to be the very one the result's figures were measured on. Raises ResultError and ModelError.
    """
    result = read_result(result_path(cache, name))
    path = result_path(cache, name).with_suffix(".safetensors")
    said = result.get("model")
    if not said:
        raise ModelError(f"{path}: the run kept no model")
    try:
        conf = make_conf(result["conf"], str(path))
        layout = layout_of(conf)  # what a conf only claims is not built
        if path.stat().st_size > 4 * layout.size + MAX_HEADER:
            raise ModelError(f"{path}: larger than the network of its conf")
        raw = path.read_bytes()
        if hashlib.sha256(raw).hexdigest() != said["sha256"]:
            raise ModelError(f"{path}: not the file that its result speaks of")
        weights = layout.flat(safetensors.numpy.load(raw))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    except ModelError:
        raise
    except (safetensors.SafetensorError, ConfError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{path}: does not fit its conf ({str(error).splitlines()[0][:100]})") from None
    net = shape_of(conf)
    write_weights(net, weights)
    return result, conf, net.eval()


def as_onnx(net: nn.Module, conf: Conf, name: str) -> bytes:
    """`net` as its task judges with it, as an ONNX model, from the task's input to `logits` (n, classes), or to
    `number` (n, 1), and to what the task then tells further.
    """
    task, classes = conf.task.module, classes_of(conf)
    kind = torch.int64 if inputs_of(conf).tokens else torch.float32
    shown = torch.zeros(2, *task.judged_shape(conf), dtype=kind)
    judged = task.as_judged(net, conf).eval()
    told = ["logits" if classes else "number", *getattr(judged, "further", ())]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        program = torch.onnx.export(
            judged, (shown,), dynamo=True, verbose=False,
            input_names=[task.INPUT], output_names=told, opset_version=OPSET,
            dynamic_shapes=({0: torch.export.Dim("examples")},),
        )  # fmt: skip
    assert program is not None
    model = program.model_proto
    model.producer_name, model.doc_string = "SkyFed", f"{name}: {task.ABOUT[0]}"
    what = ("classes", json.dumps(classes, ensure_ascii=False)) if classes else ("unit", unit_of(conf) or "")
    for key, value in (("run", name), what, ("input", task.INPUT_SAYS)):
        model.metadata_props.add(key=key, value=value)
    written = io.BytesIO()
    written.write(model.SerializeToString(deterministic=True))
    return written.getvalue()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Write the model of a run as ONNX.")
    parser.add_argument("run", metavar="RUN", help="like conf_f10")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE.onnx")
    parser.add_argument(
        "--cache", type=Path, default=place("cache"), metavar="DIR", help="where results lie (default cache/)"
    )
    parser.add_argument("--limited", action="store_true", help="at low priority, within two minutes and 4 GB")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if given.limited:
        limit(cpu_seconds=120, memory=4 * 10**9)
    try:
        _, conf, net = load_model(given.cache, given.run)
        raw = as_onnx(net, conf, given.run)
        with atomic_write(given.out) as file:
            file.write(raw)
    except (ResultError, ModelError) as error:
        print(error, file=sys.stderr)
        return 2
    except MemoryError:
        print(f"{given.run}: takes more memory than it may have", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename}: cannot be written ({error.strerror})", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
