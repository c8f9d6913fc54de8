"""Pictures that are no skies, drawn by kinds; some kinds may tune the check, the others only test it."""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIDE = 192
WORDS = (
    "the owner of a photo keeps it at home and learns with others who keep theirs weights travel photographs stay "
    "round after round the server folds what it is sent into one model and hands that back to everybody"
).split()


def _ink(rng, dark):
    return tuple(int(v) for v in (rng.integers(0, 90, 3) if dark else rng.integers(170, 256, 3)))


def _lines(draw, rng, box, colour, size):
    left, top, right, bottom = box
    font = ImageFont.load_default(size)
    while top + size < bottom:
        line = ""
        while draw.textlength(line, font) < (right - left) * rng.uniform(0.7, 0.95):
            line += str(rng.choice(WORDS)) + " "
        draw.text((left, top), line, colour, font)
        top += size * 1.35


def text(rng):
    """A page of a book or a letter."""
    dark = rng.random() < 0.2
    picture = Image.new("RGB", (SIDE, SIDE), _ink(rng, dark))
    _lines(
        ImageDraw.Draw(picture), rng, (8, 6, SIDE + 20, SIDE), _ink(rng, not dark), int(rng.integers(9, 20))
    )
    return picture.rotate(rng.normal(0, 3), fillcolor=picture.getpixel((0, 0)))


def noise(rng):
    """Noise of one grain, coloured or grey."""
    side = int(rng.choice([SIDE, SIDE // 2, SIDE // 4]))
    values = rng.integers(0, 256, (side, side, 3 if rng.random() < 0.6 else 1), dtype=np.uint8)
    return Image.fromarray(np.broadcast_to(values, (side, side, 3)).copy()).resize(
        (SIDE, SIDE), Image.NEAREST
    )


def plain(rng):
    """One colour: flat as no camera takes it, or with a camera's noise in a hue that no sky has."""
    if rng.random() < 0.5:
        return Image.new("RGB", (SIDE, SIDE), tuple(int(v) for v in rng.integers(0, 256, 3)))
    colour = np.array([(40, 150, 60), (190, 40, 150), (200, 30, 40), (120, 160, 30)][rng.integers(4)])
    values = colour * rng.uniform(0.6, 1.2) + rng.normal(0, 4, (SIDE, SIDE, 3))
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.6))


def pattern(rng):
    """Stripes, a chequerboard or rings."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    angle, period = rng.uniform(0, math.pi), rng.uniform(8, 60)
    u, v = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    wave = [
        np.sin(2 * math.pi * u / period),
        np.sin(2 * math.pi * u / period) * np.sin(2 * math.pi * v / period),
        np.sin(2 * math.pi * np.hypot(u, v) / period),
    ][rng.integers(3)]
    share = (wave > 0).astype(float)[..., None] if rng.random() < 0.7 else (wave[..., None] + 1) / 2
    one, two = (rng.integers(0, 256, 3).astype(float) for _ in range(2))
    return Image.fromarray((one * share + two * (1 - share)).astype(np.uint8))


def chart(rng):
    """A diagram: axes with bars, a line or a pie."""
    picture = Image.new("RGB", (SIDE, SIDE), (255, 255, 255))
    draw = ImageDraw.Draw(picture)
    colours = [tuple(int(v) for v in rng.integers(20, 220, 3)) for _ in range(8)]
    if rng.random() < 0.3:
        start = 0.0
        for share, colour in zip(rng.dirichlet(np.ones(5)), colours, strict=False):
            draw.pieslice((20, 20, SIDE - 20, SIDE - 20), start, start + 360 * share, colour)
            start += 360 * share
        return picture
    for level in range(30, SIDE, 30):
        draw.line((24, level, SIDE - 8, level), (225, 225, 225))
    draw.line((24, 8, 24, SIDE - 20, SIDE - 8, SIDE - 20), (40, 40, 40), 2)
    heights = rng.uniform(20, SIDE - 40, 8)
    places = np.linspace(34, SIDE - 22, 8)
    if rng.random() < 0.5:
        for place, height in zip(places, heights, strict=True):
            draw.rectangle((place - 7, SIDE - 20 - height, place + 7, SIDE - 20), colours[0])
    else:
        draw.line([(p, SIDE - 20 - h) for p, h in zip(places, heights, strict=True)], colours[1], 3)
    return picture


def screenshot(rng):
    """A window: bars, a side menu, cards with text, buttons."""
    dark = rng.random() < 0.4
    picture = Image.new("RGB", (SIDE, SIDE), (24, 26, 30) if dark else (246, 246, 248))
    draw = ImageDraw.Draw(picture)
    ink, card = ((225, 228, 232), (42, 46, 54)) if dark else ((40, 44, 52), (255, 255, 255))
    bar = tuple(int(v) for v in rng.integers(30, 200, 3))
    draw.rectangle((0, 0, SIDE, 18), bar)
    menu = int(rng.integers(0, 60))
    draw.rectangle((0, 18, menu, SIDE), card)
    for row in range(24, SIDE - 10, 16):
        if menu > 20:
            draw.rectangle((6, row, menu - 8, row + 6), ink)
    top = 26
    while top < SIDE - 30:
        height = int(rng.integers(30, 70))
        draw.rounded_rectangle((menu + 8, top, SIDE - 8, top + height), 5, card, outline=(128, 128, 128))
        _lines(draw, rng, (menu + 14, top + 4, SIDE + 10, top + height - 2), ink, int(rng.integers(8, 12)))
        if rng.random() < 0.5:
            draw.rounded_rectangle((SIDE - 50, top + height - 16, SIDE - 14, top + height - 4), 4, bar)
        top += height + 8
    return picture


def indoor(rng):
    """A room: walls, floor and ceiling in perspective, a door or a picture, a table, a lamp, soft light and grain."""
    picture = Image.new("RGB", (SIDE, SIDE))
    draw = ImageDraw.Draw(picture)
    wall = np.array([rng.integers(120, 235), rng.integers(110, 215), rng.integers(90, 200)])
    left, right = rng.uniform(0.15, 0.4) * SIDE, rng.uniform(0.6, 0.85) * SIDE
    top, bottom = rng.uniform(0.1, 0.3) * SIDE, rng.uniform(0.6, 0.75) * SIDE
    floor = tuple(int(v) for v in (rng.integers(70, 170), rng.integers(50, 130), rng.integers(30, 100)))
    shade = lambda share: tuple(int(v) for v in wall * share)  # noqa: E731
    draw.polygon([(0, 0), (SIDE, 0), (right, top), (left, top)], shade(1.08 if wall.max() < 230 else 1.0))
    draw.polygon([(0, SIDE), (SIDE, SIDE), (right, bottom), (left, bottom)], floor)
    draw.polygon([(0, 0), (left, top), (left, bottom), (0, SIDE)], shade(0.75))
    draw.polygon([(SIDE, 0), (right, top), (right, bottom), (SIDE, SIDE)], shade(0.85))
    draw.rectangle((left, top, right, bottom), shade(0.95))
    where = rng.uniform(left + 5, right - 25)
    draw.rectangle(
        (where, top + 12, where + rng.uniform(15, 30), bottom - rng.uniform(0, 25)), _ink(rng, True)
    )
    low = rng.uniform(0.65, 0.85) * SIDE
    start = rng.uniform(0.05, 0.5) * SIDE
    wood = tuple(int(v) for v in (rng.integers(60, 160), rng.integers(40, 100), rng.integers(20, 70)))
    draw.rectangle((start, low, start + 70, low + 8), wood)
    for leg in (start + 4, start + 60):
        draw.rectangle((leg, low + 8, leg + 5, low + 45), wood)
    draw.ellipse((start + 25, low - 22, start + 45, low), _ink(rng, False))
    y, x = np.mgrid[:SIDE, :SIDE]
    lamp = np.exp(-np.hypot(x - rng.uniform(0, SIDE), y - rng.uniform(0, SIDE / 2)) / (0.8 * SIDE))
    values = np.asarray(picture.filter(ImageFilter.GaussianBlur(1)), float) * (0.55 + 0.7 * lamp[..., None])
    return Image.fromarray(np.clip(values + rng.normal(0, 5, values.shape), 0, 255).astype(np.uint8))


def face(rng):
    """A drawn head on some background."""
    picture = Image.new("RGB", (SIDE, SIDE), tuple(int(v) for v in rng.integers(30, 240, 3)))
    draw = ImageDraw.Draw(picture)
    skin = tuple(int(v) for v in np.array([230, 185, 150]) * rng.uniform(0.4, 1.05))
    middle, wide, tall = SIDE / 2 + rng.normal(0, 10), rng.uniform(40, 60), rng.uniform(55, 75)
    hair = _ink(rng, rng.random() < 0.8)
    draw.ellipse((middle - wide - 8, SIDE / 2 - tall - 14, middle + wide + 8, SIDE / 2 + tall * 0.5), hair)
    draw.rectangle((middle - 18, SIDE / 2 + tall - 12, middle + 18, SIDE), skin)
    draw.ellipse(
        (middle - wide * 1.6, SIDE * 0.86, middle + wide * 1.6, SIDE * 1.4), _ink(rng, rng.random() < 0.5)
    )
    draw.ellipse((middle - wide, SIDE / 2 - tall, middle + wide, SIDE / 2 + tall), skin)
    for eye in (middle - wide * 0.42, middle + wide * 0.42):
        draw.ellipse((eye - 11, SIDE / 2 - 22, eye + 11, SIDE / 2 - 8), (250, 250, 250))
        draw.ellipse((eye - 5, SIDE / 2 - 20, eye + 5, SIDE / 2 - 10), _ink(rng, True))
    draw.line((middle, SIDE / 2 - 5, middle - 6, SIDE / 2 + 16, middle + 4, SIDE / 2 + 18), (90, 60, 50), 3)
    draw.arc((middle - 20, SIDE / 2 + 18, middle + 20, SIDE / 2 + 42), 10, 170, (150, 50, 50), 4)
    return picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5)))


def drawing(rng):
    """A child's drawing: shapes of felt pen on paper."""
    picture = Image.new("RGB", (SIDE, SIDE), (252, 250, 244))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(5, 12))):
        x, y, r = rng.uniform(0, SIDE), rng.uniform(0, SIDE), rng.uniform(10, 50)
        colour = tuple(int(v) for v in rng.integers(0, 230, 3))
        [draw.ellipse, draw.rectangle][rng.integers(2)]((x - r, y - r, x + r, y + r), outline=colour, width=4)
        draw.line([tuple(rng.uniform(0, SIDE, 2)) for _ in range(4)], colour, 3)
    return picture


def code(rng):
    """A square code of black and white modules, as on a label."""
    count = int(rng.integers(17, 33))
    values = (rng.random((count, count)) < 0.5).astype(np.uint8) * 255
    picture = Image.new("RGB", (SIDE, SIDE), (255, 255, 255))
    picture.paste(Image.fromarray(values).resize((SIDE - 40, SIDE - 40), Image.NEAREST), (20, 20))
    return picture.rotate(rng.normal(0, 8), fillcolor=(230, 230, 230))


TUNING = {kind.__name__: kind for kind in (text, noise, plain, pattern, chart)}
HELD_OUT = {kind.__name__: kind for kind in (screenshot, indoor, face, drawing, code)}
