"""Homomorphic encryption of updates (Cheon et al. 2017, CKKS, by TenSEAL), https://eprint.iacr.org/2016/421: the server
adds ciphertexts, and a process that holds the key decrypts their sum.

A ciphertext holds thousands of numbers, with noise some ten digits below them. Updates are whole numbers before they
are encrypted, and the decrypted sum is rounded to whole numbers: so nothing of the noise is left, and a run's model is
the same whenever it is repeated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from utils.federated.links import UnopenedError
from utils.federated.links._encrypted import Encrypted
from utils.federated.links._fixed import (
    LEAST,
    LEVELS,
    bound_key,
    check_clients,
    check_many,
    check_weights,
)
from utils.parts import AtLeast

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.federated.update import Bytes
    from utils.nets.layout import Layout, Vector

ABOUT = (
    "encrypted updates of real numbers that the server adds without reading them (CKKS)",
    "同态加密（CKKS）：服务器对加密的实数更新求和而不能读取",
)
PACKAGES = ("tenseal",)
NEEDS = {"k": AtLeast(LEAST)}
MOST_WEIGHTS = 2_000_000  # some 115 MB an update
_DEGREE, _MODULI, _SCALE = 8192, [60, 40, 60], 2.0**40  # 128 bits of security allow 218 bits of moduli
_SLOTS = _DEGREE // 2


@dataclass(frozen=True)
class Keys:
    """How fine the whole numbers are."""

    bound: float = bound_key()


def fits(conf: Conf, where: str) -> None:
    """The sum of all whole numbers must stay within what was measured. Raises ConfError."""
    check_clients(conf, where, "ckks")
    check_weights(conf, where, "ckks", MOST_WEIGHTS)


class Link(Encrypted):
    """A ciphertext of 4,096 numbers, some 57 bytes a weight."""

    SIZE = _DEGREE

    def __init__(self, keys: Keys, layout: Layout) -> None:
        super().__init__(keys.bound, layout)
        self._total: list[Any] = []
        self._pieces = math.ceil(self._size / _SLOTS)

    def fold(self, payload: Bytes, client: int) -> None:
        """Add one client's ciphertexts. Raises ValueError where they are none."""
        import tenseal

        context = _context(self._public)
        pieces = _unpacked(payload)
        if len(pieces) != self._pieces:
            raise ValueError(f"an update of {len(pieces)} ciphertexts, expected {self._pieces}")
        found = [tenseal.ckks_vector_from(context, piece) for piece in pieces]
        sizes = [min(_SLOTS, self._size - start) for start in range(0, self._size, _SLOTS)]
        if [one.size() for one in found] != sizes:
            raise ValueError("ciphertexts of other lengths than the weights'")
        self._total = [a + b for a, b in zip(self._total, found, strict=True)] if self._clients else found
        self._clients += 1

    def open(self, samples: int) -> Vector:
        """The mean difference (layout.size,), by who holds the key. Raises UnopenedError where too few gave to it, or
        where it is no sum of whole numbers.
        """
        check_many(self._clients)
        plain = self._decrypted(_packed([piece.serialize() for piece in self._total]))
        total = np.frombuffer(plain, "<f8")[: self._size]
        rounded = np.rint(total)
        most = self._clients * LEVELS
        if len(total) != self._size or not (
            np.abs(total - rounded).max() < 0.25 and rounded.min() >= 0 and rounded.max() <= most
        ):
            raise UnopenedError("not opened: what was decrypted is no sum of whole numbers")
        whole = rounded.astype(np.uint32)
        return self._mean(whole, samples)

    def encode(self, difference: Vector, samples: int, rng: np.random.Generator) -> bytes:
        """The update as whole numbers, encrypted."""
        import tenseal

        whole = self._whole(difference, samples, rng)
        context = _context(self._public)
        pieces = [whole[start : start + _SLOTS] for start in range(0, len(whole), _SLOTS)]
        return _packed([tenseal.ckks_vector(context, piece.tolist()).serialize() for piece in pieces])


class Holder:
    """Who holds the key."""

    def __init__(self, degree: int) -> None:
        import tenseal

        self._context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, degree, coeff_mod_bit_sizes=_MODULI)
        self._context.global_scale = _SCALE
        self.public: bytes = self._context.serialize(
            save_public_key=True, save_secret_key=False, save_galois_keys=False, save_relin_keys=False
        )

    def decrypt(self, ciphertext: bytes) -> bytes:
        """The numbers, float64, of the ciphertexts of a sum."""
        import tenseal

        vectors = [tenseal.ckks_vector_from(self._context, piece) for piece in _unpacked(ciphertext)]
        found: list[NDArray[np.float64]] = [np.array(vector.decrypt(), "<f8") for vector in vectors]
        return np.concatenate(found).tobytes()


@lru_cache(maxsize=1)
def _context(public: bytes) -> Any:
    import tenseal

    return tenseal.context_from(public)


def _packed(pieces: Sequence[bytes]) -> bytes:
    """Several messages in one."""
    return np.array([len(pieces), *map(len, pieces)], "<u4").tobytes() + b"".join(pieces)


def _unpacked(payload: Bytes) -> list[bytes]:
    """The messages. Raises ValueError where it is not as long as it says."""
    view = memoryview(payload)
    count = int(np.frombuffer(view[:4], "<u4")[0])
    lengths = np.frombuffer(view[4 : 4 * (count + 1)], "<u4")
    ends = 4 * (count + 1) + np.cumsum(lengths, dtype=np.int64)
    if len(lengths) != count or (ends[-1] if count else 4) != view.nbytes:
        raise ValueError("ciphertexts that are cut off")
    return [bytes(view[end - length : end]) for end, length in zip(ends, lengths, strict=True)]
