"""Confs for programs and the form: their keys, the shipped ones, and what one would lead to."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from flask import abort, current_app, g, request
from flask_smorest import Blueprint

from app.api.answers import answers
from app.api.needs import needs
from app.api.refusals import in_ones_language
from app.config import ROOT
from app.confs.schemas import ConfsSchema, PreviewSchema
from app.extensions import limiter
from app.jobs.service import measured_speed
from utils.conf import Conf, ConfError, json_name, load_conf, owner_name, parse_conf
from utils.partition.degree import degree_of_non_iid
from utils.partition.schemes import PartitionError, partition
from utils.photos.dataset import DataError, read_manifest
from utils.photos.split import split_of

blueprint = Blueprint("confs_api", __name__, url_prefix="/api/v1", description="Confs")
MAX_OWNERS = 1000  # of which a preview tells one by one
_KINDS = {"bool": "switch", "int": "whole", "float": "number", "str": "text"}


@blueprint.get("/confs")
@answers(ConfsSchema)
def confs() -> dict[str, Any]:
    """Every key of a conf, and the shipped confs."""
    shipped = {path.stem: load_conf(path).as_json() for path in sorted((ROOT / "utils").glob("conf_*.json"))}
    return {"keys": [_key(field) for field in dataclasses.fields(Conf)], "confs": shipped}


@blueprint.post("/confs/preview")
@needs("read", "researcher")
@limiter.limit("120 per minute")
@blueprint.doc(requestBody={"required": True, "content": {"application/json": {"schema": {}}}})
@answers(PreviewSchema, 401, 403, 415, 422, 429)
def preview() -> dict[str, Any]:
    """What a conf (the body, as in its file) would lead to; a conf that cannot be is refused with the reason."""
    if not request.is_json:
        abort(415)
    try:
        conf = parse_conf(request.get_data(), "conf")
    except ConfError as error:
        g.message = in_ones_language(str(error).removeprefix("conf: "))
        abort(422)
    speed, number = measured_speed(conf.as_json()) or (None, None)
    told = {"conf": conf.as_json(), "photos_per_second": speed, "measured_by": number}
    try:
        return {**told, **_outcome(conf), "reason": ""}
    except (DataError, PartitionError) as error:
        reason = str(error).replace(str(current_app.config["PHOTOS"]), "data")
        return {
            **told,
            **dict.fromkeys(("owners", "degree", "steps", "photos_seen")),
            "reason": in_ones_language(reason),
        }


def _key(field: dataclasses.Field[Any]) -> dict[str, Any]:
    limits = field.metadata
    required = field.default is dataclasses.MISSING
    told: dict[str, Any] = {
        "key": json_name(field), "doc": limits["doc"], "kind": _KINDS.get(str(field.type), "lists"),
        "required": required, "default": None if required else field.default,
    }  # fmt: skip
    if "choices" in limits:
        told["choices"] = list(limits["choices"])
    return told | {
        name: limits[name]
        for name in ("low", "high", "above_low", "below_high", "multiple")
        if name in limits
    }


def _outcome(conf: Conf) -> dict[str, Any]:
    if conf.pool > MAX_OWNERS:
        raise PartitionError(f"more than {MAX_OWNERS} owners are not drawn")
    rows = read_manifest(current_app.config["PHOTOS"] / conf.data)
    train = [row for row in rows if row.file and split_of(row.deck, 0) == "train"]
    train.sort(key=lambda row: row.sha256)  # the order in which the laboratory shares them out
    labels = np.array([row.label == "sunny" for row in train], dtype=np.int64)
    parts = partition(labels, conf, conf.partition_seed)
    counts = [[int((labels[part] == label).sum()) for label in (0, 1)] for part in parts]
    held = [sum(len(parts[owner]) for owner in owners) for owners in conf.held()]
    steps = max(math.ceil(photos / conf.batch_size) for photos in held) * conf.local_epochs
    return {
        "owners": [
            {"name": owner_name(number), "photos": cloudy + sunny, "cloudy": cloudy, "sunny": sunny}
            for number, (cloudy, sunny) in enumerate(counts)
        ],
        "degree": degree_of_non_iid(counts),
        "steps": steps * conf.global_epochs,
        "photos_seen": round(sum(held) * conf.k / conf.no_models) * conf.local_epochs * conf.global_epochs,
    }  # fmt: skip
