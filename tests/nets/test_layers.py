"""Networks described layer by layer: what is told of them holds of what is built, and what cannot be is one line."""

import json
import math
import os
import signal
import subprocess
import sys
import tracemalloc
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from hypothesis import Phase, given, settings

from tests.conftest import ROOT, TINY
from tests.nets.described import INPUTS, mostly_invalid, valid
from utils import parts
from utils.conf import ConfError, brought, make_conf
from utils.nets.build import build
from utils.nets.kinds import KINDS, Signal
from utils.nets.layout import Layout, read_weights, write_weights
from utils.nets.modules import network
from utils.nets.outline import (
    MisfitError,
    bytes_of_training,
    bytes_of_update,
    checked_description,
    known_of,
    outline,
    parameters_of,
    templates,
)
from utils.nets.stored import as_onnx, load_model
from utils.refusal import Refusal
from utils.results import read_result
from utils.tasks import inputs_of, outputs_of

FREE = {key: value for key, value in TINY.items() if key not in ("model_name", "width", "norm")}
DROPPING = {
    "layers": [
        {"conv2d": 4, "kernel": 3, "stride": 2, "padding": 1, "activation": "relu"},
        {"group_norm": 2},
        {"residual": [{"conv2d": 4, "kernel": 3, "padding": 1}], "activation": "relu"},
        {"pooling": "average", "size": 4},
        {"flatten": True},
        {"dropout": 0.5},
        {"dense": 8, "activation": "tanh"},
    ]
}
"""The browser's set, all of it."""


def _built(inputs, described, outputs, seed=0):
    torch.manual_seed(seed)
    return network(checked_description(described, "x", "network"), inputs, outputs)


def _examples(inputs, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    if inputs.tokens:
        return torch.randint(0, inputs.tokens, (count, *inputs.shape), generator=generator)
    return torch.randn(count, *inputs.shape, generator=generator)


def _kept_by_torch(net, examples):
    """Bytes that training keeps for the way back, weights apart."""
    weights, kept = {p.untyped_storage().data_ptr() for p in net.parameters()}, {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        net(examples)
    return sum(kept.values())


def _held(drawn):
    """What is told of a drawn network holds of the one that is built, and it learns; the kinds of its layers."""
    inputs, described, outputs = drawn
    rows = outline(checked_description(described, "x", "network"), inputs, outputs)
    net, batch = _built(*drawn).train(), 5
    told = [(name, shape) for row in rows for name, shape in row.weights.items()]
    found = [(name, tuple(tensor.shape)) for name, tensor in net.named_parameters()]
    assert [shape for _, shape in told] == [shape for _, shape in found]
    assert all(long.endswith(short) for (short, _), (long, _) in zip(told, found, strict=True))
    assert parameters_of(rows) == sum(p.numel() for p in net.parameters())
    assert bytes_of_update(rows) == 4 * Layout.of(net).size == read_weights(net).nbytes
    answers = net(_examples(inputs, batch))
    assert answers.shape == (batch, outputs)
    before = read_weights(net)
    F.cross_entropy(answers, torch.arange(batch) % outputs).backward()
    torch.optim.SGD(net.parameters(), lr=0.1).step()
    assert np.isfinite(read_weights(net)).all()
    assert outputs == 1 or not np.array_equal(before, read_weights(net))
    write_weights(net, before)
    assert np.array_equal(read_weights(net), before)
    return {row.kind for row in rows}


def test_what_is_told_of_a_network_is_what_torch_builds_and_trains():
    kinds = set()
    for inputs in INPUTS:
        settings(max_examples=60)(given(valid(inputs))(lambda drawn: kinds.update(_held(drawn))))()
    assert kinds == set(KINDS)


@pytest.mark.parametrize("kind", INPUTS)
def test_as_onnx_it_gives_the_same_outputs(kind):
    few = settings(max_examples=6, phases=[Phase.generate])  # none is made smaller: each takes seconds
    few(given(valid(kind))(_is_the_same_as_onnx))()


def _is_the_same_as_onnx(drawn):
    inputs, _, outputs = drawn
    net = _built(*drawn)
    net.train()(_examples(inputs, 4))  # so that batch norm has measured something
    task = SimpleNamespace(
        as_judged=lambda net, conf: net, ABOUT=("a task", "x"), CLASSES=tuple("abcd"[:outputs]), INPUT="input",
        INPUT_SAYS="numbers", judged_shape=lambda conf: inputs.shape, input_shape=lambda conf: inputs.shape,
        input_tokens=lambda conf: inputs.tokens,
    )  # fmt: skip
    raw = as_onnx(net, SimpleNamespace(task=SimpleNamespace(module=task)), "drawn")
    session = onnxruntime.InferenceSession(raw)
    for count in (1, 3):
        examples = _examples(inputs, count, seed=count)
        with torch.inference_mode():
            expected = net.eval()(examples).numpy()
        assert np.abs(session.run(None, {"input": examples.numpy()})[0] - expected).max() < 1e-4


@given(mostly_invalid())
@settings(max_examples=300)
def test_whatever_stands_there_it_is_valid_or_one_line_and_nothing_large(described):
    tracemalloc.start()
    try:
        conf = make_conf({**FREE, "network": described}, "x.json")
    except ConfError as error:
        said = str(error)
        assert said.startswith("x.json: network") or "x.json: unknown key" in said, said
        assert "\n" not in said and len(said) < 500
    else:
        assert make_conf(json.loads(json.dumps(conf.as_json())), "y") == conf
        build(conf, 0)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 50_000_000


def _refusal(described, **changes):
    with pytest.raises(ConfError) as error:
        make_conf({**FREE, "network": described, **changes}, "x")
    return str(error.value).removeprefix("x: ")


CONV = {"conv2d": 8}
BROKEN = {
    "a number": (3, "network: expected a name, or an object with layers, found a number"),
    "an unknown name": ("vgg", "network: expected one of char_gru, char_mlp, iris, lenet5, logistic, mlp, mlp_64_32, "),
    "a name that climbs": ("../../cache/x", "network: expected one of"),
    "no layers": ({}, "network: expected a name, or an object with layers, found {}"),
    "a stranger": ({"layers": [], "loss": 1}, 'unknown key "network.loss"'),
    "layers in an object": ({"layers": {}}, "network.layers: expected a list of layers, found an object"),
    "too many layers": ({"layers": [{"flatten": True}] * 101}, "network.layers: expected at most 100, found 101"),
    "too many layers in residuals": (
        {"layers": [{"residual": [{"dropout": 0.1}] * 60}] * 2 + [{"flatten": True}]},
        "network.layers: expected at most 100, found 123",
    ),
    "a layer as text": ({"layers": ["flatten"]}, "network.layers[0]: expected an object with one of dense, "),
    "an unknown layer": ({"layers": [{"conv3d": 1}]}, 'lstm, found {"conv3d": 1}'),
    "two layers in one": ({"layers": [{"dense": 1, "gru": 1}]}, 'unknown key "network.layers[0].gru"'),
    "a misspelt option": ({"layers": [{"conv2d": 8, "strides": 2}]}, 'unknown key "network.layers[0].strides"'),
    "no units": ({"layers": [{"dense": 0}]}, "network.layers[0].dense: expected a value in [1, 100000], found 0"),
    "an unknown activation": ({"layers": [{"dense": 1, "activation": "elu"}]},
        "[0].activation: expected one of none, relu, tanh, sigmoid"),
    "flatten false": ({"layers": [{"flatten": False}]}, "network.layers[0].flatten: expected true, found false"),
    "all dropped out": ({"layers": [{"dropout": 1}]}, "dropout: expected a value in [0.0, 1.0), found 1.0"),
    "input of text": ({"layers": [], "input": "3"}, "network.input: expected a list of at most 3 sizes"),
    "another input": ({"layers": [], "input": [3, 8, 8]}, "network.input: expected [3, 32, 32], found [3, 8, 8]"),
    "dense on a picture": ({"layers": [CONV, {"dense": 3}]},
        "network.layers[1]: dense takes numbers in one row (flatten makes one), found 8 x 30 x 30"),
    "a picture at the end": ({"layers": [CONV]},
        "network.output: dense takes numbers in one row (flatten makes one), found 8 x 30 x 30"),
    "conv on a row": ({"layers": [{"flatten": True}, CONV]},
        "network.layers[1]: conv2d takes channels x height x width, found 3072"),
    "a window too large": ({"layers": [{"pooling": "max", "size": 33}]},
        "network.layers[0]: pooling of size 33 does not fit into 3 x 32 x 32"),
    "groups that do not divide": ({"layers": [{"group_norm": 2}]},
        "expected channels that make 2 groups of several numbers each, found 3 x 32 x 32"),
    "groups of one": ({"layers": [{"flatten": True}, {"dense": 4}, {"group_norm": 4}]},
        "4 groups of several numbers each, found 4"),
    "shapes that cannot be added": ({"layers": [{"residual": [CONV]}]},
        "network.layers[0]: residual makes 8 x 30 x 30 and its shortcut 3 x 32 x 32, which cannot be added"),
    "a residual's layer": ({"layers": [{"residual": [{"dense": 1}]}]}, "network.layers[0].residual[0]: dense takes"),
    "a residual in a residual": ({"layers": [{"residual": [{"residual": []}]}]},
        "network.layers[0].residual: expected no residual inside a residual"),
    "no tokens": ("char_gru", "network.layers[0]: embedding takes tokens, found 3 x 32 x 32"),
    "no sequence": ({"layers": [{"lstm": 3}]}, "network.layers[0]: lstm takes steps x numbers, found 3 x 32 x 32"),
    "too many parameters": ({"layers": [{"flatten": True}, {"dense": 100_000}]},
        "network: expected at most 20,000,000 parameters, found 307,500,002"),
    "too much memory": ({"layers": [{"conv2d": 4096, "padding": 15}, {"global_pooling": "max"}]},
        "network: expected at most 1,000 MB of memory for batches of 8, found 3,778"),
}  # fmt: skip


@pytest.mark.parametrize(("described", "says"), BROKEN.values(), ids=BROKEN)
def test_a_network_that_cannot_be_is_refused_with_layer_and_shapes(described, says):
    assert says in _refusal(described)


@pytest.mark.parametrize("task", parts.names("task"))
def test_what_is_known_of_the_network_of_a_conf_is_what_travels(task):
    conf = {key: value for key, value in FREE.items() if key not in ("data", "image_size")}
    conf = make_conf({"network": "mlp", **conf, **brought(task), "type": task}, "x")
    told, net = known_of(conf), build(conf, 0)
    assert told["parameters"] == sum(p.numel() for p in net.parameters())
    assert told["bytes_of_update"] == 4 * Layout.of(net).size, "with the scaling that owners agree on"
    assert told["layers"][-1]["shape"] == [outputs_of(conf)] and told["input"] == list(inputs_of(conf).shape)


def test_of_a_network_that_does_not_fit_the_layers_before_are_told():
    inner = {"residual": [CONV, {"dense": 1}]}
    for layers, fit in (
        ([CONV, {"dense": 3}], ["layers[0]"]), ([{"dense": 3}], []), ([CONV], ["layers[0]"]),
        ([CONV, inner], ["layers[0]", "layers[1].residual[0]"]),
        ([{"residual": [CONV]}], ["layers[0].residual[0]"]),
        ([{"flatten": True}, {"dense": 100_000}], ["layers[0]", "layers[1]", "output"]),
    ):  # fmt: skip
        with pytest.raises(MisfitError) as error:
            make_conf({**FREE, "network": {"layers": layers}}, "x")
        known = error.value.known
        assert [one["place"] for one in known["layers"]] == [f"network.{place}" for place in fit]
        assert known["input"] == [3, 32, 32] and known["parameters"] is None


def test_tokens_are_not_taken_for_numbers():
    for layer in ({"flatten": True}, {"dense": 2}, {"dropout": 0.5}, {"gru": 2}, {"group_norm": 1}):
        described = checked_description({"layers": [layer]}, "x", "network")
        with pytest.raises(Refusal, match=r"found 5 tokens of 9"):
            outline(described, Signal((5,), 9), 2)


def test_a_conf_has_one_network_and_must_have_one(tiny):
    with pytest.raises(ConfError, match="x: network: model_name names a network as well; a conf has one"):
        make_conf({**TINY, "network": "mlp"}, "x")
    with pytest.raises(ConfError, match="x: width: a key of resnet, which this conf does not use"):
        make_conf({**FREE, "network": "mlp", "width": 4}, "x")
    with pytest.raises(ConfError, match=r"x: key model_name is missing \(.*`network`\)"):
        make_conf(FREE, "x")


def test_a_name_stands_for_its_description_from_then_on():
    named = make_conf({**FREE, "network": "mlp"}, "x")
    told = named.as_json()["network"]
    assert told["layers"][1] == {"dense": 128, "activation": "relu", "bias": True} and "about" not in told
    assert make_conf({**FREE, "network": told}, "y") == named and hash(named) == hash(
        make_conf(named.as_json(), "z")
    )


PICTURES = {"small_cnn": (1, 8, 8), "lenet5": (1, 28, 28), "photo_cnn": (3, 64, 64)}
TEXTS = {"char_gru": 80, "char_mlp": 6}
COUNTS = {  # by hand: inputs x outputs + outputs, layer by layer
    "iris": 4 * 3 + 3 + 3 * 3 + 3,
    "logistic": 4 * 3 + 3,
    "mlp": 4 * 128 + 128 + 128 * 64 + 64 + 64 * 3 + 3,
    "small_cnn": 9 * 16 + 16 + 9 * 16 * 32 + 32 + 512 * 64 + 64 + 64 * 3 + 3,
    "lenet5": 25 * 6 + 6 + 25 * 6 * 16 + 16 + 400 * 120 + 120 + 120 * 84 + 84 + 84 * 3 + 3,
    "char_mlp": 65 * 16 + 6 * 16 * 256 + 256 + 256 * 3 + 3,
    "char_gru": 65 * 16 + 3 * 128 * (16 + 128 + 2) + 128 * 3 + 3,
}


@pytest.mark.parametrize("name", templates())
def test_every_template_says_what_it_is_and_fits_what_it_is_for(name):
    raw = json.loads((ROOT / "utils" / "networks" / f"{name}.json").read_text(encoding="utf-8"))
    english, chinese = raw["about"]
    assert english and any(ord(letter) > 0x2E80 for letter in chinese)
    inputs = Signal((TEXTS[name],), 65) if name in TEXTS else Signal(PICTURES.get(name, (4,)))
    rows = outline(checked_description(name, "x", "network"), inputs, 3)
    assert parameters_of(rows) == COUNTS.get(name, parameters_of(rows)) < 100_000
    assert _built(inputs, name, 3)(_examples(inputs, 2)).shape == (2, 3)


def _numpy(net, pictures):
    """DROPPING as `utils.nets.kinds` writes it down, in double precision."""
    w = {name: p.detach().double().numpy() for name, p in net.named_parameters()}

    def conv(x, name, stride, padding):
        kernel, bias = w[f"{name}.weight"], w[f"{name}.bias"]
        x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
        size = kernel.shape[-1]
        height, width = ((side - size) // stride + 1 for side in x.shape[2:])
        made = np.empty((len(x), len(kernel), height, width))
        for i in range(height):
            for j in range(width):
                window = x[:, :, i * stride : i * stride + size, j * stride : j * stride + size]
                made[:, :, i, j] = np.einsum("nchw,ochw->no", window, kernel) + bias
        return made

    x = np.maximum(conv(pictures, "0_conv2d", 2, 1), 0)
    groups = x.reshape(len(x), 2, -1)
    groups = (groups - groups.mean(2, keepdims=True)) / np.sqrt(groups.var(2, keepdims=True) + 1e-5)
    x = (
        groups.reshape(x.shape) * w["1_group_norm.weight"][:, None, None]
        + w["1_group_norm.bias"][:, None, None]
    )
    x = np.maximum(conv(x, "2_residual.residual.0_conv2d", 1, 1) + x, 0)
    x = np.stack([[x[:, :, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4].mean((2, 3)) for j in range(x.shape[3] // 4)]
                  for i in range(x.shape[2] // 4)])  # fmt: skip
    x = x.transpose(2, 3, 0, 1).reshape(len(pictures), -1)
    x = np.tanh(x @ w["6_dense.weight"].T + w["6_dense.bias"])
    return x @ w["output.weight"].T + w["output.bias"]


def test_the_browsers_layers_compute_what_is_written_down():
    inputs = Signal((3, 19, 22))  # sides from which windows leave something over
    net = _built(inputs, DROPPING, 2).eval()
    assert {type_ for type_ in KINDS if KINDS[type_].BROWSER} == {
        *(next(iter(layer)) for layer in DROPPING["layers"]), "global_pooling",
    }  # fmt: skip
    for parameter in net.parameters():  # norms too have something to do
        torch.nn.init.normal_(parameter, std=0.5)
    pictures = _examples(inputs, 3)
    with torch.inference_mode():
        assert np.abs(net(pictures).numpy() - _numpy(net, pictures.double().numpy())).max() < 1e-5


def test_weights_begin_as_written_down_and_follow_from_the_seed():
    described = {
        "layers": [{"conv2d": 32, "kernel": 3}, {"group_norm": 4}, {"flatten": True}, {"dense": 500}]
    }
    net = _built(Signal((3, 6, 6)), described, 2)
    named = dict(net.named_parameters())
    for name, sees in (("0_conv2d", 27), ("3_dense", 512), ("output", 500)):
        for what in ("weight", "bias"):
            values, bound = named[f"{name}.{what}"].detach(), 1 / math.sqrt(sees)
            assert values.abs().max() <= bound
            if values.numel() > 400:  # uniform: spread bound / sqrt(3), and the ends are reached
                assert values.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
                assert values.abs().max() > 0.99 * bound
    assert torch.equal(named["1_group_norm.weight"], torch.ones(32)) and not named["1_group_norm.bias"].any()
    along = dict(_built(Signal((5,), 9), {"layers": [{"embedding": 400}, {"gru": 64}]}, 2).named_parameters())
    assert along["0_embedding.weight"].std().item() == pytest.approx(1, rel=0.05)
    assert along["1_gru.along.weight_hh_l0"].abs().max().item() == pytest.approx(1 / 8, rel=0.01)
    conf = make_conf({**FREE, "network": DROPPING}, "x")
    one, same, other = (read_weights(build(conf, seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same) and not np.array_equal(one, other)


PHOTO, TEXT = Signal((3, 64, 64)), Signal((80,), 65)
LARGE = {
    **{name: (PHOTO, name) for name in ("photo_cnn", "small_cnn", "lenet5", "mlp")},
    "gru": (TEXT, "char_gru"),
    "lstm": (TEXT, {"layers": [{"embedding": 256}, {"lstm": 8}]}),
    "long states": (TEXT, {"layers": [{"embedding": 8}, {"lstm": 99, "sequence": True}, {"flatten": True}]}),
    "tokens": (TEXT, {"layers": [{"embedding": 256}, {"flatten": True}]}),
    "sigmoid": (PHOTO, {"layers": [{"conv2d": 8, "activation": "sigmoid"}] * 5 + [{"flatten": True}]}),
    "batch norm": (PHOTO, {"layers": [{"batch_norm": True, "activation": "tanh"}] * 5 + [{"flatten": True}]}),
    "group norm": (PHOTO, {"layers": [{"group_norm": 1, "activation": "tanh"}] * 5 + [{"flatten": True}]}),
    "dropout": (PHOTO, {"layers": [{"dropout": 0.5}] * 5 + [{"flatten": True}]}),
    "pooling": (PHOTO, {"layers": [{"pooling": "max", "stride": 1}] * 5 + [{"flatten": True}]}),
}  # fmt: skip


@pytest.mark.parametrize(("inputs", "described"), LARGE.values(), ids=LARGE)
def test_training_keeps_no_more_than_is_reckoned_before_anything_is_built(inputs, described):
    rows, batch = outline(checked_description(described, "x", "network"), inputs, 2), 32
    net = _built(inputs, described, 2).train()
    kept = _kept_by_torch(net, _examples(inputs, batch))
    assert kept + 16 * Layout.of(net).size <= bytes_of_training(rows, batch) <= 30 * kept + 10**6


def test_too_large_a_batch_is_too_much_memory():
    with pytest.raises(ConfError, match="MB of memory for batches of 4096"):
        make_conf({**FREE, "image_size": 256, "batch_size": 4096, "network": "photo_cnn"}, "x")


def _main(*arguments, environment=None, status=0):
    done = subprocess.run(
        [sys.executable, "i2main.py", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}, timeout=300,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done


def test_it_trains_alike_on_any_number_of_workers_and_after_a_kill_and_lies_in_the_cache_whole(
    tmp_path, data
):
    conf = tmp_path / "conf_own.json"
    conf.write_text(json.dumps({**FREE, "global_epochs": 5, "local_epochs": 8, "network": DROPPING}))
    common = ["-c", conf, "--data", data, "--quiet"]
    _main(*common, "--workers", 1, "--out", tmp_path / "one")
    process = subprocess.Popen(
        [sys.executable, "i2main.py", *map(str, common), "--workers", "2", "--out", str(tmp_path / "killed")],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, start_new_session=True,
    )  # fmt: skip
    while not (tmp_path / "killed" / ".unfinished" / "conf_own" / "fold0-seed0-rotation0.npz").exists():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    _main(*common, "--workers", 3, "--out", tmp_path / "killed", "--resume")
    models = [(tmp_path / run / "conf_own.json.safetensors").read_bytes() for run in ("one", "killed")]
    results = [read_result(tmp_path / run / "conf_own.json.pkl") for run in ("one", "killed")]
    assert models[0] == models[1] and results[0]["acc"] == results[1]["acc"]
    assert (
        results[0]["conf"]["network"]["layers"][5] == {"dropout": 0.5}
        and "model_name" not in results[0]["conf"]
    )
    result, known, net = load_model(tmp_path / "one", "conf_own")
    assert known == make_conf({**FREE, "global_epochs": 5, "local_epochs": 8, "network": DROPPING}, "x")
    assert result["parameters"] == sum(p.numel() for p in net.parameters())
    card = (tmp_path / "one" / "conf_own.json.md").read_text()
    assert (
        "a network described layer by layer\n(conv2d, group_norm, residual, " in card
        and "from scratch" in card
    )
    session = onnxruntime.InferenceSession(as_onnx(net, known, "conf_own"))
    pixels = np.random.default_rng(0).random((3, 3, 32, 32), dtype=np.float32)
    with torch.inference_mode():
        expected = known.task.module.as_judged(net, known).eval()(torch.from_numpy(pixels)).numpy()
    assert np.abs(session.run(None, {"pixels": pixels})[0] - expected).max() < 1e-4


TASK = """
from dataclasses import dataclass
from utils.parts import key
from utils.tasks.weather import *
ABOUT, CLASSES, NETWORK = ("greys", "x"), ("a", "b", "c"), {"network": "small_cnn"}

def input_shape(conf):
    return (1, 8, 8)
"""


def test_a_task_may_bring_its_network_and_another_may_be_named(tmp_path):
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "greys.py").write_text(TASK)
    code = (
        "from utils.conf import ConfError, make_conf, network_family\n"
        f"free = {FREE!r} | {{'type': 'greys'}}\n"
        "conf = make_conf(free, 'x')\n"
        "told = conf.as_json()\n"
        "print(len(told['network']['layers']), make_conf(told, 'y') == conf, network_family('greys'))\n"
        "print(len(make_conf({**free, 'network': 'logistic'}, 'x').network.keys.network.layers))\n"
        "try: make_conf({**free, 'model_name': 'resnet18'}, 'x')\n"
        "except ConfError as error: print(error)\n"
        "from utils.nets.build import build\nimport torch\n"
        "print(tuple(build(conf, 0)(torch.zeros(5, 1, 8, 8)).shape))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120,
        env={**os.environ, parts.EXTRA: str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "5 True layers",
        "1",
        "x: model_name: resnet18 takes pictures of three colours, found 1 x 8 x 8",
        "(5, 3)",
    ], done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_what_it_is_in_both_languages(kind):
    for english, chinese in (
        KINDS[kind].ABOUT, *((f.metadata["doc"], f.metadata["zh"]) for f in parts.fields_of(KINDS[kind])),
    ):  # fmt: skip
        assert english and any(ord(letter) > 0x2E80 for letter in chinese)
