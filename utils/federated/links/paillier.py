"""Encryption of whole numbers that can be added (Paillier 1999), for models of a few weights as logistic regression:
the server multiplies ciphertexts, and a process that holds the key decrypts their sum.

Primes are drawn as for RSA by `cryptography`, and what encryption draws comes from the system; the arithmetic is
lightphe's.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.federated.links._encrypted import Encrypted
from utils.federated.links._fixed import (
    LEAST,
    bound_key,
    check_clients,
    check_many,
    check_weights,
)
from utils.parts import AtLeast, key

if TYPE_CHECKING:
    from utils.conf import Conf
    from utils.federated.update import Bytes
    from utils.nets.layout import Layout, Vector

ABOUT = (
    "encrypted whole numbers that the server adds without reading them (Paillier); small models only",
    "加法同态加密（Paillier）：服务器求和而不能读取；仅适用于小模型",
)
PACKAGES = ("lightphe", "cryptography")
NEEDS = {"k": AtLeast(LEAST)}
MOST_WEIGHTS, BITS = 10_000, 2048
_SLOT = 32  # bits for the sum of a weight of all clients
_BYTES = BITS // 4  # of a ciphertext, a number below n²


@dataclass(frozen=True)
class Keys:
    """How fine the whole numbers are, and how many share a ciphertext."""

    bound: float = bound_key()
    together: int = key(
        "weights that share a ciphertext, 32 bits each",
        zh="共用一个密文的权重个数，每个 32 位",
        default=1,
        low=1,
        high=(BITS - 1) // _SLOT,
    )


def fits(conf: Conf, where: str) -> None:
    """Few enough clients for the sum and few enough weights for the time it takes. Raises ConfError."""
    check_clients(conf, where, "paillier")
    check_weights(conf, where, "paillier", MOST_WEIGHTS)


class Link(Encrypted):
    """512 bytes a ciphertext, under a key of 2,048 bits."""

    SIZE = BITS

    def __init__(self, keys: Keys, layout: Layout) -> None:
        super().__init__(keys.bound, layout)
        self._together = keys.together
        self._total: list[int] = []
        self._pieces = math.ceil(self._size / keys.together)

    def fold(self, payload: Bytes, client: int) -> None:
        """Add one client's ciphertexts. Raises ValueError on another length."""
        view = memoryview(payload)
        if view.nbytes != self._pieces * _BYTES:
            raise ValueError(f"an update of {view.nbytes} bytes, expected {self._pieces * _BYTES}")
        found = _numbers(view)
        if self._clients:
            scheme = _public_scheme(self._public)
            found = [scheme.add(a, b) for a, b in zip(self._total, found, strict=True)]
        self._total, self._clients = found, self._clients + 1

    def open(self, samples: int) -> Vector:
        """The mean difference (layout.size,), by who holds the key. Raises UnopenedError where too few gave to it."""
        check_many(self._clients)
        plain = self._decrypted(b"".join(number.to_bytes(_BYTES, "big") for number in self._total))
        mask = (1 << _SLOT) - 1
        total = [
            number >> (_SLOT * place) & mask for number in _numbers(plain) for place in range(self._together)
        ]
        whole = np.array(total[: self._size], np.uint32)
        return self._mean(whole, samples)

    def encode(self, difference: Vector, samples: int, rng: np.random.Generator) -> bytes:
        """The update as whole numbers, encrypted."""
        whole = self._whole(difference, samples, rng).tolist()
        scheme = _public_scheme(self._public)
        n = scheme.keys["public_key"]["n"]
        parts = []
        for start in range(0, len(whole), self._together):
            plain = sum(
                one << (_SLOT * place) for place, one in enumerate(whole[start : start + self._together])
            )
            blind = secrets.randbelow(n - 1) + 1
            parts.append(int(scheme.encrypt(plain, blind)).to_bytes(_BYTES, "big"))
        return b"".join(parts)


class Holder:
    """Who holds the key."""

    def __init__(self, bits: int) -> None:
        from cryptography.hazmat.primitives.asymmetric import rsa

        drawn = rsa.generate_private_key(65537, bits).private_numbers()
        n = drawn.p * drawn.q
        private = {"phi": (drawn.p - 1) * (drawn.q - 1)}
        self._scheme = _scheme({"private_key": private, "public_key": {"g": n + 1, "n": n}})
        self.public = n.to_bytes(bits // 8, "big")

    def decrypt(self, ciphertext: bytes) -> bytes:
        """The numbers of the ciphertexts of a sum, as long as these."""
        found = [self._scheme.decrypt(number) for number in _numbers(ciphertext)]
        return b"".join(int(number).to_bytes(_BYTES, "big") for number in found)


def _scheme(keys: Any) -> Any:
    from lightphe.cryptosystems.Paillier import Paillier

    return Paillier(keys=keys)


def _public_scheme(public: bytes) -> Any:
    n = int.from_bytes(public, "big")
    return _scheme({"public_key": {"g": n + 1, "n": n}})


def _numbers(payload: Bytes) -> list[int]:
    view = memoryview(payload)
    return [int.from_bytes(view[start : start + _BYTES], "big") for start in range(0, view.nbytes, _BYTES)]
