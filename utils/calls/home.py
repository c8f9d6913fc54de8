"""Where the examples of a call are: local training by the very client of all other trainings, and judging.

`Home` holds what a participant has, ready to be trained on; nothing of it is sent but the update that `train` makes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray
from torch import nn

from utils.calls.described import Call
from utils.calls.format import Format
from utils.calls.weights import norm_of
from utils.federated.client import train
from utils.federated.update import TrainJob, Work, share_of
from utils.nets import JUDGE_BATCH
from utils.nets.build import build, layout_of
from utils.nets.layout import Layout, Vector, read_weights
from utils.parts import Part

_CPU = torch.device("cpu")
Named = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Trained:
    """What a training made: the difference to the version it began from, of how many examples, in how many steps, with
    what mean loss, and its Euclidean norm.
    """

    difference: Named
    samples: int
    steps: int
    loss: float
    norm: float


def fresh(call: Call, seed: int) -> Vector:
    """Weights to begin with (layout.size,), as they follow from a seed."""
    return read_weights(build(call.conf, seed))


class Home:
    """Examples of a call, prepared in `folder`: `inputs` (n, *stored_shape) or features (n, features), `answers` (n,)
    label numbers or numbers in their unit.
    """

    def __init__(self, call: Call, inputs: NDArray[Any], answers: NDArray[Any], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.call, self.conf = call, call.conf
        self.layout: Layout = layout_of(self.conf)
        store = folder / f"{uuid4().hex}.npy"
        np.save(store, inputs)
        self._work = Work(
            uuid4().hex, self.conf, 0, str(store), targets_of(call, answers),
            {share_of(0): np.arange(len(inputs))},
        )  # fmt: skip
        self._store = store

    def close(self) -> None:
        """Forget the prepared examples."""
        self._store.unlink(missing_ok=True)

    def train(self, weights: Vector, seed: int, clip: float = 0.0, noise: float = 0.0) -> Trained:
        """Train from the weights of a version; the batches follow from `seed`. With `clip` the difference is made no
        longer than that, with `noise` too, Gaussian noise of `noise` x `clip` is added to each of its numbers
        (`utils.federated.links.local_dp`). Raises FloatingPointError where the loss is not finite.
        """
        conf, sent = self.conf, weights.astype(np.float32).data.cast("B")
        if clip:
            link = Part("link", "local_dp", _clip_keys(clip, noise))
            conf = replace(conf, link=(link,))
        work = replace(self._work, conf=conf, seed=seed)
        reply = train(TrainJob(0, 0, conf.lr, ("weights",), "update"), work, {"weights": sent}, _CPU)
        found = np.frombuffer(reply.payload, np.float32)
        difference = self.layout.named(found if clip else found - weights)
        named = {name: np.ascontiguousarray(one, np.float32) for name, one in difference.items()}
        metrics = reply.metrics
        return Trained(named, reply.samples, int(metrics["steps"]), metrics["loss"], norm_of(named))


def in_memory(call: Call, inputs: NDArray[Any]) -> Callable[[Vector], NDArray[np.float32]]:
    """What weights make of these examples (n, ...), kept in memory as a network is given them: logits (n, labels),
    or the number in its unit (n, 1). For asking often.
    """
    from utils.nets.build import shape_of
    from utils.nets.layout import write_weights
    from utils.tasks._call import seen

    net, given, of = shape_of(call.conf).eval(), seen(inputs, call.format), call.format.number

    def outputs(weights: Vector) -> NDArray[np.float32]:
        write_weights(net, weights)
        with torch.inference_mode():
            starts = range(0, len(given), JUDGE_BATCH)
            found = torch.cat([net(given[start : start + JUDGE_BATCH]) for start in starts]).numpy()
        return found if of is None else ((found + 1) / 2 * (of.high - of.low) + of.low).astype(np.float32)

    return outputs


def targets_of(call: Call, answers: NDArray[Any]) -> NDArray[Any]:
    """Label numbers as they are, numbers scaled by their range: what a loss is reckoned in."""
    of = call.format.number
    if of is None:
        return np.asarray(answers, np.int64)
    return 2 * (np.asarray(answers, np.float64) - of.low) / (of.high - of.low) - 1


def scores(call: Call, outputs: NDArray[Any], answers: NDArray[Any]) -> dict[str, float]:
    """How well outputs answer: accuracy and the mean cross-entropy in nats, or RMSE and R² in the number's unit."""
    if call.format.number is None:
        truth = np.asarray(answers, np.int64)
        loss = nn.functional.cross_entropy(torch.from_numpy(outputs), torch.from_numpy(truth))
        recalls = [float((outputs[truth == one].argmax(1) == one).mean()) for one in np.unique(truth)]
        return {
            "accuracy": float((outputs.argmax(1) == truth).mean()),
            "balanced_accuracy": float(np.mean(recalls)),
            "loss": float(loss),
        }
    wrong = np.asarray(answers, np.float64) - outputs[:, 0]
    spread = float(np.var(answers))
    told = {"rmse": float(np.sqrt(np.mean(wrong**2)))}
    return told | ({"r2": 1 - float(np.mean(wrong**2)) / spread} if spread else {})


def prepared(call: Call, inputs: NDArray[Any], cache: Path) -> NDArray[Any]:
    """What is trained on of stored inputs: these, or what the backbone, whose run lies in `cache`, makes of them.

    Raises ResultError and ModelError (ValueError too) where that run is not, or is another.
    """
    if not call.backbone:
        return inputs
    from utils.nets.stored import ModelError, load_model

    result, _, net = load_model(cache, call.backbone)
    if result["model"]["sha256"] != call.network_json["sha256"]:
        raise ModelError(f"{call.backbone}: its model is not the one that the task was published with")
    return features(net, inputs, call.format)


def backbone(conf: Mapping[str, Any], raw: bytes, call: Call) -> nn.Module:
    """The backbone of a call from the conf of its run and its model's file. Raises ModelError, one line."""
    from utils.conf import make_conf
    from utils.nets.build import shape_of
    from utils.nets.layout import write_weights
    from utils.nets.stored import ModelError

    if hashlib.sha256(raw).hexdigest() != call.network_json["sha256"]:
        raise ModelError(f"{call.backbone}: not the model that the task was published with")
    of = make_conf(dict(conf), call.backbone)
    net = shape_of(of)
    write_weights(net, layout_of(of).flat(safetensors.numpy.load(raw)))
    return net.eval()


def features(net: nn.Module, pictures: NDArray[np.uint8], of: Format) -> NDArray[np.float32]:
    """What a ResNet, all but its last layer, makes of pictures (n, 3, side, side): (n, features)."""
    from utils.tasks._call import pixels

    below = nn.Sequential(*list(net.children())[:-1], nn.Flatten()).eval()
    found = []
    with torch.inference_mode():
        for start in range(0, len(pictures), JUDGE_BATCH):
            piece = torch.from_numpy(np.array(pictures[start : start + JUDGE_BATCH], np.float32)) / 255
            found.append(below(pixels(piece, of)).numpy())
    return np.concatenate(found) if found else np.zeros((0, 0), np.float32)


def _clip_keys(clip: float, noise: float) -> Any:
    from utils.parts import checked_part

    return checked_part("link", {"name": "local_dp", "clip": clip, "noise": noise}, "").keys
