"""From the bytes of a stranger's file to a clean photo, or to the reason why there is none.

Every photo leaves in one shape, SIDE x SIDE 8-bit RGB without metadata, so that format, size, colour profile
and orientation carry nothing about the class.
"""

import struct
import warnings
from io import BytesIO
from typing import Any

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image

pillow_heif.register_heif_opener(thumbnails=False)  # the format of iPhones

SIDE = 160
"""Side in pixels of a clean photo."""

MIN_SIDE = 64
MAX_PIXELS = 100_000_000
MAX_BYTES = 100_000_000

MIN_COLOURS = 32
MAX_FLAT = 0.8
"""Bounds on a drawing, from the 403 photos of the Multi-class Weather Dataset: none has fewer than 115 colours
nor more than 0.5 of its neighbouring pixels equal."""

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "HEIF")
_SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_ORIENTATION, _MAKE, _EXIF_IFD, _WIDTH, _HEIGHT = 0x0112, 0x010F, 0x8769, 0xA002, 0xA003
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


COLOURLESS = 0.004
"""Mean difference of the strongest and the weakest channel (0..1) below which a photo has no colour: it is
black and white. Faint tints lie above it, and so do real overcast skies; no statistic tells these two apart."""


class Refused(Exception):  # noqa: N818 - an outcome that is counted, not a fault
    """A file that is not used. `reason` is one of few (they are counted), `detail` says more about this file."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason} ({detail})" if detail else reason)
        self.reason = reason
        self.detail = detail


def decode(data: bytes, at_least: int = 0) -> Image.Image:
    """The whole picture, upright, 8-bit RGB; where it costs less, smaller, but no side below `at_least` (0: as it is).

    The format is decided by content, the size is checked before any pixel is decoded, and of several pictures
    in a JPEG or TIFF the first is taken. Colour profiles are ignored, whichever class carries them.

    Raises
    ------
    Refused
        For anything that is not one whole photo of a sensible size.
    """
    if not data:
        raise Refused("empty file")
    if len(data) > MAX_BYTES:
        raise Refused("too large", f"{len(data)} bytes, at most {MAX_BYTES}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = Image.open(BytesIO(data), formats=_FORMATS)
        except Image.DecompressionBombError as error:
            raise Refused("too large", f"more than {MAX_PIXELS} pixels") from error
        except Exception as error:  # a decoder may raise anything on hostile bytes
            raise Refused("not a picture") from error
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise Refused("too large", f"{width} x {height}, at most {MAX_PIXELS} pixels")
        if min(width, height) < MIN_SIDE:
            raise Refused("too small", f"{width} x {height}, at least {MIN_SIDE} a side")
        if image.format in ("GIF", "PNG", "WEBP") and getattr(image, "n_frames", 1) > 1:
            raise Refused("animated")
        try:
            turn = _UPRIGHT.get(_orientation(image))
            if at_least and image.format in ("JPEG", "MPO"):
                image.draft(None, (at_least, at_least))  # the decoder leaves out what would be averaged away
            image.load()
            rgb = _rgb(image)
        except Refused:
            raise
        except Exception as error:  # as above
            raise Refused("damaged", _one_line(error)) from error
    return rgb if turn is None else rgb.transpose(turn)


def lies(data: bytes) -> bool:
    """Whether a picture asks to be turned and `decode` leaves it as it lies, not believing it.

    It may be right so, or lie on its side: a camera that notes no sizes, or those of the upright photo, cannot be told
    from a program that has turned it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(BytesIO(data), formats=_FORMATS)
            return image.getexif().get(_ORIENTATION, 1) in _UPRIGHT and _orientation(image) == 1
    except Exception:  # a decoder may raise anything on hostile bytes
        return False


def clean(image: Image.Image) -> Image.Image:
    """The clean photo of a decoded picture: its centre square at SIDE x SIDE.

    Raises
    ------
    Refused
        Where the square is drawn in flat colours rather than photographed, or has no colour.
    """
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    square = image.resize(
        (SIDE, SIDE), Image.Resampling.LANCZOS, (left, top, left + side, top + side), reducing_gap=3.0
    )
    pixels = np.asarray(square).astype(np.uint32)
    codes = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
    colours = len(np.unique(codes))
    flat = float(np.mean(codes[:, 1:] == codes[:, :-1]))
    if colours < MIN_COLOURS or flat > MAX_FLAT:
        raise Refused("not a photo", f"{colours} colours, {flat:.0%} flat")
    if is_colourless(np.asarray(square) / 255):
        raise Refused("no colour", "black and white")
    return square


def is_colourless(pixels: NDArray[np.floating[Any]]) -> bool:
    """Whether a picture (height, width, 3), 0..1, is black and white."""
    return float((pixels.max(-1) - pixels.min(-1)).mean()) < COLOURLESS


def png_bytes(square: Image.Image) -> bytes:
    """A clean photo as a PNG file without metadata; equal pixels give equal bytes."""
    buffer = BytesIO()
    Image.fromarray(np.asarray(square)).save(buffer, "PNG")
    return buffer.getvalue()


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation where it can be believed, else 1 (upright).

    The tag describes the pixels as the camera wrote them. Programs that turn or scale the pixels often leave it
    behind, and then obeying it lays the photo on its side. So it is believed only in a file that still is the
    camera's own: one that names the camera's maker and whose recorded width and height are the pixels'.
    """
    try:
        exif = image.getexif()
        orientation = exif.get(_ORIENTATION, 1)
        if orientation not in _UPRIGHT or not str(exif.get(_MAKE, "")).strip("\0 "):
            return 1
        camera = exif.get_ifd(_EXIF_IFD)
        recorded = (camera.get(_WIDTH), camera.get(_HEIGHT))
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, EOFError, struct.error):
        return 1
    return int(orientation) if recorded == image.size else 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BIT:
        values = np.asarray(image).astype(np.int64)
        return Image.fromarray((values.clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise Refused("not a photo", "floating-point pixels")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        opacity = np.asarray(image.getchannel("A"))
        if np.mean(opacity < 255) > 0.01:
            raise Refused("not a photo", "transparent parts")
    return image.convert("RGB")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
