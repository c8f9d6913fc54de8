"""One validated, documented description of an experiment: what a `utils/conf_*.json` may say.

Every key is declared once, as a field of `Conf`; validation, the README's table and every form are made
from that declaration. This module trains nothing and imports neither torch nor numpy.
"""

from __future__ import annotations

import dataclasses
import json
import math
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODELS = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "wide_resnet50_2",
    "wide_resnet101_2",
)
MAX_CONF_BYTES = 1_000_000


class ConfError(ValueError):
    """A conf that cannot be used; its text is one line naming file, key, what was expected and found."""


def _key(doc: str, *, default: Any = dataclasses.MISSING, **limits: Any) -> Any:
    return dataclasses.field(default=default, metadata={"doc": doc, **limits})


@dataclass(frozen=True)
class Conf:
    """A complete experiment. Field `lambda_` is the JSON key `lambda`, Python keeps that word for itself."""

    model_name: str = _key("network: one of torchvision's ResNets", choices=MODELS)
    no_models: int = _key("number of clients", low=1, high=100_000)
    type: str = _key(
        "the task; `weather` is sunny against cloudy (the old spelling `whether_datasets` is accepted)",
        choices=("weather",),
        aliases={"whether_datasets": "weather"},
    )
    global_epochs: int = _key("rounds of training and aggregation", low=1, high=100_000)
    local_epochs: int = _key("passes over its own photos that a client makes in a round", low=1, high=1000)
    k: int = _key("how many clients take part in a round, at most `no_models`", low=1, high=100_000)
    batch_size: int = _key("photos per local gradient step", low=1, high=4096)
    lr: float = _key("learning rate of the clients' SGD", low=0.0, high=100.0, above_low=True)
    momentum: float = _key(
        "momentum of the clients' SGD, which starts fresh every round", low=0.0, high=1.0, below_high=True
    )
    lambda_: float = _key(
        "server learning rate on the weighted mean of the updates; 1 is plain FedAvg",
        default=1.0,
        low=0.0,
        high=10.0,
        above_low=True,
    )
    data: str = _key("name of the set of photos, a folder of `data/`", default="mwd", name=True)
    owners: int = _key(
        "number of owners the photos fall to; 0 means `no_models`", default=0, low=0, high=100_000
    )
    holds: tuple[tuple[int, ...], ...] = _key(
        "which owners' photos each client holds: a list per client of owner numbers from 0; "
        "empty means one owner each, in order",
        default=(),
    )
    rotations: int = _key(
        "how often every fold and seed is repeated with the owners turned by as many as the clients hold "
        "(1 client of 1 owner in 10 rotations: each of ten owners alone)",
        default=1,
        low=1,
        high=1000,
    )
    partition: str = _key(
        "how photos fall to owners: `equal` shuffled parts, `dirichlet` label skew at equal sizes, "
        "`quantity` skew of sizes, `shards` sorted by label",
        default="equal",
        choices=("equal", "dirichlet", "quantity", "shards"),
    )
    alpha: float = _key(
        "concentration of the Dirichlet draw of `dirichlet` and `quantity`; smaller is more unequal",
        default=0.5,
        low=0.0,
        high=1e6,
        above_low=True,
    )
    shards_per_owner: int = _key("shards each owner gets with `shards`", default=2, low=1, high=1000)
    partition_seed: int = _key("seed of the partition; repeat s adds s", default=0, low=0, high=2**31)
    seed: int = _key(
        "seed of weights, cohorts, batches and augmentation; repeat s adds s", default=0, low=0, high=2**31
    )
    image_size: int = _key("side in pixels of the square the network sees", default=64, low=16, high=512)
    width: int = _key(
        "channels of the first stage; 64 is torchvision's own", default=64, low=4, high=256, multiple=4
    )
    norm: str = _key(
        "normalisation layers: `batch` (torchvision's own; buffers are averaged like weights) or `group`",
        default="batch",
        choices=("batch", "group"),
    )
    pretrained: bool = _key(
        "start from torchvision's ImageNet weights (width 64 and norm `batch` only)", default=False
    )
    augment: str = _key(
        "augmentation of training photos: `sky` (crop, flip, turn, light, colour and grey), `flip` or `none`",
        default="sky",
        choices=("sky", "flip", "none"),
    )
    min_crop: float = _key(
        "smallest share of a photo's area that a view of `sky` shows", default=0.5, low=0.05, high=1.0
    )
    judging: str = _key(
        "how a photo is judged: `whole`, the mean over the photo and its mirror image, or `five_crop`, the mean over "
        "four corners and the centre (two thirds of the side each), two of them mirrored",
        default="whole",
        choices=("whole", "five_crop"),
    )
    schedule: str = _key(
        "learning rate over the rounds: `constant`, or `cosine` down to almost zero",
        default="constant",
        choices=("constant", "cosine"),
    )
    warmup: int = _key(
        "rounds in which the learning rate rises to `lr` in equal steps, before its schedule begins",
        default=0,
        low=0,
        high=100_000,
    )
    weight_decay: float = _key("weight decay of the clients' SGD", default=0.0, low=0.0, high=1.0)
    strategy: str = _key("how updates become the new model", default="fedavg", choices=("fedavg",))
    min_clients: int = _key(
        "a round with fewer updates than this fails the run, at most `k`", default=1, low=1, high=100_000
    )
    early_stop: int = _key(
        "stop after this many rounds without a lower validation loss; 0 never stops early",
        default=0,
        low=0,
        high=100_000,
    )

    @property
    def store_side(self) -> int:
        """Side in pixels at which photos are stored: room for crops."""
        return self.image_size * 3 // 2

    @property
    def judged_side(self) -> int:
        """Side in pixels of the picture that is judged, from which `image_size` is cut with `five_crop`."""
        return self.store_side if self.judging == "five_crop" else self.image_size

    @property
    def pool(self) -> int:
        """Number of owners the photos fall to."""
        return self.owners or self.no_models

    def held(self, rotation: int = 0) -> tuple[tuple[int, ...], ...]:
        """Owners held by each client (outer index: client) in the given rotation."""
        base = self.holds or tuple((client,) for client in range(self.no_models))
        turn = rotation * sum(len(owners) for owners in base)
        return tuple(tuple((owner + turn) % self.pool for owner in owners) for owners in base)

    def as_json(self) -> dict[str, Any]:
        """Every key under its JSON name, as plain JSON values."""
        return {
            json_name(field): [list(owners) for owners in self.holds]
            if field.name == "holds"
            else getattr(self, field.name)
            for field in dataclasses.fields(self)
        }


def json_name(field: dataclasses.Field[Any]) -> str:
    """The key a field of `Conf` has in JSON."""
    return field.name.rstrip("_")


def owner_name(owner: int) -> str:
    """A, B, ... Z, then 26, 27, ...: how owner number `owner` (from 0) is called."""
    return string.ascii_uppercase[owner] if owner < 26 else str(owner)


def load_conf(path: Path) -> Conf:
    """Read and validate one conf file.

    Raises ConfError, one line, when the file is missing, too large, not UTF-8 JSON or not a valid conf.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_CONF_BYTES + 1)
    except OSError as error:
        raise ConfError(f"{path}: cannot be read ({error.strerror})") from None
    if len(raw) > MAX_CONF_BYTES:
        raise ConfError(f"{path}: larger than {MAX_CONF_BYTES} bytes, not a conf")
    return parse_conf(raw, str(path))


def parse_conf(raw: bytes, where: str) -> Conf:
    """Validate the bytes of a conf file; `where` names their origin in errors. Raises ConfError."""
    return make_conf(read_json(raw, where), where)


def read_json(raw: bytes, where: str) -> Any:
    """Plain JSON in UTF-8 in which no key comes twice; `where` names its origin in errors. Raises ConfError."""
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_no_twice)
    except UnicodeDecodeError:
        raise ConfError(f"{where}: not a text file in UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise ConfError(f"{where}: not valid JSON ({str(error)[:100]})") from None


def make_conf(values: Any, where: str) -> Conf:
    """Validate the plain JSON `values`; `where` names their origin in errors. Raises ConfError."""
    if not isinstance(values, dict):
        raise ConfError(f"{where}: expected a JSON object of keys, found {_kind(values)}")
    fields = {json_name(field): field for field in dataclasses.fields(Conf)}
    for key in values:
        if key not in fields:
            raise ConfError(f"{where}: unknown key {_shown(key)}")
    given: dict[str, Any] = {}
    for key, field in fields.items():
        if key in values:
            given[field.name] = _checked(values[key], field, f"{where}: {key}")
        elif field.default is dataclasses.MISSING:
            raise ConfError(f"{where}: key {key} is missing ({field.metadata['doc']})")
    conf = Conf(**given)
    _check_together(conf, where)
    return conf


def _checked(value: Any, field: dataclasses.Field[Any], where: str) -> Any:
    limits = field.metadata
    if field.type == "tuple[tuple[int, ...], ...]":
        return _checked_holds(value, where)
    if field.type == "bool":
        if not isinstance(value, bool):
            raise ConfError(f"{where}: expected true or false, found {_kind(value)}")
        return value
    if field.type == "str":
        if not isinstance(value, str):
            raise ConfError(f"{where}: expected a text, found {_kind(value)}")
        value = limits.get("aliases", {}).get(value, value)
        if "choices" in limits and value not in limits["choices"]:
            raise ConfError(f"{where}: expected one of {', '.join(limits['choices'])}, found {_shown(value)}")
        if limits.get("name") and not (
            0 < len(value) <= 100 and set(value) <= set(string.ascii_letters + string.digits + "_-")
        ):
            raise ConfError(f"{where}: expected a name of letters, digits, _ and -, found {_shown(value)}")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfError(f"{where}: expected a number, found {_kind(value)}")
    if field.type == "int":
        if isinstance(value, float) and not value.is_integer():
            raise ConfError(f"{where}: expected a whole number, found {value}")
        value = int(value)
    elif not math.isfinite(value := _as_float(value)):
        raise ConfError(f"{where}: expected a finite number, found {value}")
    low, high = limits["low"], limits["high"]
    if (
        not low <= value <= high
        or (limits.get("above_low") and value == low)
        or (limits.get("below_high") and value == high)
    ):
        left, right = "(" if limits.get("above_low") else "[", ")" if limits.get("below_high") else "]"
        raise ConfError(f"{where}: expected a value in {left}{low}, {high}{right}, found {_shown(value)}")
    if "multiple" in limits and value % limits["multiple"]:
        raise ConfError(f"{where}: expected a multiple of {limits['multiple']}, found {value}")
    return value


def _checked_holds(value: Any, where: str) -> tuple[tuple[int, ...], ...]:
    expected = f"{where}: expected a list with, for each client, a list of owner numbers"
    if not isinstance(value, list):
        raise ConfError(f"{expected}, found {_kind(value)}")
    for owners in value:
        if not isinstance(owners, list) or not owners:
            raise ConfError(f"{expected}, found {_shown(owners)}")
        for owner in owners:
            if isinstance(owner, bool) or not isinstance(owner, int) or owner < 0:
                raise ConfError(f"{expected}, found {_shown(owner)}")
    return tuple(tuple(owners) for owners in value)


def _check_together(conf: Conf, where: str) -> None:
    if conf.k > conf.no_models:
        raise ConfError(f"{where}: k: expected at most no_models ({conf.no_models}), found {conf.k}")
    if conf.min_clients > conf.k:
        raise ConfError(f"{where}: min_clients: expected at most k ({conf.k}), found {conf.min_clients}")
    if conf.warmup >= conf.global_epochs:
        raise ConfError(
            f"{where}: warmup: expected less than global_epochs ({conf.global_epochs}), found {conf.warmup}"
        )
    if conf.holds and len(conf.holds) != conf.no_models:
        raise ConfError(f"{where}: holds: expected {conf.no_models} lists, found {len(conf.holds)}")
    held = [owner for owners in conf.held() for owner in owners]
    if conf.holds and max(max(owners) for owners in conf.holds) >= conf.pool:
        raise ConfError(f"{where}: holds: expected owner numbers below {conf.pool}")
    if not conf.holds and conf.no_models > conf.pool:
        raise ConfError(f"{where}: owners: expected at least no_models ({conf.no_models}), found {conf.pool}")
    if len(set(held)) != len(held):
        raise ConfError(f"{where}: holds: an owner's photos are held twice")
    period = conf.pool // math.gcd(conf.pool, len(held))
    if conf.rotations > period:
        raise ConfError(
            f"{where}: rotations: expected at most {period}, after which the clients hold the same photos again, "
            f"found {conf.rotations}"
        )
    if conf.width < 16 and conf.model_name.startswith("resnext"):
        raise ConfError(f"{where}: width: expected at least 16 for a resnext, found {conf.width}")
    if conf.pretrained and (conf.width != 64 or conf.norm != "batch"):
        raise ConfError(f"{where}: pretrained: torchvision's weights need width 64 and norm batch")


def _no_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise ValueError(f"key {_shown(key)} stands twice")
        values[key] = value
    return values


def _as_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _kind(value: Any) -> str:
    names = {bool: "true or false", str: "a text", dict: "an object", list: "a list", type(None): "null"}
    return names.get(type(value), "a number")


def _shown(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=True, default=str)[:80]
    except RecursionError:
        return "something nested too deeply"
