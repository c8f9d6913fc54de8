"""A head and its buffers as Flower's records: arrays, which travel in pieces and only once where they are equal."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

if TYPE_CHECKING:
    from .frames import Head


def packed(head: Head, buffers: Mapping[str, Any]) -> RecordDict:
    """The records of a message."""
    arrays = OrderedDict((name, Array(np.frombuffer(one, np.uint8))) for name, one in buffers.items())
    records: dict[str, Any] = {"head": ConfigRecord({"json": json.dumps(head, allow_nan=False)})}
    if arrays:
        records["buffers"] = ArrayRecord(arrays)
    return RecordDict(records)


def opened(records: RecordDict) -> tuple[Head, dict[str, Any]]:
    """Head and buffers of a message. Raises ValueError where there are none."""
    try:
        head = json.loads(str(records["head"]["json"]))
        arrays = {name: array.numpy() for name, array in records.get("buffers", {}).items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"a message that cannot be read ({type(error).__name__})") from None
    if not isinstance(head, dict) or any(one.dtype != np.uint8 or one.ndim != 1 for one in arrays.values()):
        raise ValueError("a message that cannot be read")
    return head, {name: one.data for name, one in arrays.items()}
