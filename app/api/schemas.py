"""What every part of the API answers when it refuses, as its OpenAPI document tells it; and what it calls a name."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext as _
from marshmallow import Schema, ValidationError, fields, validate

from app import names


class Name(fields.String):
    """A name that a person gives (see `app.names`)."""

    def __init__(self, most: int, **more: Any) -> None:
        super().__init__(validate=[validate.Length(1, most), is_name], metadata={"format": "name"}, **more)


class Tag(fields.String):
    """A name without spaces."""

    def __init__(self, most: int) -> None:
        super().__init__(validate=[validate.Length(1, most), is_tag], metadata={"format": "tag"})


class Note(fields.String):
    """A text with lines that may be blank; else held to the rule of names."""

    def __init__(self, most: int, **more: Any) -> None:
        super().__init__(validate=[validate.Length(max=most), is_note], metadata={"format": "note"}, **more)


def is_name(text: str) -> None:
    """Raises ValidationError where the rule of names is broken."""
    if fault := names.fault(text):
        raise ValidationError(fault)


def is_tag(text: str) -> None:
    """Raises ValidationError where `text` is no tag."""
    if text.split() != [text]:
        raise ValidationError(str(_("A tag has no spaces.")))
    is_name(text)


def is_note(text: str) -> None:
    """Raises ValidationError where `text` is no note."""
    if text.strip() and (fault := names.fault(text, lines=True)):
        raise ValidationError(fault)


class RefusedSchema(Schema):
    """What was wrong."""

    code = fields.Integer(required=True)
    message = fields.String(required=True)
    detail = fields.String(required=True)


class RefusalSchema(Schema):
    """Why a request was refused."""

    error = fields.Nested(RefusedSchema, required=True)
