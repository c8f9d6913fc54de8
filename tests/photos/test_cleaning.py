"""Bytes of all kinds become one clean photo or one reason."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from tests.photos.conftest import encoded, sky
from utils.photos import cleaning
from utils.photos.cleaning import SIDE, Refused, clean, decode, megapixels, png_bytes

SKY = sky(1)


def png_header(width: int, height: int) -> bytes:
    """The beginning of a PNG file of the given size, up to where its pixels would come."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    header = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + header + struct.pack(">I", 1 << 20) + b"IDAT"


def drawing() -> Image.Image:
    """A child's sky: flat blue, a round sun, a white cloud, smooth edges."""
    image = Image.new("RGB", (900, 900), (110, 170, 250))
    pen = ImageDraw.Draw(image)
    pen.ellipse((80, 60, 300, 280), fill=(255, 220, 40))
    pen.ellipse((350, 200, 800, 420), fill="white")
    pen.rectangle((0, 700, 900, 900), fill=(60, 160, 60))
    return image.resize((450, 450), Image.Resampling.LANCZOS)


def sixteen_bit() -> Image.Image:
    return Image.fromarray(np.asarray(SKY.convert("L")).astype(np.uint16) * 257)


def with_alpha(share: float) -> Image.Image:
    image = SKY.convert("RGBA")
    alpha = Image.new("L", image.size, 255)
    alpha.paste(0, (0, 0, int(image.width * share), image.height))
    image.putalpha(alpha)
    return image


@pytest.mark.parametrize(
    ("data", "reference"),
    [
        (encoded(SKY, "PNG"), SKY),
        (encoded(SKY, "BMP"), SKY),
        (encoded(SKY, "TIFF"), SKY),
        (encoded(SKY, "WEBP", lossless=True), SKY),
        (encoded(SKY, quality=95), SKY),
        (encoded(SKY.convert("CMYK"), quality=95), SKY),
        (encoded(SKY.convert("CMYK"), "TIFF"), SKY),
        (encoded(SKY.convert("L"), "PNG"), SKY.convert("L")),
        (encoded(sixteen_bit(), "PNG"), SKY.convert("L")),
        (encoded(sixteen_bit(), "TIFF"), SKY.convert("L")),
        (encoded(SKY.convert("LA"), "PNG"), SKY.convert("L")),
        (encoded(with_alpha(0.0), "PNG"), SKY),
        (encoded(SKY.quantize(256), "PNG"), SKY),
        (encoded(SKY.quantize(256), "GIF"), SKY),
        (encoded(SKY, "MPO", save_all=True, append_images=[sky(2)], quality=95), SKY),
        (encoded(SKY, "TIFF", save_all=True, append_images=[sky(2)]), SKY),
    ],
    ids="png bmp tiff webp jpeg cmyk-jpeg cmyk-tiff grey 16-bit-png 16-bit-tiff grey-alpha "
    "opaque-alpha palette still-gif multi-picture-jpeg multi-page-tiff".split(),
)
def test_every_kind_of_picture_becomes_the_same_8_bit_rgb(data: bytes, reference: Image.Image) -> None:
    image = decode(data)
    assert (image.mode, image.size) == ("RGB", reference.size)
    difference = np.asarray(image, int) - np.asarray(reference.convert("RGB"), int)
    assert np.abs(difference).mean() < 8
    if reference.mode == "RGB":
        square = clean(image)
        assert (square.mode, square.size) == ("RGB", (SIDE, SIDE))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' width='200' height='200'/>", "not a picture"),
        (b"<!doctype html><title>404</title>", "not a picture"),
        (b"\x00" * 5000, "not a picture"),
        (encoded(SKY)[:3000], "damaged"),
        (encoded(SKY, "PNG")[:9000], "damaged"),
        (encoded(SKY, "PNG")[:30], "not a picture"),
        (encoded(SKY.resize((63, 200))), "too small"),
        (png_header(20_000, 10_000), "too large"),
        (png_header(7_072, 7_072), "too large"),
        (png_header(2_000_000_000, 2_000_000_000), "too large"),
        (encoded(SKY, "GIF", save_all=True, append_images=[sky(2)]), "animated"),
        (encoded(SKY, "PNG", save_all=True, append_images=[sky(2)]), "animated"),
        (encoded(SKY, "WEBP", save_all=True, append_images=[sky(2)]), "animated"),
        (encoded(with_alpha(0.5), "PNG"), "not a photo"),
        (encoded(Image.new("RGB", (300, 200), (90, 140, 230)), "PNG"), "not a photo"),
        (encoded(Image.fromarray(np.random.default_rng(0).random((100, 100), "f4")), "TIFF"), "not a photo"),
        (encoded(drawing(), "PNG"), "not a photo"),
        (encoded(drawing(), quality=90), "not a photo"),
        (encoded(SKY.convert("L"), quality=80), "no colour"),
        (encoded(sixteen_bit(), "PNG"), "no colour"),
    ],
    ids="empty svg html zeros half-jpeg half-png png-head tiny 200-megapixels over-50-megapixels absurd-size "
    "gif apng animated-webp transparent one-colour floating-point drawn drawn-jpeg black-and-white "
    "16-bit-black-and-white".split(),
)
def test_what_is_no_photo_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(Refused) as refusal:
        clean(decode(data))
    assert refusal.value.reason == reason
    assert "\n" not in str(refusal.value)


def test_a_faint_tint_is_colour() -> None:
    """Of a sepia print it cannot be told whether an overcast sky was photographed, so it is taken."""
    tinted = np.asarray(SKY.convert("L"), float)[..., None] * np.array([1.0, 0.99, 0.97])
    assert clean(Image.fromarray(tinted.round().astype(np.uint8))).size == (SIDE, SIDE)


def with_exif(orientation: int, maker: str | None, recorded: tuple[int, int] | None) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    if maker:
        exif[0x010F] = maker
    if recorded:
        exif.get_ifd(0x8769)[0xA002], exif.get_ifd(0x8769)[0xA003] = recorded
    return encoded(SKY, "PNG", exif=exif)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_cameras_own_file_is_turned_upright(orientation: int) -> None:
    image = decode(with_exif(orientation, "Maker", SKY.size))
    pixels = np.asarray(SKY)
    expected = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: np.rot90(pixels, -1),
        7: pixels[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(pixels, 1),
    }[orientation]
    assert np.array_equal(np.asarray(image), expected)


@pytest.mark.parametrize(
    ("maker", "recorded"),
    [(None, None), (None, SKY.size), ("Maker", None), ("Maker", (4000, 3000)), ("Maker", SKY.size[::-1])],
    ids="bare no-maker no-size scaled-since turned-since".split(),
)
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_stale_orientation_is_not_obeyed(
    orientation: int, maker: str | None, recorded: tuple[int, int] | None
) -> None:
    image = decode(with_exif(orientation, maker, recorded))
    assert np.array_equal(np.asarray(image), np.asarray(SKY))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_ignored(orientation: int) -> None:
    assert np.array_equal(np.asarray(decode(with_exif(orientation, "Maker", SKY.size))), np.asarray(SKY))


def test_the_clean_photo_is_the_centre_square_without_metadata() -> None:
    wide = Image.new("RGB", (480, 160))
    wide.paste(sky(3, (160, 160)), (160, 0))
    wide.info = {"icc_profile": b"profile", "comment": b"secret"}
    data = png_bytes(clean(wide))
    assert data == png_bytes(clean(wide))
    assert [data[at + 4 : at + 8] for at in chunk_starts(data)] == [b"IHDR", b"IDAT", b"IEND"]
    assert np.array_equal(np.asarray(decode(data)), np.asarray(sky(3, (160, 160))))


def chunk_starts(png: bytes) -> list[int]:
    starts, at = [], 8
    while at < len(png):
        if not (starts and png[starts[-1] + 4 : starts[-1] + 8] == png[at + 4 : at + 8] == b"IDAT"):
            starts.append(at)
        at += 12 + int.from_bytes(png[at : at + 4])
    return starts


FILES = [
    encoded(SKY, quality=80),
    encoded(SKY, "PNG"),
    encoded(SKY, "WEBP"),
    encoded(SKY, "TIFF", compression="tiff_lzw"),
    encoded(SKY.quantize(64), "GIF"),
    encoded(SKY, "BMP"),
    encoded(SKY, "MPO", save_all=True, append_images=[sky(2)]),
    with_exif(6, "Maker", SKY.size),
]


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    file=st.sampled_from(FILES),
    wounds=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=12),
    early=st.booleans(),
    end=st.floats(0, 1),
)
def test_damaged_bytes_give_a_photo_or_a_reason_and_nothing_else(
    file: bytes, wounds: list[tuple[float, int]], early: bool, end: float
) -> None:
    data = bytearray(file)
    for place, value in wounds:
        data[int(place * (min(len(data), 400) - 1 if early else len(data) - 1))] = value
    try:
        square = clean(decode(bytes(data[: 1 + int(end * len(data))])))
    except Refused as refusal:
        assert refusal.reason
    else:
        assert (square.mode, square.size) == ("RGB", (SIDE, SIDE))


def with_scans(count: int, side: int = 96) -> bytes:
    """A progressive JPEG whose last scan stands there so often that there are `count`."""
    raw = encoded(sky(1, (side, side)), quality=80, progressive=True)
    last, end = raw.rindex(b"\xff\xda"), raw.rindex(b"\xff\xd9")
    return raw[:end] + raw[last:end] * (count - raw.count(b"\xff\xda")) + raw[end:]


def test_a_jpeg_of_many_scans_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {count: with_scans(count) for count in (100, 101, 1200)}
    plain = encoded(SKY)
    assert decode(files[100]).size == (96, 96)
    monkeypatch.setattr(Image.Image, "load", None)
    for count in (101, 1200):
        with pytest.raises(Refused, match=f"too many scans .{count}, at most 100"):
            decode(files[count])
    thumbnail = b"\xff\xe1" + (2 + 200 * 2).to_bytes(2) + b"\xff\xda" * 200  # what a segment holds is no scan
    assert megapixels(plain[:2] + thumbnail + plain[2:]) == SKY.width * SKY.height / 1e6


def test_what_decoding_costs_counts_every_dozen_scans() -> None:
    assert megapixels(with_scans(12)) == 96 * 96 / 1e6
    assert megapixels(with_scans(30)) == 3 * 96 * 96 / 1e6
    assert megapixels(png_header(7_000, 7_000)) == 49
    assert megapixels(b"no picture") == 0


def claiming(jpeg: bytes, width: int, height: int) -> bytes:
    """The same file with another size in its header."""
    at = next(jpeg.index(mark) for mark in (b"\xff\xc0", b"\xff\xc2") if mark in jpeg) + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (claiming(encoded(SKY), 14_200, 14_200), "too large"),
        (claiming(encoded(SKY, progressive=True), 7_072, 7_072), "too large"),
        (claiming(encoded(SKY, progressive=True), 7_000, 7_000), None),
    ],
    ids=["baseline over 200 megapixels", "progressive over 50", "progressive under 50"],
)
def test_how_large_a_jpeg_may_be_depends_on_how_it_is_written(data: bytes, reason: str | None) -> None:
    try:
        decode(data, at_least=384)
    except Refused as refusal:
        assert refusal.reason == reason or (reason is None and refusal.reason == "damaged")
    else:
        assert reason is None


def test_a_phones_largest_jpeg_is_cleaned_without_decoding_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = sky(1, (1600, 1200))
    whole = clean(decode(encoded(picture, quality=95)))
    monkeypatch.setattr(cleaning, "MAX_PIXELS", 1_000_000)
    small = decode(encoded(picture, quality=95))
    assert 2 * SIDE <= min(small.size) < 1200
    assert np.abs(np.asarray(clean(small), int) - np.asarray(whole, int)).mean() < 2
    monkeypatch.setattr(cleaning, "MAX_PIXELS", 50_000_000)
    assert np.array_equal(np.asarray(clean(decode(encoded(picture, quality=95)))), np.asarray(whole))
