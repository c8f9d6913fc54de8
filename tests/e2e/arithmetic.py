"""A training of a browser's worker, and the same by PyTorch: the same weights, examples and batches."""

from __future__ import annotations

import base64
import time

import numpy as np
import safetensors.numpy
import torch
import torch.nn.functional as F

from app.vite import DIST
from utils.calls.described import checked_call
from utils.calls.home import fresh, targets_of
from utils.nets.build import layout_of, shape_of
from utils.nets.layout import write_weights
from utils.nets.steps import steps_of
from utils.tasks._call import seen

LABELS = {"kind": "label", "labels": ["a", "b", "c"]}
NUMBER = {"kind": "number", "key": "y", "low": -3, "high": 5}
FIELDS = {"kind": "values", "fields": [{"key": f"x{at}", "low": -at - 1, "high": 4} for at in range(6)]}
WORK = """async ({ file, work }) => {
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
  const kinds = { pixels: Uint8Array, values: Float64Array, features: Float32Array };
  const placed = ([name, one]) => [name, { shape: one.shape, values: new Float32Array(bytes(one.raw)) }];
  const weights = new Map(Object.entries(work.weights).map(placed));
  const inputs = new kinds[work.stored](bytes(work.inputs));
  const data = { inputs, answers: new Float64Array(bytes(work.answers)), features: work.features };
  const worker = new Worker(file, { type: "module" });
  const losses = [];
  let began = "plain", ready = performance.now();
  const made = await new Promise((done, failed) => {
    worker.onerror = (event) => failed(new Error(`worker: ${event.message}`));
    worker.onmessage = ({ data: told }) => {
      if (told.began) [began, ready] = [told.began, performance.now()];
      else if (told.going) losses.push(told.going.loss);
      else if (told.fault) failed(new Error(told.fault));
      else if (told.made || told.outputs) done(told.made ?? { outputs: told.outputs });
    };
    worker.postMessage({ work: { ...work.asked, net: { steps: work.steps, weights }, data } });
  });
  worker.terminate();
  const text = (raw) => { let all = ""; for (const one of raw) all += String.fromCharCode(one); return btoa(all); };
  const seconds = (performance.now() - ready) / 1000;
  const outputs = made.outputs && Array.from(made.outputs);
  return { ...made, body: made.body && text(made.body), outputs, began, losses, seconds };
}"""


def case(network, input, answer, count, seed=3, features=0, **training):
    """A call and examples of it drawn by chance: (call, inputs, answers)."""
    training = {"lr": 0.05, "momentum": 0.9, "batch_size": 8, "local_epochs": 2} | training
    known = {"features": features, "sha256": "0", "side": 64, "colours": "opponent"}
    call = checked_call(
        {"format": {"input": input, "answer": answer}, "network": network, "training": training},
        lambda name: known,
    )
    rng = np.random.default_rng(seed)
    if features:
        inputs = rng.random((count, features)).astype(np.float32)
    elif call.format.is_picture:
        inputs = rng.integers(0, 256, (count, *call.format.stored_shape), np.uint8)
    else:
        inputs = np.stack([rng.uniform(one.low, one.high, count) for one in call.format.fields], 1)
    of = call.format.number
    answers = rng.uniform(of.low, of.high, count) if of else rng.integers(0, len(call.format.labels), count)
    return call, inputs, answers


def in_browser(page, call, inputs, answers, seed=7, kind="train", backend=None, weights=None):
    """What the worker of the page makes of it, with the update by name under `difference`."""
    layout = layout_of(call.conf)
    named = layout.named(fresh(call, 1) if weights is None else weights)
    (file,) = (DIST / "assets").glob("worker-*.js")

    def raw(array, kind):
        return base64.b64encode(np.ascontiguousarray(array, kind).tobytes()).decode()

    stored = (
        ("features", np.float32)
        if call.format.features
        else ("pixels", np.uint8)
        if call.format.is_picture
        else ("values", np.float64)
    )
    asked = {
        "kind": kind,
        "format": call.format.as_json(),
        "hyper": vars(call.training),
        "seed": seed,
    }
    work = {
        "asked": asked | ({"backend": backend} if backend else {}), "steps": steps_of(call.conf),
        "features": call.format.features,
        "weights": {name: {"shape": list(one.shape), "raw": raw(one, np.float32)} for name, one in named.items()},
        "stored": stored[0], "inputs": raw(inputs, stored[1]), "answers": raw(answers, np.float64),
    }  # fmt: skip
    made = page.evaluate(WORK, {"file": f"/static/assets/{file.name}", "work": work})
    if made.get("body"):
        made["difference"] = safetensors.numpy.load(base64.b64decode(made["body"]))
    return made


def batches(count, training, seed):
    """The batches that the browser makes of so many examples: mulberry32, Fisher and Yates, as equal as possible."""
    state = seed

    def chance():
        nonlocal state
        state = (state + 0x6D2B79F5) & 0xFFFFFFFF
        mixed = (state ^ state >> 15) * (state | 1) & 0xFFFFFFFF
        mixed ^= mixed + ((mixed ^ mixed >> 7) * (mixed | 61) & 0xFFFFFFFF) & 0xFFFFFFFF
        return (mixed ^ mixed >> 14) / 2**32

    for _ in range(training.local_epochs):
        order = list(range(count))
        for place in range(count - 1, 0, -1):
            other = int(chance() * (place + 1))
            order[place], order[other] = order[other], order[place]
        yield from np.array_split(np.array(order), -(-count // training.batch_size))


def by_torch(call, inputs, answers, seed=7):
    """The update by name, the mean loss, and the seconds of one core that it took."""
    net, layout, training = shape_of(call.conf), layout_of(call.conf), call.training
    before = fresh(call, 1)
    write_weights(net, before)
    sgd = torch.optim.SGD(net.parameters(), training.lr, training.momentum)
    given, wanted = seen(inputs, call.format), torch.from_numpy(targets_of(call, answers))
    losses, started = [], time.process_time()
    for batch in batches(len(inputs), training, seed):
        made = net(given[batch])
        loss = (
            F.cross_entropy(made, wanted[batch])
            if call.format.number is None
            else F.mse_loss(made[:, 0], wanted[batch].float())
        )
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        losses += [loss.item()] * len(batch)
    took = time.process_time() - started
    after = {name: one.detach().numpy() for name, one in net.state_dict().items()}
    named = layout.named(before)
    return {name: after[name] - named[name] for name in named}, float(np.mean(losses)), took


def apart(one, other):
    """The relative L2 distance of two updates."""
    assert set(one) == set(other)
    return float(
        np.sqrt(sum(np.sum((one[name] - other[name]) ** 2.0) for name in one))
        / np.sqrt(sum(np.sum(other[name] ** 2.0) for name in other))
    )


SKY = {"kind": "picture", "side": 64, "channels": 3, "colours": "opponent"}
OF_VALUES = [
    {"dense": 8, "activation": "tanh"}, {"group_norm": 2}, {"dense": 5, "activation": "sigmoid", "bias": False},
]  # fmt: skip
MANY_KINDS = [
    {"conv2d": 6, "kernel": 5, "stride": 3, "padding": 1, "activation": "relu"},
    {"pooling": "average", "size": 3, "stride": 2},
    {
        "residual": [{"conv2d": 8, "kernel": 3, "stride": 2, "padding": 2}, {"group_norm": 4}],
        "shortcut": [{"conv2d": 8, "kernel": 2, "stride": 2, "padding": 1}],
    },
    {"conv2d": 4, "kernel": 2, "activation": "tanh"},
    {"pooling": "max", "size": 2, "stride": 1},
    {"flatten": True},
]


def small(side, channels):
    """The input of a picture."""
    return {"kind": "picture", "side": side, "channels": channels}


CASES = {
    "mlp": lambda: case("mlp", FIELDS, NUMBER, 30),
    "mlp of labels": lambda: case({"layers": OF_VALUES}, FIELDS, LABELS, 20),
    "logistic": lambda: case("logistic", small(8, 3), LABELS, 30),
    "linear": lambda: case("logistic", FIELDS, NUMBER, 30),
    "head": lambda: case({"backbone": "a"}, SKY, LABELS, 33, features=128),
    "small_cnn": lambda: case("small_cnn", small(8, 1), LABELS, 40),
    "cnn of many kinds": lambda: case({"layers": MANY_KINDS}, small(32, 3), LABELS, 21),
    "global pooling": lambda: case(
        {"layers": [{"conv2d": 6}, {"global_pooling": "max"}]}, small(16, 3), LABELS, 20
    ),
    "photo_cnn": lambda: photo_cnn(),
    "resnet": lambda: resnet(),
}


def resnet(count=16, **training):
    """The width-16 ResNet with group norm."""
    return case({"model_name": "resnet18"}, SKY, LABELS, count, **{"lr": 0.02, "local_epochs": 1, **training})


def photo_cnn(count=24, **training):
    """As it is named, without what draws."""
    from utils.nets.outline import template

    layers = [one for one in template("photo_cnn")["layers"] if "dropout" not in one]
    return case(
        {"layers": layers},
        {"kind": "picture", "side": 64, "channels": 3, "colours": "opponent"},
        LABELS,
        count,
        **{"local_epochs": 1, **training},
    )
