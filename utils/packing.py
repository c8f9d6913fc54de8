"""Arrays as text for files that hold plain types only: base64 of the little-endian bytes of a flat array."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

MAX_PACKED = 16 * 1024 * 1024
"""The longest text that is made or taken, in letters."""
_KINDS = "biuf"
UPDATES = {"round": "i4", "client": "i4", "norm": "f4", "cosine": "f4", "score": "f4", "kept": "?"}
"""What a record may tell of each update that arrived, in `updates`, each packed as this type."""
WORTH = {
    "round": "i4", "client": "i4", "shapley": "f8", "error": "f8", "leave_one_out": "f8", "counted": "?", "flag": "i4",
}  # fmt: skip
"""The same in `worth` of what each was worth: see `utils.federated.valued`."""


def packed(array: NDArray[Any]) -> str:
    """The values of `array`, flattened in C order, as text. Raises ValueError for one that is too large, or that holds
    no truth values or numbers.
    """
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.dtype.kind not in _KINDS:
        raise ValueError(f"packed: expected numbers, found {flat.dtype}")
    if flat.nbytes > MAX_PACKED // 4 * 3:
        raise ValueError(f"packed: {flat.nbytes} bytes, more than {MAX_PACKED // 4 * 3}")
    return base64.b64encode(flat.astype(flat.dtype.newbyteorder("<"), copy=False).tobytes()).decode("ascii")


def unpacked(text: Any, dtype: DTypeLike) -> NDArray[Any]:
    """The values (n,) of a packed text, in the byte order of this machine. Raises ValueError on anything else."""
    kind = np.dtype(dtype)
    if not isinstance(text, str):
        raise ValueError(f"packed: expected a text, found {type(text).__name__}")
    if len(text) > MAX_PACKED:
        raise ValueError(f"packed: longer than {MAX_PACKED} letters")
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("packed: not base64") from None
    if len(raw) % kind.itemsize:
        raise ValueError(f"packed: {len(raw)} bytes are no whole number of {kind.name}")
    if kind == np.bool_ and set(raw) - {0, 1}:
        raise ValueError("packed: a truth value that is neither 0 nor 1")
    return np.frombuffer(raw, kind.newbyteorder("<")).astype(kind)


def table_of(columns: Any, kinds: Mapping[str, str] = UPDATES) -> dict[str, NDArray[Any]]:
    """The columns (updates,) of a packed table of updates. Raises ValueError on anything else."""
    if not isinstance(columns, dict) or set(columns) != set(kinds):
        raise ValueError(f"packed: expected columns {', '.join(kinds)}")
    found = {name: unpacked(columns[name], kind) for name, kind in kinds.items()}
    if len({len(column) for column in found.values()}) != 1:
        raise ValueError("packed: columns of different lengths")
    return found
