"""Confs for programs and the form: their keys, the shipped ones, and what one would lead to."""

from __future__ import annotations

import dataclasses
from typing import Any

from flask import abort, current_app, g, request
from flask_babel import get_locale
from flask_smorest import Blueprint

from app.api.answers import answers
from app.api.needs import needs
from app.api.refusals import in_ones_language
from app.config import ROOT
from app.confs.schemas import ConfsSchema, MisfitSchema, PreviewSchema
from app.extensions import limiter
from app.jobs.outlook import outcome
from app.jobs.service import measured_speed, speed_elsewhere
from utils import parts
from utils.conf import ConfError, Part, all_keys, brought, json_name, load_conf, network_family, parse_conf
from utils.data.examples import DataError
from utils.nets.outline import MisfitError, checked_description, known_of, template, templates
from utils.partition.schemes import PartitionError
from utils.tasks import classes_of, unit_of

blueprint = Blueprint("confs_api", __name__, url_prefix="/api/v1", description="Confs")
_KINDS = {"bool": "switch", "int": "whole", "float": "number", "str": "text"}


@blueprint.get("/confs")
@answers(ConfsSchema)
def confs() -> dict[str, Any]:
    """Every key of a conf, the shipped confs, and the networks that a conf may name."""
    shipped = {path.stem: load_conf(path).as_json() for path in sorted((ROOT / "utils").glob("conf_*.json"))}
    return {
        "keys": [{**_key(one.field), "of": one.part} for one in all_keys()],
        "confs": shipped,
        "tasks": {name: network_family(name) for name in parts.usable("task")},
        "brought": {name: brought(name) for name in parts.usable("task")},
        "networks": [_template(name) for name in templates()],
    }


@blueprint.post("/confs/preview")
@needs("read", "researcher")
@limiter.limit("120 per minute")
@blueprint.doc(requestBody={"required": True, "content": {"application/json": {"schema": {}}}})
@answers(PreviewSchema, 401, 403, 415, 422, 429, told={422: MisfitSchema})
def preview() -> dict[str, Any]:
    """What a conf (the body, as in its file) would lead to; a conf that cannot be is refused with the reason."""
    if not request.is_json:
        abort(415)
    try:
        conf = parse_conf(request.get_data(), "conf")
    except ConfError as error:
        g.message = in_ones_language(error)
        if isinstance(error, MisfitError):
            g.beside = {"network": error.known}
        abort(422)
    speed, number = measured_speed(conf) or (None, None)
    likened = speed_elsewhere(conf) if speed is None else None
    told = {
        "conf": conf.as_json(), "classes": list(classes_of(conf)), "unit": unit_of(conf), "measured_by": number,
        "examples_per_second": likened[0] if likened else speed, "likened_to": likened[1] if likened else None,
        "network": known_of(conf),
    }  # fmt: skip
    try:
        return {**told, **outcome(conf), "reason": ""}
    except (ConfError, DataError, PartitionError) as error:
        reason = in_ones_language(error).replace(str(current_app.config["DATA"]), "data")
        return {
            **told,
            **dict.fromkeys(("owners", "degree", "steps", "examples", "absent", "scenes")),
            "reason": reason,
        }


def _template(name: str) -> dict[str, Any]:
    described = template(name)
    about = described.pop("about", "")
    both = about if isinstance(about, list) else [about]
    return {
        "name": name, "about": both[-1 if str(get_locale()) == "zh" else 0], "description": described,
        "whole": checked_description(name, "", "network").as_json(),
    }  # fmt: skip


def _key(field: dataclasses.Field[Any]) -> dict[str, Any]:
    """A key as its declaration has it; one that names a part, with every part and its keys."""
    limits = field.metadata
    required = field.default is dataclasses.MISSING
    default = None if required else _as_json(field.default)
    told: dict[str, Any] = {
        "key": json_name(field), "doc": limits["doc"], "kind": _KINDS.get(str(field.type), "lists"),
        "required": required, "default": default,
    }  # fmt: skip
    if family := limits.get("part"):
        told["kind"] = "parts" if field.default == () else "part"
        told["parts"] = [
            {"name": name, "about": parts.load(family, name).ABOUT[0],
             "install": parts.INSTALL if parts.missing(family, name) else "",
             "keys": [{**_key(own), "of": name} for own in parts.declared(family, name)]}
            for name in parts.usable(family)
        ]  # fmt: skip
    if choices := parts.choices_of(field):
        told["choices"] = list(choices)
    if "low" in limits:
        told |= {"low": parts.lowest(field), "high": parts.highest(field)}
        told |= {name: limits[name] for name in ("above_low", "multiple") if name in limits}
        if limits.get("below_high") and not isinstance(limits["high"], str):
            told["below_high"] = True
    return told


def _as_json(value: Any) -> Any:
    return value.as_json() if isinstance(value, Part) else parts.plain(value)
