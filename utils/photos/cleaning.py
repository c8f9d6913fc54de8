"""From the bytes of a stranger's file to a clean photo, or to the reason why there is none.

Every photo leaves in one shape, SIDE x SIDE 8-bit RGB without metadata, so that format, size, colour profile
and orientation carry nothing about the class.
"""

import re
import struct
import warnings
from io import BytesIO
from itertools import islice
from typing import Any

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image

pillow_heif.register_heif_opener(thumbnails=False)  # the format of iPhones

SIDE = 160
"""Side in pixels of a clean photo."""

LOOK_SIDE = 96
"""Side in pixels of the grey thumbnail, aspect ignored, by which photos are compared."""

MIN_SIDE = 64
MAX_PIXELS, MAX_BASELINE_PIXELS = 50_000_000, 200_000_000
"""Of a picture; of a JPEG that is written in one scan, as phones do it, and so can be decoded smaller than it is."""

MAX_SCANS = 100
"""Of a JPEG: each costs a walk over the whole picture. Real photos have at most 12."""

MAX_BYTES = 100_000_000
UNDECODED = ("empty file", "too large", "too small", "too many scans", "not a picture")
"""Reasons for which a file is refused before anything is decoded."""

Image.MAX_IMAGE_PIXELS = MAX_BASELINE_PIXELS // 2  # Pillow refuses what has more than twice as many

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


_SCAN = re.compile(rb"\xff\xda")
_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_BARE_MARKERS = frozenset((0x01, *range(0xD0, 0xD9)))  # without a length: TEM, RST0 to RST7, SOI
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN, _END, _USUAL_SCANS = 0xDA, 0xD9, 12


class Refused(Exception):  # noqa: N818 - an outcome that is counted, not a fault
    """A file that is not used. `reason` is one of few (they are counted), `detail` says more about this file."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason} ({detail})" if detail else reason)
        self.reason = reason
        self.detail = detail


def decode(data: bytes, at_least: int = 0, smallest: int = MIN_SIDE) -> Image.Image:
    """The whole picture, upright, 8-bit RGB; where it costs less, smaller, but no side below `at_least` (0: as it is).
    One with a side below `smallest` is refused.

    The format is decided by content, what decoding would cost is checked before any pixel is decoded, and of several
    pictures in a JPEG or TIFF the first is taken. Colour profiles are ignored, whichever class carries them. A JPEG
    of more than MAX_PIXELS is made smaller in any case, to no side below 2 SIDE.

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
            raise Refused("too large", f"more than {MAX_BASELINE_PIXELS} pixels") from error
        except Exception as error:  # a decoder may raise anything on hostile bytes
            raise Refused("not a picture") from error
        width, height = image.size
        is_jpeg, is_baseline = image.format in ("JPEG", "MPO"), False
        if is_jpeg and (width * height > MAX_PIXELS or _may_have_many_scans(data)):
            scans, is_baseline = _scans(data)
            if scans > MAX_SCANS:
                raise Refused("too many scans", f"{scans}, at most {MAX_SCANS}")
        most = MAX_BASELINE_PIXELS if is_baseline else MAX_PIXELS
        if width * height > most:
            raise Refused("too large", f"{width} x {height}, at most {most} pixels")
        if min(width, height) < smallest:
            raise Refused("too small", f"{width} x {height}, at least {smallest} a side")
        try:
            if image.format in ("GIF", "PNG", "WEBP") and getattr(image, "is_animated", False):
                raise Refused("animated")
            turn = _UPRIGHT.get(_orientation(image))
            if width * height > MAX_PIXELS:
                at_least = at_least or 2 * SIDE
            if at_least and is_jpeg:
                image.draft(None, (at_least, at_least))  # the decoder leaves out what would be averaged away
            image.load()
            rgb = _rgb(image)
        except Refused:
            raise
        except MemoryError as error:
            raise Refused("too costly", "not enough memory") from error
        except Exception as error:  # as above
            raise Refused("damaged", _one_line(error)) from error
    return rgb if turn is None else rgb.transpose(turn)


def megapixels(data: bytes) -> float:
    """What decoding a file costs: its millions of pixels, counted once for each dozen scans; 0 for no picture."""
    try:
        image = Image.open(BytesIO(data), formats=_FORMATS)
    except Exception:  # a decoder may raise anything on hostile bytes
        return 0.0
    rounds = 1
    if image.format in ("JPEG", "MPO") and _may_have_many_scans(data):
        rounds = max(1, -(-_scans(data)[0] // _USUAL_SCANS))
    return image.width * image.height * rounds / 1e6


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


def look_of(image: Image.Image) -> NDArray[np.uint8]:
    """The grey thumbnail (LOOK_SIDE, LOOK_SIDE) by which an upright RGB photo is compared."""
    grey = image.convert("L").resize((LOOK_SIDE, LOOK_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(grey)


def digest(raw: bytes, known: bool) -> dict[str, Any]:
    """What a set keeps of a file, for utils.apart: number of pixels, look as bytes and, unless it is `known`, the clean
    photo as a PNG; or why it is refused.
    """
    try:
        picture = decode(raw)
        kept = {"look": look_of(picture).tobytes()}
        if not known:
            kept["png"] = png_bytes(clean(picture))
    except Refused as refused:
        return {"refused": [refused.reason, refused.detail]}
    size = Image.open(BytesIO(raw), formats=_FORMATS).size
    return {**kept, "pixels": size[0] * size[1]}


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
        values = np.asarray(image).clip(0, 65535)
        return Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise Refused("not a photo", "floating-point pixels")
    if image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        if sum(image.getchannel("A").histogram()[:255]) > 0.01 * image.width * image.height:
            raise Refused("not a photo", "transparent parts")
    return image.convert("RGB")


def _may_have_many_scans(jpeg: bytes) -> bool:
    """Quickly: each begins with these two bytes, which stand nowhere else but in what a segment holds."""
    return sum(1 for _ in islice(_SCAN.finditer(jpeg), _USUAL_SCANS + 1)) > _USUAL_SCANS


def _scans(jpeg: bytes) -> tuple[int, bool]:
    """How many scans the first picture of a JPEG file has, and whether it is one of a single, sequential scan.

    ITU-T T.81, annex B: segments begin with a marker and, most of them, a length; after a start of scan come coded
    data, in which no marker stands but restarts. What is no marker is passed over, as decoders do.
    """
    at, scans, is_sequential = 2, 0, True
    while found := _MARKER.search(jpeg, at):
        kind, at = found[1][0], found.end()
        if kind == _END:
            break
        scans += kind == _START_OF_SCAN
        if kind in _FRAMES:
            is_sequential = is_sequential and kind in (0xC0, 0xC1)
        if kind not in _BARE_MARKERS:
            at += int.from_bytes(jpeg[at : at + 2])
    return scans, is_sequential and scans == 1


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
