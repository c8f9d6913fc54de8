"""Random descriptions of networks, and whatever looks a little like one."""

from __future__ import annotations

from hypothesis import strategies as some

from utils.nets.kinds import KINDS, Signal
from utils.nets.outline import checked_description, outline
from utils.parts import ConfError

ACTIVATION = some.sampled_from(["none", "relu", "tanh", "sigmoid"])
NORM = {"batch_norm": some.just(True), "activation": ACTIVATION}
FLAT = [
    some.fixed_dictionaries(
        {"dense": some.integers(1, 20)}, optional={"activation": ACTIVATION, "bias": some.booleans()}
    ),
    some.fixed_dictionaries({"dropout": some.floats(0, 0.9)}),
    some.fixed_dictionaries({"group_norm": some.integers(1, 4), "activation": ACTIVATION}),
    some.fixed_dictionaries(NORM),
    some.just({"flatten": True}),
]
CONV = some.fixed_dictionaries(
    {"conv2d": some.integers(1, 8)},
    optional={
        "kernel": some.integers(1, 4), "stride": some.integers(1, 2), "padding": some.integers(0, 2),
        "activation": ACTIVATION, "bias": some.booleans(),
    },
)  # fmt: skip


@some.composite
def _residual(draw):
    channels, stride, activation = draw(some.integers(2, 6)), draw(some.integers(1, 2)), draw(ACTIVATION)
    inner = [
        {"conv2d": channels, "kernel": 3, "stride": stride, "padding": 1},
        {"group_norm": 1, "activation": "relu"},
    ]
    around = [{"conv2d": channels, "kernel": 1, "stride": stride}]
    return {"residual": inner, "shortcut": draw(some.sampled_from([[], around])), "activation": activation}


PICTURE = [
    CONV,
    CONV,
    _residual(),
    some.fixed_dictionaries(
        {"pooling": some.sampled_from(["max", "average"]), "size": some.integers(1, 3)},
        optional={"stride": some.integers(0, 2)},
    ),
    some.fixed_dictionaries({"global_pooling": some.sampled_from(["max", "average"])}),
    some.fixed_dictionaries(NORM),
]
ALONG = {"sequence": some.booleans()}
SEQUENCE = [
    some.fixed_dictionaries({"gru": some.integers(1, 8)}, optional=ALONG),
    some.fixed_dictionaries({"lstm": some.integers(1, 8)}, optional=ALONG),
    some.just({"flatten": True}),
]
INPUTS = {
    "numbers": some.builds(lambda n: Signal((n,)), some.integers(1, 12)),
    "picture": some.builds(
        lambda c, h, w: Signal((c, h, w)), some.integers(1, 3), some.integers(4, 9), some.integers(4, 9)
    ),
    "sequence": some.builds(lambda steps, n: Signal((steps, n)), some.integers(2, 6), some.integers(1, 5)),
    "tokens": some.builds(
        lambda steps, tokens: Signal((steps,), tokens), some.integers(2, 6), some.integers(2, 9)
    ),
}
"""Strategies by what an example is."""


@some.composite
def valid(draw, kind):
    """Inputs of a kind, a JSON description that takes them, and how many outputs."""
    inputs = draw(INPUTS[kind])
    layers = [{"embedding": draw(some.integers(1, 6))}] if inputs.tokens else []
    for _ in range(draw(some.integers(kind == "picture", 5))):
        shape = _after(layers, inputs).shape
        layer = draw(some.one_of({1: FLAT, 2: SEQUENCE, 3: PICTURE}[len(shape)]))
        layers += [layer] if _after([*layers, layer], inputs) else []
    layers += [{"flatten": True}] if len(_after(layers, inputs).shape) > 1 else []
    return inputs, {"layers": layers}, draw(some.integers(1, 4))


def _after(layers, inputs):
    """What comes of the layers; None where one does not fit."""
    try:
        described = checked_description({"layers": [*layers, {"flatten": True}]}, "x", "network")
        return outline(described, inputs, 1)[-2].before
    except ConfError:
        return None


ANYTHING = some.recursive(
    some.one_of(
        some.none(), some.booleans(), some.floats(), some.text(max_size=5),
        some.integers(-3, 12), some.integers(10**3, 10**30), some.sampled_from(["relu", "max", "mlp"]),
    ),
    lambda inner: some.lists(inner, max_size=4)
    | some.dictionaries(
        some.sampled_from([*KINDS, "layers", "input", "activation", "kernel", "stride", "padding", "size", "shortcut"]),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip
LAYER = some.one_of(*FLAT, *PICTURE, *SEQUENCE, ANYTHING)


@some.composite
def mostly_invalid(draw):
    """JSON that is no description, or that says too much, or whose layers do not go together."""
    described = {"layers": draw(some.lists(LAYER, max_size=5))}
    if draw(some.booleans()):
        described["input"] = draw(some.sampled_from([[3, 32, 32], [3], [10**9], [], "x", [3, 32, 32, 1]]))
    return draw(some.one_of(some.just(described), some.just(described), ANYTHING))
