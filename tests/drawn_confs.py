"""Random confs of every task there is, drawn from what tasks, networks and parts declare: valid ones, and ones with a
fault of each sort that people make.
"""

from __future__ import annotations

import dataclasses
import random
from typing import Any

from tests.nets.test_layers import BROKEN
from utils import parts
from utils.conf import Declared, all_keys, brought, json_name, network_family
from utils.nets.outline import templates

Values = dict[str, Any]
WRONG = (None, "", "x", -1, 1.5, 10**9, 1e308, [], {}, [[0], [0]], True, False, {"name": "x"}, "12", [1])
USUAL = {
    "no_models": 5, "k": 5, "global_epochs": 30, "local_epochs": 1, "batch_size": 16, "lr": 0.1, "momentum": 0.9,
}  # fmt: skip
FITTING = (
    {"layers": [{"flatten": True}, {"dense": 4, "activation": "tanh"}]},
    {
        "layers": [
            {"flatten": True},
            {"residual": [{"dropout": 0.25}]},
            {"group_norm": 1, "activation": "relu"},
        ]
    },
)


def draw(rng: random.Random, key: Declared) -> tuple[Values, str]:
    """A conf with a value of `key`, and the fault that was put into it: "" for none, though its values may not go
    together.
    """
    tasks = parts.usable("task")
    if key.family == "task":
        tasks = (key.part,)
    elif key.family == "network" and key.name != "network":
        tasks = tuple(task for task in tasks if network_family(task) == key.part)
    task = rng.choice(tasks)
    conf: Values = {"type": task, **USUAL} | ({} if "data" in brought(task) else {"data": "drawn"})
    known = [one for one in all_keys() if one.name != "type" and _belongs(one, task)]
    needed = [
        one for one in known if one.field.default is dataclasses.MISSING and one.name not in brought(task)
    ]
    others = [one for one in known if one.name not in ("network", "data")]
    for one in [
        *(one for one in needed if one.name not in conf),
        *rng.sample(others, rng.randint(0, 3)),
        key,
    ]:
        if one.name not in ("type", "network") or one is key:
            conf[one.name] = task if one.name == "type" else value(rng, one.field)
    if "network" in conf:  # a conf has one
        for one in known:
            if one.family == "network" and one.name != "network":
                conf.pop(one.name, None)
    fault = rng.choice([*[""] * len(FAULTS), *FAULTS])
    if fault:
        FAULTS[fault](rng, conf, known)
    return conf, fault


def value(rng: random.Random, field: dataclasses.Field[Any]) -> Any:
    """A value that the key may have, whatever others say."""
    limits = field.metadata
    if family := limits.get("part"):
        if field.default == ():
            return [_part(rng, family) for _ in range(rng.randint(0, 2)) if parts.usable(family)]
        return _part(rng, family) if parts.usable(family) else None
    if choices := parts.choices_of(field):
        return rng.choice(choices)
    if "low" in limits:
        step, least = limits.get("multiple", 1), parts.lowest(field)
        most = min(parts.highest(field), least + rng.choice([3, 40, 300]))
        if field.type == "int":
            return rng.randint(-(-least // step), int(most) // step) * step
        return rng.choice([rng.uniform(least, most), round(rng.uniform(least, min(most, 1)), 2), 10**-7])
    return {
        "bool": lambda: rng.random() < 0.5,
        "str": lambda: rng.choice(["mwd", "drawn", "my-set_2"]),
        "tuple[str, ...]": lambda: rng.choice([[], [], ["drawn"], ["here", "there"]]),
        "Description": lambda: rng.choice([*templates(), *FITTING, *FITTING]),
    }.get(str(field.type), list)()  # fmt: skip


def _part(rng: random.Random, family: str) -> Any:
    name = rng.choice(parts.usable(family))
    keys = {json_name(one): value(rng, one) for one in parts.declared(family, name) if rng.random() < 0.6}
    return {"name": name, **keys} if keys or rng.random() < 0.3 else name


def _belongs(key: Declared, task: str) -> bool:
    return key.part in ("", task, network_family(task)) or key.name == "network"


def _number(rng: random.Random, known: list[Declared]) -> Declared:
    return rng.choice([one for one in known if "low" in one.field.metadata])


def _wrong_type(rng: random.Random, conf: Values, known: list[Declared]) -> None:
    conf[rng.choice(known).name] = rng.choice(WRONG)


def _out_of_range(rng: random.Random, conf: Values, known: list[Declared]) -> None:
    one = _number(rng, known)
    conf[one.name] = rng.choice([parts.lowest(one.field) - 1, parts.highest(one.field) + 1])


def _unknown(rng: random.Random, conf: Values, known: list[Declared]) -> None:
    conf[rng.choice(["", "lamda", "batchsize", "no_models ", "网络"])] = 1


def _foreign(rng: random.Random, conf: Values, known: list[Declared]) -> None:
    names = {one.name for one in known}
    one = rng.choice(
        [one for one in all_keys() if one.name not in names or one.name in ("model_name", "network")]
    )
    conf[one.name] = value(rng, one.field)


def _misfit(rng: random.Random, conf: Values, known: list[Declared]) -> None:
    for one in known:
        if one.family == "network":
            conf.pop(one.name, None)
    conf["network"] = rng.choice([network for network, _ in BROKEN.values()] + list(templates()))


def _owners(rng: random.Random, conf: Values, known: list[Declared]) -> None:
    clients, pool = rng.randint(1, 4), rng.choice([0, 3, 6, 1200])
    conf |= {
        "no_models": clients,
        "k": rng.randint(1, clients),
        "owners": pool,
        "rotations": rng.choice([1, 1, 2, 3]),
    }
    if rng.random() < 0.5:
        conf["holds"] = [[owner] for owner in rng.sample(range(5), clients)]
    else:
        some = rng.choice([clients, 2])
        conf["holds"] = [[rng.randint(-1, 5) for _ in range(rng.randint(0, 2))] for _ in range(some)]


def _missing(rng: random.Random, conf: Values, known: list[Declared]) -> None:
    conf.pop(rng.choice(list(conf)))


def _part_of_it(rng: random.Random, conf: Values, known: list[Declared]) -> None:
    one = rng.choice([one for one in known if "part" in one.field.metadata])
    named = _part(rng, one.field.metadata["part"]) if parts.usable(one.field.metadata["part"]) else "none"
    name = named if isinstance(named, str) else named["name"]
    broken = rng.choice(
        ["no_such", {"name": name, "no_such_key": 1}, {"name": name, "momentum": 2}, {"keys": 1}, 3]
    )
    conf[one.name] = [broken] if one.field.default == () else broken


FAULTS = {
    "wrong type": _wrong_type, "out of range": _out_of_range, "unknown key": _unknown, "key of another": _foreign,
    "misfit network": _misfit, "owners": _owners, "missing key": _missing, "part": _part_of_it,
}  # fmt: skip


def many(count: int, seed: int = 0) -> list[tuple[Values, str, str]]:
    """`count` confs, each key there is in turn: values, the fault, the key. The same ones for a seed."""
    rng, keys = random.Random(seed), all_keys()
    return [(*draw(rng, keys[number % len(keys)]), keys[number % len(keys)].name) for number in range(count)]
