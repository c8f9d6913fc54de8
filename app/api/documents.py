"""JSON that is made once and asked for often: sent whole, or as "not modified" to who has it already."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from typing import Any

from flask import current_app, request
from flask.json.provider import DefaultJSONProvider
from werkzeug.wrappers import Response


def as_json(value: Any, **options: Any) -> str:
    """`value` as JSON that every reader takes: what JSON cannot say, NaN and the infinities, is null."""
    try:
        return json.dumps(value, allow_nan=False, **options)
    except ValueError:
        return json.dumps(sayable(value), allow_nan=False, **options)


def sayable(value: Any) -> Any:
    """`value` with null for every number that is none; a fault of ours, so the log tells of it."""
    logging.getLogger(__name__).error("an answer of the API holds a number that is none", stack_info=True)
    return _finite(value)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Provider(DefaultJSONProvider):
    """`as_json` for what Flask itself makes JSON of."""

    def dumps(self, obj: Any, **options: Any) -> str:
        """See `flask.json.provider`."""
        return as_json(obj, default=self.default, **options)


def document(body: bytes) -> Response:
    """The JSON `body` with an entity tag made of its content."""
    response = current_app.response_class(body, mimetype="application/json")
    response.set_etag(hashlib.sha256(body).hexdigest()[:32])
    response.cache_control.no_cache = True
    response.cache_control.private = True
    return response.make_conditional(request)
