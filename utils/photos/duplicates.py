"""Which photos show the same picture: copied, rescaled, recompressed, greyed, mirrored, turned or cropped.

Sky is smooth, so a perceptual hash makes noise. Here it only proposes pairs; an alignment of their pixels decides.
For n photos the hashes cost 800 n^2 comparisons of one machine word (a minute or two for 10,000 photos) and the
alignment half a millisecond for each proposal, some 2 % of 8 n^2 at worst.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

Bytes = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]

LOOK_SIDE = 96
"""Side in pixels of the grey thumbnail, aspect ignored, that stands for a photo here."""

HASH_BITS_APART = 16
"""Two hashes of 64 bits at most this far apart propose a pair; unrelated ones differ in about 32."""

SAME_PICTURE = 0.7
"""Correlation of detail from which on an aligned pair is one picture. Among the 403 photos of the Multi-class
Weather Dataset no pair lies between 0.55 and 0.84, and those above were checked by eye."""

_COARSE_SIDE = 48
_WORTH_REFINING = 0.4
_STEPS = 6
_BATCH = 256
_MIN_OVERLAP = 0.45
_TURNS = tuple(product((False, True), range(4)))

# A crop shows one window of the other photo: its height or width and where that begins, as shares of the side.
_SPANS = tuple(
    (share, start)
    for share, starts in (
        (1.0, (0.0,)),
        (0.88, (0.0, 0.06, 0.12)),
        (0.76, (0.0, 0.12, 0.24)),
        (0.64, (0.0, 0.18, 0.36)),
    )
    for start in starts
)
_WINDOWS = tuple(product(_SPANS, _SPANS))


@dataclass(frozen=True)
class Pair:
    """Photos number `first` < `second` show the same picture; `score` is the correlation of their detail."""

    first: int
    second: int
    score: float


@dataclass(frozen=True)
class _Proposal:
    """Photo `whole`, turned, may be the given window of photo `part_of`."""

    whole: int
    part_of: int
    turn: int
    window: int


def look_of(image: Image.Image) -> Bytes:
    """The grey thumbnail (LOOK_SIDE, LOOK_SIDE) by which an upright RGB photo is compared."""
    grey = image.convert("L").resize((LOOK_SIDE, LOOK_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(grey)


def find_pairs(looks: Sequence[Bytes], first_new: int = 0) -> list[Pair]:
    """All pairs that show the same picture, in order, among those with at least one photo from `first_new` on.

    Parameters
    ----------
    looks : n thumbnails as `look_of` makes them.
    first_new : photos before this index have been compared with each other already.
    """
    coarse = [_detail(look, _COARSE_SIDE) for look in looks]
    best: dict[tuple[int, int], float] = {}
    for proposals in _batches(_proposals(looks, first_new)):
        warps = np.array([_warp_of(proposal) for proposal in proposals], np.float32)
        scores, warps = _align(
            np.stack([_turned(coarse[proposal.whole], proposal.turn) for proposal in proposals]),
            np.stack([coarse[proposal.part_of] for proposal in proposals]),
            warps,
        )
        kept = np.flatnonzero(scores > _WORTH_REFINING)
        if not len(kept):
            continue
        close = [proposals[index] for index in kept]
        scale = LOOK_SIDE / _COARSE_SIDE
        scores, _ = _align(
            np.stack([_turned(_detail(looks[one.whole], LOOK_SIDE), one.turn) for one in close]),
            np.stack([_detail(looks[one.part_of], LOOK_SIDE) for one in close]),
            warps[kept] * np.array([1, scale, 1, scale], np.float32),
        )
        for proposal, score in zip(close, scores, strict=True):
            if score >= SAME_PICTURE:
                key = (min(proposal.whole, proposal.part_of), max(proposal.whole, proposal.part_of))
                best[key] = max(best.get(key, 0.0), float(score))
    return [Pair(*key, score) for key, score in sorted(best.items())]


def _proposals(looks: Sequence[Bytes], first_new: int) -> Iterator[_Proposal]:
    if first_new >= len(looks):
        return
    wholes = np.array([[_hash(_turned(look, turn)) for turn in range(len(_TURNS))] for look in looks])
    windows = np.array([[_hash(_cut(look, window)) for window in range(len(_WINDOWS))] for look in looks])
    for whole, turn in product(range(len(looks)), range(len(_TURNS))):
        start = 0 if whole >= first_new else first_new
        apart = np.bitwise_count(wholes[whole, turn] ^ windows[start:])
        window = apart.argmin(axis=1)
        near = np.flatnonzero(apart[np.arange(len(window)), window] <= HASH_BITS_APART)
        for offset in near:
            if start + offset != whole:
                yield _Proposal(whole, int(start + offset), turn, int(window[offset]))


def _batches(proposals: Iterator[_Proposal]) -> Iterator[list[_Proposal]]:
    batch: list[_Proposal] = []
    for proposal in proposals:
        batch.append(proposal)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _hash(look: Bytes) -> np.uint64:
    bits = imagehash.phash(Image.fromarray(np.ascontiguousarray(look))).hash
    return np.uint64(np.packbits(bits).view(np.uint64)[0])


def _cut(look: Bytes, window: int) -> Bytes:
    (height, top), (width, left) = _WINDOWS[window]
    return look[
        round(top * LOOK_SIDE) : round((top + height) * LOOK_SIDE),
        round(left * LOOK_SIDE) : round((left + width) * LOOK_SIDE),
    ]


def _warp_of(proposal: _Proposal) -> tuple[float, float, float, float]:
    (height, top), (width, left) = _WINDOWS[proposal.window]
    return height, top * _COARSE_SIDE, width, left * _COARSE_SIDE


def _turned(pixels: NDArray[Any], turn: int) -> NDArray[Any]:
    mirrored, quarters = _TURNS[turn]
    return np.rot90(pixels[:, ::-1] if mirrored else pixels, quarters)


def _detail(look: Bytes, side: int) -> Floats:
    """Local contrast (side, side): the look without its smooth gradients, evened out, with noise held down."""
    image = Image.fromarray(look.astype(np.float32))
    pixels = np.asarray(image if side == LOOK_SIDE else image.resize((side, side), Image.Resampling.BOX))
    residue = pixels - gaussian_filter(pixels, 4.0)
    spread = np.sqrt(gaussian_filter(residue * residue, 6.0))
    detail: Floats = gaussian_filter(residue / (spread + 3.0), 0.7)
    return detail


def _align(templates: Floats, images: Floats, warps: Floats) -> tuple[Floats, Floats]:
    """Lay each template on its image by stretch and shift, and say how well their detail then agrees.

    Gauss-Newton on the squared difference after B. D. Lucas and T. Kanade, "An iterative image registration
    technique", IJCAI 1981. Stretch and shift along the axes only, so resampling is two small matrix products.

    Parameters
    ----------
    templates, images : (k, side, side).
    warps : (k, 4), where to begin: stretch and shift in pixels down, then stretch and shift across, so that
        template row r lies on image row `stretch * r + shift`.

    Returns
    -------
    The best correlation met on the way (k,), -1 where too little overlapped, and its warp (k, 4).
    """
    side = templates.shape[1]
    down, across = np.gradient(images, axis=(1, 2))
    at = np.arange(side, dtype=np.float32)
    best_scores = np.full(len(warps), -1.0, np.float32)
    best_warps = warps.copy()
    for step in range(_STEPS + 1):
        rows = _interpolation(warps[:, 0], warps[:, 1], side)
        columns = _interpolation(warps[:, 2], warps[:, 3], side).transpose(0, 2, 1)
        inside = (rows.sum(axis=2) > 0.99)[:, :, None] & (columns.sum(axis=1) > 0.99)[:, None, :]
        count = np.maximum(inside.sum(axis=(1, 2)), 1)[:, None, None]
        warped = _centred(rows @ images @ columns, inside, count)
        target = _centred(templates, inside, count)
        warped_norm = np.sqrt((warped**2).sum(axis=(1, 2))) + 1e-6
        target_norm = np.sqrt((target**2).sum(axis=(1, 2))) + 1e-6
        scores = (target * warped).sum(axis=(1, 2)) / (target_norm * warped_norm)
        scores[count[:, 0, 0] < _MIN_OVERLAP * side * side] = -1.0
        better = scores > best_scores
        best_scores[better] = scores[better]
        best_warps[better] = warps[better]
        if step == _STEPS:
            break
        slope_down = (rows @ down @ columns) * inside
        slope_across = (rows @ across @ columns) * inside
        jacobian = np.stack(
            [slope_down * at[:, None], slope_down, slope_across * at[None, :], slope_across], axis=1
        ).reshape(len(warps), 4, -1)
        error = (target * (warped_norm / target_norm)[:, None, None] - warped).reshape(len(warps), -1, 1)
        normal = jacobian @ jacobian.transpose(0, 2, 1) + 1e-3 * np.eye(4, dtype=np.float32)
        move = np.linalg.solve(normal, jacobian @ error)[:, :, 0]
        furthest = np.array([0.05, 2.0, 0.05, 2.0], np.float32)
        warps = warps + np.clip(move, -furthest, furthest)
    return best_scores, best_warps


def _interpolation(stretch: Floats, shift: Floats, side: int) -> Floats:
    """Linear interpolation at `stretch * r + shift` as matrices (k, side, side); rows outside the image sum to < 1."""
    at = np.arange(side, dtype=np.float32)
    wanted = stretch[:, None] * at + shift[:, None]
    weights: Floats = np.maximum(np.float32(0), 1 - np.abs(wanted[:, :, None] - at))
    return weights


def _centred(pixels: Floats, inside: NDArray[np.bool_], count: NDArray[np.int64]) -> Floats:
    masked = pixels * inside
    centred: Floats = (masked - masked.sum(axis=(1, 2), keepdims=True) / count.astype(np.float32)) * inside
    return centred
