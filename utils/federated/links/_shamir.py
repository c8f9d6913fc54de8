"""Secrets in shares, of which some suffice and fewer tell nothing (Shamir 1979)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

PRIME = 2**256 + 297
"""The first prime above all secrets of 32 bytes."""


def value_at(polynomial: Sequence[int], place: int, prime: int = PRIME) -> int:
    """A polynomial, its constant first, at a place."""
    found = 0
    for coefficient in reversed(polynomial):
        found = (found * place + coefficient) % prime
    return found


def shared(secret: int, threshold: int, places: Sequence[int]) -> dict[int, int]:
    """A share of `secret` for each place (from 1), of which `threshold` suffice."""
    polynomial = [secret, *(secrets.randbelow(PRIME) for _ in range(threshold - 1))]
    return {place: value_at(polynomial, place) for place in places}


def recovered(shares: Mapping[int, int], prime: int = PRIME) -> int:
    """The secret of enough shares by place: the polynomial through them at 0 (Lagrange)."""
    found = 0
    for place, share in shares.items():
        above = below = 1
        for other in shares:
            if other != place:
                above, below = above * -other % prime, below * (place - other) % prime
        found = (found + share * above * pow(below, -1, prime)) % prime
    return found
