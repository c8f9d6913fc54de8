"""What travels of a call: the weights of a version, and updates, the differences that a training made to them. Both are
safetensors with float32 tensors under their PyTorch names; nothing of it can carry code. No torch here.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

Shapes = Mapping[str, Sequence[int]]
MAX_HEADER = 200_000
"""Bytes that names and shapes may take."""
_BLOCK = 1 << 16
"""Numbers that are squared at a time: whoever checks many updates at once has no memory for all of them in float64."""


class UpdateError(ValueError):
    """A body that is no update of its call: `state` is what becomes of it, the text one line that says why."""

    def __init__(self, state: str, text: str) -> None:
        super().__init__(text)
        self.state = state


def longest(shapes: Shapes) -> int:
    """How many bytes a body with these tensors has at most."""
    return 8 + MAX_HEADER + 4 * sum(math.prod(shape) for shape in shapes.values())


def written(named: Mapping[str, NDArray[np.floating]], about: Mapping[str, str] | None = None) -> bytes:
    """Tensors by name as the bytes that travel; `about` stands in the header as text."""
    plain = {name: np.ascontiguousarray(one, np.float32) for name, one in named.items()}
    return safetensors.numpy.save(plain, dict(about) if about else None)


def read(raw: bytes, shapes: Shapes) -> dict[str, NDArray[np.float32]]:
    """The tensors of a body by name. Raises UpdateError("wrong shape") unless they are just these, in float32."""
    header = _header(raw)
    if set(header) != set(shapes):
        strange = sorted(set(header) ^ set(shapes))[0]
        raise UpdateError(
            "wrong shape", f"expected {len(shapes)} tensors, found {len(header)}: {strange[:60]!r}"
        )
    for name, shape in shapes.items():
        told = header[name]
        if not isinstance(told, dict) or told.get("dtype") != "F32" or told.get("shape") != list(shape):
            found = (
                f"{str(told.get('dtype'))[:10]} {str(told.get('shape'))[:60]}"
                if isinstance(told, dict)
                else "?"
            )
            raise UpdateError("wrong shape", f"{name}: expected F32 {list(shape)}, found {found}")
    try:
        return dict(safetensors.numpy.load(raw))
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise UpdateError("wrong shape", f"no safetensors ({str(error).splitlines()[0][:80]})") from None


def _header(raw: bytes) -> dict[str, object]:
    """What stands before the numbers, without what is only told about them."""
    size = struct.unpack("<Q", raw[:8])[0] if len(raw) >= 8 else 0
    if not 2 <= size <= min(MAX_HEADER, len(raw) - 8):
        raise UpdateError(
            "wrong shape", f"no safetensors of {len(raw)} bytes: its header cannot be of {size}"
        )
    try:
        told = json.loads(raw[8 : 8 + size])
    except (ValueError, RecursionError):
        raise UpdateError("wrong shape", "no safetensors: its header is not JSON") from None
    if not isinstance(told, dict):
        raise UpdateError("wrong shape", "no safetensors: its header is no object")
    return {name: one for name, one in told.items() if name != "__metadata__"}


def norm_of(named: Mapping[str, NDArray[np.float32]]) -> float:
    """The Euclidean norm of all tensors together. Raises UpdateError("not finite")."""
    total = 0.0
    for name, one in named.items():
        flat = one.reshape(-1)
        found = sum(
            float(np.square(flat[start : start + _BLOCK], dtype=np.float64).sum())
            for start in range(0, flat.size, _BLOCK)
        )
        if not math.isfinite(found):
            raise UpdateError("not finite", f"{name} holds a number that is not finite")
        total += found
    return math.sqrt(total)


def checked_update(raw: bytes, shapes: Shapes, most: float) -> float:
    """The norm of an update that may be folded. Raises UpdateError; `most` is the greatest norm (0: any)."""
    norm = norm_of(read(raw, shapes))
    if most and norm > most:
        raise UpdateError("norm too large", f"a norm of {norm:.4g}, at most {most:g} is taken")
    return norm
