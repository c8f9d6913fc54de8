"""Which photos show the same picture: copied, rescaled, recompressed, greyed, mirrored, turned or cropped.

Sky is smooth, so a perceptual hash makes noise. Here it only proposes pairs; an alignment of their pixels decides.
The work grows with n^2: for n photos 800 n^2 comparisons of 64-bit words, then at most 2 % of 8 n^2 proposals, most
of which a single correlation (0.1 ms) dismisses. 400 photos take 20 seconds; 10,000 would take some 40 minutes
(extrapolated).
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
from tqdm import tqdm

from utils.photos.cleaning import LOOK_SIDE

Bytes = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]

HASH_BITS_APART = 16
"""Two hashes of 64 bits at most this far apart propose a pair; unrelated ones differ in about 32."""

SAME_PICTURE = 0.65
"""Correlation of detail from which on an aligned pair is one picture. Among the 403 photos of the Multi-class
Weather Dataset no pair lies between 0.48 and 0.78, and those above were checked by eye."""

# Side of the pictures to align, steps of alignment, and the least correlation with which a pair goes on.
_STAGES = ((LOOK_SIDE // 2, 0, 0.3), (LOOK_SIDE // 2, 6, 0.4), (LOOK_SIDE, 6, SAME_PICTURE))
_BATCH = 256
_MIN_OVERLAP = 0.45
_FURTHEST_STEP = np.float32(0.05)
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


def find_pairs(looks: Sequence[Bytes], first_new: int = 0) -> list[Pair]:
    """All pairs that show the same picture, in order, among those with at least one photo from `first_new` on.

    Parameters
    ----------
    looks : n thumbnails as `look_of` makes them.
    first_new : photos before this index have been compared with each other already.
    """
    details = {side: [_detail(look, side) for look in looks] for side, _, _ in _STAGES}
    best: dict[tuple[int, int], float] = {}
    for proposals in _batches(_proposals(looks, first_new)):
        warps: Floats = np.array([_warp_of(proposal) for proposal in proposals], np.float32)
        scores: Floats = np.empty(0)
        for side, steps, least in _STAGES:
            templates = [_turned(details[side][proposal.whole], proposal.turn) for proposal in proposals]
            images = [details[side][proposal.part_of] for proposal in proposals]
            scores, warps = _align(np.stack(templates), np.stack(images), warps, steps)
            good = np.flatnonzero(scores >= least)
            proposals, scores, warps = [proposals[index] for index in good], scores[good], warps[good]
            if not proposals:
                break
        for proposal, score in zip(proposals, scores, strict=True):
            key = (min(proposal.whole, proposal.part_of), max(proposal.whole, proposal.part_of))
            best[key] = max(best.get(key, 0.0), float(score))
    return [Pair(*key, score) for key, score in sorted(best.items())]


def _proposals(looks: Sequence[Bytes], first_new: int) -> Iterator[_Proposal]:
    if first_new >= len(looks):
        return
    wholes = np.array([[_hash(_turned(look, turn)) for turn in range(len(_TURNS))] for look in looks])
    windows = np.array([[_hash(_cut(look, window)) for window in range(len(_WINDOWS))] for look in looks])
    for whole, turn in tqdm(
        product(range(len(looks)), range(len(_TURNS))),
        desc="comparing",
        total=len(looks) * len(_TURNS),
        unit=" looks",
        disable=None,
    ):
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
    return height, top, width, left


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


def _align(templates: Floats, images: Floats, warps: Floats, steps: int) -> tuple[Floats, Floats]:
    """Lay each template on its image by stretch and shift, and say how well their detail then agrees.

    Gauss-Newton on the squared difference after B. D. Lucas and T. Kanade, "An iterative image registration
    technique", IJCAI 1981. Stretch and shift along the axes only, so resampling is two small matrix products.

    Parameters
    ----------
    templates, images : (k, side, side).
    warps : (k, 4), where to begin: stretch and shift down, then stretch and shift across, so that template
        row r lies on image row `stretch * r + shift * side`.
    steps : how often to improve the warp; 0 only scores it.

    Returns
    -------
    The best correlation met on the way (k,), -1 where too little overlapped, and its warp (k, 4).
    """
    side = templates.shape[1]
    down, across = np.gradient(images, axis=(1, 2))
    at = np.arange(side, dtype=np.float32)
    best_scores = np.full(len(warps), -1.0, np.float32)
    best_warps = warps.copy()
    for step in range(steps + 1):
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
        if step == steps:
            break
        slope_down = (rows @ down @ columns) * inside
        slope_across = (rows @ across @ columns) * inside
        jacobian = np.stack(
            [slope_down * at[:, None], slope_down * side, slope_across * at, slope_across * side], axis=1
        ).reshape(len(warps), 4, -1)
        error = (target * (warped_norm / target_norm)[:, None, None] - warped).reshape(len(warps), -1, 1)
        normal = jacobian @ jacobian.transpose(0, 2, 1) + 1e-3 * np.eye(4, dtype=np.float32)
        move = np.linalg.solve(normal, jacobian @ error)[:, :, 0]
        warps = warps + np.clip(move, -_FURTHEST_STEP, _FURTHEST_STEP)
    return best_scores, best_warps


def _interpolation(stretch: Floats, shift: Floats, side: int) -> Floats:
    """Linear interpolation at `stretch * r + shift * side` as matrices (k, side, side).

    Rows that fall outside the image sum to less than 1.
    """
    at = np.arange(side, dtype=np.float32)
    wanted = stretch[:, None] * at + shift[:, None] * side
    weights: Floats = np.maximum(np.float32(0), 1 - np.abs(wanted[:, :, None] - at))
    return weights


def _centred(pixels: Floats, inside: NDArray[np.bool_], count: NDArray[np.int64]) -> Floats:
    """Pixels inside a rectangle without the mean of their row and of their column, 0 outside.

    A horizon is the same all along its row. Without the means it counts for nothing, and two photos of a bare
    horizon are not taken for one.
    """
    high = np.maximum(inside.any(axis=2, keepdims=True).sum(axis=1, keepdims=True), 1)
    wide = np.maximum(inside.any(axis=1, keepdims=True).sum(axis=2, keepdims=True), 1)
    masked = pixels * inside
    centred: Floats = masked - (masked.sum(axis=2, keepdims=True) / wide).astype(np.float32)
    centred -= (masked.sum(axis=1, keepdims=True) / high).astype(np.float32)
    centred += (masked.sum(axis=(1, 2), keepdims=True) / count).astype(np.float32)
    return centred * inside
