"""Models that lie in cache/: read back as networks, and handed on as ONNX.

python3 -m utils.nets.stored conf_f10 -o conf_f10.onnx
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
import warnings
from pathlib import Path
from typing import Any

import safetensors
import safetensors.numpy
import torch
from torch import nn

from utils.conf import Conf, ConfError, make_conf
from utils.files import atomic_write
from utils.nets.layout import Layout, write_weights
from utils.nets.resnet import CLASSES, build
from utils.photos.transforms import MEAN, STD, views
from utils.results import ResultError, read_result, result_path

OPSET = 18
ONNX_FORMAT = 3
"""Changes when `as_onnx` writes something else of the same model."""


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
        raw = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    if hashlib.sha256(raw).hexdigest() != said["sha256"]:
        raise ModelError(f"{path}: not the file that its result speaks of")
    try:
        conf = make_conf(result["conf"], str(path))
        net = build(conf, conf.seed)
        write_weights(net, Layout.of(net).flat(safetensors.numpy.load(raw)))
    except (safetensors.SafetensorError, ConfError, ValueError) as error:
        raise ModelError(f"{path}: does not fit its conf ({str(error).splitlines()[0][:100]})") from None
    return result, conf, net.eval()


class AsJudged(nn.Module):
    """A network as the laboratory judges with it: pixels (n, 3, s, s), RGB in 0..1, to logits (n, 2).

    s is `conf.judged_side`. Normalised by the fixed constants, and the mean over `transforms.views`.
    """

    def __init__(self, net: nn.Module, conf: Conf) -> None:
        super().__init__()
        self.net, self.conf = net, conf
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """See `nn.Module`."""
        inputs = (pixels - self.get_buffer("mean")) / self.get_buffer("std")
        seen = views(inputs, self.conf.image_size, self.conf.judging)
        logits: torch.Tensor = self.net(torch.cat(seen))  # at once, so that ONNX holds the network once
        return logits.view(len(seen), -1, len(CLASSES)).mean(0)


def as_onnx(net: nn.Module, conf: Conf, name: str) -> bytes:
    """`net` as it is judged, as an ONNX model: `pixels` (n, 3, conf.judged_side, ...) to `logits` (n, 2)."""
    side = conf.judged_side
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        program = torch.onnx.export(
            AsJudged(net, conf).eval(), (torch.zeros(2, 3, side, side),), dynamo=True, verbose=False,
            input_names=["pixels"], output_names=["logits"], opset_version=OPSET,
            dynamic_shapes={"pixels": {0: torch.export.Dim("photos")}},
        )  # fmt: skip
    assert program is not None
    model = program.model_proto
    model.producer_name, model.doc_string = "SkyFed", f"{name}: sunny or cloudy?"
    for key, value in (
        ("run", name),
        ("classes", ",".join(CLASSES)),
        ("input", "RGB in 0..1, centre square"),
    ):
        model.metadata_props.add(key=key, value=value)
    written = io.BytesIO()
    written.write(model.SerializeToString(deterministic=True))
    return written.getvalue()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Write the model of a run as ONNX.")
    parser.add_argument("run", metavar="RUN", help="like conf_f10")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE.onnx")
    parser.add_argument("--cache", type=Path, default=Path("cache"), metavar="DIR", help="default cache/")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        _, conf, net = load_model(given.cache, given.run)
        raw = as_onnx(net, conf, given.run)
        with atomic_write(given.out) as file:
            file.write(raw)
    except (ResultError, ModelError) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename}: cannot be written ({error.strerror})", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
