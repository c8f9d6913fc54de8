"""What travels: only the tensors of the call, finite, no longer than they are allowed to be."""

import json
import struct
import tracemalloc

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.calls.weights import MAX_HEADER, UpdateError, checked_update, longest, norm_of, read, written

SHAPES = {"a.weight": [2, 3], "a.bias": [2]}
GOOD = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a.bias": np.ones(2, np.float32)}


def test_what_is_written_is_read_and_has_its_norm():
    raw = written(GOOD, {"call": "3"})
    assert len(raw) <= longest(SHAPES)
    for name, one in read(raw, SHAPES).items():
        np.testing.assert_array_equal(one, GOOD[name])
    assert checked_update(raw, SHAPES, 0) == pytest.approx(np.sqrt(55 + 2))


def _raw(header, body=b""):
    told = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return struct.pack("<Q", len(told)) + told + body


def _with(**more):
    return safetensors.numpy.save({**GOOD, **more})


BAD = {
    "empty": (b"", "wrong shape", "no safetensors"),
    "pickle": (b"\x80\x04K\x01." * 20, "wrong shape", "no safetensors"),
    "header bomb": (struct.pack("<Q", 2**63) + b"{}" * 100, "wrong shape", "header cannot be of 9223372036854775808"),
    "long header": (_raw(b" " * (MAX_HEADER + 1)), "wrong shape", "header cannot be"),
    "deep header": (_raw(b"[" * 50_000), "wrong shape", "not JSON"),
    "list": (_raw([1]), "wrong shape", "no object"),
    "one less": (safetensors.numpy.save({"a.bias": GOOD["a.bias"]}), "wrong shape", "expected 2 tensors, found 1"),
    "one more": (_with(b=np.ones(1, np.float32)), "wrong shape", "expected 2 tensors, found 3"),
    "another": (
        _with(**{"a.bias": np.ones(3, np.float32)}), "wrong shape", r"a.bias: expected F32 \[2\], found F32 \[3\]",
    ),
    "half": (_with(**{"a.bias": np.ones(2, np.float16)}), "wrong shape", "found F16"),
    "double": (_with(**{"a.bias": np.ones(2)}), "wrong shape", "found F64"),
    "cut off": (written(GOOD)[:-3], "wrong shape", "no safetensors"),
    "nan": (_with(**{"a.bias": np.array([np.nan, 1], np.float32)}), "not finite", "a.bias"),
    "infinity": (_with(**{"a.bias": np.array([np.inf, 1], np.float32)}), "not finite", "a.bias"),
    "a million times": (_with(**{"a.bias": np.float32(1e6) * GOOD["a.bias"]}), "norm too large", "at most 20"),
    "the largest": (_with(**{"a.bias": np.full(2, 3e38, np.float32)}), "norm too large", "at most 20"),
    "dtype is a list": (_raw({"a.bias": {"dtype": [], "shape": [2]}, "a.weight": 3}), "wrong shape", "expected F32"),
    "overlapping": (
        _raw(
            {"a.bias": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
             "a.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}},
            b"\0" * 24,
        ), "wrong shape", "no safetensors",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_anything_else_is_refused_with_its_reason(case):
    raw, state, text = BAD[case]
    with pytest.raises(UpdateError, match=text) as refused:
        checked_update(raw, SHAPES, 20)
    assert refused.value.state == state and "\n" not in str(refused.value)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 150), st.binary(max_size=5))
def test_damage_is_refused_or_harmless(noise, place, patch):
    whole = written(GOOD)
    for raw in (noise, whole[:place] + patch + whole[place + len(patch) :]):
        try:
            found = read(raw, SHAPES)
        except UpdateError:
            continue
        assert {name: one.shape for name, one in found.items()} == {"a.weight": (2, 3), "a.bias": (2,)}


def test_a_norm_of_many_large_numbers_is_none():
    with pytest.raises(UpdateError, match="not finite"):
        norm_of({"a": np.array([np.nan], np.float32)})


def test_a_norm_takes_hardly_any_memory_beside_what_it_is_of():
    large = np.random.default_rng(3).normal(size=(1000, 1300)).astype(np.float32)
    tracemalloc.start()
    found = norm_of({"a": large, "none": np.zeros((0, 3), np.float32)})
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert highest < large.nbytes / 4
    assert found == pytest.approx(np.linalg.norm(large.astype(np.float64)), rel=1e-12)
