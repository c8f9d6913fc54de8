"""What the forecast needs of a stranger's file, found out where decoding does no harm (utils.apart). No torch here."""

from __future__ import annotations

import datetime
import io
from typing import Any

from PIL import ExifTags, Image

from utils.forecast.pixels import ENOUGH, square_of, turned
from utils.photos.cleaning import UNDECODED, Refused, decode, megapixels

_NIGHT = -6.0  # degrees of the sun below the horizon: the end of civil twilight
_KEPT = 640
_TURNS = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}


def look(raw: bytes, place: bool = False, keep: bool = False, turn: int = 0) -> dict[str, Any]:
    """The square that is judged, float32 of shape (3, SIDE, SIDE), as bytes, or why there is none; and how many
    megapixels were decoded for it.

    With `place` whether it was night where the file says it was taken, with `keep` a small JPEG for the history. All is
    turned clockwise by `turn` degrees.
    """
    try:
        image = decode(raw, at_least=_KEPT if keep else ENOUGH)
    except Refused as refused:
        cost = 0.0 if refused.reason in UNDECODED else megapixels(raw)
        return {"megapixels": cost, "refused": [refused.reason, refused.detail]}
    found: dict[str, Any] = {"megapixels": megapixels(raw)}
    found["square"] = turned(square_of(image), turn).tobytes()
    if place:
        found["night"] = is_night(raw)
    if keep:
        found["small"] = to_keep(image, turn)
    return found


def is_night(raw: bytes) -> bool | None:
    """Whether the sun was down where and when the photo was taken, if its file says so; None when it does not."""
    from astral import Observer
    from astral.sun import elevation

    try:
        exif = Image.open(io.BytesIO(raw)).getexif()
        place = exif.get_ifd(ExifTags.IFD.GPSInfo)
        day, clock = str(place[ExifTags.GPS.GPSDateStamp]), place[ExifTags.GPS.GPSTimeStamp]
        year, month, date = (int(part) for part in day.split(":"))
        hour, minute, second = (int(part) for part in clock)
        moment = datetime.datetime(year, month, date, hour, minute, second, tzinfo=datetime.UTC)
        latitude = _degrees(place[ExifTags.GPS.GPSLatitude], place[ExifTags.GPS.GPSLatitudeRef], "S")
        longitude = _degrees(place[ExifTags.GPS.GPSLongitude], place[ExifTags.GPS.GPSLongitudeRef], "W")
        if not (abs(latitude) <= 90 and abs(longitude) <= 180):
            return None
        return bool(elevation(Observer(latitude, longitude), moment) < _NIGHT)
    except Exception:  # whatever a stranger's metadata may raise: then the file does not say
        return None


def _degrees(parts: Any, side: Any, negative: str) -> float:
    degrees, minutes, seconds = (float(part) for part in parts)
    value = degrees + minutes / 60 + seconds / 3600
    return -value if str(side).strip("\0 ").upper() == negative else value


def to_keep(image: Image.Image, turn: int = 0) -> bytes:
    """A picture small enough for the history, turned, as a new JPEG: nothing of the visitor's file but its pixels."""
    small = Image.new("RGB", image.size)
    small.paste(image)
    small.thumbnail((_KEPT, _KEPT))
    if turn:
        small = small.transpose(_TURNS[turn])
    written = io.BytesIO()
    small.save(written, "JPEG", quality=85)
    return written.getvalue()
