"""What a view answers, told to the OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from flask_smorest.response import ResponseMixin
from marshmallow import Schema

from app.api.schemas import RefusalSchema

_described = ResponseMixin()


def answers(
    what: type[Schema] | str, *refusals: int, told: Mapping[int, type[Schema]] = MappingProxyType({})
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Tell the OpenAPI document what a success looks like, JSON or another type, and which refusals there are; `told`
    says of some codes what they tell beside.
    """

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        if isinstance(what, str):
            schema = {"type": "string", "format": "binary"}
            view = _described.alt_response(200, schema=schema, content_type=what, success=True)(view)
        else:
            view = _described.alt_response(200, schema=what, success=True)(view)
        for code in (400, *refusals):
            if code == 204:
                view = _described.alt_response(
                    204, description="No place for one more; ask /live now and then"
                )(view)
            else:
                view = _described.alt_response(code, schema=told.get(code, RefusalSchema))(view)
        return view

    return decorate
