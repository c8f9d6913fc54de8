"""What a call is, as data: format, network, hyper-parameters, start, strategy, limits, when updates are folded, and the
consent that is asked. Checked here, for the site that publishes it and for who takes part; as a conf it is trained with
the parts that everything else is trained with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from utils import parts
from utils.calls.format import CallError, Format, checked_format, number, text, whole
from utils.conf import Conf, ConfError, make_conf
from utils.nets.outline import known_of
from utils.parts import Part, kind_of, shown
from utils.refusal import said
from utils.tasks import inputs_of, outputs_of

MAX_UPDATE_BYTES = 25_000_000
"""Of a network's weights in float32: what travels both ways in every training, from phones too."""
MAX_CONSENT = 20_000
_NEEDED = ("format", "network", "training")
_USUAL: dict[str, Any] = {
    "start": {"from": "fresh", "seed": 0},
    "strategy": "fedavg",
    "lambda": 1.0,
    "limits": {},
    "aggregation": {},
    "keep_days": 30,
    "credits": False,
    "consent": "",
}
_TRAINING = {"lr": 0.05, "momentum": 0.9, "batch_size": 16, "local_epochs": 2}
_LIMITS = {"trainings": 50, "per_version": 1, "examples": 4, "counted": 1000, "staleness": 1, "norm": 20.0}
_AGGREGATION = {"mode": "automatic", "goal": 3, "least": 2, "minutes": 60}

Backbone = Callable[[str], Mapping[str, Any] | None]
"""What a backbone of this name is: `features`, `sha256`, `side` and `colours`; None where there is none."""


@dataclass(frozen=True)
class Training:
    """How who takes part trains: SGD of `lr` and `momentum`, which starts fresh, `local_epochs` passes in batches as
    equal as possible of at most `batch_size` examples.
    """

    lr: float
    momentum: float
    batch_size: int
    local_epochs: int


@dataclass(frozen=True)
class Limits:
    """What an update must keep to: `trainings` a person may send in all and `per_version` (0: as many as one likes),
    `examples` it is made of at least (and it counts for at most `counted`, as nobody sees how many there are), made
    from a version at most `staleness` older than the latest, and of a `norm` (Euclidean, of the difference to that
    version; 0: any) no greater.
    """

    trainings: int
    per_version: int
    examples: int
    counted: int
    staleness: int
    norm: float


@dataclass(frozen=True)
class Aggregation:
    """When updates are folded. `manual`: when the publisher says so. `automatic`: at once when `goal` of them wait, and
    `minutes` after the first if `least` wait by then, else as soon as they do. `least` holds by hand too.
    """

    mode: str
    goal: int
    least: int
    minutes: float


@dataclass(frozen=True)
class Call:
    """A whole description. `network` is a part, or a frozen backbone under a layer that is learnt."""

    format: Format
    network: Part
    network_json: Any
    training: Training
    start: dict[str, Any]
    strategy: Part
    lambda_: float
    limits: Limits
    aggregation: Aggregation
    keep_days: int
    credits: bool
    consent: str

    def as_json(self) -> dict[str, Any]:
        """Every key, as plain JSON."""
        return {
            "format": self.format.as_json(), "network": self.network_json, "training": vars(self.training).copy(),
            "start": dict(self.start), "strategy": self.strategy.as_json(), "lambda": self.lambda_,
            "limits": vars(self.limits).copy(), "aggregation": vars(self.aggregation).copy(),
            "keep_days": self.keep_days, "credits": self.credits, "consent": self.consent,
        }  # fmt: skip

    @property
    def backbone(self) -> str:
        """The run whose network, all but its last layer, is the frozen backbone; empty where there is none."""
        return str(self.network_json["backbone"]) if self.format.features else ""

    @property
    def conf(self) -> Conf:
        """The call as a conf: who trains, folds or judges does it by this. Its clients are those of one aggregation."""
        at_least = max(1, self.aggregation.least)
        base = make_conf(
            {
                "type": "digits", "network": "mlp", "no_models": at_least, "k": at_least, "global_epochs": 1,
                "lambda": self.lambda_, "strategy": self.strategy.as_json(), **vars(self.training),
            },
            "",
        )  # fmt: skip
        return replace(base, type="_call", task=Part("task", "_call", self.format), network=self.network)

    @property
    def update_bytes(self) -> int:
        """How many bytes of weights travel, each way, headers not counted."""
        return int(known_of(self.conf)["bytes_of_update"] or 0)


USUAL = {**_USUAL, "training": _TRAINING, "limits": _LIMITS, "aggregation": _AGGREGATION}
"""What a description may leave out, and what it then is."""


def checked_call(value: Any, backbone: Backbone | None = None, where: str = "") -> Call:
    """The call that plain JSON describes; what it leaves out is as usual. Raises ConfError, one line.

    `backbone` knows the networks that may be frozen; without it, the description has to say what they are.
    """
    given = _object(value, (*_NEEDED, *_USUAL), where, "")
    for one in _NEEDED:
        if one not in given:
            raise CallError(where, "expected", key=one, what=said("a_value"))
    given = {**_USUAL, **given}
    of = checked_format(given["format"], where)
    of, network, network_json = _network(given["network"], of, backbone, where)
    call = Call(
        of, network, network_json,
        Training(**_numbers(given["training"], _TRAINING, where, "training")),
        _start(given["start"], where),
        parts.checked_part("strategy", given["strategy"], where),
        number(given["lambda"], 1e-6, 10, where, "lambda"),
        Limits(**_numbers(given["limits"], _LIMITS, where, "limits")),
        _aggregation(given["aggregation"], where),
        whole(given["keep_days"], 1, 3650, where, "keep_days"),
        _flag(given["credits"], where, "credits"),
        text(given["consent"], where, "consent", MAX_CONSENT),
    )  # fmt: skip
    if getattr(call.strategy.module, "FROM_NONE", False):
        raise CallError(
            where, "refuses", key="strategy", part=call.strategy.name, other="task", found=said("published")
        )
    parts.check_installed([call.strategy], where)
    _check_fits(call, where)
    return call


def _check_fits(call: Call, where: str) -> None:
    try:
        conf = call.conf
    except ConfError as error:  # a strategy that needs more updates, say
        raise CallError(where, error.said.code, **error.said.values) from None
    inputs, outputs = inputs_of(conf), outputs_of(conf)
    if fits := getattr(conf.network.module, "fits", None):
        fits(conf.network.keys, inputs, outputs, conf.batch_size, where)
    if call.update_bytes > MAX_UPDATE_BYTES:
        what = said("update_bytes", most=f"{MAX_UPDATE_BYTES:,}")
        raise CallError(where, "expected_found", key="network", what=what, found=f"{call.update_bytes:,}")
    known = known_of(conf)
    if known["parameters"] and 4 * known["parameters"] != known["bytes_of_update"]:
        raise CallError(where, "expected", key="network", what=said("no_statistics"))


def _network(value: Any, of: Format, backbone: Backbone | None, where: str) -> tuple[Format, Part, Any]:
    """Format (with features where a backbone makes them), network, and its description with all that follows."""
    if isinstance(value, dict) and "backbone" in value:
        return _on_backbone(value, of, backbone, where)
    if isinstance(value, dict) and "model_name" in value:
        _object(value, ("model_name", "width", "norm"), where, "network")
        whole_ = {"width": 16, "norm": "group", **value}
        kind = parts.load("network", "resnet").Keys
        keys = parts.checked_keys(kind, whole_, where, "network.")
        parts.check_together(vars(keys), {f.name: f for f in parts.fields_of(kind)}, where)
        return of, Part("network", "resnet", keys), whole_
    keys = parts.checked_keys(parts.load("network", "layers").Keys, {"network": value}, where)
    return of, Part("network", "layers", keys), value


def _on_backbone(
    value: dict[str, Any], of: Format, backbone: Backbone | None, where: str
) -> tuple[Format, Part, Any]:
    _object(value, ("backbone", "features", "sha256", "side", "colours"), where, "network")
    name = text(value["backbone"], where, "network.backbone", 100)
    found = backbone(name) if backbone else value
    if found is None:
        raise CallError(
            where, "expected_found", key="network.backbone", what=said("kept_resnet"), found=shown(name)
        )
    features = whole(found.get("features"), 1, 4096, where, "network.features")
    side = whole(found.get("side"), 8, 512, where, "network.side")
    sha256 = text(found.get("sha256"), where, "network.sha256")
    colours = text(found.get("colours"), where, "network.colours")
    if (of.channels, of.side, of.colours) != (3, side, colours):
        what = said("picture_of", side=side, colours=colours)
        raise CallError(where, "expected", key="format.input", what=what)
    told = {"backbone": name, "features": features, "sha256": sha256, "side": side, "colours": colours}
    keys = parts.checked_keys(parts.load("network", "layers").Keys, {"network": {"layers": []}}, where)
    return replace(of, features=features), Part("network", "layers", keys), told


def _numbers(value: Any, usual: Mapping[str, float], where: str, name: str) -> dict[str, Any]:
    ranges = {
        "lr": (1e-6, 100), "momentum": (0, 0.999), "batch_size": (1, 4096), "local_epochs": (1, 100),
        "trainings": (0, 100_000), "per_version": (0, 1000), "examples": (1, 1_000_000),
        "counted": (1, 1_000_000), "staleness": (0, 1000), "norm": (0, 1e9),
    }  # fmt: skip
    given = {**usual, **_object(value, tuple(usual), where, name)}
    found: dict[str, Any] = {}
    for key, one in given.items():
        low, high = ranges[key]
        if isinstance(usual[key], int):
            found[key] = whole(one, int(low), int(high), where, f"{name}.{key}")
        else:
            found[key] = number(one, low, high, where, f"{name}.{key}")
    return found


def _aggregation(value: Any, where: str) -> Aggregation:
    given = {**_AGGREGATION, **_object(value, tuple(_AGGREGATION), where, "aggregation")}
    if given["mode"] not in ("manual", "automatic"):
        what = said("one_of", all="manual, automatic")
        raise CallError(
            where, "expected_found", key="aggregation.mode", what=what, found=shown(given["mode"])
        )
    least = whole(given["least"], 1, 1000, where, "aggregation.least")
    goal = whole(given["goal"], 1, 1000, where, "aggregation.goal")
    if goal < least:
        what = said("at_least_key", key="least", least=least)
        raise CallError(where, "expected_found", key="aggregation.goal", what=what, found=goal)
    minutes = number(given["minutes"], 0.01, 100_000, where, "aggregation.minutes")
    return Aggregation(given["mode"], goal, least, minutes)


def _start(value: Any, where: str) -> dict[str, Any]:
    given = _object(value, ("from", "seed", "run"), where, "start")
    if given.get("from") == "run":
        return {"from": "run", "run": text(given.get("run"), where, "start.run", 100)}
    if given.get("from", "fresh") != "fresh":
        what = said("one_of", all="fresh, run")
        raise CallError(where, "expected_found", key="start.from", what=what, found=shown(given.get("from")))
    return {"from": "fresh", "seed": whole(given.get("seed", 0), 0, 2**31, where, "start.seed")}


def _flag(value: Any, where: str, name: str) -> bool:
    if not isinstance(value, bool):
        raise CallError(where, "expected_found", key=name, what=said("bool"), found=kind_of(value))
    return value


def _object(value: Any, known: tuple[str, ...], where: str, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise CallError(
            where, "expected_found", key=name or "task", what=said("object"), found=kind_of(value)
        )
    for one in value:
        if one not in known:
            raise CallError(where, "unknown_key", name=shown(f"{name}.{one}" if name else one))
    return value
