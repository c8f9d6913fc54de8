"""Packed arrays: what goes in comes out, and nothing else does."""

from __future__ import annotations

import base64
import struct

import numpy as np
import pytest

from utils.packing import MAX_PACKED, packed, unpacked


def test_it_is_the_little_endian_bytes_in_base64() -> None:
    assert packed(np.array([1, 258], ">u2")) == base64.b64encode(struct.pack("<HH", 1, 258)).decode()
    assert (
        packed(np.array([[0.5], [-2.0]], np.float32))
        == base64.b64encode(struct.pack("<ff", 0.5, -2)).decode()
    )


@pytest.mark.parametrize("dtype", ["?", "u1", "u2", "<i8", ">f4", "f8"])
def test_there_and_back(dtype: str) -> None:
    array = np.arange(12).reshape(3, 4).astype(dtype)
    back = unpacked(packed(array[:, ::2]), dtype)
    assert back.tolist() == array[:, ::2].reshape(-1).tolist()
    assert back.dtype == np.dtype(dtype)
    back[:1] = 0  # one's own, not a view of a text


def test_nothing_is_nothing() -> None:
    assert packed(np.zeros(0)) == "" and len(unpacked("", "f8")) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (7, "expected a text, found int"),
        ("AAA", "not base64"),
        ("A A=", "not base64"),
        ("AA==", "no whole number of uint16"),
        ("A" * (MAX_PACKED + 4), "longer than"),
    ],
)
def test_a_bad_text_is_refused(text: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        unpacked(text, "u2")


def test_a_truth_value_is_0_or_1() -> None:
    with pytest.raises(ValueError, match="neither 0 nor 1"):
        unpacked(packed(np.array([2], np.uint8)), "?")


def test_what_cannot_be_packed_is_refused() -> None:
    with pytest.raises(ValueError, match="expected numbers"):
        packed(np.array(["a"]))
    with pytest.raises(ValueError, match="more than"):
        packed(np.zeros(MAX_PACKED, np.uint8))
