"""One validated, documented description of an experiment: what a `utils/conf_*.json` may say.

Every key is declared once: the general ones as fields of `Conf`, those of a task, a network or another part in its own
file (`utils.parts`). Validation, the README's table and every form are made from these declarations. This module trains
nothing and imports neither torch nor numpy; a part may, to see whether it fits.
"""

from __future__ import annotations

import dataclasses
import json
import math
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from utils import parts
from utils.parts import ConfError, Part, json_name, key, kind_of, shown
from utils.refusal import said
from utils.tasks import classes_of, inputs_of, outputs_of

MAX_CONF_BYTES = 1_000_000
MAX_LINKS = 20
MAX_VALUED = 100  # updates a round that are kept to find what they were worth
Holds = tuple[tuple[int, ...], ...]

__all__ = [
    "Conf",
    "ConfError",
    "Declared",
    "Part",
    "all_keys",
    "json_name",
    "load_conf",
    "make_conf",
    "parse_conf",
]


def _checked_holds(value: Any, where: str, name: str) -> Holds:
    def refuse(found: Any) -> ConfError:
        return ConfError(where, "expected_found", key=name, what=said("lists_of_owners"), found=found)

    if not isinstance(value, list):
        raise refuse(kind_of(value))
    for owners in value:
        if not isinstance(owners, list) or not owners:
            raise refuse(shown(owners))
        for owner in owners:
            if isinstance(owner, bool) or not isinstance(owner, int) or owner < 0:
                raise refuse(shown(owner))
    return tuple(tuple(owners) for owners in value)


def _checked_sources(value: Any, where: str, name: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ConfError(where, "expected_found", key=name, what=said("list_of_sources"), found=kind_of(value))
    for one in value:
        if not (isinstance(one, str) and parts.is_plain_name(one)):
            raise ConfError(where, "expected_found", key=name, what=said("list_of_sources"), found=shown(one))
    if len(set(value)) != len(value):
        raise ConfError(where, "expected_found", key=name, what=said("each_once"), found=shown(value))
    return tuple(value)


def _part(family: str) -> Any:
    def check(value: Any, where: str, name: str) -> Part:
        return parts.checked_part(family, value, where, name)

    return check


def _optional(family: str) -> Any:
    def check(value: Any, where: str, name: str) -> Part | None:
        return None if value is None else parts.checked_part(family, value, where, name)

    return check


def _several(family: str) -> Any:
    def check(value: Any, where: str, name: str) -> tuple[Part, ...]:
        if not isinstance(value, list):
            raise ConfError(where, "expected_found", key=name, what=said("parts"), found=kind_of(value))
        if len(value) > MAX_LINKS:
            raise ConfError(
                where, "expected_found", key=name, what=said("at_most", most=MAX_LINKS), found=len(value)
            )
        return tuple(parts.checked_part(family, one, where, name) for one in value)

    return check


@dataclass(frozen=True)
class Conf:
    """A complete experiment. Field `lambda_` is the JSON key `lambda`, Python keeps that word for itself.

    `task` and `network` hold the flat keys that the task (`type`) and its network declare.
    """

    no_models: int = key("number of clients", low=1, high=100_000)
    type: str = key(
        "the task: what is learnt (the old spelling `whether_datasets` of `weather` is accepted)",
        family="task",
        aliases={"whether_datasets": "weather"},
    )
    global_epochs: int = key("rounds of training and aggregation", low=1, high=100_000)
    local_epochs: int = key("passes over its own examples that a client makes in a round", low=1, high=1000)
    k: int = key(
        "how many clients take part in a round, at most `no_models`", low=1, high="no_models", most=100_000
    )
    batch_size: int = key("examples per local gradient step", low=1, high=4096)
    lr: float = key("learning rate of the clients' SGD", low=0.0, high=100.0, above_low=True)
    momentum: float = key(
        "momentum of the clients' SGD, which starts fresh every round", low=0.0, high=1.0, below_high=True
    )
    lambda_: float = key(
        "server learning rate on the weighted mean of the updates; 1 is plain FedAvg",
        default=1.0,
        low=0.0,
        high=10.0,
        above_low=True,
    )
    data: str = key("name of the set of examples, a folder of `data/`", default="mwd", name=True)
    train_on: tuple[str, ...] = key(
        "names of the sources whose examples are trained on, all but one deck for validation; every example of "
        "`judge_on` is then judged, unless its scene was trained on, in one repeat a seed. Empty: all sources, held "
        "out in folds",
        default=(),
        check=_checked_sources,
    )
    judge_on: tuple[str, ...] = key(
        "names of the sources that are judged with `train_on`; none of these may be trained on",
        default=(),
        check=_checked_sources,
    )
    owners: int = key(
        "number of owners the examples fall to; 0 means `no_models`", default=0, low=0, high=100_000
    )
    holds: Holds = key(
        "which owners' examples each client holds: a list per client of owner numbers from 0; "
        "empty means one owner each, in order",
        default=(),
        check=_checked_holds,
    )
    rotations: int = key(
        "how often every fold and seed is repeated with the owners turned by as many as the clients hold "
        "(1 client of 1 owner in 10 rotations: each of ten owners alone)",
        default=1,
        low=1,
        high=1000,
    )
    partition: str = key(
        "how examples fall to owners: `equal` shuffled parts, `dirichlet` label skew at equal sizes, "
        "`quantity` skew of sizes, `shards` sorted by label or number, `source` each owner the examples of one source, "
        "`columns` each owner some columns of all examples, with `rounds` `columns`",
        default="equal",
        choices=("equal", "dirichlet", "quantity", "shards", "source", "columns"),
        needs={"columns": {"rounds": ("columns",)}},
    )
    alpha: float = key(
        "concentration of the Dirichlet draw of `dirichlet` and `quantity`; smaller is more unequal",
        default=0.5,
        low=0.0,
        high=1e6,
        above_low=True,
    )
    shards_per_owner: int = key("shards each owner gets with `shards`", default=2, low=1, high=1000)
    partition_seed: int = key("seed of the partition; repeat s adds s", default=0, low=0, high=2**31)
    labels: float = key(
        "share of the training examples that have a label; those without drop out, unless `local` learns from them too",
        default=1.0,
        low=0.0,
        high=1.0,
        above_low=True,
    )
    labels_at: str = key(
        "who has the labels, where `labels` is below 1: `clients` each of that share of its examples, `some` of the "
        "clients all and the others none, or the `server` with that share of all examples",
        default="clients",
        choices=("clients", "some", "server"),
        needs={
            "some": {"min_clients": (0,)},
            "server": {"min_clients": (0,), "local": ("pseudo_label",), "rounds": ("synchronous",)},
        },
    )
    seed: int = key(
        "seed of weights, cohorts, batches and augmentation; repeat s adds s", default=0, low=0, high=2**31
    )
    schedule: str = key(
        "learning rate over the rounds: `constant`, or `cosine` down to almost zero",
        default="constant",
        choices=("constant", "cosine"),
    )
    warmup: int = key(
        "rounds in which the learning rate rises to `lr` in equal steps, before its schedule begins",
        default=0,
        low=0,
        high="global_epochs",
        below_high=True,
        most=100_000,
    )
    weight_decay: float = key("weight decay of the clients' SGD", default=0.0, low=0.0, high=1.0)
    min_clients: int = key(
        "a round with fewer updates than this fails the run, at most `k`; with 0 one without any is a round too",
        default=1,
        low=0,
        high="k",
        most=100_000,
    )
    early_stop: int = key(
        "stop after this many rounds without a lower validation loss; 0 never stops early",
        default=0,
        low=0,
        high=100_000,
    )
    worth: int = key(
        "at most so many models are judged each round on validation examples to find what each update was worth "
        "(Shapley values and leave-one-out), at least twice `k`; 0: none is",
        default=0,
        low=0,
        high=1_000_000,
    )
    strategy: Part = key(
        "how updates become the new model",
        default=Part("strategy", "fedavg"),
        part="strategy",
        check=_part("strategy"),
    )
    rounds: Part = key(
        "who trains when, and from which model",
        default=Part("rounds", "synchronous"),
        part="rounds",
        check=_part("rounds"),
    )
    selection: Part = key(
        "which clients take part in a round",
        default=Part("selection", "uniform"),
        part="selection",
        check=_part("selection"),
    )
    local: Part = key("how a client trains", default=Part("local", "sgd"), part="local", check=_part("local"))
    attack: Part | None = key(
        "what hostile clients do; nobody is hostile where it is absent",
        default=None,
        part="attack",
        check=_optional("attack"),
    )
    link: tuple[Part, ...] = key(
        "what happens to an update on its way to the server, one after the other",
        default=(),
        part="link",
        check=_several("link"),
    )
    task: Part = dataclasses.field(kw_only=True)
    network: Part = dataclasses.field(kw_only=True)

    def __hash__(self) -> int:
        """Worked out once: clients ask for it in every job, and it takes longer than a small one's training."""
        known: int | None = self.__dict__.get("_hash")
        if known is None:
            known = hash(tuple(getattr(self, field.name) for field in dataclasses.fields(self)))
            object.__setattr__(self, "_hash", known)
        return known

    def __getstate__(self) -> dict[str, Any]:
        """Without the hash, which is another one in another process."""
        return {name: value for name, value in self.__dict__.items() if name != "_hash"}

    @property
    def pool(self) -> int:
        """Number of owners the examples fall to."""
        return self.owners or self.no_models

    def held(self, rotation: int = 0) -> Holds:
        """Owners held by each client (outer index: client) in the given rotation."""
        base = self.holds or tuple((client,) for client in range(self.no_models))
        turn = rotation * sum(len(owners) for owners in base)
        return tuple(tuple((owner + turn) % self.pool for owner in owners) for owners in base)

    def parts(self) -> Iterator[Part]:
        """Every part, task and network included."""
        yield from (self.task, self.network, self.strategy, self.rounds, self.selection, self.local)
        yield from ([self.attack] if self.attack else [])
        yield from self.link

    def as_json(self) -> dict[str, Any]:
        """Every flat key under its JSON name, as plain JSON values; of the parts the strategy, and what is no
        default.
        """
        told = parts.values_of(self.network.keys)
        for field in _general():
            value = getattr(self, field.name)
            if "part" not in field.metadata:
                told[json_name(field)] = parts.plain(value)
            elif value != usual(field) or field.name == "strategy":
                told[json_name(field)] = (
                    [part.as_json() for part in value] if isinstance(value, tuple) else value.as_json()
                )
        return told | parts.values_of(self.task.keys)


@dataclass(frozen=True)
class Declared:
    """A key as forms and tables show it: whose it is ("" for general ones), and its declaration."""

    family: str
    part: str
    field: dataclasses.Field[Any]

    @property
    def name(self) -> str:
        """Its name in JSON."""
        return json_name(self.field)


def all_keys() -> list[Declared]:
    """Every flat key there is: those of the networks, the general ones, those of the tasks."""
    general = [Declared("", "", field) for field in _general()]
    taken = {one.name for one in general}  # a part that declares one of these is refused when a conf names it

    def of(family: str) -> list[Declared]:
        return [
            Declared(family, name, field)
            for name in parts.usable(family)
            for field in parts.declared(family, name)
            if json_name(field) not in taken
        ]

    return [*of("network"), *general, *of("task")]


def usual(field: dataclasses.Field[Any]) -> Any:
    """What a general key is where a conf does not name it; of a part that has keys, with those."""
    value = field.default
    return parts.checked_part(value.family, value.name, "") if isinstance(value, Part) else value


@cache
def _general() -> tuple[dataclasses.Field[Any], ...]:
    return tuple(field for field in dataclasses.fields(Conf) if "doc" in field.metadata)


def owner_name(owner: int) -> str:
    """A, B, ... Z, then 26, 27, ...: how owner number `owner` (from 0) is called."""
    return string.ascii_uppercase[owner] if owner < 26 else str(owner)


def owners_held(conf: Conf, rotation: int = 0, most: int = 4) -> list[str]:
    """Whose examples each client holds, in words: "A", "A, B, C", and from more than `most` on "A, B, C, D, ..."."""
    return [
        ", ".join([*map(owner_name, owners[:most]), *(["..."] if len(owners) > most else [])])
        for owners in conf.held(rotation)
    ]


def load_conf(path: Path) -> Conf:
    """Read and validate one conf file.

    Raises ConfError, one line, when the file is missing, too large, not UTF-8 JSON or not a valid conf.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_CONF_BYTES + 1)
    except OSError as error:
        raise ConfError(str(path), "unreadable", why=error.strerror) from None
    if len(raw) > MAX_CONF_BYTES:
        raise ConfError(str(path), "too_large", most=MAX_CONF_BYTES)
    return parse_conf(raw, str(path))


def parse_conf(raw: bytes, where: str) -> Conf:
    """Validate the bytes of a conf file; `where` names their origin in errors. Raises ConfError, also where a package
    that one of its parts works with is not installed.
    """
    conf = make_conf(read_json(raw, where), where)
    parts.check_installed(conf.parts(), where)
    return conf


def read_json(raw: bytes, where: str) -> Any:
    """Plain JSON in UTF-8 in which no key comes twice; `where` names its origin in errors. Raises ConfError."""
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_no_twice)
    except UnicodeDecodeError:
        raise ConfError(where, "not_utf8") from None
    except _TwiceError as error:
        raise ConfError(where, "not_json", why=said("twice", name=error.args[0])) from None
    except (ValueError, RecursionError) as error:
        raise ConfError(where, "not_json", why=str(error)[:100]) from None


def chinese() -> dict[str, str]:
    """What keys and parts say of themselves, in English and, where they have it, in Chinese (`TEXTS`: of all the rest
    they show, as the names of classes and views).
    """
    told = {one.field.metadata["doc"]: one.field.metadata["zh"] for one in all_keys()}
    for family in parts.FAMILIES:
        for name in parts.usable(family):
            module = parts.load(family, name)
            told |= dict([module.ABOUT]) | getattr(module, "TEXTS", {})
            told |= {field.metadata["doc"]: field.metadata["zh"] for field in parts.declared(family, name)}
    return told


def make_conf(values: Any, where: str) -> Conf:
    """Validate the plain JSON `values`; `where` names their origin in errors. Raises ConfError.

    Packages of parts may be missing: what others have trained can be read all the same.
    """
    if not isinstance(values, dict):
        raise ConfError(where, "not_object", found=kind_of(values))
    general = {json_name(field): field for field in _general()}
    kind = general["type"]
    if "type" not in values:  # what other keys there are follows from the task
        _refuse_unknown(values, {declared.name for declared in all_keys()}, where)
        raise ConfError(where, "missing", name="type", doc=kind.metadata["doc"])
    task = parts.checked(values["type"], kind, where, "type")
    network, values = _network_of(task, values, where)
    if "data" in (usual := brought(task)):
        values = {"data": usual["data"]} | values  # whichever network there is
    own = {json_name(field): field for field in parts.declared("task", task)}
    nets = {json_name(field): field for field in parts.declared("network", network)}
    for name in set(own) | set(nets):
        if name in general or (name in own and name in nets):
            why = said("part_of_general", key=name)
            raise ConfError(where, "broken_part", key="type", name=task, why=why)
    _refuse_unknown(values, {*general, *own, *nets}, where)
    conf = Conf(
        **{field.name: value for field, value in _each(general, values, where)},
        task=_flat("task", task, values, where),
        network=_flat("network", network, values, where),
    )
    found = {name: getattr(conf, field.name) for name, field in general.items()}
    for part, keys in ((conf.task, own), (conf.network, nets)):
        found |= {name: getattr(part.keys, field.name) for name, field in keys.items()}
    parts.check_together(found, {**nets, **general, **own}, where)
    _check_owners(conf, where)
    _check_sources(conf, where)
    for link in conf.link[:-1]:
        if hasattr(link.module.Link, "encode"):
            raise ConfError(where, "encodes", key="link", name=link.name)
    parts.check_parts(conf.parts(), found, where)
    _check_sees(conf, where)
    _check_worth(conf, where)
    _check_fits(conf, where)
    return conf


def _check_sees(conf: Conf, where: str) -> None:
    """Nobody is to look at single updates where only their sum is opened, nor to know what stays with a client."""

    def refuse(part: Part, other: str, found: str) -> ConfError:
        return ConfError(where, "refuses", key=part.family, part=part.name, other=other, found=found)

    if conf.link and conf.no_models == 1:  # nothing travels
        raise refuse(conf.link[0], "no_models", "1")
    if conf.link and hasattr(conf.link[-1].module.Link, "open"):
        for part, looks in (
            (conf.strategy, getattr(conf.strategy.module, "NEEDS_EACH", False)),
            (conf.local, hasattr(conf.local.module, "Server")),
            (conf.selection, hasattr(conf.selection.module.Selection, "weigh")),
        ):
            if looks:
                raise refuse(part, "link", conf.link[-1].name)
    if (
        conf.attack
        and any(hasattr(conf.attack.module.Attack, one) for one in ("together", "copies"))
        and getattr(conf.local.module, "KEEPS", False)
    ):
        raise refuse(conf.attack, "local", conf.local.name)


def _check_worth(conf: Conf, where: str) -> None:
    """What updates were worth is told by means of some of them, each seen."""
    if not conf.worth:
        return
    for other, found, needed in (
        ("strategy", conf.strategy.name, "fedavg"),
        ("rounds", conf.rounds.name, "synchronous"),
    ):
        if found != needed:
            raise ConfError(
                where, "needs", key="worth", part=conf.worth, other=other, what=needed, found=found
            )
    for part, hides in (
        *((link, hasattr(link.module.Link, "open")) for link in conf.link[-1:]),
        (conf.local, hasattr(conf.local.module, "Server")),  # which has its own way with the mean
    ):
        if hides:
            raise ConfError(
                where, "refuses", key="worth", part=conf.worth, other=part.family, found=part.name
            )
    if conf.worth < 2 * conf.k or conf.k > MAX_VALUED:
        key_, found_ = ("worth", conf.worth) if conf.k <= MAX_VALUED else ("k", conf.k)
        what = said("at_least", least=2 * conf.k) if key_ == "worth" else said("at_most", most=MAX_VALUED)
        raise ConfError(where, "expected_found", key=key_, what=what, found=found_)


def _check_fits(conf: Conf, where: str) -> None:
    """The network takes what the task gives it, and is not too large."""
    try:
        inputs, outputs = inputs_of(conf), outputs_of(conf)
    except Exception as error:  # whatever a task of somebody's own may raise
        why = parts.in_one_line(error)
        raise ConfError(where, "broken_part", key="type", name=conf.type, why=why) from error
    if conf.partition == "dirichlet" and not classes_of(conf):  # which are what it draws
        raise ConfError(where, "refuses", key="type", part=conf.type, other="partition", found=conf.partition)
    if conf.labels < 1 and not classes_of(conf):
        raise ConfError(where, "refuses", key="type", part=conf.type, other="labels", found=conf.labels)
    if fits := getattr(conf.network.module, "fits", None):
        fits(conf.network.keys, inputs, outputs, conf.batch_size, where)
    for part in conf.parts():
        fits = None if part is conf.network else getattr(part.module, "fits", None)
        if fits and not parts.missing(part.family, part.name):
            fits(conf, where)


def network_family(task: str) -> str:
    """The family of networks of the task's own network. Raises ConfError."""
    own = parts.load("task", task).NETWORK
    return own if isinstance(own, str) else next(iter(_named_networks(own).values()), "")


def brought(task: str) -> dict[str, Any]:
    """What keys are for the task where a conf does not name them: its network's, and `data` if a package brings it."""
    module = parts.load("task", task)
    data = {"data": module.DATA} if hasattr(module, "DATA") else {}
    return data | (dict(module.NETWORK) if isinstance(module.NETWORK, Mapping) else {})


def _named_networks(values: Mapping[str, Any]) -> dict[str, str]:
    """The keys in `values` that name a network, with its family: those that a family cannot do without."""
    return {
        json_name(field): family
        for family in parts.usable("network")
        for field in parts.declared("network", family)
        if field.default is dataclasses.MISSING and json_name(field) in values
    }


def _network_of(task: str, values: dict[str, Any], where: str) -> tuple[str, dict[str, Any]]:
    """The family of networks of a conf, and its values with those that the task brings where they name no network."""
    try:
        family = network_family(task)
        parts.load("network", family)
    except ConfError as error:
        raise ConfError(where, error.said.code, **error.said.values) from None
    named = _named_networks(values)
    if len(set(named.values())) > 1:
        first, second = list(named)[:2]
        raise ConfError(where, "two_networks", key=first, other=second)
    if named:
        return next(iter(named.values())), values
    return family, brought(task) | values


def _each(
    fields: Mapping[str, dataclasses.Field[Any]], values: Mapping[str, Any], where: str
) -> Iterator[tuple[dataclasses.Field[Any], Any]]:
    for name, field in fields.items():
        if name in values:
            yield field, parts.checked(values[name], field, where, name)
        elif field.default is dataclasses.MISSING:
            raise ConfError(where, "missing", name=name, doc=field.metadata["doc"])
        else:
            yield field, usual(field)


def _flat(family: str, name: str, values: Mapping[str, Any], where: str) -> Part:
    """The part whose keys stand flat in a conf."""
    kind = getattr(parts.load(family, name), "Keys", None)
    return Part(family, name, parts.checked_keys(kind, values, where) if kind else None)


def _refuse_unknown(values: Mapping[str, Any], known: set[str], where: str) -> None:
    for name in values:
        if name not in known:
            for one in all_keys():
                if one.name == name and one.family:
                    raise ConfError(where, "foreign_key", name=name, whose=one.part)
            raise ConfError(where, "unknown_key", name=shown(name))


def _check_owners(conf: Conf, where: str) -> None:
    """Who holds what: every client something, nobody's examples twice, and no rotation like an earlier one."""

    def refuse(name: str, what: Any, found: Any) -> ConfError:
        return ConfError(where, "expected_found", key=name, what=what, found=found)

    if conf.holds and len(conf.holds) != conf.no_models:
        raise refuse("holds", said("lists", count=conf.no_models), len(conf.holds))
    held = [owner for owners in conf.held() for owner in owners]
    if conf.holds and max(max(owners) for owners in conf.holds) >= conf.pool:
        raise ConfError(where, "expected", key="holds", what=said("owners_below", number=conf.pool))
    if not conf.holds and conf.no_models > conf.pool:
        raise refuse("owners", said("at_least_key", key="no_models", least=conf.no_models), conf.pool)
    if len(set(held)) != len(held):
        raise ConfError(where, "held_twice", key="holds")
    period = conf.pool // math.gcd(conf.pool, len(held))
    if conf.rotations > period:
        raise refuse("rotations", said("turns", most=period), conf.rotations)


def _check_sources(conf: Conf, where: str) -> None:
    """What is judged was never trained on."""
    if bool(conf.train_on) != bool(conf.judge_on):
        missing = "judge_on" if conf.train_on else "train_on"
        raise ConfError(where, "expected_found", key=missing, what=said("list_of_sources"), found="[]")
    for source in conf.judge_on:
        if source in conf.train_on:
            raise ConfError(where, "both", key="judge_on", name=source)


class _TwiceError(ValueError):
    pass


def _no_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise _TwiceError(shown(name))
        values[name] = value
    return values
