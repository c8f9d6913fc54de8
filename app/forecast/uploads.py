"""Photos that visitors send: counted by what they cost, decoded apart (utils.apart), refused with the reason."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from flask import abort, current_app, g, request
from flask_babel import gettext as _
from flask_smorest import Blueprint
from limits import parse
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import TooManyRequests

from app.api.busy import PATIENCE, come_back
from app.extensions import limiter, who
from app.forecast.service import Forecasters
from utils.apart import Full, Overrun
from utils.forecast.pixels import SIDE, Pixels
from utils.photos.cleaning import MAX_BASELINE_PIXELS, MAX_PIXELS, Refused

MAX_PHOTOS, MAX_PHOTO_BYTES = 10, 25_000_000
_CODES = {
    "empty file": 400,
    "too large": 413,
    "too costly": 413,
    "too many scans": 413,
    "not a picture": 415,
}  # others 422
_OVERRUN = 500  # megapixels that a photo counts which took all it may


def forecasters() -> Forecasters:
    """The models of this site."""
    return current_app.extensions["forecasters"]  # type: ignore[no-any-return]


def takes_photos(blueprint: Blueprint, most: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Tell the OpenAPI document of the upload."""
    photo = {
        "type": "array",
        "maxItems": most,
        "minItems": 1,
        "items": {"type": "string", "format": "binary"},
    }
    schema = {"type": "object", "properties": {"photo": photo}, "required": ["photo"]}
    body = {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    described: Callable[[Callable[..., Any]], Callable[..., Any]] = blueprint.doc(requestBody=body)
    return described


def uploaded() -> list[FileStorage]:
    """The photos in this request."""
    if request.mimetype != "multipart/form-data":
        refuse(
            415, _("Send the photo as a form with the field %(name)s (multipart/form-data).", name="photo")
        )
    photos = request.files.getlist("photo")
    if not photos:
        refuse(400, _("There is no photo in the request (field %(name)s).", name="photo"))
    if len(photos) > MAX_PHOTOS:
        refuse(413, _("Send at most %(count)s photos at a time.", count=MAX_PHOTOS))
    return photos


def look(photo: FileStorage, **options: bool | int) -> dict[str, Any]:
    """What `utils.forecast.looking.look` says of a photo; counted against what its sender may have judged.

    Raises Refused, and what answers 429 (too much in this minute) or 503 (others are at it).
    """
    _spend("PHOTOS", 1)
    _spend("MEGAPIXELS", 0)
    raw = photo.stream.read(MAX_PHOTO_BYTES + 1)
    if len(raw) > MAX_PHOTO_BYTES:
        raise Refused("too large")
    try:
        seen = forecasters().look(raw, PATIENCE, **options)
    except Full:
        come_back()
    except Overrun:
        _spend("MEGAPIXELS", _OVERRUN, told=False)
        raise Refused("too costly") from None
    _spend("MEGAPIXELS", math.ceil(seen["megapixels"]), told=False)
    if "refused" in seen:
        raise Refused(*seen["refused"])
    return seen


def square_in(seen: dict[str, Any]) -> Pixels:
    """The square that is judged, in what `look` gave."""
    return np.frombuffer(seen["square"], np.float32).reshape(3, SIDE, SIDE).copy()


def _spend(what: str, amount: int, told: bool = True) -> None:
    """Count `amount` for the account, or for the address of nobody in particular; 429 where that is too much."""
    if not limiter.enabled:
        return
    allowed = parse(f"{current_app.config[what]} per minute")
    if not limiter.limiter.hit(allowed, what, who(), cost=amount) and told:
        g.message = _("Too many photos for one minute. Please wait a moment.")
        raise TooManyRequests(retry_after=60)


def fault(refused: Refused) -> tuple[int, str]:
    """Status and sentence for a photo that is not judged."""
    costly = _("This picture would take too long to read. Save it as a plain JPEG and send that.")
    texts = {
        "empty file": _("This file is empty."),
        "too large": _(
            "This photo is too large: at most 25 MB and %(pixels)s million pixels (%(baseline)s for a plain JPEG).",
            pixels=MAX_PIXELS // 10**6, baseline=MAX_BASELINE_PIXELS // 10**6,
        ),
        "too costly": costly,
        "too many scans": costly,
        "too small": _("This photo is too small: at least 64 pixels a side."),
        "not a picture": _(
            "This is not a picture in a format known here (JPEG, HEIC, PNG, WebP, TIFF, BMP, GIF)."
        ),
        "animated": _("This picture moves; send a still one."),
        "damaged": _("This picture is damaged and cannot be read."),
        "not a photo": _("This is a picture, but not a photo."),
    }  # fmt: skip
    return _CODES.get(refused.reason, 422), texts.get(refused.reason, _("This photo cannot be read."))


def refuse(code: int, message: str) -> NoReturn:
    """Answer `code` with the sentence."""
    if code == 503:
        come_back()
    g.message = g.detail = message
    abort(code)


def name_of(photo: FileStorage) -> str:
    """The name of a visitor's file, without what cannot be shown."""
    return "".join(letter for letter in (photo.filename or "") if letter.isprintable())[-100:]
